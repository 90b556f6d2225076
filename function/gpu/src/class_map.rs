//! From the logits of classes to the class of every pixel.

use rayon::prelude::*;
use segmenter_kernels::{Corners, Span};

use crate::{
    gpu::GpuError,
    map::{Map, QUAD, quads, read_back},
    memory::{Block, Use},
    shader::{Kernel, Shader},
    trace::named,
};

/// The class of every pixel and its probability, 0..=1, both `[height, width]`.
pub type ClassMap = (Vec<u8>, Vec<f32>);

/// Enlarges the logits of each map of a batch, `[batch, classes, rows, columns]`, bilinearly to its size, `[height,
/// width]`, and takes the most probable class of every pixel, the first of equals, with its softmax probability. Waits for
/// the GPU, once for all.
///
/// # Errors
/// If the GPU failed, now or before.
///
/// # Panics
/// If there are not as many sizes as maps, or there are no classes, more than 256, or no pixels to enlarge.
pub fn argmax_softmax(
    logits: &Map,
    sizes: &[[usize; 2]],
    corners: Corners,
) -> Result<Vec<ClassMap>, GpuError> {
    let [batch, classes, rows, columns] = logits.shape();
    assert_eq!(sizes.len(), batch, "a size for each map");
    assert!((1..=256).contains(&classes), "{classes} classes");
    assert!(rows > 0 && columns > 0, "nothing to enlarge");
    let gpu = logits.gpu();
    // Words of four classes, then of probabilities.
    let words = |[height, width]: [usize; 2]| (height * width).div_ceil(QUAD) + height * width;
    let maps = (0..).zip(sizes).map(|(image, &size)| {
        let [height, width] = size;
        let block = Block::take(gpu, Use::Compute, words(size) * size_of::<u32>());
        let (top, down) = along(rows, height, corners);
        let (left, right) = along(columns, width, corners);
        let [top, left, down, right] = [top, left, down, right].map(|x| x.to_bits() as usize);
        gpu.run_each(
            Shader::new(Kernel::ClassMap),
            &[logits.buffer(), block.buffer()],
            &[
                rows,
                columns,
                quads(classes),
                classes,
                image,
                height,
                width,
                top,
                left,
                down,
                right,
            ],
            (height * width).div_ceil(QUAD),
            || Span {
                output: [1, classes, height, width],
                ..named("classes", logits)
            },
        );
        block
    });
    let maps: Vec<_> = maps.collect();
    let sources: Vec<_> = maps
        .iter()
        .zip(sizes)
        .map(|(block, &size)| (block.buffer(), words(size)))
        .collect();
    read_back(gpu, &sources, |maps: &[&[u32]]| {
        maps.par_iter()
            .zip(sizes)
            .map(|(words, [height, width])| {
                let pixels = height * width;
                let (classes, confidence) = words.split_at(pixels.div_ceil(QUAD));
                let classes: &[u8] = bytemuck::cast_slice(classes);
                let confidence: &[f32] = bytemuck::cast_slice(confidence);
                (classes[..pixels].to_vec(), confidence.to_vec())
            })
            .collect()
    })
}

/// Where the first of so many outputs lies on an axis of inputs, and how far it is to the next.
fn along(inputs: usize, outputs: usize, corners: Corners) -> (f32, f32) {
    match corners {
        Corners::Aligned if outputs > 1 => (0.0, (inputs - 1) as f32 / (outputs - 1) as f32),
        Corners::Aligned => (0.0, 0.0),
        Corners::Free => {
            let distance = inputs as f32 / outputs as f32;
            (0.5 * distance - 0.5, distance)
        }
    }
}
