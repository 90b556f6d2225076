//! Binary masks as COCO run lengths.

/// A binary mask as run lengths, the way COCO keeps them: column after column from the left, each from
/// the top, alternating runs of background and foreground, beginning with background (which may be 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    height: u32,
    width: u32,
    counts: Vec<u32>,
}
