//! Plain arrays, which the compiler turns into what the target has at the least.

use std::array;

use super::{Bounds, Integers};
use crate::simd::{LANES, portable::Portable};

/// No instruction that the target may lack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

type Sums = [i32; LANES];
type Reals = [f32; LANES];

/// Added to a float within ±2^22, leaves the nearest whole number in the lowest bits.
const WHOLE: f32 = 12_582_912.0;

impl Integers for Plain {
    type Real = Portable;
    type Sums = Sums;
    /// `[2, LANES, 2]`, as the weights.
    type Bytes = [[i16; 2 * LANES]; 2];
    /// Where they are.
    type Pixels = *const u8;
    type Weights = [[i16; 2 * LANES]; 2];

    const MOST_BLOCKS: usize = 1;
    const TILE: [usize; 2] = [1, 4];
    const WIDE: bool = true;

    #[inline(always)]
    fn pixels(_: usize) -> usize {
        2
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> Sums {
        // SAFETY: the caller's.
        unsafe { from.cast::<Sums>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_sums(to: *mut i32, sums: Sums) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Sums>().write_unaligned(sums) }
    }

    #[inline(always)]
    unsafe fn load_weights(from: *const u8) -> Self::Weights {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::Weights>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> Self::Bytes {
        // SAFETY: the caller's.
        let quad = unsafe { from.cast::<[u8; 4]>().read() };
        array::from_fn(|half| array::from_fn(|at| i16::from(quad[half * 2 + at % 2])))
    }

    #[inline(always)]
    unsafe fn load_pixels(from: *const u8) -> *const u8 {
        from
    }

    #[inline(always)]
    fn transpose(pixels: *const u8, _: *const u8, first: usize) -> Self::Bytes {
        // SAFETY: whoever called `load_pixels` has promised that they, and the next ones, can be read.
        let pixels = unsafe { pixels.add(first * LANES).cast::<[[u8; LANES]; 4]>().read() };
        array::from_fn(|half| array::from_fn(|at| i16::from(pixels[half * 2 + at % 2][at / 2])))
    }

    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "several arrays are indexed alike"
    )]
    fn dot(mut sums: Sums, bytes: Self::Bytes, weights: Self::Weights) -> Sums {
        for half in 0..2 {
            let (bytes, weights) = (&bytes[half], &weights[half]);
            let product = |at: usize| i32::from(bytes[at]) * i32::from(weights[at]);
            for lane in 0..LANES {
                sums[lane] += product(2 * lane) + product(2 * lane + 1);
            }
        }
        sums
    }

    #[inline(always)]
    fn add(a: Sums, b: Sums) -> Sums {
        array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn to_floats(sums: Sums) -> Reals {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn round(values: Reals) -> Sums {
        values.map(|value| (value + WHOLE).to_bits().cast_signed() - WHOLE.to_bits().cast_signed())
    }

    // The product takes 32 bits, and the sum two more: both are exact in 64-bit floats.
    #[inline(always)]
    fn fused(a: Reals, b: Reals, c: Reals) -> Reals {
        let fused = |lane: usize| f64::from(a[lane]) * f64::from(b[lane]) + f64::from(c[lane]);
        array::from_fn(|lane| fused(lane) as f32)
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Sums {
        // SAFETY: the caller's.
        unsafe { from.cast::<[u8; LANES]>().read() }.map(i32::from)
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, values: Reals, bounds: &Bounds) {
        let [low, high] = bounds.floats();
        let clamped = values.map(|value| {
            let value = if value > low { value } else { low };
            if value < high { value } else { high }
        });
        let bytes = Self::round(clamped).map(|whole| (whole + i32::from(bounds.zero_point)) as u8);
        // SAFETY: the caller's.
        unsafe { to.cast::<[u8; LANES]>().write(bytes) }
    }
}
