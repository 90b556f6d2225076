//! The gradient by the weight: for each tap, the sum over all pixels of the products of every channel of the input with
//! every channel of the gradient.

use super::{Convolution, floats};
use crate::{
    conv::{self, Columns, Conv, Source, groups, stretches},
    isa::Task,
    shared::Shared,
    simd::{LANES, Simd},
};

/// Bytes of input and gradient that all taps go through before the next: they stay in the second-level cache.
const AT_ONCE: usize = 256 << 10;

impl Convolution<'_> {
    /// The gradient by the weight, in the order of the weight, from the input and the gradient by the
    /// [sums](super::OutputGradient::sums).
    ///
    /// # Panics
    /// If a length is another.
    pub fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (geometry, shape) = (self.geometry, self.output_shape());
        assert_eq!(gradient.len(), floats(shape));
        let x = Source::of(x, self.shape);
        if let Some(amx) = self.amx_for(x) {
            let arena = &self.context.arena;
            return amx.weight_gradient(arena, geometry, x.values, self.shape, gradient);
        }
        if self.is_saving() && Conv::can_save(&geometry) {
            return conv::weight_gradient(self.context, geometry.outputs, x, gradient);
        }
        let groups = groups(shape[1].div_ceil(LANES), self.context.isa.most_blocks());
        let groups: Vec<_> = groups.collect();
        let mut weight = vec![0.0; geometry.weight_shape().iter().product()];
        let tasks = x.blocks() * groups.len() * geometry.kernel;
        let task = Products {
            conv: self,
            x,
            gradient,
            shape,
            groups,
            stretches: stretches(&geometry, self.shape[3], shape[3]),
            weight: Shared::new(&mut weight),
        };
        self.context.isa.run_all(tasks, &task);
        weight
    }
}

/// One call. A task is a row of taps, sixteen channels of the input, and a group of blocks of the gradient.
struct Products<'a> {
    conv: &'a Convolution<'a>,
    x: Source<'a>,
    gradient: &'a [f32],
    /// Of the gradient.
    shape: [usize; 4],
    /// The first block, and how many.
    groups: Vec<(usize, usize)>,
    stretches: Vec<Columns>,
    /// `[outputs, inputs, kernel, kernel]`.
    weight: Shared<'a, f32>,
}

impl Task for Products<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, index: usize) {
        let kernel = self.conv.geometry.kernel;
        let (tap_row, rest) = (index % kernel, index / kernel);
        let (block, group) = (rest / self.groups.len(), rest % self.groups.len());
        let (first, blocks) = self.groups[group];
        match blocks {
            4 if S::MOST_BLOCKS >= 4 => self.taps::<S, 4>(tap_row, block, first),
            3 if S::MOST_BLOCKS >= 3 => self.taps::<S, 3>(tap_row, block, first),
            2 if S::MOST_BLOCKS >= 2 => self.taps::<S, 2>(tap_row, block, first),
            _ => self.taps::<S, 1>(tap_row, block, first),
        }
    }
}

/// Pixels that a tile goes through, and where. Distances are in floats.
#[derive(Clone, Copy)]
pub(crate) struct Pixels {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// From a pixel's input to the next one's, and to that of the row below.
    pub(crate) x_pixel: usize,
    pub(crate) x_row: usize,
    /// In the gradient, where pixels are [`LANES`] apart, from a row and from a block to the next.
    pub(crate) g_row: usize,
    pub(crate) g_block: usize,
}

