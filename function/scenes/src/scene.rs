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
    /// A cup seen from above, with its handle.
    Cup,
}

impl Class {
    /// Those of [`scene()`].
    pub const BOARDS: [Self; 3] = [Self::StickyNote, Self::WowboardFront, Self::WowboardBack];

    /// Those of [`cups`].
    pub const CUPS: [Self; 1] = [Self::Cup];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::StickyNote => "stickynote",
            Self::WowboardFront => "wowboard-front",
            Self::WowboardBack => "wowboard-back",
            Self::Cup => "cup",
        }
    }

    /// Whether it is a board, which others stick on.
    pub(crate) fn is_board(self) -> bool {
        matches!(self, Self::WowboardFront | Self::WowboardBack)
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
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is.
    pub class: Class,
    /// How much of it is seen, 0 to 1: of a note as such, of a board as far as it is within the picture.
    pub seen: f32,
    /// Its pixels.
    pub mask: Rle,
}

/// The scene of notes and boards of this seed.
pub fn scene(seed: u64, settings: &Settings) -> Scene {
    drawn(seed, settings, compose::any)
}

/// The scene of cups on a table of this seed: something else to find, for whoever tries to learn that.
pub fn cups(seed: u64, settings: &Settings) -> Scene {
    drawn(seed, settings, compose::cups)
}

fn drawn(seed: u64, settings: &Settings, compose: fn(Random, Family, [u32; 2]) -> Stage) -> Scene {
    let salt = match settings.family {
        Family::Training => 0,
        Family::HeldOut => 0x5eed_0000_0000_0001,
    };
    let mut random = Random::new(seed ^ salt);
    let photo = Photo::random(&mut random, settings.family);
    let stage = compose(random, settings.family, at_least_one(settings.size));
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
