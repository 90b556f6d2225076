//! 16-bit floats, as they lie in memory.

use half::{
    f16,
    slice::{HalfBitsSliceExt as _, HalfFloatSliceExt as _},
};
use rayon::prelude::*;

/// Values a thread converts at a time.
const TOGETHER: usize = 1 << 14;

/// Rounded to 16 bits, of which these are the bits.
pub(crate) fn to_halves(values: &[f32]) -> Vec<u16> {
    let mut halves = vec![0; values.len()];
    let pieces = halves
        .par_chunks_mut(TOGETHER)
        .zip(values.par_chunks(TOGETHER));
    pieces.for_each(|(to, from)| {
        to.reinterpret_cast_mut::<f16>()
            .convert_from_f32_slice(from);
    });
    halves
}

/// The values of floats of 16 bits.
pub(crate) fn from_halves(halves: &[u16]) -> Vec<f32> {
    let mut values = vec![0.0; halves.len()];
    let pieces = values
        .par_chunks_mut(TOGETHER)
        .zip(halves.par_chunks(TOGETHER));
    pieces.for_each(|(to, from)| from.reinterpret_cast::<f16>().convert_to_f32_slice(to));
    values
}
