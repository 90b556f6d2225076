//! What a convolution reads.

use crate::{
    map::Map,
    picture::{PIXEL, Picture},
    simd::LANES,
};

/// The values of a map, or of pictures.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) values: &'a [f32],
    /// `[batch, channels, height, width]`.
    pub(super) shape: [usize; 4],
    /// Floats from a pixel to the next.
    pub(super) pixel: usize,
}

impl<'a> Source<'a> {
    pub(super) fn map(map: &'a Map) -> Self {
        Self {
            values: &map.values,
            shape: map.shape(),
            pixel: LANES,
        }
    }

    pub(super) fn picture(picture: &'a Picture) -> Self {
        Self {
            values: picture.values(),
            shape: picture.shape(),
            pixel: PIXEL,
        }
    }

    /// Blocks of channels.
    pub(super) fn blocks(&self) -> usize {
        self.shape[1].div_ceil(LANES)
    }
}
