//! Every kernel beside the processor's own, on the first GPU of this machine or on what computes as one does.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, OnceLock};

use segmenter_gpu::{self as gpu, Gpu, Options};
use segmenter_kernels::{self as kernels, Activation, Context, Corners, Geometry, Isa, RoiAlign};

/// Of the greatest value.
const TOLERANCE: f32 = 1e-4;

/// Where factors, and what is made of them, are rounded to eleven binary digits.
const HALF_TOLERANCE: f32 = 4e-3;

/// The first, with floats of 32 bits and, where it has them, of 16; each with the error that is allowed. None where there
/// is nothing to test on, which is told.
fn devices() -> &'static [(Arc<Gpu>, f32)] {
    static DEVICES: OnceLock<Vec<(Arc<Gpu>, f32)>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let adapters = gpu::adapters();
        let Some(adapter) = adapters.first() else {
            println!("skipped: no GPU and no driver that computes as one");
            return Vec::new();
        };
        println!("on {}, {}", adapter.name, adapter.driver);
        let mut devices = vec![(adapter.open(&Options::default()).unwrap(), TOLERANCE)];
        if adapter.halves {
            let matrices = if adapter.matrices { "" } else { "no " };
            println!("and with floats of 16 bits, {matrices}units for matrices");
            let half = Options {
                half: true,
                ..Options::default()
            };
            devices.push((adapter.open(&half).unwrap(), HALF_TOLERANCE));
        } else {
            println!("skipped: floats of 16 bits, which it has not");
        }
        devices
    })
}

/// With floats of 32 bits, if there is one.
fn device() -> Option<&'static Arc<Gpu>> {
    devices().first().map(|(device, _)| device)
}

/// Both of one thing.
struct Pair {
    gpu: gpu::Map,
    processor: kernels::Map,
}

/// Values of -1 to 1, others for every seed.
fn values(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9).wrapping_add(0x85eb_ca6b);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut values = Vec::with_capacity(count);
    values.resize_with(count, || (next() >> 8) as f32 / (1 << 23) as f32 - 1.0);
    values
}

fn context() -> &'static Arc<Context> {
    static CONTEXT: OnceLock<Arc<Context>> = OnceLock::new();
    CONTEXT.get_or_init(|| Context::new(Isa::best()))
}

impl Pair {
    fn new(device: &Arc<Gpu>, seed: u32, shape: [usize; 4]) -> Self {
        let values = values(seed, shape.iter().product());
        Self {
            gpu: gpu::Map::from_planar(device, &values, shape),
            processor: kernels::Map::from_planar(context(), &values, shape),
        }
    }
}

#[track_caller]
fn assert_close(what: &str, actual: &gpu::Map, expected: &kernels::Map, tolerance: f32) {
    assert_eq!(actual.shape(), expected.shape(), "{what}");
    let actual = gpu::read(&[actual]).unwrap().remove(0);
    let expected = expected.to_planar();
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (place, (a, b)) in actual.iter().zip(&expected).enumerate() {
        let close = (a - b).abs() <= tolerance * largest.max(1e-6);
        assert!(close, "{what}: {a} instead of {b} at {place}");
    }
}

#[test]
fn kernels_are_timed() {
    let Some(adapter) = gpu::adapters().into_iter().next() else {
        println!("skipped: no GPU and no driver that computes as one");
        return;
    };
    let traced = Options {
        traced: true,
        ..Options::default()
    };
    let device = adapter.open(&traced).unwrap();
    let x = gpu::Map::from_planar(&device, &values(1, 8 * 64), [1, 8, 8, 8]);
    let geometry = Geometry::new(8, 12, 3);
    let weight = values(2, geometry.weight_shape().iter().product());
    let conv = gpu::Conv::new(&device, geometry, &weight, &[0.0; 12], Activation::Relu);
    let mean = gpu::global_mean(&conv.forward(&x, None));
    assert!(device.spans().is_empty());
    gpu::read(&[&mean]).unwrap();
    let spans = device.spans();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| (span.kernel.as_str(), span.output, span.multiplications))
        .collect();
    let expected = [
        ("conv 3x3 8->12", [1, 12, 8, 8], 64 * 9 * 8 * 12),
        ("mean", [1, 12, 1, 1], 0),
    ];
    assert_eq!(seen, expected);
    assert!(spans.iter().all(|span| !span.time.is_zero()));
}

