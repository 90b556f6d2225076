//! That convolutions of numbers of 16 bits are those of floats.

use segmenter_kernels::{
    Activation, Context, Geometry, Isa, on_this_thread,
    training::{Amx, Convolution},
};

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

fn assert_close(what: &str, values: &[f32], expected: &[f32]) {
    assert_eq!(values.len(), expected.len(), "{what}");
    let greatest = expected.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
        let close = (value - expected).abs() <= 1e-5 * greatest;
        assert!(close, "{what} at {index}: {value} instead of {expected}");
    }
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
    let new = Geometry::new;
    let cases = [
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
    ];
    for (geometry, [batch, height, width]) in cases {
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
            assert_close(&format!("{name} of {geometry:?}"), values, expected);
        }
        assert_eq!(on_this_thread(|| run(conv.with(Some(amx)))), tiles);
    }
}
