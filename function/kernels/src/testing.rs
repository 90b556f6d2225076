//! What the tests of the kernels have in common.

use std::sync::Arc;

use crate::{
    isa::Isa,
    map::{Context, Map},
    simd::LANES,
};

/// A context for every set of instructions that this processor has.
pub(crate) fn contexts() -> Vec<Arc<Context>> {
    Isa::available().into_iter().map(Context::new).collect()
}

/// So many values between -1 and 1, of any look.
pub(crate) fn noise(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let bits = (i ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(2_654_435_761);
            let bits = (bits ^ (bits >> 15)).wrapping_mul(0x85eb_ca6b);
            (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// As [`Map::from_planar`], with NaN where the last block has no channels: should it reach one, the
/// comparison fails.
pub(crate) fn map(context: &Arc<Context>, planar: &[f32], shape: [usize; 4]) -> Map {
    let mut map = Map::from_planar(context, planar, shape);
    let [batch, channels, height, width] = shape;
    let unused = channels.next_multiple_of(LANES) - channels;
    let blocks = map.blocks();
    if unused > 0 {
        let last = &mut map.values[(blocks - 1) * batch * height * width * LANES..];
        for pixel in last.as_chunks_mut::<LANES>().0 {
            pixel[LANES - unused..].fill(f32::NAN);
        }
    }
    map
}

/// That all values are within `tolerance` times the greatest expected one.
#[track_caller]
pub(crate) fn assert_close(values: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(values.len(), expected.len());
    let greatest = expected.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
        let close = (value - expected).abs() <= tolerance * greatest;
        assert!(close, "{index}: {value} instead of {expected}");
    }
}
