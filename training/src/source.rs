//! Where examples come from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
            Object::new(class, object.mask, object.seen)
        });
        Ok(Example {
            image: scene.image,
            objects: objects.collect(),
        })
    }
}

/// Several examples of each of another source's, which cost less than as many new ones (Hoffer et al., "Augment Your
/// Batch", 2020). The same one comes again only after all others of a window, so that a batch has no two views of it. Not
/// all of a window are new at a time, but as many in every batch, so that nobody waits for them.
pub struct Views<S> {
    source: S,
    each: u64,
    window: u64,
    seed: u64,
    /// The examples of the source that are wanted again, by their number and size.
    kept: Mutex<Kept>,
}

type Kept = HashMap<(u64, [u32; 2]), Arc<Example>>;

/// By how much larger examples are drawn than their views, so that a cut is nearly as sharp.
const LARGER: f32 = 1.25;

impl<S: Source> Views<S> {
    /// Makes `each` examples of each of the source's, `window` of which are kept at a time. Chance begins with the seed.
    ///
    /// # Panics
    /// If one of these numbers is 0.
    pub fn new(source: S, each: u64, window: u64, seed: u64) -> Self {
        assert!(each > 0 && window > 0, "no views");
        Self {
            source,
            each,
            window,
            seed,
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No change of it can be left half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source's example that this one is a view of.
    fn viewed(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Arc<Example>> {
        let (pass, place) = (number / self.window, number % self.window);
        // As if those of every other place had begun some passes earlier.
        let pass = pass + place % self.each;
        let key = (pass / self.each * self.window + place, size);
        let is_last = pass % self.each == self.each - 1;
        let kept = if is_last {
            self.kept().remove(&key)
        } else {
            self.kept().get(&key).cloned()
        };
        if let Some(example) = kept {
            return Ok(example);
        }
        let larger = size.map(|side| (side as f32 * LARGER) as u32);
        let example = Arc::new(self.source.example(key.0, larger)?);
        if !is_last {
            self.kept().insert(key, Arc::clone(&example));
        }
        Ok(example)
    }
}

impl<S: Source> Source for Views<S> {
    fn classes(&self) -> Vec<String> {
        self.source.classes()
    }

    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example> {
        let example = self.viewed(number, size)?;
        let mut random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        varied(&example.image, &example.objects, size, &mut random)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use segmenter_imaging::Image;

    use super::*;

    fn views() -> Views<Drawn> {
        let drawn = Drawn {
            subject: Subject::Cups,
            family: Family::Training,
            seed: 3,
        };
        Views::new(drawn, 3, 4, 5)
    }

    #[test]
    fn views_are_the_same_in_any_order_and_nothing_is_kept_for_long() {
        let (size, all) = ([96, 64], views());
        let examples: Vec<_> = (0..24).map(|i| all.example(i, size).unwrap()).collect();
        // Of the four places, two have been seen as often as wanted.
        assert_eq!(all.kept().len(), 2);
        for number in [5, 23, 0, 9, 13] {
            let example = views().example(number, size).unwrap();
            let expected = &examples[number as usize];
            assert_eq!([example.image.width(), example.image.height()], size);
            assert_eq!(example.image, expected.image);
            assert_eq!(example.objects.len(), expected.objects.len());
        }
        assert_ne!(examples[0].image, examples[4].image);
        assert_eq!(all.classes(), ["cup"]);
    }

    #[test]
    fn each_is_seen_as_often_as_wanted_and_some_are_new_in_every_pass() {
        struct Numbers(Mutex<Vec<u64>>);

        impl Source for Numbers {
            fn classes(&self) -> Vec<String> {
                Vec::new()
            }

            fn example(&self, number: u64, [width, height]: [u32; 2]) -> anyhow::Result<Example> {
                self.0.lock().unwrap().push(number);
                let pixels = vec![0; (width * height * 3) as usize];
                let image = Image::new(width, height, pixels).context("pixels")?;
                Ok(Example {
                    image,
                    objects: Vec::new(),
                })
            }
        }

        let views = Views::new(Numbers(Mutex::default()), 3, 6, 0);
        let drawn = |pass: u64| {
            for number in pass * 6..(pass + 1) * 6 {
                views.example(number, [32, 32]).unwrap();
            }
            std::mem::take(&mut *views.source.0.lock().unwrap())
        };
        assert_eq!(drawn(0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(drawn(1), [8, 11]);
        assert_eq!(drawn(2), [7, 10]);
        assert_eq!(drawn(3), [6, 9]);
        assert_eq!(drawn(4), [14, 17]);
    }
}
