//! The training loop.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{IndexingUpdateOp, Int, Tensor, TensorData},
};
use segmenter_models::{
    Device,
    blocks::Map,
    networks::centermask::{
        CenterMask, Features, MASK_SIDE, MAX_LOG_DISTANCE, Network, STRIDES, mask_region,
    },
    weights::{Storage, Trained},
};
use serde::{Deserialize, Serialize};

use crate::{
    example::{AS_IT_IS, Example},
    losses::{cross_entropy, overlaps, quality_focal},
    muon::{self, KernelMuon},
    parameters::{self, Tensors},
    random::Random,
    regions,
    source::Source,
    targets::{self, Bitmap, Point, Positive, Region, positives},
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

/// Regions of an example that are outlined in a step, so that those of all are one product.
const REGIONS: usize = 12;

/// Points of an example that its losses are divided by at the least, so that pictures with nothing in them do not count
/// for more than all others.
const FEWEST: usize = 4;

/// What is listed by its points is filled up to a multiple of this with what counts for nothing, so that there is
/// something in any case.
const POINTS: usize = 64;

/// By how much of its own length a side of a region is moved, as a standard deviation: a detector's boxes do not fit
/// exactly either.
const JITTER: f32 = 0.04;

/// What losses count for, beside that of the scores.
const BOX_WEIGHT: f32 = 2.0;
const MASK_WEIGHT: f32 = 1.0;

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

/// A training that can be left and gone on with.
pub struct Training {
    folder: PathBuf,
    options: Options,
    classes: Vec<String>,
    device: burn::tensor::Device,
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
        let device = burn::tensor::Device::flex().autodiff();
        let optimizer = AdamWConfig::new()
            .with_weight_decay(1e-4)
            // burn's own is as large as many a gradient.
            .with_epsilon(1e-8)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init()
            .with_group(muon::kernels(&begin), KernelMuon::new(), None);
        let mut this = Self {
            folder: folder.to_owned(),
            network: parameters::network(&begin, classes.len(), &Device::Burn(device.clone()))?,
            average: begin,
            options,
            classes,
            device,
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
        let device = Device::Burn(self.device.clone());
        let now = parameters::load(&self.path(NOW))?.tensors;
        self.network = parameters::network(&now, self.classes.len(), &device)?;
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
        let mut batches = Batches::new(source, &self.options, first);
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
        let (loss, losses) = self.losses(batch)?;
        let counted = self.counted(loss.clone().into_scalar());
        let gradients = GradientsParams::from_grads((loss * counted).backward(), &self.network);
        let rate = self.rate(step, part);
        let network = self.network.clone();
        self.network = self.optimizer.step(rate, network, gradients);
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

    /// What is to become less, and its parts for [`Losses::read`].
    fn losses(&self, batch: &Batch) -> anyhow::Result<(Tensor<1>, Tensor<1>)> {
        let x = Tensor::from_data(batch.pixels.clone(), &self.device);
        let Features { levels, masks } = self.network.features(Map::from_tensor(x));
        let (of_scores, of_boxes) = self.detection_losses(batch, levels)?;
        let of_masks = self.mask_loss(batch, masks)?;
        let parts = [&of_scores, &of_boxes, &of_masks].map(|loss| loss.clone().detach());
        let losses = Tensor::cat(parts.into(), 0);
        let loss = of_scores + of_boxes * BOX_WEIGHT + of_masks * MASK_WEIGHT;
        Ok((loss, losses))
    }

    /// Of the scores of all points, and of the boxes of those that have to find something.
    fn detection_losses(
        &self,
        batch: &Batch,
        levels: [Map; STRIDES.len()],
    ) -> anyhow::Result<(Tensor<1>, Tensor<1>)> {
        let device = &self.device;
        let classes = self.classes.len();
        let mut scores = Vec::new();
        let mut distances = Vec::new();
        for level in levels {
            let (logits, logarithms) = self.network.detect(level);
            let logits = logits.into_tensor().context("scores of burn's")?;
            scores.push(logits.flatten::<1>(0, 3));
            let logarithms = logarithms.into_tensor().context("distances of burn's")?;
            distances.push(logarithms.permute([0, 2, 3, 1]).reshape([-1, 4]));
        }

        let positives = batch.positives.len();
        let listed = positives.next_multiple_of(POINTS).max(POINTS);
        let indices = |of: &dyn Fn(&Positive) -> usize| -> Tensor<1, Int> {
            let mut indices: Vec<i64> = batch.positives.iter().map(|one| of(one) as i64).collect();
            indices.resize(listed, 0);
            Tensor::from_data(TensorData::new(indices, [listed]), device)
        };
        let rows = indices(&|one| batch.row(&one.at));
        let places = indices(&|one| batch.score(&one.at, classes));
        let mut weights = weights(&batch.positives);
        let everywhere = batch.score_weights(&weights, classes);
        weights.resize(listed, 0.0);
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [listed]), device);
        let mut truth: Vec<f32> = batch
            .positives
            .iter()
            .flat_map(|one| one.distances)
            .collect();
        truth.resize(4 * listed, 1.0);
        let truth: Tensor<2> = Tensor::from_data(TensorData::new(truth, [listed, 4]), device);

        let found: Tensor<2> = Tensor::cat(distances, 0).select(0, rows);
        let found = found.clamp_max(MAX_LOG_DISTANCE).exp();
        let (iou, generalized) = overlaps(&found, &truth);
        let count = positives.max(FEWEST * batch.examples) as f32;
        let of_boxes = ((generalized.neg() + 1.0) * weights.clone()).sum() / count;

        // What is filled up is at the first place and counts for nothing.
        let qualities = Tensor::zeros([everywhere.len()], device).select_assign(
            0,
            places,
            iou.detach() * weights.sign(),
            IndexingUpdateOp::Add,
        );
        let shape = [everywhere.len()];
        let weights = Tensor::from_data(TensorData::new(everywhere, shape), device);
        let scores: Tensor<1> = Tensor::cat(scores, 0);
        let of_scores = (quality_focal(scores, qualities) * weights).sum() / count;
        Ok((of_scores, of_boxes))
    }

    /// Of the outlines in all regions.
    fn mask_loss(&self, batch: &Batch, masks: Map) -> anyhow::Result<Tensor<1>> {
        let device = &self.device;
        let maps = masks.into_tensor().context("maps of burn's")?;
        let boxes: Vec<_> = batch.regions.iter().map(|region| region.bbox).collect();
        let pooled = regions::pool(&maps, &boxes, device);
        let logits = self.network.outline(Map::from_tensor(pooled));
        let logits = logits.into_tensor().context("outlines of burn's")?;
        let regions = batch.regions.len();
        let truth: Vec<f32> = batch.regions.iter().flat_map(|r| r.mask.clone()).collect();
        let truth = TensorData::new(truth, [regions, 1, MASK_SIDE, MASK_SIDE]);
        let counts: Vec<f32> = batch.regions.iter().map(|region| region.weight).collect();
        let count = counts.iter().sum::<f32>().max(1.0) * (MASK_SIDE * MASK_SIDE) as f32;
        let counts = Tensor::from_data(TensorData::new(counts, [regions, 1, 1, 1]), device);
        let of_pixels = cross_entropy(logits, Tensor::from_data(truth, device));
        Ok((of_pixels * counts).sum() / count)
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

const NOW: &str = "now.safetensors";
const AVERAGE: &str = "average.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const PROGRESS: &str = "progress.json";

/// Some examples as the network takes them, and what it should answer.
struct Batch {
    /// `[examples, 3, height, width]`.
    pixels: TensorData,
    /// `[width, height]`.
    size: [usize; 2],
    examples: usize,
    positives: Vec<Positive>,
    /// Points that may find an object or not, unless they are among the positives.
    optional: Vec<Point>,
    /// [`REGIONS`] of each example, in the order of these.
    regions: Vec<Region>,
}

impl Batch {
    fn new(examples: &[Example], random: &mut Random) -> anyhow::Result<Self> {
        let first = examples.first().context("a batch without examples")?;
        let size = [first.image.width(), first.image.height()].map(|side| side as usize);
        let area = size[0] * size[1];
        let mut planes = Vec::with_capacity(examples.len() * 3 * area);
        let (mut found, mut optional) = (Vec::new(), Vec::new());
        let mut outlined = Vec::new();
        let mut pixels = vec![[0.0; 4]; area];
        for (index, example) in examples.iter().enumerate() {
            CenterMask::NORMALISATION.normalise(&example.image, &mut pixels);
            for channel in 0..3 {
                planes.extend(pixels.iter().map(|pixel| pixel[channel]));
            }
            found.extend(positives(index, example, size));
            optional.extend(targets::optional(index, example, size));
            outlined.extend(outline(example, size, random));
        }
        Ok(Self {
            pixels: TensorData::new(planes, [examples.len(), 3, size[1], size[0]]),
            size,
            examples: examples.len(),
            positives: found,
            optional,
            regions: outlined,
        })
    }

    /// Points of a level, of all examples.
    fn places_of(&self, level: usize) -> usize {
        let stride = STRIDES[level];
        self.examples * (self.size[0] / stride) * (self.size[1] / stride)
    }

    fn places(&self) -> usize {
        (0..STRIDES.len()).map(|level| self.places_of(level)).sum()
    }

    /// Points before those of a level.
    fn before(&self, level: usize) -> usize {
        (0..level).map(|level| self.places_of(level)).sum()
    }

    /// What the scores of all points count for, with what those of the positives do.
    fn score_weights(&self, of_positives: &[f32], classes: usize) -> Vec<f32> {
        let mut weights = vec![1.0; self.places() * classes];
        for at in &self.optional {
            weights[self.score(at, classes)] = 0.0;
        }
        for (one, weight) in self.positives.iter().zip(of_positives) {
            weights[self.score(&one.at, classes)] = *weight;
        }
        weights
    }

    /// The row of a point among all distances.
    fn row(&self, at: &Point) -> usize {
        let each = self.places_of(at.level) / self.examples;
        self.before(at.level) + at.example * each + at.place
    }

    /// The place of a point's score for its class among all scores.
    fn score(&self, at: &Point, classes: usize) -> usize {
        let each = self.places_of(at.level) / self.examples;
        self.before(at.level) * classes + (at.example * classes + at.class) * each + at.place
    }
}

/// What points count for, 1 on average: those of a class the less, the more points it has, so that what is rare is not
/// learned last; by the root, so that it does not count for more than all others either.
fn weights(positives: &[Positive]) -> Vec<f32> {
    let mut counts = BTreeMap::new();
    for Positive { at, .. } in positives {
        *counts.entry(at.class).or_insert(0.0_f32) += 1.0;
    }
    let mean = counts.values().map(|count| count.sqrt()).sum::<f32>() / positives.len() as f32;
    positives
        .iter()
        .map(|one| 1.0 / (mean * counts[&one.at.class].sqrt()))
        .collect()
}

/// Regions to outline the objects of an example in that count: of too many some, and of few each more than once.
fn outline(example: &Example, [width, height]: [usize; 2], random: &mut Random) -> Vec<Region> {
    let objects = example.objects.iter();
    let mut objects: Vec<_> = objects.filter(|object| object.counts(AS_IT_IS)).collect();
    while objects.len() > REGIONS {
        objects.swap_remove(random.below(objects.len()));
    }
    if objects.is_empty() {
        return vec![Region::nothing(); REGIONS];
    }
    let objects = objects.into_iter().cycle().take(REGIONS);
    let regions = objects.map(|object| {
        let [x0, y0, x1, y1] = object.bbox;
        let mut moved = |at: f32, length: f32, end: usize| {
            (at + length * JITTER * random.normal()).clamp(0.0, end as f32)
        };
        let (wide, high) = (x1 - x0, y1 - y0);
        let [x0, x1] = [moved(x0, wide, width), moved(x1, wide, width)];
        let [y0, y1] = [moved(y0, high, height), moved(y1, high, height)];
        let bbox = [x0, y0, x1.max(x0 + 1.0), y1.max(y0 + 1.0)];
        Region::new(mask_region(bbox), &Bitmap::new(object))
    });
    regions.collect()
}

/// Batches from a step on, made ahead by threads that end when nobody wants any more.
struct Batches {
    /// Each thread makes the batch of every so many-th step.
    #[expect(
        clippy::disallowed_types,
        reason = "a few batches at most, and who waits for them does nothing else"
    )]
    threads: Vec<mpsc::Receiver<anyhow::Result<Batch>>>,
    /// Which is the next one's.
    next: usize,
}

