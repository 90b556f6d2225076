//! NEON: 16-bit integers are multiplied and added to sums of 32 bits in one instruction.

use std::arch::aarch64::*;

use super::{Bounds, Integers};
use crate::simd::{Simd, neon::Neon};

/// NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long;

/// The quarters of a vector.
type Quarters = [int32x4_t; 4];

/// The halves of a vector of 16-bit integers.
type Halves = [int16x8_t; 2];

impl Integers for Long {
    type Real = Neon;
    type Sums = Quarters;
    /// One byte of each lane after the other.
    type Bytes = [Halves; 4];
    /// Where they are.
    type Pixels = *const u8;
    /// As the bytes.
    type Weights = [Halves; 4];

    const MOST_BLOCKS: usize = 1;
    const TILE: [usize; 2] = [1, 4];
    const WIDE: bool = true;

    #[inline(always)]
    fn pixels(_: usize) -> usize {
        4
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> Quarters {
        // SAFETY: the caller's.
        unsafe {
            [
                vld1q_s32(from),
                vld1q_s32(from.add(4)),
                vld1q_s32(from.add(8)),
                vld1q_s32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_sums(to: *mut i32, sums: Quarters) {
        // SAFETY: the caller's.
        unsafe {
            vst1q_s32(to, sums[0]);
            vst1q_s32(to.add(4), sums[1]);
            vst1q_s32(to.add(8), sums[2]);
            vst1q_s32(to.add(12), sums[3]);
        }
    }

    #[inline(always)]
    unsafe fn load_weights(from: *const u8) -> [Halves; 4] {
        // SAFETY: the caller's.
        unsafe {
            // Two of a lane lie side by side, and of sixteen lanes first the one two, then the other.
            let pairs = |at: usize| vld2q_s16(from.add(at * 32).cast());
            let (a, b, c, d) = (pairs(0), pairs(1), pairs(2), pairs(3));
            [[a.0, b.0], [a.1, b.1], [c.0, d.0], [c.1, d.1]]
        }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> [Halves; 4] {
        // SAFETY: the caller's.
        unsafe {
            let quad = vcreate_u8(from.cast::<u32>().read_unaligned().into());
            let quad = vreinterpretq_s16_u16(vmovl_u8(quad));
            [
                [vdupq_laneq_s16::<0>(quad); 2],
                [vdupq_laneq_s16::<1>(quad); 2],
                [vdupq_laneq_s16::<2>(quad); 2],
                [vdupq_laneq_s16::<3>(quad); 2],
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_pixels(from: *const u8) -> *const u8 {
        from
    }

    #[inline(always)]
    fn transpose(pixels: *const u8, _: *const u8, first: usize) -> [Halves; 4] {
        // SAFETY: whoever called `load_pixels` has promised that they, and the next ones, can be read.
        unsafe {
            let pixel = |at: usize| widen(pixels.add((first + at) * 16));
            [pixel(0), pixel(1), pixel(2), pixel(3)]
        }
    }

    #[inline(always)]
    fn dot(sums: Quarters, bytes: [Halves; 4], weights: [Halves; 4]) -> Quarters {
        let [mut a, mut b, mut c, mut d] = sums;
        for (bytes, weights) in bytes.into_iter().zip(weights) {
            // SAFETY: the processor has the instructions, as for all that follow.
            unsafe {
                a = vmlal_s16(a, vget_low_s16(bytes[0]), vget_low_s16(weights[0]));
                b = vmlal_high_s16(b, bytes[0], weights[0]);
                c = vmlal_s16(c, vget_low_s16(bytes[1]), vget_low_s16(weights[1]));
                d = vmlal_high_s16(d, bytes[1], weights[1]);
            }
        }
        [a, b, c, d]
    }

    #[inline(always)]
    fn add(a: Quarters, b: Quarters) -> Quarters {
        // SAFETY: see `dot`.
        unsafe {
            [
                vaddq_s32(a[0], b[0]),
                vaddq_s32(a[1], b[1]),
                vaddq_s32(a[2], b[2]),
                vaddq_s32(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn to_floats(sums: Quarters) -> [float32x4_t; 4] {
        // SAFETY: see `dot`.
        sums.map(|sums| unsafe { vcvtq_f32_s32(sums) })
    }

    #[inline(always)]
    fn round(values: [float32x4_t; 4]) -> Quarters {
        // SAFETY: see `dot`.
        values.map(|values| unsafe { vcvtnq_s32_f32(values) })
    }

    #[inline(always)]
    fn fused(a: [float32x4_t; 4], b: [float32x4_t; 4], c: [float32x4_t; 4]) -> [float32x4_t; 4] {
        Neon::mul_add(a, b, c)
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Quarters {
        // SAFETY: the caller's.
        unsafe {
            let [low, high] = widen(from);
            [
                vmovl_s16(vget_low_s16(low)),
                vmovl_high_s16(low),
                vmovl_s16(vget_low_s16(high)),
                vmovl_high_s16(high),
            ]
        }
    }

    // Saturation does the clamping, but for what is NaN: the greater of it and a number is the number.
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, values: [float32x4_t; 4], bounds: &Bounds) {
        let [low, _] = bounds.floats();
        // SAFETY: the caller's.
        unsafe {
            let low = vdupq_n_f32(low);
            let whole = values.map(|values| vcvtnq_s32_f32(vmaxnmq_f32(values, low)));
            let zero_point = vdupq_n_s16(bounds.zero_point.into());
            let first = vqmovn_high_s32(vqmovn_s32(whole[0]), whole[1]);
            let second = vqmovn_high_s32(vqmovn_s32(whole[2]), whole[3]);
            let first = vqmovun_s16(vqaddq_s16(first, zero_point));
            let bytes = vqmovun_high_s16(first, vqaddq_s16(second, zero_point));
            vst1q_u8(to, vminq_u8(bytes, vdupq_n_u8(bounds.high)));
        }
    }
}

/// Sixteen bytes.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn widen(from: *const u8) -> Halves {
    // SAFETY: the caller's.
    unsafe {
        let bytes = vld1q_u8(from);
        [
            vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))),
            vreinterpretq_s16_u16(vmovl_high_u8(bytes)),
        ]
    }
}
