//! Pictures as the first layer takes them.

use std::sync::Arc;

use crate::{
    arena::{Arena, Buffer},
    map::{Context, Map},
    simd::LANES,
};

/// Pictures of three channels, normalised: `[batch, height, width, 4]` in memory, the fourth value unused,
/// so that the first layer reads a pixel's channels side by side.
#[derive(Debug)]
pub struct Picture {
    values: Buffer<f32>,
    size: [usize; 3],
}

/// Floats of a pixel in memory.
pub(crate) const PIXEL: usize = 4;

impl Picture {
    /// Channels of a picture.
    pub const CHANNELS: usize = 3;

    /// From three planes a picture, `[batch, 3, height, width]`; `size` is `[batch, height, width]`.
    ///
    /// # Panics
    /// If there are not as many values.
    pub fn from_planes(arena: &Arena, planes: &[f32], size: [usize; 3]) -> Self {
        let [batch, height, width] = size;
        let pixels = height * width;
        assert_eq!(planes.len(), batch * Self::CHANNELS * pixels);
        let mut values = arena.take(batch * pixels * PIXEL);
        for n in 0..batch {
            let planes = &planes[n * Self::CHANNELS * pixels..][..Self::CHANNELS * pixels];
            let (red, rest) = planes.split_at(pixels);
            let (green, blue) = rest.split_at(pixels);
            let to = &mut values[n * pixels * PIXEL..][..pixels * PIXEL];
            let colours = red.iter().zip(green).zip(blue);
            for (to, ((&red, &green), &blue)) in
                to.as_chunks_mut::<PIXEL>().0.iter_mut().zip(colours)
            {
                *to = [red, green, blue, 0.0];
            }
        }
        Self { values, size }
    }

    /// `[batch, 3, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        let [batch, height, width] = self.size;
        [batch, Self::CHANNELS, height, width]
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// As a map of three channels.
    pub fn to_map(&self, context: &Arc<Context>) -> Map {
        let mut map = Map::any(context, self.shape());
        map.values.fill(0.0);
        let pixels = map.values.chunks_exact_mut(LANES);
        for (to, from) in pixels.zip(self.values.chunks_exact(PIXEL)) {
            to[..PIXEL].copy_from_slice(from);
        }
        map
    }
}
