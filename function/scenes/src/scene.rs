//! What is asked for and what is answered.

use segmenter_imaging::{Image, rle::Rle};

use crate::{compose, masks, photo::Photo, random::Random, stage::Stage};

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A sticky note, a pad of them with its sides.
    StickyNote,
    /// A board's side with the rainbow and the white disk.
    WowboardFront,
    /// A board's white side with the table.
    WowboardBack,
}

impl Class {
    /// All names, by number.
    pub const NAMES: [&'static str; 3] = ["stickynote", "wowboard-front", "wowboard-back"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Which formulas are drawn from. Textures, hands and lights of one family are not in the other, so that what a
/// network learned from one can be tried on what it never saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// To learn from.
    Training,
    /// To be tried on.
    HeldOut,
}

/// What a scene is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Width and height in pixels; nought counts as one.
    pub size: [u32; 2],
    /// Which formulas are drawn from.
    pub family: Family,
}

/// A picture and what is in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The photograph.
    pub image: Image,
    /// What is seen in it, in the order in which it was put there.
    pub objects: Vec<Object>,
}

/// Something in a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub class: Class,
    /// Its pixels.
    pub mask: Rle,
}

/// The scene of this seed.
pub fn scene(seed: u64, settings: &Settings) -> Scene {
    let salt = match settings.family {
        Family::Training => 0,
        Family::HeldOut => 0x5eed_0000_0000_0001,
    };
    let mut random = Random::new(seed ^ salt);
    let photo = Photo::random(&mut random, settings.family);
    let stage = compose::any(random, settings.family, at_least_one(settings.size));
    finish(&stage, &photo)
}

/// A front with notes on it on a wall, for a first look; the same for the same size.
pub fn demo(size: [u32; 2]) -> Scene {
    let stage = compose::demo(at_least_one(size));
    finish(&stage, &Photo::clean(1))
}

fn at_least_one(size: [u32; 2]) -> [u32; 2] {
    size.map(|side| side.max(1))
}

fn finish(stage: &Stage, photo: &Photo) -> Scene {
    let canvas = stage.render();
    let objects = masks::objects(&canvas, &stage.made);
    let [width, height] = stage.size;
    let image = photo
        .take(canvas, &stage.light)
        .unwrap_or_else(|| black(width, height));
    Scene { image, objects }
}

#[expect(
    clippy::expect_used,
    reason = "so many samples are made as the size says"
)]
fn black(width: u32, height: u32) -> Image {
    let samples = vec![0; width as usize * height as usize * 3];
    Image::new(width, height, samples).expect("as many samples as pixels ask for")
}
