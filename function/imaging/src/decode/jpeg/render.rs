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

/// About how many pixels are made at a time: enough for many threads, and few enough for coefficients and
/// samples to stay in a processor's cache. Tests have a strip for each row of MCUs, as their pictures are small.
const STRIP: usize = if cfg!(test) { 1 } else { 1 << 20 };

/// Makes the pixels of a picture, a strip of it at a time. Beside the pixels only what belongs to a strip is in
/// memory.
pub(super) struct Renderer<'a> {
    frame: &'a Frame,
    /// By component.
    quantisation: Vec<Quantisation>,
    /// By component.
    upsamplings: Vec<Upsampling>,
    colour_space: ColourSpace,
    /// By component: the samples of the last strip, behind those that the next one's lie next to.
    planes: Vec<Plane>,
    /// RGB, row by row.
    pixels: Vec<u8>,
    /// Rows of pixels that have been made.
    finished: usize,
    /// Rows of MCUs that have been given.
    mcus: usize,
}

impl<'a> Renderer<'a> {
    /// With quantisation tables by component.
    pub(super) fn new(
        frame: &'a Frame,
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
            frame,
            quantisation,
            upsamplings: upsamplings?,
            colour_space,
            planes: components.map(plane).collect(),
            pixels: vec![0; frame.width * frame.height * 3],
            finished: 0,
            mcus: 0,
        })
    }

    /// Rows of MCUs in a strip.
    pub(super) fn strip(frame: &Frame) -> usize {
        let row = frame.width * frame.max_vertical * BLOCK;
        STRIP.div_ceil(row).min(frame.mcus_high)
    }

    /// Takes the next strip, or the rest, from the coefficients by component, which may hold more.
    pub(super) fn add(&mut self, coefficients: &[&[Block]]) {
        let frame = self.frame;
        let rows = Self::strip(frame).min(frame.mcus_high - self.mcus);
        self.mcus += rows;
        // The last rows need what comes below them.
        let until = if self.mcus == frame.mcus_high {
            frame.height
        } else {
            (self.mcus * BLOCK - 1) * frame.max_vertical
        };
        let row_bytes = frame.width * 3;
        let unfinished = &mut self.pixels[self.finished * row_bytes..until * row_bytes];
        // In the pool at once: the way there and back would be gone twice.
        rayon::scope(|_| {
            self.planes
                .par_iter_mut()
                .zip(&frame.components)
                .zip(coefficients)
                .zip(&self.quantisation)
                .for_each(|(((plane, component), blocks), quantisation)| {
                    let blocks = &blocks[..component.blocks_of_rows(rows)];
                    extend(plane, component, blocks, quantisation);
                });
            let (planes, upsamplings) = (&self.planes, &self.upsamplings);
            unfinished
                .par_chunks_mut(row_bytes * ROWS)
                .enumerate()
                .for_each_init(<[Space; 4]>::default, |spaces, (index, rows)| {
                    let first = self.finished + index * ROWS;
                    for (y, row) in (first..).zip(rows.chunks_exact_mut(row_bytes)) {
                        let mut samples = [&[][..]; 4];
                        let sources = planes.iter().zip(upsamplings).zip(spaces.iter_mut());
                        for (samples, ((plane, upsampling), space)) in
                            samples.iter_mut().zip(sources)
                        {
                            *samples = upsampling.row(plane, y, space);
                        }
                        self.colour_space.convert(samples, row);
                    }
                });
        });
        self.finished = until;
    }

    /// The pixels, RGB and row by row.
    pub(super) fn pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// Puts the samples of further rows of blocks behind the last row of blocks that the plane has.
fn extend(plane: &mut Plane, component: &Component, blocks: &[Block], quantisation: &Quantisation) {
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
    samples.resize(kept + blocks.len() / component.stride * BLOCK * stride, 0);
    samples[kept..]
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
}
