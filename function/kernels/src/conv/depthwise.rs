//! One kernel a channel.

use super::{Conv, Geometry};
use crate::{
    Activation,
    isa::Task,
    map::Map,
    rows::tasks,
    shared::Shared,
    simd::{LANES, Simd},
};

/// A depthwise convolution.
pub(super) struct Depthwise {
    /// `[blocks, kernel, kernel, LANES]`.
    weights: Vec<f32>,
    /// `[blocks, LANES]`.
    bias: Vec<f32>,
    /// On a map of doubled sides.
    doubled: Doubled,
}

/// The kernel for maps whose sides are doubled by repeating every pixel.
///
/// Of the pixels under the kernel, each two or so are the same one: for an output on an even row, and for
/// one on an odd row, the kernel's rows fall on fewer rows of the map, and their weights add up. The same
/// goes for columns, which makes four smaller kernels.
pub(super) struct Doubled {
    /// Side of the four.
    pub(super) kernel: usize,
    /// Rows (and columns) of the map before the output's own that the kernel for even outputs, and that for
    /// odd ones, begin at.
    padding: [usize; 2],
    /// `[2, 2, blocks, kernel, kernel, LANES]`: for rows even and odd, columns even and odd.
    pub(super) weights: Vec<f32>,
}

impl Depthwise {
    pub(super) fn new(geometry: &Geometry, weight: &[f32], bias: &[f32]) -> Self {
        let Geometry {
            outputs, kernel, ..
        } = *geometry;
        let weights = packed(weight, kernel);
        let mut padded = vec![0.0; outputs.div_ceil(LANES) * LANES];
        padded[..outputs].copy_from_slice(bias);
        Self {
            doubled: Doubled::new(geometry, &weights),
            weights,
            bias: padded,
        }
    }

    /// To make a row of outputs of a block, of its map's `x`, `[rows, width, LANES]`; `rows` as in [`Line`].
    #[inline(always)]
    pub(super) fn line<'a>(
        &'a self,
        (geometry, activation): (&Geometry, Activation),
        block: usize,
        x: &'a [f32],
        width: usize,
        rows: ([usize; 2], usize),
    ) -> Line<'a> {
        let taps = geometry.kernel * geometry.kernel;
        Line {
            x,
            width,
            weights: &self.weights[block * taps * LANES..][..taps * LANES],
            bias: &self.bias[block * LANES..][..LANES],
            geometry: *geometry,
            rows,
            y_pixel: LANES,
            activation,
        }
    }

    /// On `x`, or on `x` with its sides doubled.
    pub(super) fn forward(
        &self,
        conv: &Conv,
        activation: Activation,
        x: &Map,
        doubled: bool,
        y: &mut Map,
    ) {
        let [batch, _, height, width] = x.shape();
        let [_, _, rows, columns] = y.shape();
        let geometry = &conv.geometry;
        if doubled {
            assert!(
                geometry.stride == 1 && [rows, columns] == [2 * height, 2 * width],
                "keeps the size of its map"
            );
        }
        let all_rows = y.blocks() * batch * rows;
        if all_rows * columns == 0 {
            return;
        }
        let kernel = if doubled {
            self.doubled.kernel
        } else {
            geometry.kernel
        };
        let cost = all_rows * columns * kernel * kernel;
        let band = all_rows.div_ceil(tasks(cost));
        let isa = y.context().isa;
        let task = Run {
            depthwise: self,
            geometry,
            activation,
            x: &x.values,
            batch,
            input: [height, width],
            output: [rows, columns],
            doubled,
            band,
            rows: all_rows,
            y: Shared::new(&mut y.values),
        };
        isa.run_all(all_rows.div_ceil(band), &task);
    }
}

