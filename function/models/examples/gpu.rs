//! Times the networks of the catalogue on the GPU that wgpu thinks best, with weights made up on the spot:
//!
//! ```sh
//! cargo run --release --package segmenter-models --features gpu --example gpu -- [SECONDS [PART OF A NAME]...]
//! ```
//!
//! A line a network and batch: how long its first forward pass took, in which what is calculated is compiled and tuned,
//! and the median and the fastest of those within so many seconds after it, in milliseconds.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use burn::tensor::DeviceKind;
use segmenter_models::{Device, Input, Selection, catalogue::CATALOGUE, weights::Weights};

const EVERYTHING: Selection = Selection {
    threshold: 0.0,
    max_detections: 100,
    classes: None,
    masks: true,
    map_size: None,
    scores: false,
};

/// Numbers that keep the size of what they are multiplied with, as trained ones do.
fn made_up() -> impl FnMut(&str, &[usize]) -> Vec<f32> + Send {
    let mut state = 1_u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1_u32 << 24) as f32
    };
    move |name, shape| {
        let count = shape.iter().product();
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f32;
        let value = |u: f32| match name {
            _ if name.ends_with("running_var") => 0.5 + u,
            _ if shape.len() == 1 && name.ends_with("weight") => 0.5 + u / 2.0,
            _ if shape.len() == 1 => (2.0 * u - 1.0) / 10.0,
            _ => (2.0 * u - 1.0) * (6.0 / fan_in).sqrt(),
        };
        (0..count).map(|_| value(uniform())).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let parts: Vec<String> = arguments.collect();
    let gpu = burn::tensor::Device::wgpu(DeviceKind::DefaultDevice);
    println!("{:?}", gpu.identity());
    let device = Device::Burn(gpu);
    println!("network                        batch    first   median  fastest");
    for entry in CATALOGUE {
        if !parts.is_empty() && !parts.iter().any(|part| entry.name.contains(part.as_str())) {
            continue;
        }
        let model = entry
            .network
            .build(&mut Weights::generated(made_up()), &device)?;
        let [_, height, width] = model.warm_up_shapes()[0];
        for batch in [1, 8] {
            let run = || {
                let input = Input::uniform([0.3, -0.2, 0.1, 0.0], [height, width]);
                let inputs = (0..batch).map(|_| (input.clone(), &EVERYTHING));
                let begin = Instant::now();
                let outputs = model.forward(inputs.collect());
                assert_eq!(outputs.len(), batch);
                begin.elapsed()
            };
            let first = run();
            let begin = Instant::now();
            let mut times = vec![run()];
            while begin.elapsed() < Duration::from_secs_f64(seconds) {
                times.push(run());
            }
            times.sort();
            let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
            println!(
                "{:<30} {batch:>5} {:>8.0} {:>8.2} {:>8.2}   {width}x{height}",
                entry.name,
                milliseconds(first),
                milliseconds(times[times.len() / 2]),
                milliseconds(times[0]),
            );
        }
    }
    Ok(())
}