#[test]
fn compiled_kernels_are_kept() {
    let Some(adapter) = gpu::adapters().into_iter().next() else {
        println!("skipped: no GPU and no driver that computes as one");
        return;
    };
    let folder = std::env::temp_dir().join(format!("segmenter-kernels-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = Options {
        kept: Some(folder.clone()),
        ..Options::default()
    };
    let x = values(1, 8 * 64);
    let mean = || {
        let device = adapter.open(&options).unwrap();
        let x = gpu::Map::from_planar(&device, &x, [1, 8, 8, 8]);
        gpu::read(&[&gpu::global_mean(&x)]).unwrap()
    };
    let first = mean();
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    if let [file] = files.as_slice() {
        assert_eq!(mean(), first);
        // One that a crash or another driver left is no harm.
        for content in [&b"nonsense"[..], b""] {
            std::fs::write(file, content).unwrap();
            assert_eq!(mean(), first);
        }
    } else {
        assert!(files.is_empty(), "{files:?}");
        println!("skipped: {} keeps nothing", adapter.name);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn convolutions() {
    for (device, tolerance) in devices() {
        compare_convolutions(device, *tolerance);
    }
}

fn compare_convolutions(device: &Arc<Gpu>, tolerance: f32) {
    let dense = |inputs, outputs, kernel| Geometry::new(inputs, outputs, kernel);
    let cases = [
        (dense(3, 16, 3), [1, 9, 13]),
        (dense(3, 32, 6).stride(4).padding(1, 1), [1, 32, 40]),
        (dense(20, 24, 1), [2, 7, 5]),
        (dense(64, 96, 1), [1, 40, 50]),
        (dense(32, 80, 3).stride(2), [1, 15, 16]),
        (dense(16, 64, 3), [3, 33, 41]),
        (dense(12, 20, 3).dilation(3), [1, 11, 12]),
        // Large, for the largest tiles.
        (dense(40, 256, 1), [4, 90, 80]),
        (dense(24, 64, 3), [3, 130, 120]),
        (dense(16, 24, 1), [2, 200, 150]),
        // Long sums, which are made in parts.
        (dense(256, 40, 3), [1, 8, 9]),
        (dense(8, 1, 7).padding(0, 0), [5, 7, 7]),
        (dense(5, 7, 4).stride(2).padding(1, 1), [1, 10, 8]),
        (Geometry::depthwise(24, 3), [1, 10, 11]),
        (Geometry::depthwise(18, 5).stride(2), [2, 9, 12]),
        (Geometry::depthwise(16, 3).dilation(2), [1, 12, 9]),
        (
            Geometry {
                groups: 2,
                ..dense(8, 12, 3)
            },
            [1, 6, 6],
        ),
    ];
    let activations = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
    ];
    for (seed, (geometry, [batch, height, width])) in (0..).zip(cases) {
        let activation = activations[seed as usize % activations.len()];
        let x = Pair::new(device, seed, [batch, geometry.inputs, height, width]);
        let weight = values(seed + 100, geometry.weight_shape().iter().product());
        let bias = values(seed + 200, geometry.outputs);
        let on_gpu = gpu::Conv::new(device, geometry, &weight, &bias, activation);
        let on_processor = kernels::Conv::new(context().isa, geometry, &weight, &bias, activation);
        let y = on_processor.forward(&x.processor, None);
        let what = format!("{geometry:?}, {activation:?}");
        assert_close(&what, &on_gpu.forward(&x.gpu, None), &y, tolerance);

        let residual = Pair::new(device, seed + 300, y.shape());
        let y = on_processor.forward(&x.processor, Some(&residual.processor));
        let with_residual = on_gpu.forward(&x.gpu, Some(&residual.gpu));
        assert_close(&format!("{what}, residual"), &with_residual, &y, tolerance);
    }
}

#[test]
fn transposed_convolutions() {
    for (device, tolerance) in devices() {
        compare_transposed_convolutions(device, *tolerance);
    }
}

fn compare_transposed_convolutions(device: &Arc<Gpu>, tolerance: f32) {
    for (seed, (channels, [batch, height, width])) in (0..).zip([
        ([8, 12], [1, 5, 7]),
        ([32, 32], [20, 14, 14]),
        ([5, 3], [2, 4, 3]),
        ([516, 7], [1, 3, 5]),
    ]) {
        let [inputs, outputs] = channels;
        let x = Pair::new(device, seed, [batch, inputs, height, width]);
        let weight = values(seed + 100, inputs * outputs * 4);
        let bias = values(seed + 200, outputs);
        let on_gpu = gpu::ConvTranspose::new(device, channels, &weight, &bias, Activation::Relu);
        let on_processor =
            kernels::ConvTranspose::new(context().isa, channels, &weight, &bias, Activation::Relu);
        let what = format!("{channels:?}");
        assert_close(
            &what,
            &on_gpu.forward(&x.gpu),
            &on_processor.forward(&x.processor),
            tolerance,
        );
    }
}

#[test]
fn pooling() {
    for (device, tolerance) in devices() {
        compare_pooling(device, *tolerance);
    }
}

fn compare_pooling(device: &Arc<Gpu>, tolerance: f32) {
    for (seed, shape) in (0..).zip([[1, 6, 9, 8], [2, 33, 16, 21], [1, 4, 1, 1]]) {
        let x = Pair::new(device, seed, shape);
        for (kernel, stride) in [(3, 2), (1, 2), (3, 1)] {
            let what = format!("{kernel}x{kernel} by {stride} on {shape:?}");
            assert_close(
                &what,
                &gpu::max_pool(&x.gpu, kernel, stride),
                &kernels::max_pool(&x.processor, kernel, stride),
                tolerance,
            );
        }
        assert_close(
            &format!("mean of {shape:?}"),
            &gpu::global_mean(&x.gpu),
            &kernels::global_mean(&x.processor),
            tolerance,
        );
    }
}

#[test]
fn sizes() {
    for (device, tolerance) in devices() {
        compare_sizes(device, *tolerance);
    }
}

fn compare_sizes(device: &Arc<Gpu>, tolerance: f32) {
    let x = Pair::new(device, 1, [2, 10, 7, 9]);
    for size in [[14, 18], [7, 9], [25, 34], [3, 4], [1, 1]] {
        assert_close(
            &format!("nearest {size:?}"),
            &gpu::nearest(&x.gpu, size),
            &kernels::nearest(&x.processor, size),
            tolerance,
        );
        assert_close(
            &format!("bilinear {size:?}"),
            &gpu::bilinear(&x.gpu, size),
            &kernels::bilinear(&x.processor, size),
            tolerance,
        );
    }
}

#[test]
fn combinations() {
    for (device, tolerance) in devices() {
        compare_combinations(device, *tolerance);
    }
}

fn compare_combinations(device: &Arc<Gpu>, tolerance: f32) {
    let shape = [2, 18, 5, 6];
    let (a, b) = (Pair::new(device, 1, shape), Pair::new(device, 2, shape));
    let factors = Pair::new(device, 3, [2, 18, 1, 1]);

    let mut sum = a.processor.clone();
    sum.add(&b.processor, Activation::Identity);
    assert_close("sum", &gpu::add(&a.gpu, &b.gpu), &sum, tolerance);

    let mut scaled = a.processor.clone();
    scaled.scale_channels(&factors.processor);
    assert_close(
        "scaled",
        &gpu::scale_channels(&a.gpu, &factors.gpu),
        &scaled,
        tolerance,
    );

    let wide = factors.processor.expand([5, 6]);
    assert_close(
        "expanded",
        &gpu::expand(&factors.gpu, [5, 6]),
        &wide,
        tolerance,
    );

    let first = Pair::new(device, 4, [2, 16, 5, 6]);
    let both = kernels::Map::concat(&[&first.processor, &a.processor]);
    assert_close(
        "both",
        &gpu::concat(&[&first.gpu, &a.gpu]),
        &both,
        tolerance,
    );
}

#[test]
fn regions() {
    for (device, tolerance) in devices() {
        compare_regions(device, *tolerance);
    }
}

fn compare_regions(device: &Arc<Gpu>, tolerance: f32) {
    let maps = [
        (Pair::new(device, 1, [3, 10, 12, 15]), 0.125),
        (Pair::new(device, 2, [1, 10, 6, 8]), 0.0625),
    ];
    let boxes = [
        (0, 0, [3.0, 4.0, 60.0, 50.0]),
        (1, 0, [0.0, 0.0, 128.0, 96.0]),
        (0, 2, [-20.0, -9.0, 10.0, 200.0]),
        (1, 0, [100.0, 90.0, 100.5, 90.25]),
        (0, 1, [40.0, 40.0, 41.0, 95.0]),
    ];
    for (size, sampling, aligned) in [
        (7, None, true),
        (14, Some(2), false),
        (6, Some(3), true),
        (7, None, false),
    ] {
        let how = RoiAlign {
            size,
            sampling,
            aligned,
        };
        let on_gpu: Vec<_> = boxes
            .iter()
            .map(|&(map, image, bbox)| gpu::Roi {
                map: &maps[map].0.gpu,
                image,
                scale: maps[map].1,
                bbox,
            })
            .collect();
        let on_processor: Vec<_> = boxes
            .iter()
            .map(|&(map, image, bbox)| kernels::Roi {
                map: &maps[map].0.processor,
                image,
                scale: maps[map].1,
                bbox,
            })
            .collect();
        assert_close(
            &format!("{how:?}"),
            &gpu::roi_align(device, &how, &on_gpu, 10),
            &how.forward(context(), &on_processor, 10),
            tolerance,
        );
        assert_eq!(
            gpu::roi_align(device, &how, &[], 10).shape(),
            [0, 10, size, size]
        );
    }
}

#[test]
fn samples_are_normalised() {
    let normalisation = gpu::Normalisation {
        reversed: false,
        mean: [10.0, 20.0, 30.0],
        factors: [0.5, 0.25, 2.0],
    };
    let reversed = gpu::Normalisation {
        reversed: true,
        ..normalisation
    };
    let pictures: [&[u8]; 2] = [&[10, 24, 31, 12, 20, 255], &[0, 0, 0, 14, 28, 32]];
    for (device, _) in devices() {
        let read = |padded, normalisation| {
            let map = gpu::Map::from_samples(device, &pictures, [1, 2], padded, normalisation);
            assert_eq!(map.shape(), [2, 3, padded[0], padded[1]]);
            gpu::read(&[&map]).unwrap().remove(0)
        };
        assert_eq!(
            read([1, 2], &normalisation),
            [
                0.0, 1.0, 1.0, 0.0, 2.0, 450.0, -5.0, 2.0, -5.0, 2.0, -60.0, 4.0
            ]
        );
        assert_eq!(
            read([1, 2], &reversed),
            [
                10.5, 122.5, 1.0, 0.0, -40.0, -36.0, -5.0, 11.0, -5.0, 2.0, -60.0, -32.0
            ]
        );
        let planes: Vec<[f32; 6]> = read([2, 3], &normalisation).as_chunks().0.to_vec();
        assert_eq!(planes[0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(planes[5], [-60.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn classes() {
    for (device, tolerance) in devices() {
        for (seed, classes) in [(1, 1), (2, 5), (3, 21), (4, 256)] {
            compare_classes(device, *tolerance, seed, [2, classes, 5, 7]);
        }
    }
}

fn compare_classes(device: &Arc<Gpu>, tolerance: f32, seed: u32, shape: [usize; 4]) {
    let [_, classes, rows, columns] = shape;
    let mut logits = values(seed, shape.iter().product());
    // So far apart that none is another after rounding.
    logits
        .iter_mut()
        .for_each(|x| *x = (*x * 40.0).round() / 4.0);
    let map = gpu::Map::from_planar(device, &logits, shape);
    let of_one = logits.chunks_exact(classes * rows * columns);
    let sizes = [[13, 18], [5, 7]];
    for corners in [Corners::Free, Corners::Aligned] {
        let found = gpu::argmax_softmax(&map, &sizes, corners).unwrap();
        assert_eq!(found.len(), 2);
        for ((found, size), logits) in found.iter().zip(sizes).zip(of_one.clone()) {
            let shape = [1, classes, rows, columns];
            let logits = kernels::Map::from_planar(context(), logits, shape);
            let (classes, confidence) = kernels::argmax_softmax(&logits, size, corners);
            assert_eq!([found.0.len(), found.1.len()], [size[0] * size[1]; 2]);
            let mut others = 0;
            for i in 0..classes.len() {
                let [a, b] = [found.1[i], confidence[i]];
                assert!((a - b).abs() <= tolerance, "{a} instead of {b} at {i}");
                // Two can be equal but for their rounding.
                others += usize::from(found.0[i] != classes[i]);
            }
            assert!(
                others <= classes.len() / 50,
                "{others} of {}",
                classes.len()
            );
        }
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    let Some(device) = device() else { return };
    let shape = [3, 7, 4, 5];
    let planes = values(1, shape.iter().product());
    let map = gpu::Map::from_planar(device, &planes, shape);
    let other = gpu::Map::from_planar(device, &planes[..2], [1, 2, 1, 1]);
    let empty = gpu::Map::from_planar(device, &[], [0, 7, 4, 5]);
    let read = gpu::read(&[&map, &empty, &other]).unwrap();
    assert_eq!(read, [planes.clone(), Vec::new(), planes[..2].to_vec()]);

    let chosen = gpu::planes(&map, &[6, 0, 3]).unwrap();
    let plane = |map: usize, channel: usize| &planes[(map * 7 + channel) * 20..][..20];
    assert_eq!(chosen, [plane(0, 6), plane(1, 0), plane(2, 3)].concat());

    let pixels = [[1.0, 2.0, 3.0, 9.0], [4.0, 5.0, 6.0, 9.0]];
    let others = [[7.0; 4], [8.0; 4]];
    let pictures = gpu::Map::from_pictures(device, &[&pixels, &others], [1, 2]);
    let read = gpu::read(&[&pictures]).unwrap();
    let first = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
    let second = [7.0, 8.0].repeat(3);
    assert_eq!(read, [[first.as_slice(), &second].concat()]);

    // Of more bytes than a thread copies.
    let large: Vec<_> = values(3, 300_000 * 4).as_chunks().0.to_vec();
    let read = gpu::read(&[&gpu::Map::from_pictures(device, &[&large], [300, 1000])]).unwrap();
    let reds: Vec<_> = large.iter().map(|pixel| pixel[0]).collect();
    assert_eq!(read[0][..300_000], reds);
}

/// Memory goes from map to map while kernels that read it are recorded and not yet run.
#[test]
fn what_is_recorded_is_not_overtaken_by_what_is_written() {
    let Some(device) = device() else { return };
    let shape = [1, 4, 8, 8];
    let mut expected = vec![0.0; 256];
    let mut sum = gpu::Map::from_planar(device, &expected, shape);
    for seed in 0..100 {
        let values = values(seed, 256);
        let map = gpu::Map::from_planar(device, &values, shape);
        sum = gpu::add(&sum, &map);
        expected
            .iter_mut()
            .zip(values)
            .for_each(|(sum, x)| *sum += x);
    }
    let read = gpu::read(&[&sum]).unwrap().remove(0);
    for (a, b) in read.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-4, "{a} instead of {b}");
    }
}

#[test]
fn threads_do_not_meet() {
    let Some(device) = device() else { return };
    let geometry = Geometry::new(8, 8, 3);
    let weight = values(1, geometry.weight_shape().iter().product());
    let conv = gpu::Conv::new(device, geometry, &weight, &values(2, 8), Activation::Relu);
    let alone = |seed| {
        let x = gpu::Map::from_planar(device, &values(seed, 8 * 400), [1, 8, 20, 20]);
        let y = conv.forward(&conv.forward(&x, None), Some(&x));
        gpu::read(&[&y]).unwrap().remove(0)
    };
    let expected: Vec<_> = (0..4).map(alone).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|seed| scope.spawn(move || (0..100).map(|_| alone(seed)).collect::<Vec<_>>()))
            .collect();
        for (thread, expected) in threads.into_iter().zip(&expected) {
            for y in thread.join().unwrap() {
                assert_eq!(&y, expected);
            }
        }
    });
}