/// `[channels, kernel, kernel]` to `[blocks, kernel, kernel, LANES]`.
fn packed(weight: &[f32], kernel: usize) -> Vec<f32> {
    let taps = kernel * kernel;
    let blocks = (weight.len() / taps).div_ceil(LANES);
    let mut packed = vec![0.0; blocks * taps * LANES];
    for (channel, taps_of) in weight.chunks_exact(taps).enumerate() {
        let (block, lane) = (channel / LANES, channel % LANES);
        for (tap, &value) in taps_of.iter().enumerate() {
            packed[(block * taps + tap) * LANES + lane] = value;
        }
    }
    packed
}

impl Doubled {
    /// Of weights in the order of [`Geometry::weight_shape`].
    pub(super) fn of_planar(geometry: &Geometry, weight: &[f32]) -> Self {
        Self::new(geometry, &packed(weight, geometry.kernel))
    }

    /// How the kernel for even or for odd outputs moves over the map that is not doubled.
    #[inline(always)]
    pub(super) fn geometry(&self, odd: usize) -> Geometry {
        let channels = 1;
        Geometry::depthwise(channels, self.kernel).padding(self.padding[odd], self.padding[odd])
    }

    /// Of packed weights.
    fn new(geometry: &Geometry, weights: &[f32]) -> Self {
        let Geometry {
            kernel, padding, ..
        } = *geometry;
        // The row of the map under a tap, counted from the one under the output.
        let row =
            |odd: usize, tap: usize| ((odd + tap) as isize - padding[0] as isize).div_euclid(2);
        let first = [row(0, 0), row(1, 0)];
        let side = (0..2)
            .map(|odd| row(odd, kernel - 1) - first[odd] + 1)
            .max();
        let side = side.unwrap_or(1) as usize;
        let blocks = weights.len() / (kernel * kernel * LANES);
        let mut doubled = vec![0.0; 4 * blocks * side * side * LANES];
        for parity in 0..4 {
            let odd = [parity / 2, parity % 2];
            for block in 0..blocks {
                for tap in 0..kernel * kernel {
                    let to = (row(odd[0], tap / kernel) - first[odd[0]]) as usize * side
                        + (row(odd[1], tap % kernel) - first[odd[1]]) as usize;
                    let to = ((parity * blocks + block) * side * side + to) * LANES;
                    let from = (block * kernel * kernel + tap) * LANES;
                    for lane in 0..LANES {
                        doubled[to + lane] += weights[from + lane];
                    }
                }
            }
        }
        Self {
            kernel: side,
            padding: first.map(isize::unsigned_abs),
            weights: doubled,
        }
    }
}

/// One call.
struct Run<'a> {
    depthwise: &'a Depthwise,
    geometry: &'a Geometry,
    activation: Activation,
    x: &'a [f32],
    batch: usize,
    input: [usize; 2],
    output: [usize; 2],
    doubled: bool,
    /// Rows of a task.
    band: usize,
    /// Rows of all maps of all blocks.
    rows: usize,
    y: Shared<'a, f32>,
}

impl Task for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let start = index * self.band;
        for row in start..self.rows.min(start + self.band) {
            self.row::<S>(row);
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn row<S: Simd>(&self, row: usize) {
        let [height, width] = self.input;
        let [rows, columns] = self.output;
        let (plane, row_of_map) = (row / rows, row % rows);
        let block = plane / self.batch;
        let geometry = self.geometry;
        let x = plane * height * width * LANES;
        // SAFETY: rows of the output are each one task's.
        let y = unsafe { self.y.part(row * columns * LANES, columns * LANES) };
        let x = &self.x[x..][..height * width * LANES];
        let line = |rows| {
            let how = (geometry, self.activation);
            self.depthwise.line(how, block, x, width, rows)
        };
        if self.doubled {
            let doubled = &self.depthwise.doubled;
            let taps = doubled.kernel * doubled.kernel;
            let blocks = self.depthwise.bias.len() / LANES;
            for odd in 0..2 {
                let odd_row = row_of_map % 2;
                let weights = ((odd_row * 2 + odd) * blocks + block) * taps * LANES;
                let line = Line {
                    weights: &doubled.weights[weights..][..taps * LANES],
                    geometry: doubled.geometry(odd),
                    y_pixel: 2 * LANES,
                    ..line(doubled.geometry(odd_row).taps(row_of_map / 2, height))
                };
                line.run::<S>(&mut y[odd * LANES..], width);
            }
        } else {
            line(geometry.taps(row_of_map, height)).run::<S>(y, columns);
        }
    }
}

