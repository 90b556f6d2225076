//! The innermost loop of dense convolutions: a few pixels by a few blocks of output channels, whose sums
//! stay in registers.

use crate::{
    Activation,
    simd::{LANES, Simd},
};

/// What all tiles of a stretch of pixels have in common. Distances are in floats.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    /// Input channels that are summed over.
    pub(super) inputs: usize,
    /// Rows and columns of the kernel that are summed over.
    pub(super) taps: [usize; 2],
    /// From an input to the one under the next output pixel.
    pub(super) x_pixel: usize,
    /// From a tap to the one below it, and to the one right of it.
    pub(super) x_tap: [usize; 2],
    /// From a block of input channels to the next.
    pub(super) x_block: usize,
    /// As in `x`.
    pub(super) w_tap: [usize; 2],
    /// As in `x`.
    pub(super) w_block: usize,
    /// From a block of output channels to the next, in the residual as well.
    pub(super) y_block: usize,
    /// Whether the sums go on from what is in the output, instead of starting with the bias.
    pub(super) resume: bool,
    /// What is done to finished sums; none where they are to go on.
    pub(super) finish: Option<Activation>,
}

/// Where a tile reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first input pixel under the first tap.
    pub(super) x: *const f32,
    /// The weight of that tap: `[inputs, blocks, LANES]`.
    pub(super) w: *const f32,
    /// `[blocks, LANES]`.
    pub(super) bias: *const f32,
    /// As `y`; null where nothing is added.
    pub(super) residual: *const f32,
    pub(super) y: *mut f32,
}

impl Stretch {
    /// `count` pixels by `blocks` blocks of output channels.
    ///
    /// # Safety
    /// All that the numbers lead to can be read, and written at `y`, by nobody else meanwhile.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, blocks: usize, count: usize, at: Place) {
        // SAFETY: the caller's.
        unsafe {
            match blocks {
                4 if S::MOST_BLOCKS >= 4 => self.blocks::<S, 4>(count, at),
                3 if S::MOST_BLOCKS >= 3 => self.blocks::<S, 3>(count, at),
                2 if S::MOST_BLOCKS >= 2 => self.blocks::<S, 2>(count, at),
                _ => self.blocks::<S, 1>(count, at),
            }
        }
    }

    #[inline(always)]
    unsafe fn blocks<S: Simd, const J: usize>(&self, count: usize, at: Place) {
        // SAFETY: the caller's.
        unsafe {
            // The distance of pixels that lie side by side, as a constant, is worth a register each.
            if self.x_pixel == LANES {
                self.pixels::<S, J, LANES>(count, at);
            } else {
                self.pixels::<S, J, 0>(count, at);
            }
        }
    }

    #[inline(always)]
    unsafe fn pixels<S: Simd, const J: usize, const X: usize>(&self, count: usize, mut at: Place) {
        let mut left = count;
        macro_rules! tiles {
            ($($p:literal)*) => { $(
                while $p <= S::pixels(J) && left >= $p {
                    // SAFETY: the caller's; these are the next of the `count` pixels.
                    unsafe {
                        self.tile::<S, $p, J, X>(at);
                        at.x = at.x.add($p * self.x_pixel);
                        at.y = at.y.add($p * LANES);
                        if !at.residual.is_null() {
                            at.residual = at.residual.add($p * LANES);
                        }
                    }
                    left -= $p;
                }
            )* };
        }
        tiles!(12 8 6 4 3 2 1);
    }

    // By index: iterators would keep the sums in memory.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "see above")]
    unsafe fn tile<S: Simd, const P: usize, const J: usize, const X: usize>(&self, at: Place) {
        let x_pixel = if X == 0 { self.x_pixel } else { X };
        let mut sums = [[S::splat(0.0); J]; P];
        // SAFETY: the caller's.
        unsafe {
            for j in 0..J {
                let bias = S::load(at.bias.add(j * LANES));
                for p in 0..P {
                    sums[p][j] = bias;
                }
            }
            if self.resume {
                for p in 0..P {
                    for j in 0..J {
                        sums[p][j] = S::load(at.y.add(p * LANES + j * self.y_block));
                    }
                }
            }

            let mut left = self.inputs;
            let (mut x, mut w) = (at.x, at.w);
            while left > 0 {
                let inputs = left.min(LANES);
                for row in 0..self.taps[0] {
                    for column in 0..self.taps[1] {
                        let x = x.add(row * self.x_tap[0] + column * self.x_tap[1]);
                        let mut w = w.add(row * self.w_tap[0] + column * self.w_tap[1]);
                        for input in 0..inputs {
                            let mut weights = [S::splat(0.0); J];
                            for j in 0..J {
                                weights[j] = S::load(w.add(j * LANES));
                            }
                            w = w.add(J * LANES);
                            for p in 0..P {
                                let x = S::splat(*x.add(p * x_pixel + input));
                                for j in 0..J {
                                    sums[p][j] = S::mul_add(x, weights[j], sums[p][j]);
                                }
                            }
                        }
                    }
                }
                left -= inputs;
                // Only when there is another block is there anything behind this one.
                if left > 0 {
                    x = x.add(self.x_block);
                    w = w.add(self.w_block);
                }
            }

            if let Some(activation) = self.finish {
                if !at.residual.is_null() {
                    for p in 0..P {
                        for j in 0..J {
                            let residual = at.residual.add(p * LANES + j * self.y_block);
                            sums[p][j] = S::add(sums[p][j], S::load(residual));
                        }
                    }
                }
                activation.of_vectors::<S, J, P>(&mut sums);
            }
            for p in 0..P {
                for j in 0..J {
                    S::store(at.y.add(p * LANES + j * self.y_block), sums[p][j]);
                }
            }
        }
    }
}
