//! What was found, cut out of its picture.

use std::ops::Range;

use segmenter_imaging::Image;

use super::Drawing;
use crate::error::Error;

/// The columns and the rows of a picture of `[width, height]` that a box covers, its corners cut off to whole pixels.
/// There is at least one of each.
pub fn covered([x0, y0, x1, y1]: [f32; 4], [width, height]: [u32; 2]) -> [Range<u32>; 2] {
    let side = |from: f32, to: f32, length: u32| {
        let first = (from as u32).min(length - 1);
        first..(to as u32).clamp(first + 1, length)
    };
    [side(x0, x1, width), side(y0, y1, height)]
}

/// The part of the picture that the box [covers](covered).
pub fn crop(image: &Image, bbox: [f32; 4], drawing: Drawing) -> Result<Vec<u8>, Error> {
    let [columns, rows] = covered(bbox, [image.width(), image.height()]);
    let part = image.crop(columns, rows);
    drawing.write(&part.ok_or_else(Error::internal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_cut_off_and_a_pixel_is_left() {
        for (bbox, columns, rows) in [
            ([1.9, 0.0, 3.9, 2.0], 1..3, 0..2),
            ([0.0, 0.0, 4.0, 3.0], 0..4, 0..3),
            ([1.2, 1.2, 1.8, 1.8], 1..2, 1..2),
            // Beyond the picture, as no model answers it.
            ([4.0, 3.0, 4.0, 3.0], 3..4, 2..3),
            ([-5.0, 9.0, -1.0, 7.0], 0..1, 2..3),
            ([f32::NAN, f32::INFINITY, f32::NAN, f32::NAN], 0..1, 2..3),
        ] {
            assert_eq!(covered(bbox, [4, 3]), [columns, rows], "{bbox:?}");
        }
    }
}
