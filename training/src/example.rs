//! What a network learns from: a picture, and the objects in it.

use segmenter_imaging::{Image, rle::Rle};

/// A picture of the size that the network takes, and all that is to be found in it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The picture.
    pub image: Image,
    /// What is in it.
    pub objects: Vec<Object>,
}

/// One object of a picture.
#[derive(Clone, Debug)]
pub struct Object {
    /// Index into the names of the classes.
    pub class: usize,
    /// `[x0, y0, x1, y1]` in pixels, around the pixels of the mask.
    pub bbox: [f32; 4],
    /// Which pixels of the picture are the object's.
    pub mask: Rle,
    /// How much of it these are, 0 to 1: the rest is behind something, or beyond the picture's edge. Of what is not one
    /// object (COCO's crowds) 0.
    pub seen: f32,
}

/// Who annotates pictures would outline nothing of which less is seen.
const LEAST_SEEN: f32 = 0.25;

/// The longer side of the smallest object that counts, in pixels of the network's input: whether a smaller one is found
/// or not is as good.
const SMALLEST: f32 = 8.0;

/// Pixels of the network's input to one of an example's of that size.
pub const AS_IT_IS: [f32; 2] = [1.0; 2];

impl Object {
    /// Of a mask, and of how much of the object it is; `None` of a mask without pixels.
    pub fn new(class: usize, mask: Rle, seen: f32) -> Option<Self> {
        let bbox = mask.bbox()?.map(|side| side as f32);
        Some(Self {
            class,
            bbox,
            mask,
            seen,
        })
    }

    /// Whether enough of it is seen.
    pub fn is_seen(&self) -> bool {
        self.seen >= LEAST_SEEN
    }

    /// Whether it is to be found, in a picture with so many pixels of the network's input to one of its own along both
    /// axes. If not, finding it is neither right nor wrong.
    pub fn counts(&self, scale: [f32; 2]) -> bool {
        let [x0, y0, x1, y1] = self.bbox;
        let longer = ((x1 - x0) * scale[0]).max((y1 - y0) * scale[1]);
        self.is_seen() && longer >= SMALLEST
    }
}
