//! One kernel a channel, in integers.
//!
//! Of four pixels side by side, the bytes are brought into an order in which a channel's four follow each other;
//! they are multiplied with four neighbouring taps of a row of the kernel at a time. Rows of the input are
//! copied first to lines with room for the padding on both sides, so that nothing has to be asked there.
//!
//! Where weights are packed as bytes and a block has one that is greater, the block has a second set of weights,
//! for what they are greater by.

mod rows;

use std::ops::Range;

use super::{
    Integers, QuantizedMap,
    requantize::Requantize,
    simd::{QUAD, pack, parts, quad_bytes},
};
use crate::{
    Geometry,
    arena::{Arena, Buffer},
    isa::{IntegerTask, Isa},
    rows::tasks,
    shared::Shared,
    simd::LANES,
};

/// The most pixels that are worked on at a time.
const TILE: usize = 8;

/// A depthwise convolution.
pub(super) struct Depthwise {
    geometry: Geometry,
    /// `[sets, kernel, ceil(kernel / 4)]` of quads as packed.
    weights: Buffer<u8>,
    /// The first set of each block, and behind the last one how many there are.
    sets: Vec<usize>,
    /// Bytes of a packed quad for sixteen channels.
    quad: usize,
    /// What sums begin with, `[blocks, LANES]`: all taps lie on the input or on pixels of its zero point.
    initial: Vec<i32>,
    /// The zero point of the input.
    zero_point: u8,
}

impl Depthwise {
    pub(super) fn new(isa: Isa, geometry: &Geometry, weight: &[i16], zero_point: u8) -> Self {
        if geometry.stride > 1 && geometry.dilation > 1 {
            let (geometry, weight) = spread(geometry, weight);
            return Self::new(isa, &geometry, &weight, zero_point);
        }
        let Geometry {
            outputs, kernel, ..
        } = *geometry;
        let (_, wide) = isa.integers();
        let (blocks, quads) = (outputs.div_ceil(LANES), kernel.div_ceil(QUAD));
        let quad = quad_bytes(wide);
        let mut sets = vec![0];
        for block in weight.chunks(LANES * kernel * kernel) {
            let sets_of_block = block.iter().map(|&value| parts(value, wide).count());
            sets.push(sets[sets.len() - 1] + sets_of_block.max().unwrap_or(0).max(1));
        }
        let mut weights = Arena::default().take(sets[blocks] * kernel * quads * quad);
        weights.fill(0);
        let mut initial = vec![0; blocks * LANES];
        for (at, &value) in weight.iter().enumerate() {
            let (channel, row) = (at / (kernel * kernel), at / kernel % kernel);
            let (block, lane, tap) = (channel / LANES, channel % LANES, at % kernel);
            for (number, part) in parts(value, wide).enumerate() {
                let to = (((sets[block] + number) * kernel + row) * quads + tap / QUAD) * quad;
                pack(&mut weights[to..][..quad], wide, lane, tap % QUAD, part);
            }
            initial[channel] -= i32::from(zero_point) * i32::from(value);
        }
        Self {
            geometry: *geometry,
            weights,
            sets,
            quad,
            initial,
            zero_point,
        }
    }

    /// The sets of weights of a block, of which there is one at least.
    #[inline(always)]
    fn sets_of(&self, block: usize) -> Range<usize> {
        self.sets[block]..self.sets[block + 1]
    }

    /// On `x`, or on `x` with its sides doubled.
    pub(super) fn forward(
        &self,
        isa: Isa,
        requantize: &Requantize,
        x: &QuantizedMap,
        doubled: bool,
        y: &mut QuantizedMap,
    ) {
        let [batch, _, height, width] = x.shape();
        let [_, _, rows, columns] = y.shape();
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.geometry;
        let all_rows = y.blocks() * batch * rows;
        if all_rows * columns == 0 {
            return;
        }
        let quads = kernel.div_ceil(QUAD);
        let cost = all_rows * columns * kernel * quads;
        let band = all_rows.div_ceil(tasks(cost));
        // Of one phase of the dilation; tiles may reach beyond the last output, and quads are read whole.
        let outputs = columns.div_ceil(dilation).next_multiple_of(TILE);
        let phase = (outputs - 1) * stride + (quads + 2) * QUAD;
        let input = if doubled {
            [2 * height, 2 * width]
        } else {
            [height, width]
        };
        let arena = y.context().arena.clone();
        let task = Run {
            depthwise: self,
            requantize,
            x: &x.values,
            batch,
            source: [height, width],
            input,
            output: [rows, columns],
            doubled,
            band,
            rows: all_rows,
            phase: phase
                .max((input[1] + self.geometry.padding[0]).div_ceil(dilation))
                .next_multiple_of(QUAD),
            arena: &arena,
            y: Shared::new(&mut y.values),
        };
        isa.run_all_integers(all_rows.div_ceil(band), &task);
    }
}

