//! Every way to compute a convolution, on every set of instructions that this machine has, against the
//! loops of its definition.

use proptest::prelude::*;
use segmenter_kernels::{
    Activation, ClassConv, Context, Conv, ConvTranspose, Geometry, Isa, Map, Picture,
};

/// Of the largest sum, before the activation.
const TOLERANCE: f32 = 2e-5;

/// Values in -1..1 that look random and are the same each time.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// `conv(x) + bias + residual`, summed in double precision.
fn naive(
    geometry: &Geometry,
    x: &[f32],
    shape: [usize; 4],
    [weight, bias]: [&[f32]; 2],
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let [batch, inputs, height, width] = shape;
    let [_, outputs, rows, columns] = geometry.output_shape(shape);
    let inputs_of_group = inputs / geometry.groups;
    let outputs_of_group = outputs / geometry.groups;
    let kernel = geometry.kernel;
    let mut y = Vec::new();
    for n in 0..batch {
        for output in 0..outputs {
            for row in 0..rows {
                for column in 0..columns {
                    let mut sum = f64::from(bias[output]);
                    for input in 0..inputs_of_group {
                        let channel = output / outputs_of_group * inputs_of_group + input;
                        for tap in 0..kernel * kernel {
                            let at = |index: usize, tap: usize| {
                                let padded = index * geometry.stride + tap * geometry.dilation;
                                padded.checked_sub(geometry.padding[0])
                            };
                            let (Some(r), Some(c)) =
                                (at(row, tap / kernel), at(column, tap % kernel))
                            else {
                                continue;
                            };
                            if r < height && c < width {
                                let value = x[((n * inputs + channel) * height + r) * width + c];
                                let weight = weight
                                    [(output * inputs_of_group + input) * kernel * kernel + tap];
                                sum += f64::from(value) * f64::from(weight);
                            }
                        }
                    }
                    y.push(sum as f32 + residual.map_or(0.0, |residual| residual[y.len()]));
                }
            }
        }
    }
    y
}

/// `sums` are those before the activation.
fn assert_close(actual: &[f32], sums: &[f32], activation: Activation, what: &str) {
    assert_eq!(actual.len(), sums.len(), "{what}");
    let largest = sums.iter().fold(1f32, |most, value| most.max(value.abs()));
    for (index, (&a, &sum)) in actual.iter().zip(sums).enumerate() {
        let e = activation.of(sum);
        assert!(
            (a - e).abs() <= TOLERANCE * largest,
            "{what}: {a} at {index}, expected {e}, the largest is {largest}"
        );
    }
}

/// A map with its sides doubled, every pixel repeated, and its shape.
fn doubled(x: &[f32], shape: [usize; 4]) -> (Vec<f32>, [usize; 4]) {
    let [batch, channels, height, width] = shape;
    let pixel = |index: usize| {
        let (row, column) = (index / (2 * width), index % (2 * width));
        let (plane, row) = (row / (2 * height), row % (2 * height));
        x[(plane * height + row / 2) * width + column / 2]
    };
    let doubled = [batch, channels, 2 * height, 2 * width];
    let values = (0..doubled.iter().product()).map(pixel);
    (values.collect(), doubled)
}

/// On every set of instructions, with and without a residual.
fn check(geometry: Geometry, batch: usize, [height, width]: [usize; 2], activation: Activation) {
    let shape = [batch, geometry.inputs, height, width];
    let x = values(shape.iter().product(), 1);
    let weight = values(geometry.weight_shape().iter().product(), 2);
    let bias = values(geometry.outputs, 3);
    let output = geometry.output_shape(shape);
    let residual = values(output.iter().product(), 4);
    for residual in [None, Some(&residual[..])] {
        let expected = naive(&geometry, &x, shape, [&weight, &bias], residual);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let conv = Conv::new(isa, geometry, &weight, &bias, activation);
            let residual = residual.map(|values| Map::from_planar(&context, values, output));
            let y = conv.forward(&Map::from_planar(&context, &x, shape), residual.as_ref());
            assert_eq!(y.shape(), output);
            assert_close(
                &y.to_planar(),
                &expected,
                activation,
                &format!("{isa}, {geometry:?}"),
            );
        }
    }
}

const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::HardSwish,
    Activation::HardSigmoid,
    Activation::Sigmoid,
];

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(&ACTIVATIONS[..])
}

