//! The kernels for 8-bit integers, on every set of instructions that this machine has: bit for bit against the
//! loops of their definition, which are themselves held to double precision.

use proptest::prelude::*;
use segmenter_kernels::{
    Activation, Context, Geometry, Isa, Map, Picture,
    quantized::{Quantization, QuantizedConv, QuantizedMap, QuantizedPicture, QuantizedWeight},
};

/// Bytes that look random and are the same each time.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Values from `low` to `high`.
fn values(count: usize, seed: u64, [low, high]: [f32; 2]) -> Vec<f32> {
    let bytes = bytes(count, seed).into_iter();
    bytes
        .map(|byte| low + (high - low) * f32::from(byte) / 255.0)
        .collect()
}

/// A convolution, and what it is made of.
struct Case {
    geometry: Geometry,
    weight: Vec<i16>,
    scales: Vec<f32>,
    bias: Option<Vec<f32>>,
    activation: Activation,
    input: Quantization,
    output: Quantization,
}

impl Case {
    fn new(geometry: Geometry, activation: Activation, zero_points: [u8; 3], bias: bool) -> Self {
        let [outputs, inputs, height, width] = geometry.weight_shape();
        let weight = bytes(outputs * inputs * height * width, 1);
        let of_weight = |byte| i16::from(byte) - i16::from(zero_points[2]);
        // Outputs fill their bytes, and some lie beyond.
        let spread = 50.0 * 50.0 * ((inputs * height * width) as f32).sqrt();
        Self {
            weight: weight.into_iter().map(of_weight).collect(),
            scales: values(outputs, 2, [0.004, 0.02]),
            bias: bias.then(|| values(outputs, 3, [-5.0, 5.0])),
            geometry,
            activation,
            input: Quantization {
                scale: 0.037,
                zero_point: zero_points[0],
            },
            output: Quantization {
                scale: 0.037 * 0.01 * spread / 50.0,
                zero_point: zero_points[1],
            },
        }
    }

    fn conv(&self, isa: Isa) -> QuantizedConv {
        let weight = QuantizedWeight {
            values: &self.weight,
            scales: &self.scales,
        };
        QuantizedConv::new(
            isa,
            self.geometry,
            weight,
            self.bias.as_deref(),
            self.activation,
            [self.input, self.output],
        )
    }

    /// The exact sums.
    fn sums(&self, x: &[u8], shape: [usize; 4]) -> Vec<i32> {
        let geometry = &self.geometry;
        let [batch, inputs, height, width] = shape;
        let [_, outputs, rows, columns] = geometry.output_shape(shape);
        let inputs_of_group = inputs / geometry.groups;
        let outputs_of_group = outputs / geometry.groups;
        let kernel = geometry.kernel;
        let mut sums = Vec::new();
        for index in 0..batch * outputs * rows * columns {
            let (row, column) = (index / columns % rows, index % columns);
            let (n, output) = (
                index / (outputs * rows * columns),
                index / (rows * columns) % outputs,
            );
            let mut sum = 0;
            for tap in 0..kernel * kernel {
                let at = |index: usize, tap: usize, length: usize| {
                    let padded = index * geometry.stride + tap * geometry.dilation;
                    let at = padded.checked_sub(geometry.padding[0]);
                    at.filter(|&at| at < length)
                };
                let (Some(r), Some(c)) = (
                    at(row, tap / kernel, height),
                    at(column, tap % kernel, width),
                ) else {
                    continue;
                };
                for input in 0..inputs_of_group {
                    let channel = output / outputs_of_group * inputs_of_group + input;
                    let value = x[((n * inputs + channel) * height + r) * width + c];
                    let weight =
                        self.weight[(output * inputs_of_group + input) * kernel * kernel + tap];
                    sum +=
                        (i32::from(value) - i32::from(self.input.zero_point)) * i32::from(weight);
                }
            }
            sums.push(sum);
        }
        sums
    }

