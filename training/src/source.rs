//! Where examples come from.

use std::ops::Range;

use anyhow::Context as _;
use segmenter_scenes::{Class, Family, Settings, cups, scene};

use crate::{
    example::{Example, Object},
    random::Random,
    variation::varied,
};

/// Examples without an end, by their number.
pub trait Source: Send + Sync {
    /// The names of the classes, by their index.
    fn classes(&self) -> Vec<String>;

    /// The example of this number, `[width, height]` large, the same whenever it is asked for.
    ///
    /// # Errors
    /// Where it cannot be read any more.
    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example>;

    /// Those of these numbers.
    ///
    /// # Errors
    /// Where one cannot be read any more.
    fn examples(&self, numbers: Range<u64>, size: [u32; 2]) -> anyhow::Result<Vec<Example>> {
        numbers.map(|number| self.example(number, size)).collect()
    }
}

/// What can be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Sticky notes, and the boards that they are stuck on
    #[default]
    Boards,
    /// Cups on tables
    Cups,
}

impl Subject {
    fn classes(self) -> &'static [Class] {
        match self {
            Self::Boards => &Class::BOARDS,
            Self::Cups => &Class::CUPS,
        }
    }
}

/// Examples that are drawn.
pub struct Drawn {
    /// What is in them.
    pub subject: Subject,
    /// Which textures, lights and letters.
    pub family: Family,
    /// The first example's seed.
    pub seed: u64,
}

impl Source for Drawn {
    fn classes(&self) -> Vec<String> {
        let names = self.subject.classes().iter().map(|class| class.name());
        names.map(str::to_owned).collect()
    }

    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example> {
        let settings = Settings {
            size,
            family: self.family,
        };
        let draw = match self.subject {
            Subject::Boards => scene,
            Subject::Cups => cups,
        };
        let scene = draw(self.seed.wrapping_add(number), &settings);
        let classes = self.subject.classes();
        let objects = scene.objects.into_iter().filter_map(|object| {
            let class = classes.iter().position(|class| *class == object.class)?;
            Object::new(class, object.mask)
        });
        Ok(Example {
            image: scene.image,
            objects: objects.collect(),
        })
    }
}

/// Several examples of each of another source, which cost less than as many new ones: a batch of them is more than a
/// smaller one of new ones (Hoffer et al., "Augment Your Batch", 2020).
pub struct Views<S> {
    /// The other.
    pub source: S,
    /// How many examples are made of each of its.
    pub each: u64,
    /// What chance begins with.
    pub seed: u64,
}

/// By how much larger examples are drawn than their views, so that a cut is nearly as sharp.
const LARGER: f32 = 1.25;

impl<S: Source> Source for Views<S> {
    fn classes(&self) -> Vec<String> {
        self.source.classes()
    }

    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example> {
        let mut examples = self.examples(number..number + 1, size)?;
        examples.pop().context("an example")
    }

    fn examples(&self, numbers: Range<u64>, size: [u32; 2]) -> anyhow::Result<Vec<Example>> {
        let each = self.each.max(1);
        let larger = size.map(|side| (side as f32 * LARGER) as u32);
        let mut seen: Option<(u64, Example)> = None;
        let mut views = Vec::new();
        for number in numbers {
            let of = number / each;
            let example = match seen.take() {
                Some((number, example)) if number == of => example,
                _ => self.source.example(of, larger)?,
            };
            let mut random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let objects = example.objects.iter();
            let objects = objects.map(|object| (object.class, &object.mask));
            views.push(varied(&example.image, objects, size, &mut random)?);
            seen = Some((of, example));
        }
        Ok(views)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views() -> Views<Drawn> {
        Views {
            source: Drawn {
                subject: Subject::Cups,
                family: Family::Training,
                seed: 3,
            },
            each: 3,
            seed: 4,
        }
    }

    #[test]
    fn views_are_the_same_one_by_one_and_together() {
        let size = [96, 64];
        let together = views().examples(1..7, size).unwrap();
        assert_eq!(together.len(), 6);
        for (number, expected) in (1..).zip(&together) {
            let example = views().example(number, size).unwrap();
            assert_eq!([example.image.width(), example.image.height()], size);
            assert_eq!(example.image, expected.image);
            assert_eq!(example.objects.len(), expected.objects.len());
        }
        assert_ne!(together[0].image, together[1].image);
        assert_eq!(views().classes(), ["cup"]);
    }
}
