//! The training loop.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer},
    tensor::Tensor,
};
use rayon::prelude::*;
use segmenter_models::{
    Device,
    networks::centermask::Network,
    on_this_thread,
    weights::{Storage, Trained},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, Batches},
    muon::{self, KernelMuon},
    objective,
    parameters::{self, Tensors},
    source::Source,
};

/// How long, how fast, and from where.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Options {
    /// When it is done.
    pub length: Length,
    /// Examples a step.
    pub batch: usize,
    /// The greatest learning rate.
    pub rate: f64,
    /// What chance begins with.
    pub seed: u64,
    /// Sizes of examples, `[width, height]`, one after the other.
    pub sizes: Vec<[u32; 2]>,
}

/// How long a training is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// So many steps.
    Steps(u64),
    /// As many as fit into so many minutes.
    Minutes(f64),
}

impl Length {
    /// How much of it is done, 0 to 1.
    fn done(self, step: u64, seconds: f64) -> f64 {
        let done = match self {
            Self::Steps(steps) => step as f64 / steps.max(1) as f64,
            Self::Minutes(minutes) => seconds / (60.0 * minutes),
        };
        done.min(1.0)
    }
}

/// Steps in which the learning rate rises to its greatest.
const WARM_UP: u64 = 100;

/// Sizes of examples as they usually are: a network that has seen several answers better on any.
pub const SIZES: [[u32; 2]; 6] = [
    [416, 320],
    [320, 416],
    [384, 288],
    [320, 320],
    [512, 384],
    [288, 384],
];

/// How many times the usual loss a batch may have and still count in full: one of pictures that are answered wholly wrong
/// would else undo many steps.
const EXCESS: f32 = 2.0;

/// What the usual loss keeps of itself in a step.
const USUAL: f32 = 0.98;

/// After so many steps the average of all weights takes in what they are.
const AVERAGED: u64 = 10;

/// What it keeps of itself then.
const KEEP: f32 = 0.98;

/// After so many steps something is said.
const REPORT: u64 = 20;

/// After so many seconds everything is stored.
const STORE: f64 = 120.0;

/// What a step costs, on average over some steps.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Losses {
    /// Of the scores.
    pub scores: f32,
    /// Of the boxes.
    pub boxes: f32,
    /// Of the outlines.
    pub masks: f32,
}

/// A line of the record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Line {
    /// How many steps there have been.
    pub step: u64,
    /// How long they took, in seconds of all runs together.
    pub seconds: f64,
    /// The mean of the last steps.
    pub losses: Losses,
}

/// What lies in the folder beside the weights.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    options: Options,
    record: Vec<Line>,
    usual: Option<f32>,
}

/// What was noted of a training in a folder, up to when it was last stored; nothing where there is none.
///
/// # Errors
/// Where it cannot be read.
pub fn record(folder: &Path) -> anyhow::Result<Vec<Line>> {
    Ok(progress(folder)?.map_or_else(Vec::new, |progress| progress.record))
}

fn progress(folder: &Path) -> anyhow::Result<Option<Progress>> {
    let path = folder.join(PROGRESS);
    if !path.exists() {
        return Ok(None);
    }
    let name = path.display();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
    let progress = serde_json::from_str(&text).with_context(|| format!("cannot read {name}"))?;
    Ok(Some(progress))
}

/// What networks are trained on.
pub(crate) fn device() -> burn::tensor::Device {
    burn::tensor::Device::flex().autodiff()
}

/// A training that can be left and gone on with.
pub struct Training {
    folder: PathBuf,
    options: Options,
    classes: Vec<String>,
    network: Network,
    average: Tensors,
    optimizer: ModuleOptimizer,
    record: Vec<Line>,
    /// What a batch has cost lately, if there was one.
    usual: Option<f32>,
}