    /// The output's bytes.
    fn expected(&self, x: &[u8], shape: [usize; 4]) -> Vec<u8> {
        let [_, outputs, rows, columns] = self.geometry.output_shape(shape);
        let sums = self.sums(x, shape).into_iter().enumerate();
        let bytes = sums.map(|(index, sum)| {
            let channel = index / (rows * columns) % outputs;
            let bias = self.bias.as_ref().map_or(0.0, |bias| bias[channel]);
            let byte = self.requantized(sum, channel, bias);
            let real =
                f64::from(sum) * f64::from(self.input.scale) * f64::from(self.scales[channel])
                    + f64::from(bias);
            let real = match self.activation {
                Activation::Identity => real,
                Activation::Relu => real.max(0.0),
                _ => real.clamp(0.0, 6.0),
            };
            let exact = real / f64::from(self.output.scale) + f64::from(self.output.zero_point);
            let off = f64::from(byte) - exact.clamp(0.0, 255.0);
            assert!(off.abs() < 1.0, "{byte} for {exact}");
            byte
        });
        bytes.collect()
    }

    /// In the order of operations of fbgemm.
    fn requantized(&self, sum: i32, channel: usize, bias: f32) -> u8 {
        let step = self.input.scale * self.scales[channel];
        let steps = ((sum as f32 + bias / step) * (step / self.output.scale)).round_ties_even();
        let zero_point = self.output.zero_point;
        let byte = (steps + f32::from(zero_point)).clamp(0.0, 255.0) as u8;
        match self.activation {
            Activation::Identity => byte,
            Activation::Relu => byte.max(zero_point),
            _ => byte.clamp(zero_point, self.output.quantize(6.0)),
        }
    }
}

/// As vectors of PyTorch add.
fn sum(a: (u8, Quantization), b: (u8, Quantization), to: Quantization) -> u8 {
    let real = |(byte, of): (u8, Quantization)| {
        let offset = of.scale * -f32::from(of.zero_point);
        f32::from(byte).mul_add(of.scale, offset)
    };
    to.quantize(real(a) + real(b))
}

/// What the last block holds beyond its channels must not reach a channel.
fn map(
    context: &std::sync::Arc<Context>,
    x: &[u8],
    shape: [usize; 4],
    of: Quantization,
) -> QuantizedMap {
    // Memory that is taken again holds what it held.
    let mut used = context
        .arena
        .take::<u8>(x.len() + 16 * shape[0] * shape[2] * shape[3]);
    used.fill(0xa5);
    drop(used);
    QuantizedMap::from_planar(context, x, shape, of)
}

fn check(case: &Case, batch: usize, [height, width]: [usize; 2]) {
    let shape = [batch, case.geometry.inputs, height, width];
    let x = bytes(shape.iter().product(), 5);
    let expected = case.expected(&x, shape);
    let output = case.geometry.output_shape(shape);
    let other = Quantization {
        scale: 0.11,
        zero_point: 91,
    };
    let to = Quantization {
        scale: 0.11 + case.output.scale,
        zero_point: 120,
    };
    let residual = bytes(expected.len(), 6);
    for isa in Isa::available() {
        let context = Context::new(isa);
        let conv = case.conv(isa);
        let x = map(&context, &x, shape, case.input);
        let y = conv.forward(&x);
        let what = format!("{isa}, {:?}", case.geometry);
        assert_eq!(y.shape(), output, "{what}");
        assert_eq!(y.quantization(), case.output);
        assert_eq!(y.to_planar(), expected, "{what}");

        let floats: Vec<_> = expected
            .iter()
            .map(|&q| case.output.dequantize(q))
            .collect();
        assert_eq!(conv.forward_dequantized(&x).to_planar(), floats, "{what}");
        assert_eq!(y.dequantize().to_planar(), floats, "{what}");

        let sums: Vec<_> = expected
            .iter()
            .zip(&residual)
            .map(|(&a, &b)| sum((a, case.output), (b, other), to))
            .collect();
        let residual = map(&context, &residual, output, other);
        assert_eq!(
            conv.forward_add(&x, &residual, to).to_planar(),
            sums,
            "{what}"
        );
        assert_eq!(y.add(&residual, to).to_planar(), sums, "{what}");
    }
}

