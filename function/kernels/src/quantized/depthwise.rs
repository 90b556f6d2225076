//! One kernel a channel, in integers.
//!
//! Of four pixels side by side, the bytes are brought into an order in which a channel's four follow each other;
//! they are multiplied with four neighbouring taps of a row of the kernel at a time. Rows of the input are
//! copied first to lines with room for the padding on both sides, so that nothing has to be asked there.

use super::{
    Integers, QuantizedMap,
    requantize::Requantize,
    simd::{QUAD, pack, quad_bytes},
};
use crate::{
    Geometry,
    arena::{Arena, Buffer},
    isa::{IntegerTask, Isa},
    shared::Shared,
    simd::LANES,
};

/// Vector multiplications that are worth a task of their own, some microseconds.
const TASK: usize = 1 << 14;

/// Tasks for each thread, so that one that falls behind is helped.
const TASKS_PER_THREAD: usize = 4;

/// The most pixels that are worked on at a time.
const TILE: usize = 8;

/// A depthwise convolution.
pub(super) struct Depthwise {
    geometry: Geometry,
    /// `[blocks, kernel, ceil(kernel / 4)]` of quads as packed.
    weights: Buffer<u8>,
    /// Bytes of a packed quad for sixteen channels.
    quad: usize,
    /// What sums begin with, `[blocks, LANES]`: all taps lie on the input or on pixels of its zero point.
    initial: Vec<i32>,
    /// The zero point of the input.
    zero_point: u8,
}

impl Depthwise {
    pub(super) fn new(isa: Isa, geometry: &Geometry, weight: &[i8], zero_point: u8) -> Self {
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
        let mut weights = Arena::default().take(blocks * kernel * quads * quad);
        weights.fill(0);
        let mut initial = vec![0; blocks * LANES];
        for (at, &value) in weight.iter().enumerate() {
            let (channel, row) = (at / (kernel * kernel), at / kernel % kernel);
            let (block, lane, tap) = (channel / LANES, channel % LANES, at % kernel);
            let to = ((block * kernel + row) * quads + tap / QUAD) * quad;
            pack(&mut weights[to..][..quad], wide, lane, tap % QUAD, value);
            initial[channel] -= i32::from(zero_point) * i32::from(value);
        }
        Self {
            geometry: *geometry,
            weights,
            quad,
            initial,
            zero_point,
        }
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
        let most = rayon::current_num_threads() * TASKS_PER_THREAD;
        let band = all_rows.div_ceil((cost / TASK).clamp(1, most));
        // Of one phase of the dilation; tiles may reach beyond the last output.
        let outputs = columns.div_ceil(dilation).next_multiple_of(TILE);
        let phase = (outputs - 1) * stride + quads * QUAD;
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
            phase: phase.max((input[1] + self.geometry.padding[0]).div_ceil(dilation)),
            arena: &arena,
            y: Shared::new(&mut y.values),
        };
        isa.run_all_integers(all_rows.div_ceil(band), &task);
    }
}

/// A kernel without dilation that does the same: zeros stand between the taps.
fn spread(geometry: &Geometry, weight: &[i8]) -> (Geometry, Vec<i8>) {
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
        // Rows that are under the kernel together, and the padding.
        let count = (kernel - 1) * dilation + 2;
        let length = self.phase * dilation * LANES;
        let mut lines = Lines {
            memory: self.arena.take(count * length),
            copied: 0,
            under: vec![std::ptr::null(); kernel],
        };
        lines.memory.fill(self.depthwise.zero_point);
        for row in start..end {
            let (plane, row_of_map) = (row / rows, row % rows);
            // Rows of the map before this one lie under no kernel from here on.
            let first = (row_of_map * stride).saturating_sub(padding[0]);
            let first = if self.doubled { first / 2 } else { first };
            if row_of_map == 0 {
                lines.copied = 0;
            }
            for tap in 0..kernel {
                let position = row_of_map * stride + tap * dilation;
                let on_map = position.checked_sub(padding[0]);
                let line = match on_map.filter(|&row| row < self.input[0]) {
                    Some(row) => {
                        let row = if self.doubled { row / 2 } else { row };
                        lines.copied = lines.copied.max(first);
                        while lines.copied <= row {
                            let line = lines.copied % (count - 1) * length;
                            let line = &mut lines.memory[line..][..length];
                            self.copy(plane, lines.copied, line);
                            lines.copied += 1;
                        }
                        row % (count - 1)
                    }
                    None => count - 1,
                };
                lines.under[tap] = lines.memory[line * length..].as_ptr();
            }
            self.row::<I>(&lines, row, end);
        }
    }
}

