//! Weights and pictures by a formula that `scripts/seeded.py` repeats, value for value, so that a
//! network can be compared with torch's without a file of weights.
//!
//! Value `i` of the tensor called `name` comes from `u`, the uniform `[0, 1)` of splitmix64 at position
//! `i` of the stream whose state is FNV-1a(`name`); by the tensor's role it becomes
//!
//! | tensor | value |
//! |---|---|
//! | `running_var` | `0.5 + u` |
//! | `weight` of one axis (norms) | `0.5 + u / 2` |
//! | `weight` of more axes | `(2u - 1) * sqrt(6 / fan_in)`, `fan_in` the product of all axes but the first |
//! | anything else | `(2u - 1) / 10` |
//!
//! so that activations keep their size from layer to layer. All arithmetic is in `f64`, rounded once at
//! the end.

use serde_json::Value;

use super::Weights;
use crate::{Device, Input, Isa};

/// burn's operations, and the kernels for every set of instructions that this machine has.
pub(crate) fn devices() -> Vec<Device> {
    let kernels = Isa::available().into_iter().map(Device::kernels);
    let devices = std::iter::once(Device::stock()).chain(kernels);
    #[cfg(feature = "gpu")]
    let devices = devices.chain(gpu());
    devices.collect()
}

/// The first GPU that this machine has, or what computes as one does.
#[cfg(feature = "gpu")]
fn gpu() -> Option<Device> {
    static GPU: std::sync::OnceLock<Option<Device>> = std::sync::OnceLock::new();
    let open = || {
        let adapters = segmenter_gpu::adapters();
        let Some(adapter) = adapters.first() else {
            println!("skipped: no GPU and no driver that computes as one");
            return None;
        };
        Some(Device::gpu(adapter.open(&Default::default()).unwrap()))
    };
    GPU.get_or_init(open).clone()
}

/// Weights for any network.
pub(crate) fn weights() -> Weights {
    Weights::generated(tensor)
}

/// The tensor of this name and shape, in row-major order.
pub(crate) fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let value = |u: f64| {
        if name.ends_with("running_var") {
            0.5 + u
        } else if name.ends_with("weight") && shape.len() == 1 {
            0.5 + u / 2.0
        } else if name.ends_with("weight") {
            (2.0 * u - 1.0) * (6.0 / fan_in).sqrt()
        } else {
            (2.0 * u - 1.0) / 10.0
        }
    };
    uniform(name)
        .take(shape.iter().product())
        .map(|u| value(u) as f32)
        .collect()
}

/// A picture `[3, height, width]` in 0..1: patches of 16x16 pixels with a grain on them.
pub(crate) fn picture([height, width]: [usize; 2]) -> Vec<f32> {
    let columns = width.div_ceil(16);
    let rows = height.div_ceil(16);
    let patches: Vec<f64> = uniform("picture.patches")
        .take(3 * rows * columns)
        .collect();
    uniform("picture.grain")
        .take(3 * height * width)
        .enumerate()
        .map(|(i, grain)| {
            let (x, y, channel) = (i % width, i / width % height, i / (width * height));
            let patch = patches[(channel * rows + y / 16) * columns + x / 16];
            (0.75 * patch + 0.25 * grain) as f32
        })
        .collect()
}

/// What a network takes of planes `[3, height, width]`.
pub(crate) fn input(planes: &[f32], [height, width]: [usize; 2]) -> Input {
    let plane = |channel| &planes[channel * height * width..][..height * width];
    let colours = plane(0).iter().zip(plane(1)).zip(plane(2));
    let mut pixels = Device::stock().pixels([height, width]);
    for (pixel, ((&red, &green), &blue)) in pixels.iter_mut().zip(colours) {
        *pixel = [red, green, blue, 0.0];
    }
    Input::new(pixels, [height, width])
}

/// Fails unless `actual` has the shape that `sampled` of `scripts/seeded.py` noted in `expected`, and its
/// values at the sampled places differ by at most `tolerance` of the largest magnitude.
pub(crate) fn assert_close(actual: &[f32], shape: &[usize], expected: &Value, tolerance: f64) {
    let expected_shape: Vec<u64> = numbers(&expected["shape"], Value::as_u64);
    assert!(
        shape
            .iter()
            .map(|&axis| axis as u64)
            .eq(expected_shape.iter().copied()),
        "shape {shape:?}, expected {expected_shape:?}"
    );
    let largest = expected["largest"].as_f64().unwrap();
    let step = expected["step"].as_u64().unwrap() as usize;
    let values: Vec<f64> = numbers(&expected["values"], Value::as_f64);
    let sampled: Vec<f64> = actual.iter().step_by(step).map(|&v| f64::from(v)).collect();
    assert_eq!(sampled.len(), values.len(), "samples");

    let worst = sampled
        .iter()
        .zip(&values)
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, f64::max);
    println!("{shape:?}: largest {largest:.4}, worst difference {worst:.2e} of it");
    assert!(
        worst <= tolerance,
        "differs by {worst:.2e} of the largest magnitude"
    );
}

fn numbers<T>(array: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let array = array.as_array().unwrap();
    array.iter().map(|value| read(value).unwrap()).collect()
}

/// The stream of this name.
fn uniform(name: &str) -> impl Iterator<Item = f64> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    })
}
