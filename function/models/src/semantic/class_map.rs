//! From coarse logits to the class of every pixel.

use rayon::prelude::*;
use segmenter_imaging::interpolate::{Corners, Tap, taps};

use crate::prediction::ClassMap;

/// Enlarges `logits`, `[classes, rows, columns]`, bilinearly to `[width, height]` and takes the most probable class of every
/// pixel, the first of equals, with its softmax probability.
///
/// Row by row, so that the enlarged logits never exist as a whole.
pub fn class_map(
    logits: &[f32],
    [classes, rows, columns]: [usize; 3],
    [width, height]: [u32; 2],
    corners: Corners,
) -> ClassMap {
    // Classes innermost, `[rows, columns, classes]`, as they are compared for each pixel.
    let mut scores = vec![0.0; logits.len()];
    for (class, plane) in logits.chunks_exact(rows * columns).enumerate() {
        for (place, &logit) in plane.iter().enumerate() {
            scores[place * classes + class] = logit;
        }
    }
    let row_taps = taps(rows as u32, height, corners);
    let column_taps = taps(columns as u32, width, corners);

    let pixels = row_taps.len() * column_taps.len();
    let mut map = ClassMap {
        width,
        height,
        classes: vec![0; pixels],
        confidence: vec![0.0; pixels],
    };
    map.classes
        .par_chunks_exact_mut(column_taps.len())
        .zip(map.confidence.par_chunks_exact_mut(column_taps.len()))
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

    use super::class_map;

    #[test]
    fn the_most_probable_class_wins() {
        // Two classes on a grid of one row: class 1 grows to the right, from -1 to 1 over 5 pixels.
        let logits = [0.0, 0.0, -1.0, 1.0];
        let map = class_map(&logits, [2, 1, 2], [5, 2], Corners::Aligned);
        assert_eq!((map.width, map.height), (5, 2));
        // In the middle both are 0: the first of equals.
        assert_eq!(map.classes, [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
        let expected = 1.0 / (1.0 + (-1.0_f32).exp());
        assert!((map.confidence[0] - expected).abs() < 1e-6);
        assert!((map.confidence[2] - 0.5).abs() < 1e-6);
    }
}
