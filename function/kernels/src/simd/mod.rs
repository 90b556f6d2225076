//! Sixteen numbers at a time, on whatever the processor has for it.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;

/// Numbers that are worked on together: the innermost axis of a [`Map`](crate::Map).
pub(crate) const LANES: usize = 16;

/// A set of vector instructions.
///
/// Kernels are written once against this trait, marked `#[inline(always)]`, and compiled for each set by
/// [`Isa::run`](crate::isa::Isa::run), which alone names these types: where a method runs, the processor
/// has the instructions.
pub(crate) trait Simd: Copy + 'static {
    /// [`LANES`] 32-bit floats.
    type Floats: Copy;

    /// How many blocks of output channels a tile of a convolution covers at the most.
    const MOST_BLOCKS: usize;

    /// How many pixels of one block a depthwise convolution works on at a time.
    const PIXELS_OF_DEPTHWISE: usize;

    /// How many pixels a tile of this many blocks covers, so that its sums stay in registers.
    fn pixels(blocks: usize) -> usize;

    /// # Safety
    /// [`LANES`] floats can be read at `from`, aligned or not.
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// # Safety
    /// [`LANES`] floats can be written at `to`, aligned or not.
    unsafe fn store(to: *mut f32, values: Self::Floats);
    /// The same value in every lane.
    fn splat(value: f32) -> Self::Floats;
    /// `a + b`.
    fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a - b`.
    fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b`.
    fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `c - a * b`, rounded once where the processor can.
    fn neg_mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The greater one.
    fn max(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The lesser one.
    fn min(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `then` where `a > b`, `otherwise` where not, or where one is NaN.
    fn if_greater(
        a: Self::Floats,
        b: Self::Floats,
        then: Self::Floats,
        otherwise: Self::Floats,
    ) -> Self::Floats;
    /// `a * 2^n`, with whole numbers `n` from -126 to 127.
    fn mul_power(a: Self::Floats, n: Self::Floats) -> Self::Floats;
}
