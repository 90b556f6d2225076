//! From what was found to the answer.

use segmenter_imaging::rle::Rle;

use super::{Found, clip};
use crate::{
    blocks::{Map, sigmoid},
    model::Output,
    prediction::{Detection, Outcome, Prediction},
};

/// A pixel belongs to an object where its mask is more probable than this.
const MASK_THRESHOLD: f32 = 0.5;

/// What a network answers for these findings; `masks` are their `[found, side, side]` probabilities and
/// `side`, where asked for.
pub fn output(found: &[Found], masks: Option<(Vec<f32>, usize)>) -> Output {
    Output::Instances {
        boxes: found.iter().map(|f| f.bbox).collect(),
        classes: found.iter().map(|f| f.class).collect(),
        scores: found.iter().map(|f| f.score).collect(),
        masks,
    }
}

/// Of the mask logits `[found, classes, side, side]`, each finding's own class as probabilities:
/// `[found, side, side]`.
pub fn class_masks(logits: &Map, found: &[(usize, Found)]) -> Vec<f32> {
    let mut masks = logits.planes_to_host(found.iter().map(|(_, f)| f.class as usize));
    masks.iter_mut().for_each(|x| *x = sigmoid(*x));
    masks
}

/// Puts an object's probabilities `[side, side]`, given with `side` and the object's box in pixels, on a picture of
/// `[width, height]`, above a threshold.
pub(super) type Paste = fn(&[f32], usize, [f32; 4], [u32; 2], f32) -> Rle;

/// The findings on the picture of `[width, height]` that was resized by `scale` (`[x, y]`, pixels of the
/// input a pixel of the picture) for the network; `paste` knows where a mask lies by its box.
///
/// # Panics
///
/// If the output is not of an instance detector.
pub fn prediction(output: Output, picture: [u32; 2], scale: [f32; 2], paste: Paste) -> Prediction {
    let Output::Instances {
        boxes,
        classes,
        scores,
        masks,
    } = output
    else {
        unreachable!("an instance detector answers instances");
    };
    let [width, height] = picture;
    let mask = |i: usize, bbox| {
        let (probabilities, side) = masks.as_ref()?;
        let mask = &probabilities[i * side * side..][..side * side];
        Some(paste(mask, *side, bbox, picture, MASK_THRESHOLD))
    };
    let detections = boxes.iter().enumerate().map(|(i, [x0, y0, x1, y1])| {
        let [sx, sy] = scale;
        let bbox = clip(
            [x0 / sx, y0 / sy, x1 / sx, y1 / sy],
            picture.map(|v| v as f32),
        );
        Detection {
            class: classes[i],
            score: scores[i],
            bbox,
            mask: mask(i, bbox),
        }
    });
    Prediction {
        width,
        height,
        outcome: Outcome::Detections(detections.collect()),
    }
}