impl Run<'_> {
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
            for (to, pixel) in line.chunks_mut(2).zip(pixels) {
                to.fill(*pixel);
            }
        } else if dilation == 1 {
            let line = &mut line[padding[0]..];
            let length = line.len().min(width);
            line[..length].copy_from_slice(&pixels[..length]);
        } else {
            for (column, pixel) in (padding[0]..).zip(pixels) {
                line[column % dilation * self.phase + column / dilation] = *pixel;
            }
        }
    }

    /// A row of outputs of sixteen channels; rows from `end` on are other tasks'.
    #[inline(always)]
    fn row<I: Integers>(&self, lines: &Lines, row: usize, end: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.depthwise.geometry;
        match (kernel, stride, dilation) {
            (3, 1, 1) => self.columns::<I, 3, 1, 1>(lines, row, end),
            (3, 2, 1) => self.columns::<I, 3, 1, 2>(lines, row, end),
            (5, 1, 1) => self.columns::<I, 5, 2, 1>(lines, row, end),
            (5, 2, 1) => self.columns::<I, 5, 2, 2>(lines, row, end),
            _ => self.any::<I>(lines, row),
        }
    }

    /// Of `K` rows of a kernel of `Q` quads.
    #[inline(always)]
    fn columns<I: Integers, const K: usize, const Q: usize, const S: usize>(
        &self,
        lines: &Lines,
        row: usize,
        end: usize,
    ) {
        let columns = self.output[1];
        // Outputs up to here are this task's: a tile may write beyond its row, as the next row comes after.
        let room = (end - row) * columns;
        let mut column = 0;
        while column < columns {
            let left = columns - column;
            // SAFETY: the tile's outputs are this task's, and lines are long enough for whole tiles.
            unsafe {
                if I::TILE >= 8 && left > 4 && column + 8 <= room {
                    self.tile::<I, K, Q, S, 8>(lines, row, column);
                    column += 8;
                } else if left > 2 && column + 4 <= room {
                    self.tile::<I, K, Q, S, 4>(lines, row, column);
                    column += 4;
                } else if left > 1 {
                    self.tile::<I, K, Q, S, 2>(lines, row, column);
                    column += 2;
                } else {
                    self.tile::<I, K, Q, S, 1>(lines, row, column);
                    column += 1;
                }
            }
        }
    }

    /// `P` outputs from `column` on.
    ///
    /// # Safety
    /// They are this task's, and in the lines.
    #[inline(always)]
    unsafe fn tile<I: Integers, const K: usize, const Q: usize, const S: usize, const P: usize>(
        &self,
        lines: &Lines,
        row: usize,
        column: usize,
    ) {
        let block = row / self.output[0] / self.batch;
        // SAFETY: the caller's.
        unsafe {
            let initial = I::load_sums(self.depthwise.initial.as_ptr().add(block * LANES));
            let mut sums = [initial; P];
            let mut w = self.depthwise.weights.as_ptr();
            w = w.add(block * K * Q * const { quad_bytes(I::WIDE) });
            for k in 0..K {
                let x = (*lines.under.as_ptr().add(k)).add(column * S * LANES);
                let first = I::load_weights(w);
                let second = I::load_weights(w.add((Q - 1) * const { quad_bytes(I::WIDE) }));
                w = w.add(Q * const { quad_bytes(I::WIDE) });
                // The second quad of an output is the first of one further on.
                let shift = QUAD / S;
                for p in 0..P + (Q - 1) * shift {
                    let bytes = I::transpose(x.add(p * S * LANES));
                    if p < P {
                        sums[p] = I::dot(sums[p], bytes, first);
                    }
                    if Q == 2 && p >= shift {
                        sums[p - shift] = I::dot(sums[p - shift], bytes, second);
                    }
                }
            }
            let at = (row * self.output[1] + column) * LANES;
            self.requantize.bytes::<I, P>(sums, block, self.y.at(at));
        }
    }

    /// Of any kernel.
    #[inline(always)]
    fn any<I: Integers>(&self, lines: &Lines, row: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.depthwise.geometry;
        let block = row / self.output[0] / self.batch;
        let quads = kernel.div_ceil(QUAD);
        for column in 0..self.output[1] {
            // Either of the two is 1.
            let x = column % dilation * self.phase + column / dilation * stride;
            // SAFETY: the lines have room for the whole quads of every output; the output is this task's.
            unsafe {
                let mut sums = I::load_sums(self.depthwise.initial.as_ptr().add(block * LANES));
                let mut w = self.depthwise.weights.as_ptr();
                w = w.add(block * kernel * quads * self.depthwise.quad);
                for line in &lines.under {
                    let mut x = line.add(x * LANES);
                    for _ in 0..quads {
                        sums = I::dot(sums, I::transpose(x), I::load_weights(w));
                        x = x.add(QUAD * LANES);
                        w = w.add(self.depthwise.quad);
                    }
                }
                let at = (row * self.output[1] + column) * LANES;
                self.requantize.bytes::<I, 1>([sums], block, self.y.at(at));
            }
        }
    }
}
