//! Blocks of 8 x 8 coefficients.

/// The quantised coefficients of a block in natural order: horizontal frequency first.
pub(super) type Block = [i16; 64];

/// The positions in a [`Block`] of coefficients as they are coded (T.81, figure A.6). A run of zeros in
/// damaged data can lead 15 places behind the last one; there, as with libjpeg, the last one is meant.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10,
    17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
    63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63,
];

/// The coefficient that is coded at `index`, 0 to 79.
#[inline(always)]
pub(super) fn coefficient(block: &mut Block, index: usize) -> &mut i16 {
    &mut block[usize::from(ZIGZAG[index] & 63)]
}
