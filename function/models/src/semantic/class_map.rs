//! From coarse logits to the class of every pixel.

use rayon::prelude::*;
use segmenter_imaging::interpolate::{Corners, Tap, taps};

use crate::prediction::ClassMap;

/// From a coarse grid to the pixels of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enlargement {
    /// How the grids lie on each other.
    pub corners: Corners,
    /// `[height, width]` of the fine grid that the coarse one covers.
    pub full: [usize; 2],
    /// `[height, width]` at the top left of it that are wanted; the rest is padding.
    pub kept: [usize; 2],
}

/// Enlarges `logits`, `[classes, rows, columns]`, bilinearly and takes the most probable class of every
/// pixel, the first of equals, with its softmax probability.
///
/// Row by row, so that the enlarged logits never exist as a whole.
pub fn class_map(
    logits: &[f32],
    [classes, rows, columns]: [usize; 3],
    Enlargement {
        corners,
        full,
        kept: [height, width],
    }: Enlargement,
) -> ClassMap {
    // Classes innermost, `[rows, columns, classes]`, as they are compared for each pixel.
    let mut scores = vec![0.0; logits.len()];
    for (class, plane) in logits.chunks_exact(rows * columns).enumerate() {
        for (place, &logit) in plane.iter().enumerate() {
            scores[place * classes + class] = logit;
        }
    }
    let row_taps = taps(rows as u32, full[0] as u32, corners);
    let column_taps = taps(columns as u32, full[1] as u32, corners);

    let mut map = ClassMap {
        width: width as u32,
        height: height as u32,
        classes: vec![0; height * width],
        confidence: vec![0.0; height * width],
    };
    map.classes
        .par_chunks_exact_mut(width)
        .zip(map.confidence.par_chunks_exact_mut(width))
        .zip(&row_taps)
        .for_each_init(
            || (vec![0.0; columns * classes], vec![0.0; classes]),
            |(row, pixel), ((ids, confidences), tap)| {
                let line = |index: usize| &scores[index * columns * classes..][..columns * classes];
                blend(tap, line(tap.low), line(tap.high), row);
                for ((id, confidence), tap) in ids.iter_mut().zip(confidences).zip(&column_taps) {
                    let place = |index: usize| &row[index * classes..][..classes];
                    blend(tap, place(tap.low), place(tap.high), pixel);
                    let (best, greatest) = first_greatest(pixel);
                    *id = best as u8;
                    *confidence = 1.0 / pixel.iter().map(|v| (v - greatest).exp()).sum::<f32>();
                }
            },
        );
    map
}

fn blend(tap: &Tap, low: &[f32], high: &[f32], out: &mut [f32]) {
    for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
        *out = tap.blend(low, high);
    }
}

fn first_greatest(values: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &value) in values.iter().enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::interpolate::Corners;

    use super::{Enlargement, class_map};

    #[test]
    fn the_most_probable_class_wins_and_padding_is_left_out() {
        // Two classes on a grid of one row: class 1 grows to the right, from -1 to 1 over 5 pixels.
        let logits = [0.0, 0.0, -1.0, 1.0];
        let map = class_map(
            &logits,
            [2, 1, 2],
            Enlargement {
                corners: Corners::Aligned,
                full: [3, 5],
                kept: [2, 4],
            },
        );
        assert_eq!((map.width, map.height), (4, 2));
        // In the middle both are 0: the first of equals.
        assert_eq!(map.classes, [0, 0, 0, 1, 0, 0, 0, 1]);
        let expected = 1.0 / (1.0 + (-1.0_f32).exp());
        assert!((map.confidence[0] - expected).abs() < 1e-6);
        assert!((map.confidence[2] - 0.5).abs() < 1e-6);
    }
}
