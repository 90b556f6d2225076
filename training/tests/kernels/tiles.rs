//! That convolutions of numbers of 16 bits are those of floats.

use segmenter_kernels::{
    Activation, Context, Isa, on_this_thread,
    training::{Amx, Convolution},
};

use crate::{assert_within, dense};

/// Channels of a map that lie side by side.
const LANES: usize = 16;

/// Sixteenths, with no more than 8 bits, so that nothing is lost of them in numbers of 16.
fn sixteenths(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 24) as u8) - 127.5
    };
    (0..length).map(|_| next().trunc() / 16.0).collect()
}

/// Values of a map of this shape, in whose last block there are numbers that are none beyond the channels.
fn map(shape: [usize; 4], seed: u32) -> Vec<f32> {
    let [batch, channels, height, width] = shape;
    let plane = batch * height * width * LANES;
    let mut map = sixteenths(channels.div_ceil(LANES) * plane, seed);
    for (block, plane) in map.chunks_exact_mut(plane).enumerate() {
        for pixel in plane.chunks_exact_mut(LANES) {
            let there = channels.saturating_sub(block * LANES).min(LANES);
            pixel[there..].fill(f32::NAN);
        }
    }
    map
}

/// What there is of a map's channels.
fn there([batch, channels, height, width]: [usize; 4], map: &[f32]) -> Vec<f32> {
    let plane = batch * height * width * LANES;
    let blocks = map.chunks_exact(plane).enumerate();
    let pixels = blocks.flat_map(|(block, plane)| {
        let lanes = channels.saturating_sub(block * LANES).min(LANES);
        plane
            .chunks_exact(LANES)
            .flat_map(move |pixel| &pixel[..lanes])
    });
    pixels.copied().collect()
}

#[test]
fn tiles_make_what_vectors_do() {
    let Some(amx) = Amx::get() else {
        eprintln!("skipped: this processor has no AMX");
        return;
    };
    let context = Context::new(Isa::best());
    for (geometry, [batch, height, width]) in dense() {
        let shape = [batch, geometry.inputs, height, width];
        let conv = Convolution::new(&context, geometry, shape);
        let outputs = conv.output_shape();
        let (x, gradient) = (map(shape, 1), map(outputs, 2));
        let residual = map(outputs, 3);
        let weight = sixteenths(geometry.weight_shape().iter().product(), 4);
        let bias = sixteenths(geometry.outputs, 5);
        let bias_back = sixteenths(geometry.inputs, 6);
        let run = |conv: Convolution<'_>| {
            let relu = Activation::Relu;
            let parameters = [weight.as_slice(), &bias];
            let forward = conv.forward(parameters, relu, &x, Some(&residual));
            let back = [weight.as_slice(), &bias_back];
            let back = conv.transposed(back, Activation::Identity, &gradient);
            [
                there(outputs, &forward),
                there(shape, &back),
                conv.weight_gradient(&x, &gradient),
            ]
        };
        let expected = run(conv);
        let tiles = run(conv.with(Some(amx)));
        let names = ["result", "input's gradient", "weight's gradient"];
        for ((name, values), expected) in names.into_iter().zip(&tiles).zip(&expected) {
            assert_within(1e-5, &format!("{name} of {geometry:?}"), values, expected);
        }
        assert_eq!(on_this_thread(|| run(conv.with(Some(amx)))), tiles);
    }
}
