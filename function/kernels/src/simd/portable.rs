//! Plain arrays, which the compiler turns into what the target has at the least: SSE2 on x86-64, NEON on
//! 64-bit ARM.

use std::array;

use super::{LANES, Simd};

/// No instruction that the target may lack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

type Lanes = [f32; LANES];

/// Whether `f32::mul_add` is an instruction and not a call.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

#[inline(always)]
fn lanes(a: Lanes, b: Lanes, of: impl Fn(f32, f32) -> f32) -> Lanes {
    array::from_fn(|lane| of(a[lane], b[lane]))
}

impl Simd for Portable {
    type Floats = Lanes;

    const MOST_BLOCKS: usize = 1;
    const PIXELS_OF_DEPTHWISE: usize = 2;

    #[inline(always)]
    fn pixels(_: usize) -> usize {
        // SSE2 has 16 registers of 4 lanes, NEON has 32.
        if cfg!(target_arch = "aarch64") { 6 } else { 3 }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Lanes {
        // SAFETY: the caller's; arrays of floats are aligned as floats.
        unsafe { from.cast::<Lanes>().read() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, values: Lanes) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Lanes>().write(values) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Lanes {
        [value; LANES]
    }

    #[inline(always)]
    fn add(a: Lanes, b: Lanes) -> Lanes {
        lanes(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(a: Lanes, b: Lanes) -> Lanes {
        lanes(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(a: Lanes, b: Lanes) -> Lanes {
        lanes(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        array::from_fn(|lane| {
            if FUSED {
                a[lane].mul_add(b[lane], c[lane])
            } else {
                a[lane] * b[lane] + c[lane]
            }
        })
    }

    #[inline(always)]
    fn neg_mul_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        Self::mul_add(a.map(|value| -value), b, c)
    }

    // Comparisons instead of `f32::max`, which would have to look for NaN.
    #[inline(always)]
    fn max(a: Lanes, b: Lanes) -> Lanes {
        lanes(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(a: Lanes, b: Lanes) -> Lanes {
        lanes(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn if_greater(a: Lanes, b: Lanes, then: Lanes, otherwise: Lanes) -> Lanes {
        array::from_fn(|lane| {
            if a[lane] > b[lane] {
                then[lane]
            } else {
                otherwise[lane]
            }
        })
    }

    #[inline(always)]
    fn mul_power(a: Lanes, n: Lanes) -> Lanes {
        /// Added to a small whole number, leaves it in the lowest bits: less than to convert it.
        const WHOLE: f32 = 12_582_912.0;
        // The exponent of a float stands above 23 bits.
        let one = 1.0_f32.to_bits();
        lanes(a, n, |a, n| {
            a * f32::from_bits(((n + WHOLE).to_bits() << 23).wrapping_add(one))
        })
    }
}