fn sides(most: usize) -> impl Strategy<Value = [usize; 2]> {
    [1..=most, 1..=most]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pointwise(
        inputs in 1usize..70, outputs in 1usize..150, stride in 1usize..3, batch in 0usize..4,
        sides in sides(9), activation in activation(),
    ) {
        check(Geometry::new(inputs, outputs, 1).stride(stride), batch, sides, activation);
    }

    #[test]
    fn fully_connected(
        inputs in 1usize..40, outputs in 1usize..70, side in 1usize..8, batch in 1usize..40,
        activation in activation(),
    ) {
        let geometry = Geometry::new(inputs, outputs, side).padding(0, 0);
        check(geometry, batch, [side; 2], activation);
    }

    #[test]
    fn transposed(
        inputs in 1usize..40, outputs in 1usize..40, batch in 1usize..3, sides in sides(9),
        activation in activation(),
    ) {
        let shape = [batch, inputs, sides[0], sides[1]];
        let x = values(shape.iter().product(), 11);
        let weight = values(inputs * outputs * 4, 12);
        let bias = values(outputs, 13);
        let [height, width] = [2 * sides[0], 2 * sides[1]];
        let expected: Vec<f32> = (0..batch * outputs * height * width)
            .map(|index| {
                let (plane, row, column) = (index / (height * width), index / width % height, index % width);
                let (n, output) = (plane / outputs, plane % outputs);
                let tap = row % 2 * 2 + column % 2;
                let products = (0..inputs).map(|input| {
                    let pixel = ((n * inputs + input) * sides[0] + row / 2) * sides[1] + column / 2;
                    f64::from(x[pixel]) * f64::from(weight[(input * outputs + output) * 4 + tap])
                });
                (products.sum::<f64>() + f64::from(bias[output])) as f32
            })
            .collect();
        for isa in Isa::available() {
            let context = Context::new(isa);
            let conv = ConvTranspose::new(isa, [inputs, outputs], &weight, &bias, activation);
            let y = conv.forward(&Map::from_planar(&context, &x, shape));
            prop_assert_eq!(y.shape(), [batch, outputs, height, width]);
            assert_close(&y.to_planar(), &expected, activation, isa.name());
        }
    }

    #[test]
    fn dense(
        inputs in 1usize..40, outputs in 1usize..40, kernel in 1usize..8, stride in 1usize..4,
        dilation in 1usize..4, before in 0usize..5, after in 0usize..5, batch in 1usize..3,
        sides in sides(12), activation in activation(),
    ) {
        let geometry = Geometry::new(inputs, outputs, kernel)
            .dilation(dilation).stride(stride).padding(before, after);
        check(geometry, batch, sides, activation);
    }

    #[test]
    fn three_by_three(
        inputs in 32usize..50, outputs in 32usize..70, dilation in 1usize..7, batch in 1usize..3,
        sides in sides(20), activation in activation(),
    ) {
        check(Geometry::new(inputs, outputs, 3).dilation(dilation), batch, sides, activation);
    }

    #[test]
    fn depthwise(
        channels in 2usize..40, kernel in 1usize..8, stride in 1usize..4, dilation in 1usize..3,
        batch in 1usize..3, sides in sides(14), activation in activation(),
    ) {
        let geometry = Geometry::depthwise(channels, kernel).dilation(dilation).stride(stride);
        check(geometry, batch, sides, activation);
    }

    #[test]
    fn depthwise_padded_anyhow(
        channels in 2usize..20, kernel in 1usize..6, stride in 1usize..3, before in 0usize..6,
        after in 0usize..6, sides in sides(14),
    ) {
        let geometry = Geometry::depthwise(channels, kernel).stride(stride).padding(before, after);
        check(geometry, 1, sides, Activation::Identity);
    }

    #[test]
    fn groups(
        groups in 2usize..5, inputs in 1usize..5, outputs in 1usize..20, kernel in 1usize..4,
        sides in sides(9),
    ) {
        let geometry = Geometry { groups, ..Geometry::new(groups * inputs, groups * outputs, kernel) };
        check(geometry, 2, sides, Activation::Relu);
    }

    #[test]
    fn of_a_picture(
        outputs in 1usize..70, kernel in 1usize..8, stride in 1usize..3, batch in 1usize..3,
        sides in sides(24),
        activation in activation(),
    ) {
        let geometry = Geometry::new(3, outputs, kernel).stride(stride);
        let shape = [batch, 3, sides[0], sides[1]];
        let x = values(shape.iter().product(), 5);
        let weight = values(geometry.weight_shape().iter().product(), 6);
        let bias = values(outputs, 7);
        let expected = naive(&geometry, &x, shape, [&weight, &bias], None);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let conv = Conv::new(isa, geometry, &weight, &bias, activation);
            let picture = Picture::from_planes(&context, &x, [batch, sides[0], sides[1]]);
            let y = conv.forward_picture(&context, &picture).to_planar();
            assert_close(&y, &expected, activation, isa.name());
        }
    }

    #[test]
    fn of_a_doubled_map(
        channels in 2usize..40, kernel in prop::sample::select(&[1usize, 3, 5, 7][..]),
        batch in 1usize..4, sides in sides(9), activation in activation(),
    ) {
        let geometry = Geometry::depthwise(channels, kernel);
        let shape = [batch, channels, sides[0], sides[1]];
        let x = values(shape.iter().product(), 8);
        let (repeated, doubled) = doubled(&x, shape);
        let weight = values(geometry.weight_shape().iter().product(), 9);
        let bias = values(channels, 10);
        let expected = naive(&geometry, &repeated, doubled, [&weight, &bias], None);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let conv = Conv::new(isa, geometry, &weight, &bias, activation);
            let y = conv.forward_doubled(&Map::from_planar(&context, &x, shape)).to_planar();
            assert_close(&y, &expected, activation, isa.name());
        }
    }

    /// Wide maps large enough not to be made; each value is the same sum in the same order.
    #[test]
    fn of_a_widened_map(
        inputs in 1usize..40, channels in 60usize..100, kernel in 1usize..6, stride in 1usize..3,
        dilation in 1usize..3, (batch, height, width) in prop_oneof![
            Just((1, 171, 100)), Just((2, 90, 101)), Just((10, 19, 23)), Just((5, 33, 31)),
        ],
        activations in (activation(), activation()),
    ) {
        let shape = [batch, inputs, height, width];
        let x = values(shape.iter().product(), 21);
        let expand = Geometry::new(inputs, channels, 1);
        let depthwise = Geometry::depthwise(channels, kernel).dilation(dilation).stride(stride);
        let weights = [expand, depthwise].map(|g| values(g.weight_shape().iter().product(), 22));
        let bias = values(channels, 23);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let expand = Conv::new(isa, expand, &weights[0], &bias, activations.0);
            let depthwise = Conv::new(isa, depthwise, &weights[1], &bias, activations.1);
            let x = Map::from_planar(&context, &x, shape);
            let expected = depthwise.forward(&expand.forward(&x, None), None).to_planar();
            assert_eq!(depthwise.forward_after(&expand, &x).to_planar(), expected, "{isa}");
        }
    }

    #[test]
    fn of_a_class(
        blocks in 1usize..4, kernel in prop::sample::select(&[1usize, 3, 5][..]),
        classes in prop::collection::vec(0usize..5, 0..4), sides in sides(20),
    ) {
        let channels = 16 * blocks;
        let geometry = Geometry::depthwise(channels, kernel);
        let shape = [classes.len(), channels, sides[0], sides[1]];
        let x = values(shape.iter().product(), 11);
        let (repeated, doubled) = doubled(&x, shape);
        let depthwise = values(geometry.weight_shape().iter().product(), 12);
        let (weights, bias) = (values(5 * channels, 13), values(5, 14));
        let between = naive(&geometry, &repeated, doubled, [&depthwise, &vec![0.0; channels]], None);
        let pointwise = Geometry::new(channels, 5, 1);
        let all = naive(&pointwise, &between, doubled, [&weights, &bias], None);
        let plane = doubled[2] * doubled[3];
        let planes = classes.iter().enumerate();
        let expected: Vec<f32> = planes
            .flat_map(|(n, class)| &all[(n * 5 + class) * plane..][..plane])
            .copied()
            .collect();
        let conv = ClassConv::new(geometry, &depthwise, weights, bias);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let y = conv.forward_doubled(&Map::from_planar(&context, &x, shape), &classes);
            assert_close(&y, &expected, Activation::Identity, isa.name());
        }
    }
}