fn activation() -> impl Strategy<Value = Activation> {
    let done = [Activation::Identity, Activation::Relu, Activation::Relu6];
    prop::sample::select(done.to_vec())
}

/// Of input, output and weights. Weights that are less an odd one may be greater than a byte: none, some, or many.
fn zero_points() -> impl Strategy<Value = [u8; 3]> {
    let of_weights = prop_oneof![Just(128), 125_u8..132, any::<u8>()];
    (any::<[u8; 2]>(), of_weights).prop_map(|([input, output], weights)| [input, output, weights])
}

fn sides(most: usize) -> impl Strategy<Value = [usize; 2]> {
    [1..=most, 1..=most]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pointwise(
        inputs in 1usize..70, outputs in 1usize..150, stride in 1usize..3, batch in 0usize..4,
        sides in sides(9), activation in activation(), zero_points in zero_points(), bias: bool,
    ) {
        let geometry = Geometry::new(inputs, outputs, 1).stride(stride);
        check(&Case::new(geometry, activation, zero_points, bias), batch, sides);
    }

    #[test]
    fn dense(
        inputs in 1usize..40, outputs in 1usize..40, kernel in 1usize..8, stride in 1usize..4,
        dilation in 1usize..4, before in 0usize..5, after in 0usize..5, batch in 1usize..3,
        sides in sides(12), activation in activation(), zero_points in zero_points(), bias: bool,
    ) {
        let geometry = Geometry::new(inputs, outputs, kernel)
            .dilation(dilation).stride(stride).padding(before, after);
        check(&Case::new(geometry, activation, zero_points, bias), batch, sides);
    }

    #[test]
    fn depthwise(
        channels in 2usize..40, kernel in 1usize..8, stride in 1usize..4, dilation in 1usize..3,
        batch in 1usize..3, sides in sides(20), activation in activation(), zero_points in zero_points(),
        bias: bool,
    ) {
        let geometry = Geometry::depthwise(channels, kernel).dilation(dilation).stride(stride);
        check(&Case::new(geometry, activation, zero_points, bias), batch, sides);
    }

    #[test]
    fn depthwise_of_the_usual_sides(
        channels in 2usize..40, kernel in prop::sample::select(vec![3usize, 5]), stride in 1usize..3,
        batch in 1usize..3, sides in sides(40), activation in activation(), zero_points in zero_points(),
    ) {
        let geometry = Geometry::depthwise(channels, kernel).stride(stride);
        check(&Case::new(geometry, activation, zero_points, false), batch, sides);
    }

    #[test]
    fn depthwise_padded_anyhow(
        channels in 2usize..20, kernel in 1usize..6, stride in 1usize..3, dilation in 1usize..4,
        before in 0usize..6, after in 0usize..6, sides in sides(14), zero_points in zero_points(),
    ) {
        let geometry = Geometry::depthwise(channels, kernel)
            .stride(stride).dilation(dilation).padding(before, after);
        check(&Case::new(geometry, Activation::Identity, zero_points, true), 1, sides);
    }

    #[test]
    fn of_a_doubled_map(
        channels in 2usize..40, kernel in prop::sample::select(vec![1usize, 3, 5, 7]),
        batch in 1usize..4, sides in sides(9), activation in activation(), zero_points in zero_points(),
    ) {
        let geometry = Geometry::depthwise(channels, kernel);
        let case = Case::new(geometry, activation, zero_points, true);
        let shape = [batch, channels, sides[0], sides[1]];
        let x = bytes(shape.iter().product(), 8);
        let doubled = [batch, channels, 2 * sides[0], 2 * sides[1]];
        let repeated: Vec<u8> = (0..doubled.iter().product::<usize>())
            .map(|index| {
                let (plane, pixel) = (index / (doubled[2] * doubled[3]), index % (doubled[2] * doubled[3]));
                let (row, column) = (pixel / doubled[3] / 2, pixel % doubled[3] / 2);
                x[plane * sides[0] * sides[1] + row * sides[1] + column]
            })
            .collect();
        let expected = case.expected(&repeated, doubled);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let y = case.conv(isa).forward_doubled(&map(&context, &x, shape, case.input));
            prop_assert_eq!(y.shape(), doubled);
            prop_assert_eq!(y.to_planar(), &expected[..], "{}", isa);
        }
    }

    #[test]
    fn of_pictures(
        outputs in 1usize..70, kernel in 1usize..8, stride in 1usize..3, batch in 0usize..3,
        sides in sides(24), activation in activation(), zero_points in zero_points(),
    ) {
        let geometry = Geometry::new(3, outputs, kernel).stride(stride);
        let case = Case::new(geometry, activation, zero_points, true);
        let shape = [batch, 3, sides[0], sides[1]];
        // Some lie beyond what bytes can say.
        let planes = values(shape.iter().product(), 9, [-6.0, 6.0]);
        let x: Vec<_> = planes.iter().map(|&value| case.input.quantize(value)).collect();
        let expected = case.expected(&x, shape);
        for isa in Isa::available() {
            let context = Context::new(isa);
            let picture = Picture::from_planes(&context, &planes, [batch, sides[0], sides[1]]);
            let picture = QuantizedPicture::quantize(&context, &picture, case.input);
            let y = case.conv(isa).forward_picture(&context, &picture);
            prop_assert_eq!(y.to_planar(), &expected[..], "{}", isa);
        }
    }

    #[test]
    fn there_and_back(
        batch in 0usize..3, channels in 1usize..40, sides in sides(9), scale in 0.001f32..2.0,
        zero_point: u8, reach in 1f32..600.0,
    ) {
        let of = Quantization { scale, zero_point };
        let shape = [batch, channels, sides[0], sides[1]];
        let x = values(shape.iter().product(), 10, [-reach * scale, reach * scale]);
        let expected: Vec<_> = x.iter().map(|&value| of.quantize(value)).collect();
        for (&value, &byte) in x.iter().zip(&expected) {
            let exact = f64::from(value) / f64::from(scale) + f64::from(zero_point);
            prop_assert!((f64::from(byte) - exact.clamp(0.0, 255.0)).abs() < 0.5 + 1e-3);
        }
        for isa in Isa::available() {
            let context = Context::new(isa);
            let y = QuantizedMap::quantize(&Map::from_planar(&context, &x, shape), of);
            prop_assert_eq!(y.to_planar(), &expected[..], "{}", isa);
            let floats: Vec<_> = expected.iter().map(|&byte| of.dequantize(byte)).collect();
            prop_assert_eq!(y.dequantize().to_planar(), floats, "{}", isa);
        }
    }

    #[test]
    fn pixels_expanded_and_maps_concatenated(
        batch in 0usize..3, blocks in 0usize..3, channels in 1usize..40, sides in sides(9),
    ) {
        let of = Quantization { scale: 0.3, zero_point: 7 };
        let (first, pixels) = (16 * blocks, sides[0] * sides[1]);
        let [shape, pixel] = [[batch, first, sides[0], sides[1]], [batch, channels, 1, 1]];
        let x = bytes(shape.iter().product(), 12);
        let pixel_bytes = bytes(batch * channels, 13);
        let mut expected = Vec::new();
        for n in 0..batch {
            expected.extend(&x[n * first * pixels..][..first * pixels]);
            let pixel = &pixel_bytes[n * channels..][..channels];
            expected.extend(pixel.iter().flat_map(|&byte| vec![byte; pixels]));
        }
        for isa in Isa::available() {
            let context = Context::new(isa);
            let x = map(&context, &x, shape, of);
            let pixel = map(&context, &pixel_bytes, pixel, of).expand(sides);
            let y = QuantizedMap::concat(&[&x, &pixel]);
            prop_assert_eq!(y.shape(), [batch, first + channels, sides[0], sides[1]]);
            prop_assert_eq!(y.quantization(), of);
            prop_assert_eq!(y.to_planar(), &expected[..]);
        }
    }

    #[test]
    fn means(batch in 0usize..3, channels in 1usize..40, sides in sides(20), zero_point: u8) {
        let of = Quantization { scale: 0.3, zero_point };
        let shape = [batch, channels, sides[0], sides[1]];
        let x = bytes(shape.iter().product(), 11);
        let pixels = sides[0] * sides[1];
        let expected: Vec<_> = x
            .chunks_exact(pixels)
            .map(|plane| {
                let sum: i32 = plane.iter().map(|&byte| i32::from(byte) - i32::from(zero_point)).sum();
                let mean = (sum as f32 / pixels as f32).round_ties_even() + f32::from(zero_point);
                mean as i32
            })
            .collect();
        for isa in Isa::available() {
            let context = Context::new(isa);
            let y = map(&context, &x, shape, of).global_mean();
            prop_assert_eq!(y.shape(), [batch, channels, 1, 1]);
            prop_assert_eq!(y.quantization(), of);
            for (byte, expected) in y.to_planar().into_iter().zip(&expected) {
                // A mean that lies between two bytes may be rounded to either.
                prop_assert!((i32::from(byte) - expected).abs() <= 1);
            }
        }
    }
}