impl Products<'_> {
    #[inline(always)]
    fn taps<S: Simd, const J: usize>(&self, tap_row: usize, block: usize, first: usize) {
        let geometry = &self.conv.geometry;
        let kernel = geometry.kernel;
        let [batch, channels, height, width] = self.x.shape;
        let [_, outputs, rows, columns] = self.shape;
        let inputs = LANES.min(channels - block * LANES);
        // [tap columns, inputs, J, LANES]
        let mut sums = vec![0.0_f32; kernel * inputs * J * LANES];

        let bytes_of_row = (geometry.stride * width * self.x.pixel + J * columns * LANES) * 4;
        let band = (AT_ONCE / bytes_of_row.max(1)).max(1);
        // Those outputs whose tap lies on the input.
        let on = |row: &usize| (row * geometry.stride + tap_row).checked_sub(geometry.padding[0]);
        let first_row = (0..rows).find(|row| on(row).is_some()).unwrap_or(rows);
        let is_on = |row: &usize| on(row).is_some_and(|at| at < height);
        let end_row = (first_row..rows).find(|row| !is_on(row)).unwrap_or(rows);
        for map in 0..batch {
            for start in (first_row..end_row).step_by(band) {
                let at = Pixels {
                    rows: band.min(end_row - start),
                    columns: 0,
                    x_pixel: geometry.stride * self.x.pixel,
                    x_row: geometry.stride * width * self.x.pixel,
                    g_row: columns * LANES,
                    g_block: batch * rows * columns * LANES,
                };
                let x_row = start * geometry.stride + tap_row - geometry.padding[0];
                let x = ((block * batch + map) * height + x_row) * width;
                let g = ((first * batch + map) * rows + start) * columns;
                for (tap, sums) in sums.chunks_exact_mut(inputs * J * LANES).enumerate() {
                    self.tap::<S, J>(tap, at, [x, g], sums);
                }
            }
        }

        let stretch = inputs * J * LANES;
        for j in 0..J {
            for lane in 0..LANES.min(outputs.saturating_sub((first + j) * LANES)) {
                for input in 0..inputs {
                    let output = (first + j) * LANES + lane;
                    let at = (output * channels + block * LANES + input) * kernel + tap_row;
                    for tap in 0..kernel {
                        let value = sums[tap * stretch + (input * J + j) * LANES + lane];
                        // SAFETY: a weight that is this task's alone.
                        unsafe { *self.weight.at(at * kernel + tap) = value };
                    }
                }
            }
        }
    }

    /// Adds the products of one tap on some rows, whose first pixels in input and gradient are given, of all columns.
    #[inline(always)]
    fn tap<S: Simd, const J: usize>(
        &self,
        tap: usize,
        at: Pixels,
        [x, g]: [usize; 2],
        sums: &mut [f32],
    ) {
        // Side by side, as stretches are; only in those are there others with this tap, too.
        let has = |stretch: &&Columns| (stretch.taps[0]..stretch.taps[1]).contains(&tap);
        let mut with_tap = self.stretches.iter().filter(has);
        let Some(begin) = with_tap.next() else {
            return;
        };
        let end = with_tap.next_back().unwrap_or(begin).end;
        let at = Pixels {
            columns: end - begin.start,
            ..at
        };
        let x = (x + begin.x + tap - begin.taps[0]) * self.x.pixel;
        let g = (g + begin.start) * LANES;
        let (x, g) = (&self.x.values[x..], &self.gradient[g..]);
        // SAFETY: these rows and columns lie on the gradient, and the tap on the input for each; a pixel has as many
        // channels as there are sums for.
        unsafe { channels::<S, J>(&at, x.as_ptr(), g.as_ptr(), sums) };
    }
}

/// Adds the products of some input channels with so many blocks of the gradient to `sums`,
/// `[channels, blocks, LANES]`.
///
/// # Safety
/// All that the numbers lead to can be read.
#[inline(always)]
pub(crate) unsafe fn products<S: Simd>(
    at: &Pixels,
    blocks: usize,
    x: *const f32,
    g: *const f32,
    sums: &mut [f32],
) {
    // SAFETY: the caller's.
    unsafe {
        match blocks {
            4 if S::MOST_BLOCKS >= 4 => channels::<S, 4>(at, x, g, sums),
            3 if S::MOST_BLOCKS >= 3 => channels::<S, 3>(at, x, g, sums),
            2 if S::MOST_BLOCKS >= 2 => channels::<S, 2>(at, x, g, sums),
            _ => channels::<S, 1>(at, x, g, sums),
        }
    }
}

/// # Safety
/// As for [`products`].
#[inline(always)]
unsafe fn channels<S: Simd, const J: usize>(
    at: &Pixels,
    x: *const f32,
    g: *const f32,
    sums: &mut [f32],
) {
    let channels = sums.len() / (J * LANES);
    let mut first = 0;
    macro_rules! tiles {
        ($($p:literal)*) => { $(
            while $p <= S::pixels(J) && channels - first >= $p {
                let sums = &mut sums[first * J * LANES..][..$p * J * LANES];
                // SAFETY: the caller's; these are the next channels.
                unsafe { tile::<S, $p, J>(at, x.add(first), g, sums) };
                first += $p;
            }
        )* };
    }
    tiles!(8 4 2 1);
}

/// Adds the products of `P` input channels with `J` blocks of the gradient to `sums`, `[P, J, LANES]`.
///
/// # Safety
/// All that the numbers lead to can be read.
// By index: iterators would keep the sums in memory.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see above")]
unsafe fn tile<S: Simd, const P: usize, const J: usize>(
    at: &Pixels,
    x: *const f32,
    g: *const f32,
    to: &mut [f32],
) {
    assert_eq!(to.len(), P * J * LANES);
    let mut sums = [[S::splat(0.0); J]; P];
    // SAFETY: the caller's, and the length above.
    unsafe {
        for p in 0..P {
            for j in 0..J {
                sums[p][j] = S::load(to.as_ptr().add((p * J + j) * LANES));
            }
        }
        for row in 0..at.rows {
            let mut x = x.add(row * at.x_row);
            let mut g = g.add(row * at.g_row);
            for column in 0..at.columns {
                let mut gradient = [S::splat(0.0); J];
                for j in 0..J {
                    gradient[j] = S::load(g.add(j * at.g_block));
                }
                for p in 0..P {
                    let x = S::splat(*x.add(p));
                    for j in 0..J {
                        sums[p][j] = S::mul_add(x, gradient[j], sums[p][j]);
                    }
                }
                // Behind the last pixel there may be nothing.
                if column + 1 < at.columns {
                    x = x.add(at.x_pixel);
                    g = g.add(LANES);
                }
            }
        }
        for p in 0..P {
            for j in 0..J {
                S::store(to.as_mut_ptr().add((p * J + j) * LANES), sums[p][j]);
            }
        }
    }
}
