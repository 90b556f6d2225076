//! How fast the network's convolutions are trained, layer by layer: forward, and forward and back.
//!
//! ```sh
//! cargo run --release --package segmenter-training --example layers
//! ```

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor, module, ops::ConvOptions};
use segmenter_kernels::{
    Activation, Context, Geometry, Isa,
    training::{Amx, Convolution},
};

#[global_allocator]
static ALLOCATOR: segmenter_allocator::Allocator = segmenter_allocator::Allocator;

/// Kernel, stride, padding before and after, channels, and the input's batch, height and width.
type Layer = (usize, usize, usize, [usize; 2], [usize; 3]);

const LAYERS: [Layer; 14] = [
    (6, 4, 1, [3, 32], [4, 320, 416]),
    (3, 1, 1, [32, 32], [4, 80, 104]),
    (4, 2, 1, [32, 64], [4, 80, 104]),
    (3, 1, 1, [64, 64], [4, 40, 52]),
    (4, 2, 1, [64, 96], [4, 40, 52]),
    (3, 1, 1, [96, 96], [4, 20, 26]),
    (4, 2, 1, [96, 128], [4, 20, 26]),
    (3, 1, 1, [128, 128], [4, 10, 13]),
    (1, 1, 0, [32, 32], [4, 80, 104]),
    (1, 1, 0, [64, 64], [4, 40, 52]),
    (3, 1, 1, [64, 64], [4, 20, 26]),
    (3, 1, 1, [64, 64], [4, 10, 13]),
    (3, 1, 1, [64, 4], [4, 40, 52]),
    (3, 1, 1, [32, 32], [100, 14, 14]),
];

/// Seconds of the fastest of several runs: others may be at work.
fn fastest(mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64()
    };
    run();
    (0..20)
        .map(|_| once(&mut run))
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let device = Device::flex().autodiff();
    let context = Context::new(Isa::best());
    let amx = Amx::get();
    let with = if amx.is_some() { ", with AMX" } else { "" };
    println!("GFLOP/s                             of burn           of the project{with}");
    println!("layer                            there  back   there  input weight  back");
    for (kernel, stride, padding, [inputs, outputs], [batch, height, width]) in LAYERS {
        let geometry = Geometry::new(inputs, outputs, kernel);
        let geometry = geometry.stride(stride).padding(padding, padding);
        let shape = [batch, inputs, height, width];
        let random = Distribution::Normal(0.0, 1.0);
        let x = Tensor::<4>::random(shape, random, &device);
        let weight = Tensor::<4>::random(geometry.weight_shape(), random, &device).require_grad();
        let bias = Tensor::<1>::random([outputs], random, &device).require_grad();
        // As in the network, nobody asks for the gradient by pictures.
        let x = if inputs == 3 { x } else { x.require_grad() };

        let giga = {
            let outputs: usize = geometry.output_shape(shape).iter().product();
            let per_output: usize = geometry.weight_shape()[1..].iter().product();
            2e-9 * outputs as f64 * per_output as f64
        };
        let gradients = if inputs == 3 { 1.0 } else { 2.0 };
        let forward = || {
            let (stride, padding) = ([stride; 2], [(padding, padding); 2]);
            let options = ConvOptions::new_with_padding(stride, padding, [1; 2], 1);
            module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options)
        };
        let there = fastest(|| drop(forward()));
        let sum = fastest(|| drop(forward().sum()));
        let back = fastest(|| drop(forward().sum().backward())) - sum;
        let burn = [giga / there, giga * gradients / back];

        let conv = Convolution::new(&context, geometry, shape).with(amx);
        let pixels = if inputs == 3 {
            4
        } else {
            inputs.next_multiple_of(16)
        };
        let x = vec![0.5; batch * height * width * pixels];
        let weight = vec![0.5; geometry.weight_shape().iter().product()];
        let bias = vec![0.5; outputs];
        let forward = || conv.forward([&weight, &bias], Activation::Relu, &x, None);
        let there = fastest(|| drop(forward()));
        let y = forward();
        let before = fastest(|| drop(conv.output_gradient(Some(&y), &y)));
        let by_input = fastest(|| drop(conv.input_gradient(&weight, &y)));
        let by_weight = fastest(|| drop(conv.weight_gradient(&x, &y)));
        let back = before + by_weight + if inputs == 3 { 0.0 } else { by_input };
        println!(
            "{:<32} {:>5.0} {:>5.0}   {:>5.0} {:>6.0} {:>6.0} {:>5.0}",
            format!("{geometry} on {batch}x{height}x{width}"),
            burn[0],
            burn[1],
            giga / there,
            giga / by_input,
            giga / by_weight,
            giga * gradients / back
        );
    }
}
