//! The innermost loop of dense convolutions in integers: a few pixels by a few blocks of output channels, whose
//! sums stay in registers.

use super::{
    requantize::{MOST_PIXELS, Output, Requantize},
    simd::{Integers, QUAD, quad_bytes},
};
use crate::simd::LANES;

/// What all tiles of a stretch of pixels have in common. Distances are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    /// Quads of input channels that are summed over.
    pub(super) quads: usize,
    /// Rows and columns of the kernel that are summed over.
    pub(super) taps: [usize; 2],
    /// Which row and column of the kernel these begin with.
    pub(super) first_tap: [usize; 2],
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
    /// What the weights are greater by than what is packed.
    pub(super) rests: &'a [Rest],
    /// From a block of output channels to the next, in values.
    pub(super) y_block: usize,
    /// The first of the blocks of output channels.
    pub(super) block: usize,
    pub(super) requantize: &'a Requantize,
    pub(super) to: Output,
}

/// A row of quads of which some weight is greater than a byte: by how much.
pub(super) struct Rest {
    /// Row and column of the kernel.
    pub(super) tap: [usize; 2],
    /// Of input channels.
    pub(super) block: usize,
    /// Of that block.
    pub(super) quad: usize,
    /// `[blocks]` of quads as packed.
    pub(super) weights: Vec<u8>,
}

/// Where a tile reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first input pixel under the first tap.
    pub(super) x: *const u8,
    /// The weights of that tap: `[quads, blocks]` as packed.
    pub(super) w: *const u8,
    /// What sums start with, `[blocks, LANES]`.
    pub(super) initial: *const i32,
    /// Which values are written.
    pub(super) y: usize,
}

impl Stretch<'_> {
    /// `count` pixels by `blocks` blocks of output channels.
    ///
    /// # Safety
    /// All that the numbers lead to can be read, and written at `y`, by nobody else meanwhile.
    #[inline(always)]
    pub(super) unsafe fn run<I: Integers>(&self, blocks: usize, count: usize, at: Place) {
        // SAFETY: the caller's.
        unsafe {
            match blocks {
                4 if I::MOST_BLOCKS >= 4 => self.blocks::<I, 4>(count, at),
                3 if I::MOST_BLOCKS >= 3 => self.blocks::<I, 3>(count, at),
                2 if I::MOST_BLOCKS >= 2 => self.blocks::<I, 2>(count, at),
                _ => self.blocks::<I, 1>(count, at),
            }
        }
    }

    #[inline(always)]
    unsafe fn blocks<I: Integers, const J: usize>(&self, count: usize, at: Place) {
        // SAFETY: the caller's.
        unsafe {
            // The distance of pixels that lie side by side, as a constant, is worth a register each.
            if self.x_pixel == LANES {
                self.pixels::<I, J, LANES>(count, at);
            } else {
                self.pixels::<I, J, 0>(count, at);
            }
        }
    }

    #[inline(always)]
    unsafe fn pixels<I: Integers, const J: usize, const X: usize>(
        &self,
        count: usize,
        mut at: Place,
    ) {
        let mut sums = Kept([[[0; LANES]; MOST_PIXELS]; J]);
        let mut left = count;
        while left > 0 {
            // SAFETY: the caller's; these are the next of the `count` pixels.
            unsafe {
                let p = self.some::<I, J, X>(left, at, &mut sums.0);
                self.requantize
                    .run::<I>(&sums.0, p, self.block, self.to, at.y, self.y_block);
                at.x = at.x.add(p * self.x_pixel);
                at.y += p * LANES;
                left -= p;
            }
        }
    }

    /// As many as there is a tile for; how many.
    #[inline(always)]
    unsafe fn some<I: Integers, const J: usize, const X: usize>(
        &self,
        left: usize,
        at: Place,
        sums: &mut [[[i32; LANES]; MOST_PIXELS]; J],
    ) -> usize {
        macro_rules! tiles {
            ($($p:literal)*) => { $(
                if $p <= I::pixels(J) && left >= $p {
                    // SAFETY: the caller's.
                    unsafe { self.tile::<I, $p, J, X>(at, sums) };
                    return $p;
                }
            )* };
        }
        tiles!(12 8 6 4 3 2 1);
        0
    }

    // By index: iterators would keep the sums in memory.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "see above")]
    unsafe fn tile<I: Integers, const P: usize, const J: usize, const X: usize>(
        &self,
        at: Place,
        results: &mut [[[i32; LANES]; MOST_PIXELS]; J],
    ) {
        let x_pixel = if X == 0 { self.x_pixel } else { X };
        let quad_bytes = const { quad_bytes(I::WIDE) };
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[I::load_sums(at.initial); J]; P];
            for j in 1..J {
                let initial = I::load_sums(at.initial.add(j * LANES));
                for p in 0..P {
                    sums[p][j] = initial;
                }
            }

            let mut left = self.quads;
            let (mut x, mut w) = (at.x, at.w);
            while left > 0 {
                let quads = left.min(LANES / QUAD);
                for row in 0..self.taps[0] {
                    for column in 0..self.taps[1] {
                        let x = x.add(row * self.x_tap[0] + column * self.x_tap[1]);
                        let mut w = w.add(row * self.w_tap[0] + column * self.w_tap[1]);
                        for quad in 0..quads {
                            step::<I, P, J>(&mut sums, x.add(quad * QUAD), x_pixel, w);
                            w = w.add(J * quad_bytes);
                        }
                    }
                }
                left -= quads;
                // Only when there is another block is there anything behind this one.
                if left > 0 {
                    x = x.add(self.x_block);
                    w = w.add(self.w_block);
                }
            }
            for rest in self.rests {
                let row = rest.tap[0].wrapping_sub(self.first_tap[0]);
                let column = rest.tap[1].wrapping_sub(self.first_tap[1]);
                if row < self.taps[0] && column < self.taps[1] {
                    let x = at.x.add(row * self.x_tap[0] + column * self.x_tap[1]);
                    let x = x.add(rest.block * self.x_block + rest.quad * QUAD);
                    step::<I, P, J>(&mut sums, x, x_pixel, rest.weights.as_ptr());
                }
            }
            for p in 0..P {
                for j in 0..J {
                    I::store_sums(results[j][p].as_mut_ptr(), sums[p][j]);
                }
            }
        }
    }
}

/// Adds the products of a quad of input channels.
///
/// # Safety
/// A quad can be read at `x` and each `x_pixel` further on, and `J` quads as packed at `w`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "as for tiles")]
unsafe fn step<I: Integers, const P: usize, const J: usize>(
    sums: &mut [[I::Sums; J]; P],
    x: *const u8,
    x_pixel: usize,
    w: *const u8,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut weights = [I::load_weights(w); J];
        for j in 1..J {
            weights[j] = I::load_weights(w.add(j * const { quad_bytes(I::WIDE) }));
        }
        for p in 0..P {
            let x = I::splat(x.add(p * x_pixel));
            for j in 0..J {
                sums[p][j] = I::dot(sums[p][j], x, weights[j]);
            }
        }
    }
}

/// Sums of a tile, aligned as vectors: kept for what is done to them, which does not fit into the registers
/// beside them.
#[repr(align(64))]
struct Kept<const J: usize>([[[i32; LANES]; MOST_PIXELS]; J]);