/// Sizes at which work is cut into tasks, and weights into pieces.
#[test]
fn large_ones() {
    let relu = Activation::Relu;
    check(Geometry::new(600, 130, 1), 1, [31, 33], relu);
    check(Geometry::new(300, 40, 3).stride(2), 1, [41, 37], relu);
    check(Geometry::new(96, 80, 3), 1, [50, 41], relu);
    check(Geometry::new(64, 64, 3).dilation(36), 1, [33, 65], relu);
    check(Geometry::new(64, 64, 3).dilation(12), 1, [33, 65], relu);
    check(Geometry::depthwise(100, 5), 2, [40, 50], relu);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let isa = Isa::best();
    for geometry in [
        Geometry::new(48, 80, 1),
        Geometry::new(48, 80, 3),
        Geometry::new(48, 80, 3).stride(2),
        Geometry::depthwise(48, 5),
    ] {
        let shape = [1, 48, 40, 51];
        let x = values(shape.iter().product(), 1);
        let weight = values(geometry.weight_shape().iter().product(), 2);
        let bias = vec![0.0; geometry.outputs];
        let conv = Conv::new(isa, geometry, &weight, &bias, Activation::Relu);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let context = Context::new(isa);
            pool.install(|| {
                conv.forward(&Map::from_planar(&context, &x, shape), None)
                    .to_planar()
            })
        };
        let once = run(1);
        for threads in [2, 3, 5] {
            assert_eq!(run(threads), once, "{geometry:?} on {threads} threads");
        }
    }
}
