//! That what networks are trained by, forward and back, is what burn and the networks themselves calculate.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod convolutions;
mod regions;
mod tiles;

use burn::tensor::{Device, Distribution, Tensor};
use segmenter_models::blocks::Geometry;

/// Convolutions of maps without groups or dilation, and `[batch, height, width]` of the inputs: kernels of every size and
/// stride, channels that fill blocks and that do not, maps of a pixel.
fn dense() -> [(Geometry, [usize; 3]); 15] {
    let new = Geometry::new;
    [
        (new(32, 32, 3), [2, 33, 41]),
        (new(48, 80, 3), [1, 40, 39]),
        (new(5, 7, 3), [2, 9, 4]),
        (new(17, 33, 1), [3, 6, 5]),
        (new(64, 3, 3), [2, 8, 9]),
        (new(16, 1, 1), [4, 14, 14]),
        (new(32, 64, 4).stride(2).padding(1, 1), [2, 64, 60]),
        (new(20, 18, 4).stride(2).padding(1, 1), [1, 9, 13]),
        (new(7, 40, 3).stride(2).padding(0, 1), [2, 11, 8]),
        (new(4, 5, 3).stride(3).padding(2, 0), [1, 10, 7]),
        (new(6, 6, 2).stride(3).padding(0, 0), [1, 9, 11]),
        (new(6, 9, 5).padding(4, 0), [1, 6, 12]),
        (new(8, 8, 1).padding(1, 1), [1, 5, 6]),
        (new(128, 96, 3), [1, 3, 2]),
        (new(96, 128, 3), [2, 1, 1]),
    ]
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// Sixteenths that have no more than 8 bits, from -6 to 6: kernels may take numbers of 16 bits, and their products are
/// whole then, too. It is asked for its gradient.
fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let random = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device());
    ((random * 16.0).round().clamp(-96.0, 96.0) / 16.0).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// That no value is off by more than this part of the greatest.
#[track_caller]
fn assert_within(part: f32, what: &str, values: &[f32], expected: &[f32]) {
    assert_eq!(values.len(), expected.len(), "{what}");
    let greatest = expected.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
        let close = (value - expected).abs() <= part * greatest;
        assert!(close, "{what} at {index}: {value} instead of {expected}");
    }
}
