//! Pictures as maps.

use std::sync::Arc;

use crate::{
    gpu::Gpu,
    map::Map,
    memory::Block,
    shader::{Kernel, Shader},
    trace::named,
};

/// What becomes of samples, 0 to 255, before a network sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Whether the first channel is the last of a pixel's samples, and the last the first.
    pub reversed: bool,
    /// Taken off each channel.
    pub mean: [f32; 3],
    /// What each channel is then multiplied by.
    pub factors: [f32; 3],
}

impl Map {
    /// Of three channels, from pictures of pixels `[height, width]`, each with a fourth value that is left out.
    ///
    /// # Panics
    /// If a picture has not as many.
    pub fn from_pictures(gpu: &Arc<Gpu>, pictures: &[&[[f32; 4]]], size: [usize; 2]) -> Self {
        let [height, width] = size;
        assert!(pictures.iter().all(|pixels| pixels.len() == height * width));
        let block = Block::of_all(gpu, pictures);
        if !gpu.half() {
            // As it lies in memory.
            return Self::new(gpu, [pictures.len(), 3, height, width], block);
        }
        let unchanged = Normalisation {
            reversed: false,
            mean: [0.0; 3],
            factors: [1.0; 3],
        };
        made(gpu, &block, pictures.len(), [size; 2], &unchanged, false)
    }

    /// Of three channels, from pictures of samples `[height, width, 3]`, normalised; each with zeros to the right and
    /// below, up to `padded`, `[height, width]`.
    ///
    /// # Panics
    /// If a picture has not as many, or `padded` is less than its size.
    pub fn from_samples(
        gpu: &Arc<Gpu>,
        pictures: &[&[u8]],
        size: [usize; 2],
        padded: [usize; 2],
        normalisation: &Normalisation,
    ) -> Self {
        let samples = 3 * size[0] * size[1];
        assert!(pictures.iter().all(|picture| picture.len() == samples));
        assert!(size[0] <= padded[0] && size[1] <= padded[1]);
        let block = Block::of_all(gpu, pictures);
        let sizes = [size, padded];
        made(gpu, &block, pictures.len(), sizes, normalisation, true)
    }
}

/// A map of so many pictures, from what there is of them in memory; `sizes` of the pictures and of the map.
fn made(
    gpu: &Arc<Gpu>,
    pictures: &Block,
    batch: usize,
    [size, padded]: [[usize; 2]; 2],
    normalisation: &Normalisation,
    samples: bool,
) -> Map {
    let y = Map::any(gpu, [batch, 3, padded[0], padded[1]]);
    let floats = [normalisation.mean, normalisation.factors];
    let floats = floats.as_flattened().iter().map(|x| x.to_bits() as usize);
    let sizes = [size, padded].concat();
    gpu.run_each(
        Shader::new(Kernel::Pictures)
            .constant("SAMPLES", usize::from(samples))
            .constant("REVERSED", usize::from(normalisation.reversed)),
        &[pictures.buffer(), y.buffer()],
        &sizes.into_iter().chain(floats).collect::<Vec<_>>(),
        y.quads(),
        || named("pictures", &y),
    );
    y
}
