//! Feature maps of bytes.

use std::sync::Arc;

use super::Quantization;
use crate::{arena::Buffer, map::Context, simd::LANES};

/// A batch of feature maps of bytes, in the layout of a [`Map`](crate::Map):
/// `[ceil(channels / 16), batch, height, width, 16]`.
#[derive(Debug)]
pub struct QuantizedMap {
    pub(super) context: Arc<Context>,
    pub(super) values: Buffer<u8>,
    shape: [usize; 4],
    quantization: Quantization,
}

impl QuantizedMap {
    /// A map of any values, `[batch, channels, height, width]`.
    pub(super) fn any(
        context: &Arc<Context>,
        shape: [usize; 4],
        quantization: Quantization,
    ) -> Self {
        let [batch, channels, height, width] = shape;
        let blocks = channels.div_ceil(LANES);
        Self {
            context: Arc::clone(context),
            values: context.arena.take(blocks * batch * height * width * LANES),
            shape,
            quantization,
        }
    }

    /// From bytes in the order `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn from_planar(
        context: &Arc<Context>,
        values: &[u8],
        shape: [usize; 4],
        quantization: Quantization,
    ) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let mut map = Self::any(context, shape, quantization);
        let [batch, channels, height, width] = shape;
        let pixels = height * width;
        if values.is_empty() {
            return map;
        }
        for (index, plane) in values.chunks_exact(pixels).enumerate() {
            let (n, channel) = (index / channels, index % channels);
            let image = (channel / LANES * batch + n) * pixels * LANES;
            let image = &mut map.values[image..][..pixels * LANES];
            let places = image.iter_mut().skip(channel % LANES).step_by(LANES);
            places.zip(plane).for_each(|(to, from)| *to = *from);
        }
        map
    }

    /// Its bytes in the order `[batch, channels, height, width]`.
    pub fn to_planar(&self) -> Vec<u8> {
        let [batch, channels, height, width] = self.shape;
        let mut planar = Vec::with_capacity(batch * channels * height * width);
        for map in 0..batch {
            for channel in 0..channels {
                planar.extend(self.plane(map, channel));
            }
        }
        planar
    }

    /// The bytes of one channel of one map, `[height, width]`.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn plane(&self, map: usize, channel: usize) -> impl Iterator<Item = u8> + '_ {
        let [batch, channels, height, width] = self.shape;
        assert!(
            map < batch && channel < channels,
            "no channel {channel} of {map}"
        );
        let start = (channel / LANES * batch + map) * height * width * LANES;
        let pixels = self.values[start..][..height * width * LANES].iter();
        pixels.skip(channel % LANES).step_by(LANES).copied()
    }

    /// `[batch, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// What its bytes stand for.
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }

    /// What made it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Blocks of sixteen channels.
    pub(super) fn blocks(&self) -> usize {
        self.shape[1].div_ceil(LANES)
    }
}
