//! Sixteen sums of products of 8-bit integers at a time.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vnni;

use std::iter;

use crate::simd::Simd;

/// Bytes that are multiplied and summed together: four input channels of a pixel, or four neighbouring
/// taps of one channel.
pub(crate) const QUAD: usize = 4;

/// The floats of a set of integer instructions.
pub(crate) type Floats<I> = <<I as Integers>::Real as Simd>::Floats;

/// A set of vector instructions for 8-bit integers, as [`Simd`] is one for floats.
///
/// All sums are exact, and every other operation is defined to the last bit, so that a kernel has the same
/// results on every set.
pub(crate) trait Integers: Copy + 'static {
    /// The same processor's floats.
    type Real: Simd;
    /// A 32-bit sum a lane.
    type Sums: Copy;
    /// [`QUAD`] bytes without sign a lane.
    type Bytes: Copy;
    /// [`QUAD`] pixels of sixteen channels.
    type Pixels: Copy;
    /// [`QUAD`] weights with sign a lane.
    type Weights: Copy;

    /// How many blocks of output channels a tile of a convolution covers at the most.
    const MOST_BLOCKS: usize;

    /// How many rows and columns of outputs a depthwise convolution works on at a time.
    const TILE: [usize; 2];

    /// Whether weights are packed as 16-bit integers, in the order of [`pack`].
    const WIDE: bool;

    /// How many pixels a tile of this many blocks covers, so that its sums stay in registers.
    fn pixels(blocks: usize) -> usize;

    /// # Safety
    /// Sixteen can be read at `from`, aligned or not.
    unsafe fn load_sums(from: *const i32) -> Self::Sums;
    /// # Safety
    /// Sixteen can be written at `to`, aligned or not.
    unsafe fn store_sums(to: *mut i32, sums: Self::Sums);
    /// # Safety
    /// What [`pack`] has written for one quad can be read at `from`.
    unsafe fn load_weights(from: *const u8) -> Self::Weights;
    /// The same quad in every lane.
    ///
    /// # Safety
    /// [`QUAD`] bytes can be read at `from`, aligned or not.
    unsafe fn splat(from: *const u8) -> Self::Bytes;
    /// [`QUAD`] pixels of sixteen channels that lie side by side.
    ///
    /// # Safety
    /// They can be read at `from`, and as long as the value is used; fastest where it is aligned to 64 bytes.
    unsafe fn load_pixels(from: *const u8) -> Self::Pixels;
    /// Of the [`QUAD`] pixels from number `first` of `pixels` on, each channel's four; `next` are those that
    /// follow.
    fn transpose(pixels: Self::Pixels, next: Self::Pixels, first: usize) -> Self::Bytes;
    /// `sums + bytes · weights`.
    fn dot(sums: Self::Sums, bytes: Self::Bytes, weights: Self::Weights) -> Self::Sums;
    /// `a + b`, the lowest 32 bits.
    fn add(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// The nearest floats, of two the even one.
    fn to_floats(sums: Self::Sums) -> Floats<Self>;
    /// The nearest whole numbers, of two the even one, of floats within ±2^22.
    fn round(values: Floats<Self>) -> Self::Sums;
    /// `a * b + c`, rounded once, where `a` is a byte, and `c` nothing or a multiple of the last place of `b`
    /// that is less than 2^9 times as much.
    fn fused(a: Floats<Self>, b: Floats<Self>, c: Floats<Self>) -> Floats<Self>;
    /// Sixteen bytes, one a lane.
    ///
    /// # Safety
    /// They can be read at `from`.
    unsafe fn load_bytes(from: *const u8) -> Self::Sums;
    /// [`Bounds::of`] every value.
    ///
    /// # Safety
    /// Sixteen bytes can be written at `to`.
    unsafe fn store_bytes(to: *mut u8, values: Floats<Self>, bounds: &Bounds);
    /// As [`store_bytes`](Self::store_bytes), for four vectors of which one follows the other. Not `CLAMPED`
    /// are values within ±2^31 where the greatest byte is 255.
    ///
    /// # Safety
    /// 64 bytes can be written at `to`.
    #[inline(always)]
    unsafe fn store_four<const CLAMPED: bool>(
        to: *mut u8,
        values: [Floats<Self>; 4],
        bounds: &Bounds,
    ) {
        // SAFETY: the caller's.
        unsafe {
            Self::store_bytes(to, values[0], bounds);
            Self::store_bytes(to.add(16), values[1], bounds);
            Self::store_bytes(to.add(32), values[2], bounds);
            Self::store_bytes(to.add(48), values[3], bounds);
        }
    }
}

/// From floats in steps of the output's scale to bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) zero_point: u8,
    /// The least and the greatest byte.
    pub(crate) low: u8,
    pub(crate) high: u8,
}

impl Bounds {
    /// The bounds as floats before the zero point is added.
    #[inline(always)]
    pub(crate) fn floats(&self) -> [f32; 2] {
        let zero_point = f32::from(self.zero_point);
        [
            f32::from(self.low) - zero_point,
            f32::from(self.high) - zero_point,
        ]
    }
}

/// Bytes of the weights of a quad for sixteen lanes.
pub(crate) const fn quad_bytes(wide: bool) -> usize {
    if wide { 128 } else { 64 }
}

/// What a weight is the sum of where each is packed for itself: wide, the weight; else bytes, of which nearly all
/// weights take but one.
pub(crate) fn parts(weight: i16, wide: bool) -> impl Iterator<Item = i16> {
    let mut rest = weight;
    iter::from_fn(move || {
        let part = if wide {
            rest
        } else {
            rest.clamp(i8::MIN.into(), i8::MAX.into())
        };
        rest -= part;
        (part != 0).then_some(part)
    })
}

/// Puts one of the [`parts`] where [`Integers::load_weights`] looks for it: `[LANES, 4]`, or wide, of two halves
/// of a quad, `[2, LANES, 2]`.
pub(crate) fn pack(to: &mut [u8], wide: bool, lane: usize, index: usize, part: i16) {
    if wide {
        let at = (index / 2 * 16 + lane) * 2 + index % 2;
        to[at * 2..][..2].copy_from_slice(&part.to_ne_bytes());
    } else {
        to[lane * QUAD + index] = part as u8;
    }
}
