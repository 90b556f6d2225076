//! Whether the detections of a reference are found again.

use super::{Detection, Detections};

/// Reference detections with a lower score are not asked for.
const LEAST_SCORE: f64 = 0.3;

/// How far away a detection may be from the reference's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    /// The least intersection over union of the boxes.
    pub(super) iou: f64,
    /// The greatest difference of the scores.
    pub(super) score: f64,
}

impl Tolerance {
    /// Of what is calculated in floats.
    pub(super) const FLOAT: Self = Self {
        iou: 0.95,
        score: 0.03,
    };
    /// Of what is calculated in 8-bit integers, where the smallest difference of a picture grows.
    pub(super) const INT8: Self = Self {
        iou: 0.9,
        score: 0.05,
    };
}

/// How many detections of a reference were found.
#[derive(Debug)]
pub(super) struct Fidelity {
    /// So many were found.
    pub(super) found: usize,
    /// Of so many.
    pub(super) total: usize,
    /// The others, one line each.
    pub(super) missed: Vec<String>,
}

impl Fidelity {
    /// Matches one to one, the most certain of the reference first, each with the free detection of its
    /// label that overlaps best.
    pub(super) fn of(ours: &Detections, reference: &Detections, tolerance: Tolerance) -> Self {
        let mut fidelity = Self {
            found: 0,
            total: 0,
            missed: Vec::new(),
        };
        let mut names: Vec<&String> = reference.keys().collect();
        names.sort();
        for name in names {
            let mut wanted: Vec<&Detection> = reference[name]
                .iter()
                .filter(|detection| detection.score >= LEAST_SCORE)
                .collect();
            wanted.sort_by(|a, b| b.score.total_cmp(&a.score));
            let mut free: Vec<&Detection> = ours.get(name).into_iter().flatten().collect();
            fidelity.total += wanted.len();
            for detection in wanted {
                match best_match(detection, &free, tolerance) {
                    Some(index) => {
                        free.swap_remove(index);
                        fidelity.found += 1;
                    }
                    None => fidelity.missed.push(miss(name, detection, &free)),
                }
            }
        }
        fidelity
    }
}

fn best_match(wanted: &Detection, free: &[&Detection], tolerance: Tolerance) -> Option<usize> {
    free.iter()
        .enumerate()
        .filter(|(_, ours)| ours.label == wanted.label)
        .filter(|(_, ours)| (ours.score - wanted.score).abs() <= tolerance.score)
        .map(|(index, ours)| (index, iou(&ours.bbox, &wanted.bbox)))
        .filter(|(_, iou)| *iou >= tolerance.iou)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(index, _)| index)
}

/// Says what was wanted and what came closest.
fn miss(picture: &str, wanted: &Detection, free: &[&Detection]) -> String {
    let closest = free
        .iter()
        .filter(|ours| ours.label == wanted.label)
        .map(|ours| (iou(&ours.bbox, &wanted.bbox), ours.score))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let closest = closest.map_or_else(
        || "none of this label".to_owned(),
        |(iou, score)| format!("closest {score:.3} at IoU {iou:.3}"),
    );
    let Detection {
        label, score, bbox, ..
    } = wanted;
    format!("{picture}: {label} {score:.3} {bbox:?}, {closest}")
}

/// Intersection over union of two boxes `x0, y0, x1, y1`.
fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let area = |[x0, y0, x1, y1]: [f64; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let intersection = area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    intersection / (area(*a) + area(*b) - intersection)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Detection, Fidelity, Tolerance, iou};

    fn detection(label: &str, score: f64, bbox: [f64; 4]) -> Detection {
        Detection {
            label: label.to_owned(),
            score,
            bbox,
            mask: None,
        }
    }

    #[test]
    fn overlap_of_boxes() {
        let a = [0.0, 0.0, 10.0, 10.0];
        assert!((iou(&a, &a) - 1.0).abs() < 1e-12);
        assert!((iou(&a, &[5.0, 0.0, 15.0, 10.0]) - 1.0 / 3.0).abs() < 1e-12);
        assert!(iou(&a, &[20.0, 20.0, 30.0, 30.0]).abs() < 1e-12);
    }

    #[test]
    fn one_detection_serves_one_of_the_reference() {
        let bbox = [0.0, 0.0, 100.0, 100.0];
        let reference = HashMap::from([(
            "a".to_owned(),
            vec![
                detection("cat", 0.90, bbox),
                detection("cat", 0.89, bbox),
                detection("dog", 0.80, bbox),
                detection("bird", 0.70, [0.0, 0.0, 90.0, 100.0]),
                detection("cow", 0.29, bbox),
            ],
        )]);
        let ours = HashMap::from([(
            "a".to_owned(),
            vec![
                detection("cat", 0.91, bbox),
                detection("dog", 0.76, bbox),
                detection("bird", 0.70, bbox),
            ],
        )]);
        let fidelity = Fidelity::of(&ours, &reference, Tolerance::FLOAT);
        assert_eq!((fidelity.found, fidelity.total), (1, 4));
        assert_eq!(fidelity.missed.len(), 3);
        let own = Fidelity::of(&reference, &reference, Tolerance::FLOAT);
        assert_eq!((own.found, own.total), (4, 4));
    }
}
