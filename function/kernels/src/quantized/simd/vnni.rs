//! AVX-512 with the instructions for neural networks (VNNI), and those that move bytes (VBMI).

use std::arch::x86_64::*;

use super::{Bounds, Integers};
use crate::simd::avx512::Avx512;

/// AVX-512 F, BW, VNNI and VBMI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vnni;

/// For each lane, and each of its four bytes, which of eight pixels of sixteen bytes it comes from: for four
/// pixels from each of the first four on.
static TRANSPOSE: [[u8; 64]; 4] = {
    let mut orders = [[0; 64]; 4];
    let mut at = 0;
    while at < 256 {
        let (first, byte) = (at / 64, at % 64);
        orders[first][byte] = ((first + byte % 4) * 16 + byte / 4) as u8;
        at += 1;
    }
    orders
};

/// As the first of [`TRANSPOSE`], of groups of four bytes.
static UNPACK: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

impl Integers for Vnni {
    type Real = Avx512;
    type Sums = __m512i;
    type Bytes = __m512i;
    type Pixels = __m512i;
    type Weights = __m512i;

    const MOST_BLOCKS: usize = 4;
    const TILE: [usize; 2] = [2, 8];
    const WIDE: bool = false;

    #[inline(always)]
    fn pixels(blocks: usize) -> usize {
        match blocks {
            4 => 6,
            3 => 8,
            _ => 12,
        }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_epi32(from) }
    }

    #[inline(always)]
    unsafe fn store_sums(to: *mut i32, sums: __m512i) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_epi32(to, sums) }
    }

    #[inline(always)]
    unsafe fn load_weights(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_epi8(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn load_pixels(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_epi8(from.cast()) }
    }

    #[inline(always)]
    fn transpose(pixels: __m512i, next: __m512i, first: usize) -> __m512i {
        // SAFETY: the table has 64 bytes for each of four; the processor has the instructions, as for all that
        // follow.
        unsafe {
            let order = _mm512_loadu_epi8(TRANSPOSE[first % 4].as_ptr().cast());
            if first == 0 {
                _mm512_permutexvar_epi8(order, pixels)
            } else {
                _mm512_permutex2var_epi8(pixels, order, next)
            }
        }
    }

    #[inline(always)]
    fn dot(sums: __m512i, bytes: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: see `transpose`.
        unsafe { _mm512_dpbusd_epi32(sums, bytes, weights) }
    }

    #[inline(always)]
    fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see `transpose`.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn to_floats(sums: __m512i) -> __m512 {
        // SAFETY: see `transpose`.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn round(values: __m512) -> __m512i {
        // SAFETY: see `transpose`.
        unsafe { _mm512_cvtps_epi32(values) }
    }

    #[inline(always)]
    fn fused(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see `transpose`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, values: __m512, bounds: &Bounds) {
        let [low, high] = bounds.floats();
        // SAFETY: the caller's.
        unsafe {
            // In this order, NaN becomes the lower bound.
            let values = _mm512_max_ps(values, _mm512_set1_ps(low));
            let values = _mm512_min_ps(values, _mm512_set1_ps(high));
            let zero_point = _mm512_set1_epi32(bounds.zero_point.into());
            let values = _mm512_add_epi32(_mm512_cvtps_epi32(values), zero_point);
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(values));
        }
    }

    // Packed together: saturation does the clamping that `store_bytes` does with floats. The upper bound is
    // one of floats here, too: a float beyond 2^31 would become the least integer, as NaN does.
    #[inline(always)]
    unsafe fn store_four<const CLAMPED: bool>(to: *mut u8, values: [__m512; 4], bounds: &Bounds) {
        let [_, high] = bounds.floats();
        // SAFETY: the caller's.
        unsafe {
            let high = _mm512_set1_ps(high);
            let mut whole = [_mm512_setzero_si512(); 4];
            for index in 0..4 {
                let mut values = values[index];
                if CLAMPED {
                    values = _mm512_min_ps(high, values);
                }
                whole[index] = _mm512_cvtps_epi32(values);
            }
            let zero_point = _mm512_set1_epi16(bounds.zero_point.into());
            let first = _mm512_adds_epi16(_mm512_packs_epi32(whole[0], whole[1]), zero_point);
            let second = _mm512_adds_epi16(_mm512_packs_epi32(whole[2], whole[3]), zero_point);
            let order = _mm512_loadu_epi32(UNPACK.as_ptr());
            let bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second));
            let low = _mm512_set1_epi8(bounds.low.cast_signed());
            _mm512_storeu_epi8(to.cast(), _mm512_max_epu8(bytes, low));
        }
    }
}
