//! Detections: what the box head makes of the proposals.

use std::ops::Range;

use super::{
    boxes::{CodingWeights, clip, decode, is_at_least},
    nms::batched_nms,
};
use crate::prediction::Selection;

/// Which detections a network was made to answer.
#[derive(Clone, Debug)]
pub struct DetectionConfig {
    /// Only scores above this are looked at: the number of pairs of proposal and class explodes below it,
    /// and no one has ever tuned the network there. A caller's threshold has no effect below.
    pub score_floor: f32,
    /// Detections that a better one of the same class covers by more than this are dropped.
    pub nms_threshold: f32,
    /// At most this many are answered, whatever the caller allows.
    pub max_detections: usize,
    /// Boxes with a shorter side are dropped, in pixels of the network's input.
    pub min_side: f32,
    /// How offsets are scaled.
    pub coding: CodingWeights,
    /// The columns of the scores that are classes, background left out. A class's id is its column.
    pub classes: Range<usize>,
}

/// What the box head says about each proposal.
pub struct Predictions<'a> {
    /// The boxes it looked at.
    pub proposals: &'a [[f32; 4]],
    /// Probabilities, `[proposals, columns]`.
    pub scores: &'a [f32],
    /// Offsets, `[proposals, columns * 4]`; columns after the last class may be missing.
    pub deltas: &'a [f32],
}

/// One detection, in pixels of the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Class id.
    pub class: u32,
    /// Probability.
    pub score: f32,
    /// `[x0, y0, x1, y1]`.
    pub bbox: [f32; 4],
}

/// The detections of a picture of `[width, height]` that the selection wants, best first.
///
/// Suppression sees only what is wanted, which changes nothing: a detection is never suppressed by one of
/// a lower score or of another class. The caps count wanted detections only.
pub fn detections(
    predictions: &Predictions<'_>,
    picture: [f32; 2],
    config: &DetectionConfig,
    selection: &Selection,
) -> Vec<Found> {
    let Predictions {
        proposals,
        scores,
        deltas,
    } = predictions;
    if proposals.is_empty() {
        return Vec::new();
    }
    let score_columns = scores.len() / proposals.len();
    let delta_columns = deltas.len() / proposals.len();

    let mut found = Vec::new();
    for (roi, &proposal) in proposals.iter().enumerate() {
        for column in config.classes.clone() {
            let score = scores[roi * score_columns + column];
            let class = column as u32;
            if score <= config.score_floor || score < selection.threshold || !selection.wants(class)
            {
                continue;
            }
            let at = roi * delta_columns + column * 4;
            let deltas = std::array::from_fn(|k| deltas[at + k]);
            let bbox = clip(decode(deltas, proposal, config.coding), picture);
            if is_at_least(bbox, config.min_side) {
                found.push(Found { class, score, bbox });
            }
        }
    }

    let boxes: Vec<_> = found.iter().map(|f| f.bbox).collect();
    let scores: Vec<_> = found.iter().map(|f| f.score).collect();
    let classes: Vec<_> = found.iter().map(|f| f.class).collect();
    let mut kept = batched_nms(&boxes, &scores, &classes, config.nms_threshold);
    kept.truncate(config.max_detections.min(selection.max_detections));
    kept.into_iter().map(|i| found[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::{DetectionConfig, Found, Predictions, detections};
    use crate::prediction::Selection;

    /// Three columns, the first of which is background, on two proposals.
    fn detect(selection: &Selection) -> Vec<Found> {
        let config = DetectionConfig {
            score_floor: 0.05,
            nms_threshold: 0.5,
            max_detections: 3,
            min_side: 0.01,
            coding: [10.0, 10.0, 5.0, 5.0],
            classes: 1..3,
        };
        let predictions = Predictions {
            proposals: &[[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0]],
            scores: &[0.1, 0.6, 0.3, 0.2, 0.7, 0.1],
            deltas: &[0.0; 24],
        };
        detections(&predictions, [10.0, 10.0], &config, selection)
    }

    const ALL: Selection = Selection {
        threshold: 0.0,
        max_detections: 100,
        classes: None,
        masks: false,
        map_size: None,
        scores: false,
    };

    #[test]
    fn the_best_of_each_class_clipped() {
        let expected = [
            Found {
                class: 1,
                score: 0.7,
                bbox: [1.0, 0.0, 10.0, 10.0],
            },
            Found {
                class: 2,
                score: 0.3,
                bbox: [0.0, 0.0, 10.0, 10.0],
            },
        ];
        assert_eq!(detect(&ALL), expected);
    }

    #[test]
    fn only_what_is_wanted() {
        let threshold = Selection {
            threshold: 0.5,
            ..ALL
        };
        assert_eq!(detect(&threshold).len(), 1);
        let class = Selection {
            classes: Some(vec![2]),
            ..ALL
        };
        assert_eq!(
            detect(&class).iter().map(|f| f.class).collect::<Vec<_>>(),
            [2]
        );
        let capped = Selection {
            max_detections: 1,
            ..ALL
        };
        assert_eq!(detect(&capped).len(), 1);
    }
}
