//! Where examples come from.

use segmenter_scenes::{Family, Settings, scene};

use crate::example::Example;

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

/// Sticky notes and boards, drawn.
pub struct Drawn {
    /// Which textures, lights and letters.
    pub family: Family,
    /// The first example's seed.
    pub seed: u64,
}

impl Source for Drawn {
    fn classes(&self) -> Vec<String> {
        segmenter_scenes::Class::NAMES.map(str::to_owned).into()
    }

    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example> {
        let settings = Settings {
            size,
            family: self.family,
        };
        Ok(scene(self.seed.wrapping_add(number), &settings).into())
    }
}
