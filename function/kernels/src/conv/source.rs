//! What a convolution reads.

use crate::{
    map::Map,
    picture::{PIXEL, Picture},
    simd::LANES,
};

/// The values of a map, or of pictures.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) values: &'a [f32],
    /// `[batch, channels, height, width]`.
    pub(crate) shape: [usize; 4],
    /// Floats from a pixel to the next.
    pub(crate) pixel: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn map(map: &'a Map) -> Self {
        Self {
            values: &map.values,
            shape: map.shape(),
            pixel: LANES,
        }
    }

    pub(crate) fn picture(picture: &'a Picture) -> Self {
        Self {
            values: picture.values(),
            shape: picture.shape(),
            pixel: PIXEL,
        }
    }

    /// Of values that lie as in a map; or, as there are then fewer of them, as in pictures.
    ///
    /// # Panics
    /// If there are as many as in neither.
    #[cfg(feature = "training")]
    pub(crate) fn of(values: &'a [f32], shape: [usize; 4]) -> Self {
        let [batch, channels, height, width] = shape;
        let pixels = batch * height * width;
        let pixel = if channels == Picture::CHANNELS && values.len() == pixels * PIXEL {
            PIXEL
        } else {
            LANES
        };
        let source = Self {
            values,
            shape,
            pixel,
        };
        let floats = source.blocks() * pixels * pixel;
        assert_eq!(values.len(), floats, "values of {shape:?}");
        source
    }

    /// Blocks of channels.
    pub(crate) fn blocks(&self) -> usize {
        self.shape[1].div_ceil(LANES)
    }
}
