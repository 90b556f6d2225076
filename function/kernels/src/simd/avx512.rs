//! AVX-512: a vector is one register of 32.

use std::arch::x86_64::*;

use super::Simd;

/// The foundation of AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512;

impl Simd for Avx512 {
    type Floats = __m512;

    const MOST_BLOCKS: usize = 4;
    const PIXELS_OF_DEPTHWISE: usize = 8;

    #[inline(always)]
    fn pixels(blocks: usize) -> usize {
        match blocks {
            4 => 6,
            3 => 8,
            _ => 12,
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, values: __m512) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(to, values) }
    }

    #[inline(always)]
    fn splat(value: f32) -> __m512 {
        // SAFETY: the processor has the instruction, as for all that follow.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn if_greater(a: __m512, b: __m512, then: __m512, otherwise: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe {
            let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b);
            _mm512_mask_blend_ps(greater, otherwise, then)
        }
    }

    #[inline(always)]
    fn mul_power(a: __m512, n: __m512) -> __m512 {
        // SAFETY: see `splat`.
        unsafe { _mm512_scalef_ps(a, n) }
    }
}