impl Batches {
    fn new(source: &Arc<dyn Source>, options: &Options, first: u64) -> Self {
        // About as much of the work as the network's share leaves.
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(3));
        let begin = |index: usize| {
            let (sender, receiver) = mpsc::sync_channel(1);
            let (source, options) = (Arc::clone(source), options.clone());
            thread::spawn(move || {
                for step in (first + index as u64..).step_by(threads) {
                    let batch = options.batch(source.as_ref(), step);
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        Self {
            threads: (0..threads).map(begin).collect(),
            next: 0,
        }
    }

    fn next(&mut self) -> anyhow::Result<Batch> {
        let batch = self.threads[self.next].recv();
        self.next = (self.next + 1) % self.threads.len();
        batch.context("no more examples")?
    }
}

impl Options {
    fn batch(&self, source: &dyn Source, step: u64) -> anyhow::Result<Batch> {
        let size = self.sizes[(step % self.sizes.len() as u64) as usize];
        let count = self.batch as u64;
        let numbers = step * count..(step + 1) * count;
        let examples = numbers.map(|number| source.example(number, size));
        let examples: Vec<_> = examples.collect::<Result<_, _>>()?;
        let mut random = Random::new(self.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Batch::new(&examples, &mut random)
    }
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::{Image, rle::Rle};

    use super::*;
    use crate::example::Object;

    /// A bright square on a dark picture, somewhere.
    struct Squares;

    impl Source for Squares {
        fn classes(&self) -> Vec<String> {
            vec!["square".to_owned()]
        }

        fn example(&self, number: u64, [width, height]: [u32; 2]) -> anyhow::Result<Example> {
            let mut random = Random::new(number % 4);
            let [x, y] = [width, height].map(|side| random.below(side as usize - 40) as u32);
            let inside =
                |i: u32| (x..x + 32).contains(&(i % width)) && (y..y + 32).contains(&(i / width));
            let mask: Vec<_> = (0..width * height).map(inside).collect();
            let pixels = mask
                .iter()
                .flat_map(|&inside| [if inside { 230 } else { 40 }; 3]);
            let image = Image::new(width, height, pixels.collect()).context("pixels")?;
            let mask = Rle::from_bitmap(height, width, &mask).context("mask")?;
            let objects = Object::new(0, mask, 1.0).into_iter().collect();
            Ok(Example { image, objects })
        }
    }

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
    fn points_of_rare_classes_count_for_more() {
        let point = |class| Positive {
            at: Point {
                example: 0,
                level: 0,
                place: 0,
                class,
            },
            distances: [1.0; 4],
        };
        let points = [vec![point(2); 16], vec![point(0); 4]].concat();
        let weights = weights(&points);
        assert!((weights.iter().sum::<f32>() - 20.0).abs() < 1e-4);
        assert!((weights[19] / weights[0] - 2.0).abs() < 1e-6);
        assert!(super::weights(&[]).is_empty());
    }

    #[test]
    fn what_does_not_count_has_no_part_in_the_losses() {
        let mut example = Squares.example(1, [96, 96]).unwrap();
        let batch = |example: &Example| {
            Batch::new(std::slice::from_ref(example), &mut Random::new(1)).unwrap()
        };
        let counted = batch(&example);
        assert!(!counted.positives.is_empty() && counted.optional.is_empty());
        assert!(counted.regions.iter().all(|region| region.weight == 1.0));
        let weights = vec![2.0; counted.positives.len()];
        let weights = counted.score_weights(&weights, 1);
        assert_eq!(weights.len(), 12 * 12 + 6 * 6 + 3 * 3);
        assert!(weights.iter().all(|weight| [1.0, 2.0].contains(weight)));

        example.objects[0].seen = 0.1;
        let ignored = batch(&example);
        assert!(ignored.positives.is_empty());
        assert!(ignored.regions.iter().all(|region| region.weight == 0.0));
        let zeros = ignored.score_weights(&[], 1);
        // Of its 32 pixels every way, and what is about its middle.
        let zeros = zeros.iter().filter(|weight| **weight == 0.0).count();
        assert!((16 + 4..=16 + 9 + 9).contains(&zeros), "{zeros}");
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
