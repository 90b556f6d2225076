//! Examples as the network takes them, and what it should answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
};

use anyhow::Context as _;
use burn::tensor::{Tensor, TensorData};
use segmenter_models::networks::centermask::{CenterMask, STRIDES, mask_region};

use crate::{
    example::{AS_IT_IS, Example},
    random::Random,
    source::Source,
    targets::{self, Bitmap, Point, Positive, Region, positives},
    train::{Options, device},
};

/// Regions of an example that are outlined in a step, so that those of all are one product.
const REGIONS: usize = 12;

/// Points of an example that its losses are divided by at the least, so that pictures with nothing in them do not count
/// for more than all others.
const FEWEST: usize = 4;

/// By how much of its own length a side of a region is moved, as a standard deviation: a detector's boxes do not fit
/// exactly either.
const JITTER: f32 = 0.04;

/// The examples of a step, shared out: the losses of all parts together are those of the step.
pub(crate) struct Batch {
    /// In the order of their examples.
    pub(crate) parts: Vec<Part>,
}

/// Some examples of a step.
pub(crate) struct Part {
    /// `[examples, height, width, 4]`, the fourth of which is nothing.
    pub(crate) pictures: Tensor<4>,
    /// `[width, height]`.
    size: [usize; 2],
    pub(crate) examples: usize,
    pub(crate) positives: Vec<Positive>,
    /// What each of these counts for.
    pub(crate) weights: Vec<f32>,
    /// Points that may find an object or not, unless they are among the positives.
    optional: Vec<Point>,
    /// [`REGIONS`] of each example, in the order of these.
    pub(crate) regions: Vec<Region>,
    /// How many points and how many regions the losses of the step are the mean of.
    pub(crate) step: Counts,
}

/// What there is of all parts of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Points that have to find something.
    pub(crate) points: f32,
    /// Regions that count.
    pub(crate) regions: f32,
}

impl Batch {
    /// Of examples of one size, in as many parts of the same number, or one more.
    fn new(examples: &[Example], parts: usize, random: &mut Random) -> anyhow::Result<Self> {
        let parts = parts.clamp(1, examples.len().max(1));
        let mut rest = examples;
        let parts = (0..parts).map(|part| {
            let (own, others) = rest.split_at(rest.len().div_ceil(parts - part));
            rest = others;
            Part::new(own, random)
        });
        let mut parts = parts.collect::<anyhow::Result<Vec<_>>>()?;

        let positives = parts.iter().flat_map(|part| &part.positives);
        let mut weights = weights(&positives.copied().collect::<Vec<_>>());
        let counts = Counts {
            points: weights.len().max(FEWEST * examples.len()) as f32,
            regions: parts.iter().map(Part::outlined).sum::<f32>().max(1.0),
        };
        for part in &mut parts {
            part.step = counts;
            part.weights = weights.drain(..part.positives.len()).collect();
        }
        Ok(Self { parts })
    }
}

impl Part {
    fn new(examples: &[Example], random: &mut Random) -> anyhow::Result<Self> {
        let first = examples.first().context("a batch without examples")?;
        let size = [first.image.width(), first.image.height()].map(|side| side as usize);
        let area = size[0] * size[1];
        let mut pixels = vec![[0.0; 4]; examples.len() * area];
        let (mut found, mut optional) = (Vec::new(), Vec::new());
        let mut outlined = Vec::new();
        for (index, example) in examples.iter().enumerate() {
            let pixels = &mut pixels[index * area..][..area];
            CenterMask::NORMALISATION.normalise(&example.image, pixels);
            found.extend(positives(index, example, size));
            optional.extend(targets::optional(index, example, size));
            outlined.extend(outline(example, size, random));
        }
        let pixels = pixels.into_flattened();
        let pixels = TensorData::new(pixels, [examples.len(), size[1], size[0], 4]);
        Ok(Self {
            pictures: Tensor::from_data(pixels, &device()),
            size,
            examples: examples.len(),
            positives: found,
            weights: Vec::new(),
            optional,
            regions: outlined,
            step: Counts::default(),
        })
    }

