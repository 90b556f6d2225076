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
}

impl Object {
    /// Of a mask; `None` of one without pixels.
    pub fn new(class: usize, mask: Rle) -> Option<Self> {
        let bbox = mask.bbox()?.map(|side| side as f32);
        Some(Self { class, bbox, mask })
    }
}
