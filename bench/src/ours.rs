//! Our own contestant: a model of the catalogue, called as the server calls it.

use std::{
    collections::BTreeMap,
    fs,
    io::{Write as _, stdin, stdout},
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use segmenter_imaging::{
    Image,
    decode::{Exif, Options, decode},
};
use segmenter_models::{Device, Isa, Outcome, Prediction, Selection, catalogue, networks::Network};
use serde::Serialize;

use crate::{
    gpu,
    protocol::{Answer, Hello},
};

/// Which model to run, and how.
#[derive(Args, Debug)]
pub(crate) struct Contestant {
    /// Name in the catalogue
    #[arg(long)]
    model: String,
    /// The weights file
    #[arg(long)]
    weights: PathBuf,
    /// Processor threads
    #[arg(long)]
    threads: usize,
    /// Whose convolutions
    #[arg(long, value_enum)]
    kernels: Kernels,
    /// What they calculate with
    #[arg(long, value_enum)]
    precision: Precision,
    /// The steps whose time counts
    #[arg(long, value_enum, value_delimiter = ',')]
    timed: Vec<Step>,
}

/// Whose convolutions a network runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kernels {
    /// burn's.
    Stock,
    /// Ours.
    Fast,
    /// Ours for GPUs, on the first one.
    Gpu,
}

/// What a network calculates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floats.
    F32,
    /// 32-bit floats with factors of 16 bits.
    F16,
    /// 8-bit integers.
    Int8,
}

/// A step on the way of a picture through a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// From the decoded picture to the network's input.
    Preprocess,
    /// The network, and for a detector what makes detections of its outputs.
    Forward,
    /// To findings on the picture.
    Postprocess,
}

/// A value as it is written on the command line.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// What the network runs on.
fn device(contestant: &Contestant) -> anyhow::Result<Device> {
    let isa = Isa::best();
    Ok(match (contestant.kernels, contestant.precision) {
        (Kernels::Stock, Precision::F32) => Device::stock(),
        (Kernels::Stock, Precision::Int8) => bail!("burn has no convolutions of integers"),
        (Kernels::Fast, Precision::F32) => Device::kernels(isa),
        (Kernels::Fast, Precision::Int8) => Device::integers(isa),
        (Kernels::Gpu, Precision::F32) => gpu::open(false, false)?,
        (Kernels::Gpu, Precision::F16) => gpu::open(true, false)?,
        (Kernels::Stock | Kernels::Fast, Precision::F16) => {
            bail!("processors have no convolutions of 16-bit floats")
        }
        (Kernels::Gpu, Precision::Int8) => bail!("GPUs have no convolutions of integers"),
    })
}

/// Where the network is fastest.
pub(crate) fn best_device(network: Network) -> Device {
    let isa = Isa::best();
    match network.fastest_precision(isa) {
        segmenter_models::Precision::Int8 => Device::integers(isa),
        _ => Device::kernels(isa),
    }
}

/// Everything that a detector finds.
pub(crate) const EVERYTHING: Selection = Selection {
    threshold: 0.0,
    max_detections: 100,
    classes: None,
    masks: true,
    map_size: None,
    scores: false,
};

