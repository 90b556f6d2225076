//! Coefficients to pixels.

use std::ops::Range;

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

/// About how many pixels are made at a time: enough for several threads, and few enough for coefficients and
/// samples to stay in a processor's cache. Tests have a strip for each row of MCUs, as their pictures are small.
const STRIP: usize = if cfg!(test) { 1 } else { 1 << 18 };

/// Makes the pixels of a picture, a strip of it at a time.
pub(super) struct Renderer {
    /// By component.
    quantisation: Vec<Quantisation>,
    /// By component.
    upsamplings: Vec<Upsampling>,
    colour_space: ColourSpace,
    /// By component: the samples of the last strip, behind those that the next one's lie next to.
    planes: Vec<Plane>,
    /// Rows of pixels that have been made, or passed over.
    finished: usize,
}

impl Renderer {
    /// With quantisation tables by component.
    pub(super) fn new(
        frame: &Frame,
        quantisation: Vec<Quantisation>,
        colour_space: ColourSpace,
    ) -> Result<Self, JpegError> {
        let components = frame.components.iter();
        let upsamplings: Result<_, _> = components
            .clone()
            .map(|component| Upsampling::new(component, frame))
            .collect();
        let plane = |component: &Component| Plane {
            width: component.width,
            height: component.height,
            stride: component.blocks_wide * BLOCK,
            first: 0,
            samples: Vec::new(),
        };
        Ok(Self {
            quantisation,
            upsamplings: upsamplings?,
            colour_space,
            planes: components.map(plane).collect(),
            finished: 0,
        })
    }

    /// Rows of MCUs in a strip.
    pub(super) fn strip(frame: &Frame) -> usize {
        let row = frame.width * frame.max_vertical * BLOCK;
        STRIP.div_ceil(row).min(frame.mcus_high)
    }

    /// Takes the coefficients of the next rows of MCUs by component, and appends the RGB pixels of those rows of
    /// the picture that can be made now and are `wanted`, which is sorted.
    pub(super) fn add(
        &mut self,
        frame: &Frame,
        rows: Range<usize>,
        coefficients: &[Vec<Block>],
        wanted: &[usize],
        pixels: &mut Vec<u8>,
    ) {
        // The last rows need what comes below them.
        let until = if rows.end == frame.mcus_high {
            frame.height
        } else {
            (rows.end * BLOCK - 1) * frame.max_vertical
        };
        let now = between(wanted, self.finished..until);
        let row_bytes = frame.width * 3;
        let start = pixels.len();
        pixels.resize(start + now.len() * row_bytes, 0);
        let unfinished = &mut pixels[start..];
        let Self {
            quantisation,
            upsamplings,
            colour_space,
            planes,
            ..
        } = self;
        // In the pool at once: the way there and back would be gone twice.
        rayon::scope(|_| {
            planes
                .par_iter_mut()
                .zip(&frame.components)
                .zip(coefficients)
                .zip(quantisation)
                .for_each(|(((plane, component), blocks), quantisation)| {
                    let blocks = &blocks[..component.blocks_of_rows(rows.len())];
                    let repeated = frame.max_vertical / component.vertical;
                    // A row of samples shows in its own rows of pixels, and in those next to them.
                    let is_wanted = |first: usize| {
                        let last = (first + BLOCK + 1) * repeated;
                        !between(wanted, first.saturating_sub(1) * repeated..last).is_empty()
                    };
                    extend(plane, component, blocks, quantisation, is_wanted);
                });
            let planes = &*planes;
            unfinished
                .par_chunks_mut(row_bytes * ROWS)
                .zip(now.par_chunks(ROWS))
                .for_each_init(<[Space; 4]>::default, |spaces, (rows, now)| {
                    for (&y, row) in now.iter().zip(rows.chunks_exact_mut(row_bytes)) {
                        let mut samples = [&[][..]; 4];
                        let sources = planes.iter().zip(&*upsamplings).zip(spaces.iter_mut());
                        for (samples, ((plane, upsampling), space)) in
                            samples.iter_mut().zip(sources)
                        {
                            *samples = upsampling.row(plane, y, space);
                        }
                        colour_space.convert(samples, row);
                    }
                });
        });
        self.finished = until;
    }
}

/// Those of the sorted numbers that are in the range.
fn between(sorted: &[usize], range: Range<usize>) -> &[usize] {
    let start = sorted.partition_point(|&number| number < range.start);
    let rest = &sorted[start..];
    &rest[..rest.partition_point(|&number| number < range.end)]
}

/// Puts the samples of further rows of blocks behind the last row of blocks that the plane has; of those rows
/// that are wanted, by their first row of samples.
fn extend(
    plane: &mut Plane,
    component: &Component,
    blocks: &[Block],
    quantisation: &Quantisation,
    is_wanted: impl Fn(usize) -> bool + Sync,
) {
    let Plane {
        stride,
        first,
        samples,
        ..
    } = plane;
    let stride = *stride;
    let passed = (samples.len() / stride).saturating_sub(BLOCK);
    samples.drain(..passed * stride);
    *first += passed;
    let kept = samples.len();
    let next = *first + kept / stride;
    samples.resize(kept + blocks.len() / component.stride * BLOCK * stride, 0);
    samples[kept..]
        .par_chunks_exact_mut(stride * BLOCK)
        .zip(blocks.par_chunks_exact(component.stride))
        .enumerate()
        .filter(|(index, _)| is_wanted(next + index * BLOCK))
        .for_each(|(_, (rows, blocks))| {
            for (x, block) in blocks[..component.blocks_wide].iter().enumerate() {
                let samples = idct::samples(block, quantisation);
                for (row, samples) in rows.chunks_exact_mut(stride).zip(&samples) {
                    row[x * BLOCK..][..BLOCK].copy_from_slice(samples);
                }
            }
        });
}
