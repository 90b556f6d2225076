//! AVX2 and FMA: a vector is two registers of 16.

use std::arch::x86_64::*;

use super::Simd;

/// AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2;

/// The halves of a vector.
type Halves = [__m256; 2];

impl Simd for Avx2 {
    type Floats = Halves;

    const MOST_BLOCKS: usize = 1;
    const PIXELS_OF_DEPTHWISE: usize = 4;

    #[inline(always)]
    fn pixels(_: usize) -> usize {
        6
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Halves {
        // SAFETY: the caller's.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, [low, high]: Halves) {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_ps(to, low);
            _mm256_storeu_ps(to.add(8), high);
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Halves {
        // SAFETY: the processor has the instruction, as for all that follow.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn add(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(a: Halves, b: Halves, c: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    fn neg_mul_add(a: Halves, b: Halves, c: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe {
            [
                _mm256_fnmadd_ps(a[0], b[0], c[0]),
                _mm256_fnmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    fn max(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn if_greater(a: Halves, b: Halves, then: Halves, otherwise: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe {
            [
                _mm256_blendv_ps(
                    otherwise[0],
                    then[0],
                    _mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]),
                ),
                _mm256_blendv_ps(
                    otherwise[1],
                    then[1],
                    _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1]),
                ),
            ]
        }
    }

    #[inline(always)]
    fn mul_power(a: Halves, n: Halves) -> Halves {
        // SAFETY: see `splat`.
        unsafe {
            [
                _mm256_mul_ps(a[0], power(n[0])),
                _mm256_mul_ps(a[1], power(n[1])),
            ]
        }
    }
}

/// `2^n`.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn power(n: __m256) -> __m256 {
    // SAFETY: the caller's.
    unsafe {
        // The exponent of a float stands above 23 bits and is 127 more than it says.
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
    }
}
