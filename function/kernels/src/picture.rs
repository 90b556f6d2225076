//! Pictures as the first layer takes them.

use std::sync::Arc;

use crate::{
    arena::{Arena, Buffer},
    map::{Context, Map},
};

/// A picture of three channels, normalised: `[height, width, 4]` in memory, the fourth value unused, so
/// that the first layer reads a pixel's channels side by side.
#[derive(Debug)]
pub struct Picture {
    values: Buffer<f32>,
    size: [usize; 2],
}

/// Floats of a pixel in memory.
pub(crate) const PIXEL: usize = 4;

impl Picture {
    /// Channels of a picture.
    pub const CHANNELS: usize = 3;

    /// From three planes, `[3, height, width]`.
    ///
    /// # Panics
    /// If there are not as many values.
    pub fn from_planes(arena: &Arena, planes: &[f32], size: [usize; 2]) -> Self {
        let pixels = size[0] * size[1];
        assert_eq!(planes.len(), Self::CHANNELS * pixels);
        let mut values = arena.take(pixels * PIXEL);
        let (red, rest) = planes.split_at(pixels);
        let (green, blue) = rest.split_at(pixels);
        let colours = red.iter().zip(green).zip(blue);
        for (to, ((&red, &green), &blue)) in
            values.as_chunks_mut::<PIXEL>().0.iter_mut().zip(colours)
        {
            *to = [red, green, blue, 0.0];
        }
        Self { values, size }
    }

    /// `[height, width]` in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// As a map of three channels.
    pub(crate) fn to_map(&self, context: &Arc<Context>) -> Map {
        let [height, width] = self.size;
        let pixels = height * width;
        let mut planes = vec![0.0; Self::CHANNELS * pixels];
        for (index, pixel) in self.values.as_chunks::<PIXEL>().0.iter().enumerate() {
            for channel in 0..Self::CHANNELS {
                planes[channel * pixels + index] = pixel[channel];
            }
        }
        Map::from_planar(context, &planes, [1, Self::CHANNELS, height, width])
    }
}
