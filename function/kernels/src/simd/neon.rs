//! NEON, which every 64-bit ARM has: a vector is four registers of 32.

use std::arch::aarch64::*;

use super::Simd;

/// NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon;

/// The quarters of a vector.
type Quarters = [float32x4_t; 4];

#[inline(always)]
fn quarters(
    a: Quarters,
    b: Quarters,
    of: impl Fn(float32x4_t, float32x4_t) -> float32x4_t,
) -> Quarters {
    [
        of(a[0], b[0]),
        of(a[1], b[1]),
        of(a[2], b[2]),
        of(a[3], b[3]),
    ]
}

impl Simd for Neon {
    type Floats = Quarters;

    const MOST_BLOCKS: usize = 1;
    const PIXELS_OF_DEPTHWISE: usize = 4;

    #[inline(always)]
    fn pixels(_: usize) -> usize {
        6
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Quarters {
        // SAFETY: the caller's.
        unsafe {
            [
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, values: Quarters) {
        // SAFETY: the caller's.
        unsafe {
            vst1q_f32(to, values[0]);
            vst1q_f32(to.add(4), values[1]);
            vst1q_f32(to.add(8), values[2]);
            vst1q_f32(to.add(12), values[3]);
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Quarters {
        // SAFETY: the processor has the instruction, as for all that follow.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    fn add(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn mul_add(a: Quarters, b: Quarters, c: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        unsafe {
            [
                vfmaq_f32(c[0], a[0], b[0]),
                vfmaq_f32(c[1], a[1], b[1]),
                vfmaq_f32(c[2], a[2], b[2]),
                vfmaq_f32(c[3], a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn neg_mul_add(a: Quarters, b: Quarters, c: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        unsafe {
            [
                vfmsq_f32(c[0], a[0], b[0]),
                vfmsq_f32(c[1], a[1], b[1]),
                vfmsq_f32(c[2], a[2], b[2]),
                vfmsq_f32(c[3], a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn max(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, b, |a, b| unsafe { vmaxq_f32(a, b) })
    }

    #[inline(always)]
    fn min(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, b, |a, b| unsafe { vminq_f32(a, b) })
    }

    #[inline(always)]
    fn if_greater(a: Quarters, b: Quarters, then: Quarters, otherwise: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        unsafe {
            [
                vbslq_f32(vcgtq_f32(a[0], b[0]), then[0], otherwise[0]),
                vbslq_f32(vcgtq_f32(a[1], b[1]), then[1], otherwise[1]),
                vbslq_f32(vcgtq_f32(a[2], b[2]), then[2], otherwise[2]),
                vbslq_f32(vcgtq_f32(a[3], b[3]), then[3], otherwise[3]),
            ]
        }
    }

    #[inline(always)]
    fn mul_power(a: Quarters, n: Quarters) -> Quarters {
        // SAFETY: see `splat`.
        quarters(a, n, |a, n| unsafe {
            // The exponent of a float stands above 23 bits and is 127 more than it says.
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        })
    }
}