    fn outlined(&self) -> f32 {
        self.regions.iter().map(|region| region.weight).sum()
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

    /// What the scores of all points count for.
    pub(crate) fn score_weights(&self, classes: usize) -> Vec<f32> {
        let mut weights = vec![1.0; self.places() * classes];
        for at in &self.optional {
            weights[self.score(at, classes)] = 0.0;
        }
        for (one, weight) in self.positives.iter().zip(&self.weights) {
            weights[self.score(&one.at, classes)] = *weight;
        }
        weights
    }

    /// The row of a point among all distances.
    pub(crate) fn row(&self, at: &Point) -> usize {
        let each = self.places_of(at.level) / self.examples;
        self.before(at.level) + at.example * each + at.place
    }

    /// The place of a point's score for its class among all scores.
    pub(crate) fn score(&self, at: &Point, classes: usize) -> usize {
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
pub(crate) struct Batches {
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
    /// Each in so many parts.
    pub(crate) fn new(
        source: &Arc<dyn Source>,
        options: &Options,
        parts: usize,
        first: u64,
    ) -> Self {
        // They make what is taken and no more, so that they do not work at a time for long.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let begin = |index: usize| {
            let (sender, receiver) = mpsc::sync_channel(1);
            let (source, options) = (Arc::clone(source), options.clone());
            thread::spawn(move || {
                for step in (first + index as u64..).step_by(threads) {
                    let batch = batch(source.as_ref(), &options, parts, step);
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

    pub(crate) fn next(&mut self) -> anyhow::Result<Batch> {
        let batch = self.threads[self.next].recv();
        self.next = (self.next + 1) % self.threads.len();
        batch.context("no more examples")?
    }
}

fn batch(source: &dyn Source, options: &Options, parts: usize, step: u64) -> anyhow::Result<Batch> {
    let size = options.sizes[(step % options.sizes.len() as u64) as usize];
    let count = options.batch as u64;
    let numbers = step * count..(step + 1) * count;
    let examples = numbers.map(|number| source.example(number, size));
    let examples: Vec<_> = examples.collect::<Result<_, _>>()?;
    let mut random = Random::new(options.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Batch::new(&examples, parts, &mut random)
}

#[cfg(test)]
pub(crate) mod tests {
    use segmenter_imaging::{Image, rle::Rle};

    use super::*;
    use crate::example::Object;

    /// A bright square on a dark picture, somewhere.
    pub(crate) struct Squares;

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

    /// Of the first squares, in so many parts.
    pub(crate) fn squares(count: u64, parts: usize) -> Batch {
        let examples: Vec<_> = (0..count)
            .map(|number| Squares.example(number, [96, 96]).unwrap())
            .collect();
        Batch::new(&examples, parts, &mut Random::new(1)).unwrap()
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
        let part = |example: &Example| {
            let batch = Batch::new(std::slice::from_ref(example), 1, &mut Random::new(1));
            batch.unwrap().parts.remove(0)
        };
        let mut counted = part(&example);
        assert!(!counted.positives.is_empty() && counted.optional.is_empty());
        assert!(counted.regions.iter().all(|region| region.weight == 1.0));
        counted.weights.fill(2.0);
        let weights = counted.score_weights(1);
        assert_eq!(weights.len(), 12 * 12 + 6 * 6 + 3 * 3);
        assert!(weights.iter().all(|weight| [1.0, 2.0].contains(weight)));

        example.objects[0].seen = 0.1;
        let ignored = part(&example);
        assert!(ignored.positives.is_empty());
        assert!(ignored.regions.iter().all(|region| region.weight == 0.0));
        let zeros = ignored.score_weights(1);
        // Of its 32 pixels every way, and what is about its middle.
        let zeros = zeros.iter().filter(|weight| **weight == 0.0).count();
        assert!((16 + 4..=16 + 9 + 9).contains(&zeros), "{zeros}");
    }

    #[test]
    fn examples_are_shared_out_and_none_is_lost() {
        let shares = |parts| -> Vec<_> {
            let batch = squares(5, parts);
            batch.parts.iter().map(|part| part.examples).collect()
        };
        assert_eq!(shares(1), [5]);
        assert_eq!(shares(2), [3, 2]);
        assert_eq!(shares(9), [1; 5]);
        let points = |parts| -> Vec<f32> {
            let batch = squares(5, parts);
            batch.parts.iter().map(|part| part.step.points).collect()
        };
        assert_eq!(points(2), [points(1)[0]; 2]);
    }
}
