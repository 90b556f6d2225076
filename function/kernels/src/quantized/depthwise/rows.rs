//! Rows of outputs, a few pixels at a time.

use super::{Lines, Run};
use crate::{
    Geometry,
    quantized::simd::{Integers, QUAD, quad_bytes},
    simd::LANES,
};

impl Run<'_> {
    /// One row of outputs of a block of channels, or two.
    #[inline(always)]
    pub(super) fn rows<I: Integers>(&self, lines: &Lines, block: usize, row: usize, rows: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.depthwise.geometry;
        // Blocks with more than one set of weights are few, and code for any number is slower with one.
        let sets = !I::WIDE && self.depthwise.sets_of(block).len() > 1;
        macro_rules! columns {
            ($kernel:literal $quads:literal $stride:literal) => {
                match (I::TILE[0] == 2 && rows == 2, sets) {
                    (true, true) => {
                        self.columns::<I, $kernel, $quads, $stride, 2, true>(lines, block, row);
                    }
                    (true, false) => {
                        self.columns::<I, $kernel, $quads, $stride, 2, false>(lines, block, row);
                    }
                    (false, true) => {
                        self.columns::<I, $kernel, $quads, $stride, 1, true>(lines, block, row);
                    }
                    (false, false) => {
                        self.columns::<I, $kernel, $quads, $stride, 1, false>(lines, block, row);
                    }
                }
            };
        }
        match (kernel, stride) {
            (3, 1) if dilation > 1 && sets => self.phases::<I, 3, 1, true>(lines, block, row),
            (5, 1) if dilation > 1 && sets => self.phases::<I, 5, 2, true>(lines, block, row),
            (3, 1) if dilation > 1 => self.phases::<I, 3, 1, false>(lines, block, row),
            (5, 1) if dilation > 1 => self.phases::<I, 5, 2, false>(lines, block, row),
            (3, 1) => columns!(3 1 1),
            (3, 2) => columns!(3 1 2),
            (5, 1) => columns!(5 2 1),
            (5, 2) => columns!(5 2 2),
            _ => self.any::<I>(lines, block, row),
        }
    }

    /// `R` rows, of a kernel of `K` rows of `Q` quads.
    #[inline(always)]
    fn columns<
        I: Integers,
        const K: usize,
        const Q: usize,
        const S: usize,
        const R: usize,
        const SETS: bool,
    >(
        &self,
        lines: &Lines,
        block: usize,
        row: usize,
    ) {
        let columns = self.output[1];
        let mut column = 0;
        while column < columns {
            let left = columns - column;
            let mut y = [std::ptr::null_mut(); R];
            for (r, y) in y.iter_mut().enumerate() {
                // SAFETY: the row is this task's.
                *y = unsafe { self.y.at(((row + r) * columns + column) * LANES) };
            }
            // SAFETY: `left` outputs are this task's, and lines are long enough for whole tiles.
            unsafe {
                if I::TILE[1] == 8 && left > 4 {
                    self.tile::<I, K, Q, S, R, 8, SETS>(lines, block, column * S, y, left);
                    column += 8;
                } else {
                    self.tile::<I, K, Q, S, R, 4, SETS>(lines, block, column * S, y, left);
                    column += 4;
                }
            }
        }
    }

    /// A row of a kernel with dilation: the outputs of each of its phases lie apart.
    #[inline(always)]
    fn phases<I: Integers, const K: usize, const Q: usize, const SETS: bool>(
        &self,
        lines: &Lines,
        block: usize,
        row: usize,
    ) {
        let dilation = self.depthwise.geometry.dilation;
        let columns = self.output[1];
        for phase in 0..dilation {
            let mut first = phase;
            while first < columns {
                let mut outputs = [[0; LANES]; 8];
                let x = phase * self.phase + first / dilation;
                let y = [outputs.as_flattened_mut().as_mut_ptr()];
                let wide = I::TILE[1] == 8 && first + 4 * dilation < columns;
                // SAFETY: there is room for eight, and lines are long enough for whole tiles.
                unsafe {
                    if wide {
                        self.tile::<I, K, Q, 1, 1, 8, SETS>(lines, block, x, y, 8);
                    } else {
                        self.tile::<I, K, Q, 1, 1, 4, SETS>(lines, block, x, y, 4);
                    }
                }
                let outputs = &outputs[..if wide { 8 } else { 4 }];
                for (column, output) in (first..columns).step_by(dilation).zip(outputs) {
                    let y = (row * columns + column) * LANES;
                    // SAFETY: the output is this task's.
                    unsafe { self.y.part(y, LANES).copy_from_slice(output) };
                }
                first += outputs.len() * dilation;
            }
        }
    }

    /// `P` outputs in each of `R` rows, of one set of weights or, with `SETS`, any number of them, as far as there
    /// are so many left, for which the first tap is on pixel `x` of the lines.
    ///
    /// # Safety
    /// The lines are long enough for all `P`, and as many pixels can be written at `y` as are left.
    #[inline(always)]
    unsafe fn tile<
        I: Integers,
        const K: usize,
        const Q: usize,
        const S: usize,
        const R: usize,
        const P: usize,
        const SETS: bool,
    >(
        &self,
        lines: &Lines,
        block: usize,
        x: usize,
        y: [*mut u8; R],
        left: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let initial = I::load_sums(self.depthwise.initial.as_ptr().add(block * LANES));
            let mut sums = [[initial; P]; R];
            let sets = self.depthwise.sets_of(block);
            self.set::<I, K, Q, S, R, P>(lines, sets.start, x, &mut sums);
            if SETS {
                for set in sets.skip(1) {
                    self.set::<I, K, Q, S, R, P>(lines, set, x, &mut sums);
                }
            }
            for r in 0..R {
                if left >= P {
                    self.requantize.bytes::<I, P>(sums[r], block, y[r]);
                } else {
                    let mut outputs = [[0_u8; LANES]; P];
                    let to = outputs.as_flattened_mut().as_mut_ptr();
                    self.requantize.bytes::<I, P>(sums[r], block, to);
                    for (p, output) in outputs.iter().take(left).enumerate() {
                        y[r].add(p * LANES).cast::<[u8; LANES]>().write(*output);
                    }
                }
            }
        }
    }

    /// All lines of a tile, with one set of weights.
    ///
    /// # Safety
    /// As for [`tile`](Self::tile), and there is such a set.
    #[inline(always)]
    unsafe fn set<
        I: Integers,
        const K: usize,
        const Q: usize,
        const S: usize,
        const R: usize,
        const P: usize,
    >(
        &self,
        lines: &Lines,
        set: usize,
        x: usize,
        sums: &mut [[I::Sums; P]; R],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let w = self.depthwise.weights.as_ptr();
            let w = w.add(set * K * Q * const { quad_bytes(I::WIDE) });
            // With two rows of outputs, the first lines are under the upper one only, the last under the lower.
            let alone = if R == 2 { S } else { 0 };
            for line in 0..alone {
                self.line::<I, K, Q, S, R, P, true, false>(lines, w, x, line, sums);
            }
            for line in alone..K {
                self.line::<I, K, Q, S, R, P, true, true>(lines, w, x, line, sums);
            }
            for line in K..K + alone {
                self.line::<I, K, Q, S, R, P, false, true>(lines, w, x, line, sums);
            }
        }
    }

    /// One line of a tile, which may be under the kernels of the first row of outputs and of the last.
    ///
    /// # Safety
    /// As for [`tile`](Self::tile).
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the sums in memory"
    )]
    unsafe fn line<
        I: Integers,
        const K: usize,
        const Q: usize,
        const S: usize,
        const R: usize,
        const P: usize,
        const FIRST: bool,
        const LAST: bool,
    >(
        &self,
        lines: &Lines,
        w: *const u8,
        x: usize,
        line: usize,
        sums: &mut [[I::Sums; P]; R],
    ) {
        let quad_bytes = const { quad_bytes(I::WIDE) };
        // The second quad of an output is the first of one further on.
        let shift = const { QUAD / S };
        let positions = P + (Q - 1) * shift;
        let quads = ((positions - 1) * S).div_ceil(QUAD) + 1;
        // SAFETY: the caller's.
        unsafe {
            let x = (*lines.under.as_ptr().add(line)).add(x * LANES);
            let mut pixels = [I::load_pixels(x); 8];
            for quad in 1..8 {
                if quad < quads {
                    pixels[quad] = I::load_pixels(x.add(quad * QUAD * LANES));
                }
            }
            let of_row = Q * quad_bytes;
            let upper = if FIRST { w.add(line * of_row) } else { w };
            let upper = [
                I::load_weights(upper),
                I::load_weights(upper.add((Q - 1) * quad_bytes)),
            ];
            let lower = if R == 2 && LAST {
                w.add((line - S) * of_row)
            } else {
                w
            };
            let lower = [
                I::load_weights(lower),
                I::load_weights(lower.add((Q - 1) * quad_bytes)),
            ];
            for p in 0..positions {
                let (quad, at) = (p * S / QUAD, p * S % QUAD);
                let next = if at == 0 { quad } else { quad + 1 };
                let bytes = I::transpose(pixels[quad], pixels[next], at);
                if FIRST && p < P {
                    sums[0][p] = I::dot(sums[0][p], bytes, upper[0]);
                }
                if FIRST && Q == 2 && p >= shift {
                    sums[0][p - shift] = I::dot(sums[0][p - shift], bytes, upper[1]);
                }
                if R == 2 && LAST && p < P {
                    sums[R - 1][p] = I::dot(sums[R - 1][p], bytes, lower[0]);
                }
                if R == 2 && LAST && Q == 2 && p >= shift {
                    sums[R - 1][p - shift] = I::dot(sums[R - 1][p - shift], bytes, lower[1]);
                }
            }
        }
    }

    /// Of any kernel.
    #[inline(always)]
    fn any<I: Integers>(&self, lines: &Lines, block: usize, row: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.depthwise.geometry;
        let quads = kernel.div_ceil(QUAD);
        for column in 0..self.output[1] {
            // Either of the two is 1.
            let x = column % dilation * self.phase + column / dilation * stride;
            // SAFETY: the lines have room for the whole quads of every output; the output is this task's.
            unsafe {
                let mut sums = I::load_sums(self.depthwise.initial.as_ptr().add(block * LANES));
                for set in self.depthwise.sets_of(block) {
                    let mut w = self.depthwise.weights.as_ptr();
                    w = w.add(set * kernel * quads * self.depthwise.quad);
                    for line in &lines.under {
                        let mut x = line.add(x * LANES);
                        for _ in 0..quads {
                            let pixels = I::load_pixels(x);
                            let bytes = I::transpose(pixels, pixels, 0);
                            sums = I::dot(sums, bytes, I::load_weights(w));
                            x = x.add(QUAD * LANES);
                            w = w.add(self.depthwise.quad);
                        }
                    }
                }
                let at = (row * self.output[1] + column) * LANES;
                self.requantize.bytes::<I, 1>([sums], block, self.y.at(at));
            }
        }
    }
}