/// Answers until there are no more lines.
pub(crate) fn run(contestant: &Contestant) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(contestant.threads)
        .build_global()?;
    let name = &contestant.model;
    let entry = catalogue::find(name).with_context(|| format!("{name} is not in the catalogue"))?;
    let device = device(contestant)?;
    let model = segmenter_models::load(entry, &contestant.weights, &device)?;
    say(&Hello {
        version: format!("segmenter {} ({device})", env!("CARGO_PKG_VERSION")),
    })?;

    // As the peers read pictures.
    let options = Options {
        exif: Exif::Ignore,
        ..Options::default()
    };
    let read = |path: &str| {
        let bytes = fs::read(path)?;
        anyhow::Ok(decode(&bytes, &options)?)
    };
    for line in stdin().lines() {
        let line = line?;
        let images = line
            .split('\t')
            .map(|path| read(path).with_context(|| path.to_owned()))
            .collect::<anyhow::Result<Vec<Image>>>()?;
        let mut watch = Watch::default();
        let batch = watch.time(Step::Preprocess, || {
            let inputs = images.par_iter().map(|image| {
                let input = model.preprocess(image.into(), &EVERYTHING)?;
                anyhow::Ok((input, &EVERYTHING))
            });
            inputs.collect::<anyhow::Result<Vec<_>>>()
        })?;
        let outputs = watch.time(Step::Forward, || {
            // On a thread of the pool, as the server runs it.
            rayon::scope(|_| model.forward(batch))
        });
        let predictions: Vec<Prediction> = watch.time(Step::Postprocess, || {
            let outputs = outputs.into_par_iter().zip(&images);
            outputs
                .map(|(output, image)| {
                    let size = [image.width(), image.height()];
                    model.postprocess(output, size, &EVERYTHING)
                })
                .collect()
        });
        say(&Answer {
            ms: watch.sum(&contestant.timed),
            found: sums(predictions.iter().map(describe)),
            steps: watch.by_name(),
        })?;
    }
    Ok(())
}

/// Of all numbers of a name, their sum.
fn sums(numbers: impl IntoIterator<Item = BTreeMap<&'static str, f64>>) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, value) in numbers.into_iter().flatten() {
        *sums.entry(name.to_owned()).or_default() += value;
    }
    sums
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// How long each step took, in milliseconds.
#[derive(Default)]
struct Watch(Vec<(Step, f64)>);

impl Watch {
    fn time<T>(&mut self, step: Step, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.0.push((step, begin.elapsed().as_secs_f64() * 1e3));
        result
    }

    fn sum(&self, steps: &[Step]) -> f64 {
        let counted = self.0.iter().filter(|(step, _)| steps.contains(step));
        counted.map(|(_, ms)| ms).sum()
    }

    fn by_name(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(step, ms)| (word(step), *ms)).collect()
    }
}

/// The same numbers as `peers/protocol.py` makes of a result.
fn describe(prediction: &Prediction) -> BTreeMap<&'static str, f64> {
    let numbers = match &prediction.outcome {
        Outcome::Detections(detections) => vec![
            ("detections", detections.len() as f64),
            (
                "masks",
                detections.iter().filter(|d| d.mask.is_some()).count() as f64,
            ),
            (
                "scores",
                detections.iter().map(|d| f64::from(d.score)).sum(),
            ),
        ],
        Outcome::ClassMap(map) => {
            let mut pixels = BTreeMap::new();
            for class in &map.classes {
                *pixels.entry(class).or_insert(0_u32) += 1;
            }
            let commonest = pixels.values().max().copied().unwrap_or_default();
            vec![
                ("classes", pixels.len() as f64),
                ("commonest", f64::from(commonest)),
            ]
        }
    };
    numbers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use segmenter_models::{ClassMap, Outcome, Prediction};

    use super::{Step, Watch, describe, sums};

    #[test]
    fn only_counted_steps_are_summed() {
        let watch = Watch(vec![
            (Step::Preprocess, 1.0),
            (Step::Forward, 20.0),
            (Step::Postprocess, 300.0),
        ]);
        assert!((watch.sum(&[Step::Preprocess, Step::Forward]) - 21.0).abs() < 1e-9);
        assert!((watch.by_name()["postprocess"] - 300.0).abs() < 1e-9);
    }

    #[test]
    fn a_map_is_told_by_its_classes() {
        let found = describe(&Prediction {
            width: 3,
            height: 1,
            outcome: Outcome::ClassMap(ClassMap {
                width: 3,
                height: 1,
                classes: vec![7, 2, 7],
                confidence: vec![1.0; 3],
                scores: None,
            }),
        });
        assert_eq!(found.values().copied().collect::<Vec<_>>(), [2.0, 2.0]);
    }

    #[test]
    fn what_a_batch_shows_is_summed() {
        let pictures = [("masks", 2.0), ("masks", 1.0), ("scores", 0.5)];
        let sums = sums(pictures.map(|number| BTreeMap::from([number])));
        assert_eq!((sums.len(), sums["masks"], sums["scores"]), (2, 3.0, 0.5));
    }
}