/// A row of outputs of sixteen channels.
pub(super) struct Line<'a> {
    /// The map, `[height, width, LANES]`.
    x: &'a [f32],
    width: usize,
    /// `[kernel, kernel, LANES]`.
    weights: &'a [f32],
    bias: &'a [f32],
    geometry: Geometry,
    /// Rows of the kernel that lie on the map, and the row of the map under the first of them.
    rows: ([usize; 2], usize),
    /// From an output to the next, in floats.
    y_pixel: usize,
    activation: Activation,
}

impl Line<'_> {
    /// With the sizes that networks use as constants.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, y: &mut [f32], count: usize) {
        let Geometry {
            kernel,
            stride,
            dilation,
            ..
        } = self.geometry;
        match (kernel, stride, dilation) {
            (2, 1, 1) => self.row::<S, 2, 1, 1>(y, count),
            (3, 1, 1) => self.row::<S, 3, 1, 1>(y, count),
            (3, 2, 1) => self.row::<S, 3, 2, 1>(y, count),
            (3, 1, 2) => self.row::<S, 3, 1, 2>(y, count),
            (5, 1, 1) => self.row::<S, 5, 1, 1>(y, count),
            (5, 2, 1) => self.row::<S, 5, 2, 1>(y, count),
            (5, 1, 2) => self.row::<S, 5, 1, 2>(y, count),
            _ => (0..count).for_each(|column| self.output::<S>(y, column)),
        }
    }

    /// `count` outputs, several at a time where the whole kernel lies on the map's columns.
    #[inline(always)]
    fn row<S: Simd, const K: usize, const STRIDE: usize, const DILATION: usize>(
        &self,
        y: &mut [f32],
        count: usize,
    ) {
        let padding = self.geometry.padding[0];
        let reach = (K - 1) * DILATION + 1;
        // The first output whose first tap is on the map, and one past the last whose last tap is.
        let inner = padding.div_ceil(STRIDE).min(count);
        let end = (self.width + padding)
            .checked_sub(reach)
            .map_or(0, |rest| rest / STRIDE + 1)
            .clamp(inner, count);
        for column in 0..inner {
            let first = (padding - column * STRIDE).div_ceil(DILATION);
            self.edge::<S, K, STRIDE, DILATION>(y, column, first, K);
        }
        let mut column = inner;
        macro_rules! tiles {
            ($($p:literal)*) => { $(
                while $p <= S::PIXELS_OF_DEPTHWISE && $p <= end - column {
                    // SAFETY: the kernel lies on the map for outputs from `inner` to `end`.
                    unsafe { self.tile::<S, K, STRIDE, DILATION, $p>(y, column, 0, K) };
                    column += $p;
                }
            )* };
        }
        tiles!(8 4 2 1);
        for column in end.max(inner)..count {
            let rest = (self.width + padding).saturating_sub(column * STRIDE);
            self.edge::<S, K, STRIDE, DILATION>(y, column, 0, rest.div_ceil(DILATION));
        }
    }

    /// An output whose taps `first..end` lie on the map, as far as this side of it is concerned: with the
    /// cases of maps that are wider than the kernel as constants.
    #[inline(always)]
    fn edge<S: Simd, const K: usize, const STRIDE: usize, const DILATION: usize>(
        &self,
        y: &mut [f32],
        column: usize,
        first: usize,
        end: usize,
    ) {
        if self.width < K * DILATION {
            return self.output::<S>(y, column);
        }
        // SAFETY: these taps lie on a map that is wider than the kernel.
        unsafe {
            match (first, K - end.min(K)) {
                (1, 0) => self.tile::<S, K, STRIDE, DILATION, 1>(y, column, 1, K),
                (2, 0) => self.tile::<S, K, STRIDE, DILATION, 1>(y, column, 2, K),
                (0, 1) => self.tile::<S, K, STRIDE, DILATION, 1>(y, column, 0, K - 1),
                (0, 2) => self.tile::<S, K, STRIDE, DILATION, 1>(y, column, 0, K - 2),
                _ => self.output::<S>(y, column),
            }
        }
    }

    /// # Safety
    /// The columns `first..end` of the kernel lie on the map for the outputs `column..column + P`.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators would keep the sums in memory"
    )]
    unsafe fn tile<
        S: Simd,
        const K: usize,
        const STRIDE: usize,
        const DILATION: usize,
        const P: usize,
    >(
        &self,
        y: &mut [f32],
        column: usize,
        first: usize,
        end: usize,
    ) {
        let ([top, bottom], x_row) = self.rows;
        let x_column = column * STRIDE + first * DILATION - self.geometry.padding[0];
        debug_assert!(x_column + (P - 1) * STRIDE + (end - 1 - first) * DILATION < self.width);
        // SAFETY: a bias has LANES values.
        let mut sums = [[unsafe { S::load(self.bias.as_ptr()) }; P]];
        for row in top..bottom {
            let x = ((x_row + (row - top) * DILATION) * self.width + x_column) * LANES;
            // SAFETY: the first tap lies on the map.
            let x = unsafe { self.x.as_ptr().add(x) };
            let weights = &self.weights[row * K * LANES..][..K * LANES];
            for tap in first..end {
                // SAFETY: there are K weights, and the row has the pixels, says the caller.
                unsafe {
                    let weight = S::load(weights.as_ptr().add(tap * LANES));
                    for p in 0..P {
                        let pixel = p * STRIDE + (tap - first) * DILATION;
                        let x = S::load(x.add(pixel * LANES));
                        sums[0][p] = S::mul_add(x, weight, sums[0][p]);
                    }
                }
            }
        }
        self.activation.of_vectors::<S, P, 1>(&mut sums);
        let y = &mut y[column * self.y_pixel..][..(P - 1) * self.y_pixel + LANES];
        for p in 0..P {
            // SAFETY: the slice has P outputs.
            unsafe { S::store(y.as_mut_ptr().add(p * self.y_pixel), sums[0][p]) };
        }
    }

    /// One output, of any kernel, wherever it lies.
    #[inline(always)]
    fn output<S: Simd>(&self, y: &mut [f32], column: usize) {
        let Geometry {
            kernel, dilation, ..
        } = self.geometry;
        let ([top, bottom], x_row) = self.rows;
        let ([left, right], x_column) = self.geometry.taps(column, self.width);
        // SAFETY: a bias has LANES values.
        let mut sums = [[unsafe { S::load(self.bias.as_ptr()) }]];
        for row in top..bottom {
            let x_row = (x_row + (row - top) * dilation) * self.width;
            for tap in left..right {
                let x = x_row + x_column + (tap - left) * dilation;
                let x = &self.x[x * LANES..][..LANES];
                let weight = &self.weights[(row * kernel + tap) * LANES..][..LANES];
                // SAFETY: both have LANES values.
                let (x, weight) = unsafe { (S::load(x.as_ptr()), S::load(weight.as_ptr())) };
                sums[0][0] = S::mul_add(x, weight, sums[0][0]);
            }
        }
        self.activation.of_vectors::<S, 1, 1>(&mut sums);
        let y = &mut y[column * self.y_pixel..][..LANES];
        // SAFETY: it has LANES values.
        unsafe { S::store(y.as_mut_ptr(), sums[0][0]) };
    }
}
