//! AVX2 and FMA: pairs of 16-bit integers are multiplied and summed. The instruction that does so with 8-bit
//! ones keeps 16 bits of a sum that needs 17.

use std::arch::x86_64::*;

use super::{Bounds, Integers};
use crate::simd::avx2::Avx2;

/// AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide;

type Halves = [__m256i; 2];

impl Integers for Wide {
    type Real = Avx2;
    type Sums = Halves;
    /// Of the quads' halves.
    type Bytes = [Halves; 2];
    /// Where they are.
    type Pixels = *const u8;
    /// Where they are: as operands in memory they need no registers.
    type Weights = *const u8;

    const MOST_BLOCKS: usize = 2;
    const TILE: [usize; 2] = [1, 4];
    const WIDE: bool = true;

    #[inline(always)]
    fn pixels(blocks: usize) -> usize {
        if blocks == 2 { 2 } else { 4 }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> Halves {
        // SAFETY: the caller's.
        unsafe {
            [
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(8).cast()),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_sums(to: *mut i32, sums: Halves) {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_si256(to.cast(), sums[0]);
            _mm256_storeu_si256(to.add(8).cast(), sums[1]);
        }
    }

    #[inline(always)]
    unsafe fn load_weights(from: *const u8) -> *const u8 {
        from
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> [Halves; 2] {
        // SAFETY: the caller's.
        unsafe {
            let quad = _mm_set1_epi32(from.cast::<i32>().read_unaligned());
            let quad = _mm256_cvtepu8_epi16(quad);
            let first = _mm256_shuffle_epi32::<0b00_00_00_00>(quad);
            let second = _mm256_shuffle_epi32::<0b01_01_01_01>(quad);
            [[first; 2], [second; 2]]
        }
    }

    #[inline(always)]
    unsafe fn load_pixels(from: *const u8) -> *const u8 {
        from
    }

    #[inline(always)]
    fn transpose(pixels: *const u8, _: *const u8, first: usize) -> [Halves; 2] {
        // SAFETY: whoever called `load_pixels` has promised that they, and the next ones, can be read.
        unsafe {
            let pixels = pixels.add(first * 16);
            [pair(pixels), pair(pixels.add(32))]
        }
    }

    #[inline(always)]
    fn dot(sums: Halves, bytes: [Halves; 2], weights: *const u8) -> Halves {
        // SAFETY: whoever called `load_weights` has promised that they can be read; the processor has the
        // instructions, as for all that follow.
        unsafe {
            let weight = |at: usize| _mm256_loadu_si256(weights.add(at * 32).cast());
            let low = _mm256_add_epi32(sums[0], _mm256_madd_epi16(bytes[0][0], weight(0)));
            let high = _mm256_add_epi32(sums[1], _mm256_madd_epi16(bytes[0][1], weight(1)));
            [
                _mm256_add_epi32(low, _mm256_madd_epi16(bytes[1][0], weight(2))),
                _mm256_add_epi32(high, _mm256_madd_epi16(bytes[1][1], weight(3))),
            ]
        }
    }

    #[inline(always)]
    fn add(a: Halves, b: Halves) -> Halves {
        // SAFETY: see `dot`.
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }

    #[inline(always)]
    fn to_floats(sums: Halves) -> [__m256; 2] {
        // SAFETY: see `dot`.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }

    #[inline(always)]
    fn round(values: [__m256; 2]) -> Halves {
        // SAFETY: see `dot`.
        unsafe { [_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1])] }
    }

    #[inline(always)]
    fn fused(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: see `dot`.
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Halves {
        // SAFETY: the caller's.
        unsafe {
            [
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8).cast())),
            ]
        }
    }

    // Saturation does the clamping, but for the upper bound: a float beyond 2^31 would become the least
    // integer, as NaN does.
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, values: [__m256; 2], bounds: &Bounds) {
        let [_, high] = bounds.floats();
        // SAFETY: the caller's.
        unsafe {
            let high = _mm256_set1_ps(high);
            let low_half = _mm256_cvtps_epi32(_mm256_min_ps(high, values[0]));
            let high_half = _mm256_cvtps_epi32(_mm256_min_ps(high, values[1]));
            // Of each half, four lie in each half of the result.
            let words = _mm256_packs_epi32(low_half, high_half);
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let zero_point = _mm256_set1_epi16(bounds.zero_point.into());
            let words = _mm256_adds_epi16(words, zero_point);
            let bytes = _mm_packus_epi16(
                _mm256_castsi256_si128(words),
                _mm256_extracti128_si256::<1>(words),
            );
            let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(bounds.low.cast_signed()));
            _mm_storeu_si128(to.cast(), bytes);
        }
    }
}

/// Of two pixels, each channel's two.
///
/// # Safety
/// The processor has AVX2, and they can be read.
#[inline(always)]
unsafe fn pair(from: *const u8) -> Halves {
    // SAFETY: the caller's.
    unsafe {
        let first = _mm_loadu_si128(from.cast());
        let second = _mm_loadu_si128(from.add(16).cast());
        [
            _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)),
            _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)),
        ]
    }
}
