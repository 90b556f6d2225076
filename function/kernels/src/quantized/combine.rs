//! Maps put together.

use super::QuantizedMap;
use crate::simd::LANES;

impl QuantizedMap {
    /// A single pixel repeated over a map: `[batch, channels, 1, 1]` to `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// If there are more pixels.
    #[must_use]
    pub fn expand(&self, [height, width]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.shape();
        assert_eq!(self.shape(), [batch, channels, 1, 1], "shape of a pixel");
        let shape = [batch, channels, height, width];
        let mut y = Self::any(self.context(), shape, self.quantization());
        let images = y.values.chunks_exact_mut((height * width * LANES).max(1));
        for (image, pixel) in images.zip(self.values.as_chunks::<LANES>().0) {
            image.as_chunks_mut().0.fill(*pixel);
        }
        y
    }

    /// Maps one behind the other along their channels: `[batch, c[i], height, width]` to
    /// `[batch, sum of c, height, width]`.
    ///
    /// # Panics
    /// If there are none, they differ in more than their channels, these are not whole blocks of sixteen in all
    /// but the last, or bytes of one stand for something else than those of another.
    #[must_use]
    pub fn concat(maps: &[&Self]) -> Self {
        assert!(!maps.is_empty(), "nothing to concatenate");
        let [batch, _, height, width] = maps[0].shape();
        let mut channels = 0;
        for map in maps {
            let shape = [batch, map.shape()[1], height, width];
            assert_eq!(map.shape(), shape, "shape of a part");
            assert_eq!(map.quantization(), maps[0].quantization());
            assert_eq!(channels % LANES, 0, "channels before a part");
            channels += map.shape()[1];
        }
        let shape = [batch, channels, height, width];
        let mut y = Self::any(maps[0].context(), shape, maps[0].quantization());
        let mut rest = &mut y.values[..];
        for map in maps {
            let (part, behind) = rest.split_at_mut(map.values.len());
            part.copy_from_slice(&map.values);
            rest = behind;
        }
        y
    }
}