/// Sizes at which work is cut into tasks.
#[test]
fn large_ones() {
    for geometry in [
        Geometry::new(600, 130, 1),
        Geometry::new(40, 70, 3).stride(2),
        Geometry::depthwise(100, 5),
        Geometry::depthwise(36, 3).stride(2),
    ] {
        let case = Case::new(geometry, Activation::Relu, [60, 70, 130], true);
        check(&case, 2, [41, 37]);
    }
}

/// The greatest sums that there can be, which an instruction that saturates would get wrong.
#[test]
fn nothing_saturates() {
    for geometry in [Geometry::new(64, 16, 3), Geometry::depthwise(16, 5)] {
        for (weight, byte, zero_point) in [
            (-128, 255, 0),
            (127, 255, 0),
            (-128, 0, 255),
            (-255, 255, 0),
            (255, 255, 0),
        ] {
            let mut case = Case::new(
                geometry,
                Activation::Identity,
                [zero_point, 128, 128],
                false,
            );
            case.weight.fill(weight);
            let reach = f32::from(weight.abs()) * 255.0 * case.weight.len() as f32 / 16.0;
            case.scales.fill(0.5);
            case.output.scale = case.input.scale * 0.5 * reach / 120.0;
            let shape = [1, geometry.inputs, 6, 7];
            let x = vec![byte; shape.iter().product()];
            let expected = case.expected(&x, shape);
            assert!(expected.iter().any(|byte| byte.abs_diff(128) >= 118));
            for isa in Isa::available() {
                let context = Context::new(isa);
                let y = case
                    .conv(isa)
                    .forward(&map(&context, &x, shape, case.input));
                assert_eq!(y.to_planar(), expected, "{isa}");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let isa = Isa::best();
    for geometry in [
        Geometry::new(48, 80, 1),
        Geometry::new(48, 80, 3).stride(2),
        Geometry::depthwise(48, 5),
    ] {
        let shape = [1, 48, 40, 51];
        let case = Case::new(geometry, Activation::Relu, [10, 0, 120], true);
        let x = bytes(shape.iter().product(), 1);
        let conv = case.conv(isa);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let context = Context::new(isa);
            pool.install(|| {
                let x = QuantizedMap::from_planar(&context, &x, shape, case.input);
                conv.forward(&x).to_planar()
            })
        };
        let once = run(1);
        for threads in [2, 3, 5] {
            assert_eq!(run(threads), once, "{geometry:?} on {threads} threads");
        }
    }
}