/// A kernel without dilation that does the same: zeros stand between the taps.
fn spread(geometry: &Geometry, weight: &[i16]) -> (Geometry, Vec<i16>) {
    let Geometry {
        kernel, dilation, ..
    } = *geometry;
    let side = (kernel - 1) * dilation + 1;
    let mut spread = vec![0; geometry.outputs * side * side];
    for (at, &value) in weight.iter().enumerate() {
        let (channel, row, column) = (at / (kernel * kernel), at / kernel % kernel, at % kernel);
        spread[(channel * side + row * dilation) * side + column * dilation] = value;
    }
    let geometry = Geometry {
        kernel: side,
        dilation: 1,
        ..*geometry
    };
    (geometry, spread)
}

/// One call.
struct Run<'a> {
    depthwise: &'a Depthwise,
    requantize: &'a Requantize,
    x: &'a [u8],
    batch: usize,
    /// Rows and columns of the map in memory.
    source: [usize; 2],
    /// The same, doubled if it is.
    input: [usize; 2],
    output: [usize; 2],
    doubled: bool,
    /// Rows of a task.
    band: usize,
    /// Rows of all maps of all blocks.
    rows: usize,
    /// Pixels of a line that belong to the same phase of the dilation.
    phase: usize,
    arena: &'a Arena,
    y: Shared<'a, u8>,
}

/// Copies of the rows of the input that the kernel lies on, and a row of padding.
struct Lines {
    memory: Buffer<u8>,
    /// Rows of the map up to this one are copied, or are under no kernel any more.
    copied: usize,
    /// Where the lines under the rows of the kernel begin.
    under: Vec<*const u8>,
}

impl IntegerTask for Run<'_> {
    #[inline(always)]
    fn run<I: Integers>(&self, index: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            padding,
            ..
        } = self.depthwise.geometry;
        let (start, rows) = (index * self.band, self.output[0]);
        let end = self.rows.min(start + self.band);
        // Rows of outputs that are worked on together.
        let pair = if dilation == 1 && matches!(kernel, 3 | 5) && stride <= 2 {
            I::TILE[0]
        } else {
            1
        };
        // Of rows that are under the kernel together; one more is for the padding.
        let count = (kernel - 1) * dilation + 1 + (pair - 1) * stride;
        let count = count.next_power_of_two();
        let length = self.phase * dilation * LANES;
        let mut lines = Lines {
            memory: self.arena.take((count + 1) * length),
            copied: 0,
            under: vec![std::ptr::null(); kernel + (pair - 1) * stride],
        };
        lines.memory.fill(self.depthwise.zero_point);
        let mut row = start;
        while row < end {
            let plane = row / rows;
            let first = plane * rows;
            let last = end.min(first + rows);
            lines.copied = 0;
            while row < last {
                // A pair, or what is left.
                let pair = pair.min(last - row);
                let origin = (row - first) * stride;
                // Rows of the map before this one lie under no kernel from here on.
                let unused = self.in_memory(origin.saturating_sub(padding[0]));
                lines.copied = lines.copied.max(unused);
                for tap in 0..kernel + (pair - 1) * stride {
                    let on_map = (origin + tap * dilation).wrapping_sub(padding[0]);
                    let mut line = count;
                    if on_map < self.input[0] {
                        let on_map = self.in_memory(on_map);
                        while lines.copied <= on_map {
                            let line = (lines.copied & (count - 1)) * length;
                            let line = &mut lines.memory[line..][..length];
                            self.copy(plane, lines.copied, line);
                            lines.copied += 1;
                        }
                        line = on_map & (count - 1);
                    }
                    lines.under[tap] = lines.memory[line * length..].as_ptr();
                }
                self.rows::<I>(&lines, plane / self.batch, row, pair);
                row += pair;
            }
        }
    }
}

impl Run<'_> {
    /// The row of the map in memory for one of the input.
    #[inline(always)]
    fn in_memory(&self, row: usize) -> usize {
        if self.doubled { row / 2 } else { row }
    }

    /// A row of the map to a line.
    #[inline(always)]
    fn copy(&self, plane: usize, row: usize, line: &mut [u8]) {
        let [height, width] = self.source;
        let Geometry {
            dilation, padding, ..
        } = self.depthwise.geometry;
        let row = &self.x[(plane * height + row) * width * LANES..][..width * LANES];
        let pixels = row.as_chunks::<LANES>().0;
        let line = line.as_chunks_mut::<LANES>().0;
        // What lies beyond the last output's taps is not needed.
        if self.doubled {
            let line = &mut line[padding[0]..];
            for (to, pixel) in line.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
                *to = [*pixel; 2];
            }
        } else if dilation == 1 {
            let line = &mut line[padding[0]..];
            let length = line.len().min(width);
            line[..length].copy_from_slice(&pixels[..length]);
        } else {
            let (mut phase, mut at) = (padding[0] % dilation, padding[0] / dilation);
            for pixel in pixels {
                line[phase * self.phase + at] = *pixel;
                phase += 1;
                if phase == dilation {
                    (phase, at) = (0, at + 1);
                }
            }
        }
    }
}
