//! Coefficients to pixels.

use rayon::prelude::*;

use super::{
    block::Block,
    colour::ColourSpace,
    error::JpegError,
    frame::{BLOCK, Component, Frame},
    idct,
    tables::Quantisation,
    upsample::{Plane, Space, Upsampling},
};

/// Rows of pixels that a thread makes at a time.
const ROWS: usize = 16;

/// The pixels, RGB and row by row, of coefficients and quantisation tables by component.
pub(super) fn render(
    frame: &Frame,
    coefficients: Vec<Vec<Block>>,
    quantisation: &[Quantisation],
    colour_space: ColourSpace,
) -> Result<Vec<u8>, JpegError> {
    let components = &frame.components;
    let upsamplings: Result<Vec<Upsampling>, _> = components
        .iter()
        .map(|component| Upsampling::new(component, frame))
        .collect();
    let upsamplings = upsamplings?;
    let planes: Vec<Plane> = components
        .par_iter()
        .zip(coefficients)
        .zip(quantisation)
        .map(|((component, blocks), quantisation)| plane(component, &blocks, quantisation))
        .collect();

    let mut pixels = vec![0; frame.width * frame.height * 3];
    let row_bytes = frame.width * 3;
    pixels
        .par_chunks_mut(row_bytes * ROWS)
        .enumerate()
        .for_each_init(<[Space; 4]>::default, |spaces, (index, rows)| {
            for (y, row) in (index * ROWS..).zip(rows.chunks_exact_mut(row_bytes)) {
                let mut samples = [&[][..]; 4];
                let sources = planes.iter().zip(&upsamplings).zip(spaces.iter_mut());
                for (samples, ((plane, upsampling), space)) in samples.iter_mut().zip(sources) {
                    *samples = upsampling.row(plane, y, space);
                }
                colour_space.convert(samples, row);
            }
        });
    Ok(pixels)
}

/// The samples of a component.
fn plane(component: &Component, blocks: &[Block], quantisation: &Quantisation) -> Plane {
    let stride = component.blocks_wide * BLOCK;
    let mut samples = vec![0; stride * component.blocks_high * BLOCK];
    samples
        .par_chunks_exact_mut(stride * BLOCK)
        .zip(blocks.par_chunks_exact(component.stride))
        .for_each(|(rows, blocks)| {
            for (x, block) in blocks[..component.blocks_wide].iter().enumerate() {
                let samples = idct::samples(block, quantisation);
                for (row, samples) in rows.chunks_exact_mut(stride).zip(&samples) {
                    row[x * BLOCK..][..BLOCK].copy_from_slice(samples);
                }
            }
        });
    Plane {
        width: component.width,
        height: component.height,
        stride,
        samples,
    }
}