impl Training {
    /// Goes on with that in the folder, or begins one there, with these tensors.
    ///
    /// # Errors
    /// Where the folder has one with other options, and where it cannot be read or made.
    pub fn open(
        folder: &Path,
        options: Options,
        classes: Vec<String>,
        begin: Tensors,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let optimizer = AdamWConfig::new()
            .with_weight_decay(1e-4)
            // burn's own is as large as many a gradient.
            .with_epsilon(1e-8)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init()
            .with_group(muon::kernels(&begin), KernelMuon::new(), None);
        let mut this = Self {
            folder: folder.to_owned(),
            network: parameters::network(&begin, classes.len(), &Device::Burn(device()))?,
            average: begin,
            options,
            classes,
            optimizer,
            record: Vec::new(),
            usual: None,
        };
        if let Some(progress) = progress(folder)? {
            this.resume(progress)?;
        }
        Ok(this)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn resume(&mut self, progress: Progress) -> anyhow::Result<()> {
        ensure!(
            progress.options == self.options,
            "{} has a training with other options ({:?}); go on with these, or name another folder",
            self.folder.display(),
            progress.options
        );
        let now = parameters::load(&self.path(NOW))?.tensors;
        self.network = parameters::network(&now, self.classes.len(), &Device::Burn(device()))?;
        self.average = parameters::load(&self.path(AVERAGE))?.tensors;
        let optimizer = self.optimizer.clone().load(self.path(OPTIMIZER));
        self.optimizer = optimizer.context("cannot read the optimizer's state")?;
        self.record = progress.record;
        self.usual = progress.usual;
        Ok(())
    }

    fn store(&self) -> anyhow::Result<()> {
        let now = parameters::read(&self.network, &self.average)?;
        for (name, tensors) in [(NOW, &now), (AVERAGE, &self.average)] {
            let trained = Trained {
                classes: self.classes.clone(),
                tensors: tensors.clone(),
            };
            parameters::store(&trained, Storage::F32, &self.path(name))?;
        }
        self.optimizer
            .save(self.path(OPTIMIZER))
            .context("cannot store the optimizer's state")?;
        let progress = Progress {
            options: self.options.clone(),
            record: self.record.clone(),
            usual: self.usual,
        };
        // The last, so that it is never ahead of the others.
        let text = serde_json::to_string(&progress)?;
        fs::write(self.path(PROGRESS), text)?;
        Ok(())
    }

    /// How many steps have been made and stored.
    pub fn step(&self) -> u64 {
        self.record.last().map_or(0, |line| line.step)
    }

    /// What was noted.
    pub fn record(&self) -> &[Line] {
        &self.record
    }

    /// The mean of the last steps' tensors, which answers best.
    pub fn average(&self) -> &Tensors {
        &self.average
    }

    /// Makes the steps that are left.
    ///
    /// # Errors
    /// Where something cannot be stored, and where numbers get out of hand.
    pub fn run(&mut self, source: &Arc<dyn Source>) -> anyhow::Result<()> {
        self.run_while(source, || true)
    }

    /// As [`run`](Self::run), for as long as it is wanted.
    fn run_while(
        &mut self,
        source: &Arc<dyn Source>,
        wanted: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let before = self.record.last().map_or(0.0, |line| line.seconds);
        let first = self.step();
        let threads = rayon::current_num_threads();
        let mut batches = Batches::new(source, &self.options, threads, first);
        let mut sum = None;
        let mut stored = before;
        let mut seconds = before;
        for step in first.. {
            let part = self.options.length.done(step, seconds);
            let last = part >= 1.0 || !wanted();
            if step > first && (step % REPORT == 0 || last) {
                if let Some(sum) = sum.take() {
                    let sum = Losses::read(sum)?;
                    seconds = before + begin.elapsed().as_secs_f64();
                    self.note(step, seconds, sum)?;
                }
                if last || seconds - stored > STORE {
                    self.store()?;
                    stored = seconds;
                }
            }
            if last {
                break;
            }
            let losses = self.advance(&batches.next()?, step, part)?;
            sum = Some(sum.map_or(losses.clone(), |sum: Tensor<1>| sum + losses));
            seconds = before + begin.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// Notes what the steps since the last note cost.
    fn note(&mut self, step: u64, seconds: f64, sum: Losses) -> anyhow::Result<()> {
        let before = self.record.last();
        let steps = step - before.map_or(0, |line| line.step);
        if steps == 0 {
            return Ok(());
        }
        let took = seconds - before.map_or(0.0, |line| line.seconds);
        let mean = |sum: f32| sum / steps as f32;
        let losses = Losses {
            scores: mean(sum.scores),
            boxes: mean(sum.boxes),
            masks: mean(sum.masks),
        };
        self.record.push(Line {
            step,
            seconds,
            losses,
        });
        eprintln!(
            "step {step}, {:.0} %: scores {:.3}, boxes {:.3}, masks {:.3}; {:.2} s a step",
            100.0 * self.options.length.done(step, seconds),
            losses.scores,
            losses.boxes,
            losses.masks,
            took / steps as f64
        );
        ensure!(
            losses.scores.is_finite(),
            "the losses are no numbers any more; a lower learning rate may help"
        );
        Ok(())
    }

    /// One step of the optimizer; its losses as [`Losses::read`] takes them.
    fn advance(&mut self, batch: &Batch, step: u64, part: f64) -> anyhow::Result<Tensor<1>> {
        let parts = batch.parts.par_iter();
        let answers = parts.map(|part| {
            // With a graph of its own: burn differentiates one after the other what is of the same.
            let network = self.network.clone().fork(&device());
            let loss = || objective::loss(&network, part, self.classes.len());
            let loss = on_its_thread(batch, loss)?;
            Ok((network, loss))
        });
        let answers = answers.collect::<anyhow::Result<Vec<_>>>()?;
        let parts = answers.iter().map(|(_, loss)| loss.parts.clone());
        let losses = parts
            .reduce(|a, b| a + b)
            .context("a batch without parts")?;
        let sums = answers.iter().map(|(_, loss)| loss.sum.clone());
        let loss: f32 = sums.map(Tensor::into_scalar::<f32>).sum();
        let counted = self.counted(loss);
        let gradients = answers.into_par_iter().map(|(network, loss)| {
            let backward =
                || GradientsParams::from_grads((loss.sum * counted).backward(), &network);
            on_its_thread(batch, backward)
        });
        let mut sum = GradientsAccumulator::new();
        for gradients in gradients.collect::<Vec<_>>() {
            sum.accumulate(&self.network, gradients);
        }
        let rate = self.rate(step, part);
        let network = self.network.clone();
        self.network = self.optimizer.step(rate, network, sum.grads());
        if step % AVERAGED == AVERAGED - 1 {
            let now = parameters::read(&self.network, &self.average)?;
            // In the beginning there is little to take the mean of.
            let times = (step / AVERAGED) as f32;
            let keep = KEEP.min((1.0 + times) / (10.0 + times));
            parameters::average(&mut self.average, &now, keep)?;
        }
        Ok(losses)
    }

    /// How much of a loss counts, all of it unless it is out of the ordinary.
    fn counted(&mut self, loss: f32) -> f32 {
        let usual = *self.usual.get_or_insert(loss);
        let most = EXCESS * usual;
        self.usual = Some(usual * USUAL + loss.min(most) * (1.0 - USUAL));
        if loss > most { most / loss } else { 1.0 }
    }

    /// Rises, and falls along half a cosine (Loshchilov and Hutter, "SGDR", 2017) to a hundredth where all is done.
    fn rate(&self, step: u64, part: f64) -> f64 {
        let rise = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
        let fall = 0.01 + 0.99 * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0;
        self.options.rate * rise * fall
    }
}

impl Losses {
    /// Scores, boxes and masks, `[3]`.
    fn read(losses: Tensor<1>) -> anyhow::Result<Self> {
        let values = losses.into_data().try_into_vec::<f32>();
        match values.context("losses as numbers")?[..] {
            [scores, boxes, masks] => Ok(Self {
                scores,
                boxes,
                masks,
            }),
            _ => anyhow::bail!("other losses than three"),
        }
    }
}

/// Does a part's work, where every thread has a part with all its kernels on its own.
fn on_its_thread<T>(batch: &Batch, work: impl FnOnce() -> T) -> T {
    if batch.parts.len() < rayon::current_num_threads() {
        work()
    } else {
        on_this_thread(work)
    }
}

const NOW: &str = "now.safetensors";
const AVERAGE: &str = "average.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::Squares;

    fn options(steps: u64) -> Options {
        Options {
            length: Length::Steps(steps),
            batch: 2,
            rate: 2e-3,
            seed: 5,
            sizes: vec![[96, 96]],
        }
    }

    #[test]
    fn a_batch_that_is_out_of_the_ordinary_counts_for_two() {
        let folder = tempfile::tempdir().unwrap();
        let mut training = open(folder.path(), 1).unwrap();
        assert_eq!(training.counted(3.0), 1.0);
        assert_eq!(training.counted(5.0), 1.0);
        assert_eq!(training.counted(2.0), 1.0);
        let counted = training.counted(600.0);
        assert!((5.9..6.2).contains(&(600.0 * counted)), "{counted}");
        // One alone is not the usual.
        assert!(600.0 * training.counted(600.0) < 6.4);
    }

    fn open(folder: &Path, steps: u64) -> anyhow::Result<Training> {
        let begin = parameters::fresh(1, 5)?;
        Training::open(folder, options(steps), Squares.classes(), begin)
    }

    #[test]
    fn it_learns_and_goes_on_where_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let source: Arc<dyn Source> = Arc::new(Squares);
        let mut training = open(folder.path(), 60).unwrap();
        let made = std::cell::Cell::new(0);
        let first = || made.replace(made.get() + 1) < REPORT;
        training.run_while(&source, first).unwrap();
        assert_eq!(training.step(), REPORT);
        let average = training.average().clone();

        let mut training = open(folder.path(), 60).unwrap();
        assert_eq!(training.step(), REPORT);
        assert_eq!(*training.average(), average);
        training.run(&source).unwrap();
        let losses: Vec<_> = training.record().iter().map(|line| line.losses).collect();
        let [first, .., last] = losses[..] else {
            panic!("{losses:?}");
        };
        let sum = |losses: Losses| losses.scores + losses.boxes + losses.masks;
        assert!(sum(last) < 0.7 * sum(first), "{first:?}, then {last:?}");

        assert_eq!(training.step(), 60);

        let other = open(folder.path(), 80).err().unwrap().to_string();
        assert!(other.contains("with other options"), "{other}");
    }
}
