//! Pictures as the first layer takes them.

use std::{ops::Range, sync::Arc};

use crate::{
    arena::Buffer,
    map::{Context, Map},
    simd::LANES,
};

/// Pictures of three channels, normalised: `[batch, height, width, 4]` in memory, the fourth value unused,
/// so that the first layer reads a pixel's channels side by side.
#[derive(Clone, Debug)]
pub struct Picture {
    pixels: Arc<Buffer<[f32; PIXEL]>>,
    /// Of the first that belongs to it.
    start: usize,
    size: [usize; 3],
}

/// Floats of a pixel in memory.
pub(crate) const PIXEL: usize = 4;

impl Picture {
    /// Channels of a picture.
    pub const CHANNELS: usize = 3;

    /// Of pixels `[batch, height, width]`, which are read where they lie; `size` is their shape.
    ///
    /// # Panics
    /// If there are not as many pixels.
    pub fn new(pixels: Arc<Buffer<[f32; 4]>>, size: [usize; 3]) -> Self {
        assert_eq!(pixels.len(), size.iter().product());
        Self {
            pixels,
            start: 0,
            size,
        }
    }

    /// From three planes a picture, `[batch, 3, height, width]`; `size` is `[batch, height, width]`.
    ///
    /// # Panics
    /// If there are not as many values.
    pub fn from_planes(context: &Context, planes: &[f32], size: [usize; 3]) -> Self {
        let [batch, height, width] = size;
        let pixels = height * width;
        assert_eq!(planes.len(), batch * Self::CHANNELS * pixels);
        let mut to = context.arena.take(batch * pixels);
        for (index, to) in to.iter_mut().enumerate() {
            let (n, i) = (index / pixels, index % pixels);
            let channel = |channel| planes[(n * Self::CHANNELS + channel) * pixels + i];
            *to = [channel(0), channel(1), channel(2), 0.0];
        }
        Self::new(Arc::new(to), size)
    }

    /// `[batch, 3, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        let [batch, height, width] = self.size;
        [batch, Self::CHANNELS, height, width]
    }

    /// Some rows of a picture, which are read where they lie.
    ///
    /// # Panics
    /// If there are not as many, or several pictures.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let [batch, height, width] = self.size;
        assert!(batch == 1 && rows.start <= rows.end && rows.end <= height);
        Self {
            pixels: Arc::clone(&self.pixels),
            start: self.start + rows.start * width,
            size: [1, rows.len(), width],
        }
    }

    fn pixels(&self) -> &[[f32; PIXEL]] {
        &self.pixels[self.start..][..self.size.iter().product()]
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.pixels().as_flattened()
    }

    /// As a map of three channels.
    pub fn to_map(&self, context: &Arc<Context>) -> Map {
        let mut map = Map::any(context, self.shape());
        map.values.fill(0.0);
        let pixels = map.values.chunks_exact_mut(LANES);
        for (to, from) in pixels.zip(self.pixels()) {
            to[..PIXEL].copy_from_slice(from);
        }
        map
    }
}
