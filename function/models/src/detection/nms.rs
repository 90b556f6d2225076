//! Non-maximum suppression: of boxes that cover the same thing, the best.

use super::boxes::iou;

/// Indices of the boxes to keep, best score first: those that no better kept box of the same group covers
/// by more than `threshold` (intersection over union). Of equal scores the first counts as the better.
///
/// Groups do not see each other: they are the classes of detections, or the pyramid levels of proposals.
/// torchvision's `batched_nms` gives the same, up to the rounding of the offsets by which it moves the
/// groups apart.
pub fn batched_nms(
    boxes: &[[f32; 4]],
    scores: &[f32],
    groups: &[u32],
    threshold: f32,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));

    let group_count = groups.iter().max().map_or(0, |&last| last as usize + 1);
    let mut kept_of_group: Vec<Vec<[f32; 4]>> = vec![Vec::new(); group_count];
    order.retain(|&i| {
        let kept = &mut kept_of_group[groups[i] as usize];
        let covered = kept.iter().any(|&better| iou(better, boxes[i]) > threshold);
        if !covered {
            kept.push(boxes[i]);
        }
        !covered
    });
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{batched_nms, iou};

    const THREE: [[f32; 4]; 3] = [
        [0.0, 0.0, 10.0, 10.0],
        [1.0, 0.0, 11.0, 10.0],
        [20.0, 0.0, 30.0, 10.0],
    ];

    #[test]
    fn the_better_box_stays() {
        assert_eq!(
            batched_nms(&THREE, &[0.5, 0.9, 0.7], &[0, 0, 0], 0.5),
            [1, 2]
        );
    }

    #[test]
    fn groups_do_not_see_each_other() {
        assert_eq!(
            batched_nms(&THREE, &[0.5, 0.9, 0.7], &[1, 0, 0], 0.5),
            [1, 2, 0]
        );
    }

    #[test]
    fn a_cover_of_exactly_the_threshold_stays() {
        let overlap = iou(THREE[0], THREE[1]);
        assert_eq!(
            batched_nms(&THREE[..2], &[0.9, 0.5], &[0, 0], overlap),
            [0, 1]
        );
    }

    #[test]
    fn of_equals_the_first_stays() {
        assert_eq!(batched_nms(&[THREE[0]; 2], &[0.5, 0.5], &[0, 0], 0.5), [0]);
    }

    proptest! {
        /// Kept boxes do not cover each other, and every other box is covered by a better kept one.
        #[test]
        fn what_is_kept_covers_what_is_not(
            boxes in prop::collection::vec((0_f32..50.0, 0_f32..50.0, 1_f32..30.0, 1_f32..30.0), 0..40),
            seed in prop::collection::vec((0_f32..1.0, 0_u32..3), 40),
        ) {
            let boxes: Vec<_> = boxes.iter().map(|&(x, y, w, h)| [x, y, x + w, y + h]).collect();
            let scores: Vec<_> = seed.iter().take(boxes.len()).map(|s| s.0).collect();
            let groups: Vec<_> = seed.iter().take(boxes.len()).map(|s| s.1).collect();
            let kept = batched_nms(&boxes, &scores, &groups, 0.4);
            prop_assert!(kept.is_sorted_by(|&a, &b| scores[a] >= scores[b]));
            for i in 0..boxes.len() {
                let covered = kept.iter().any(|&k| {
                    k != i
                        && groups[k] == groups[i]
                        && scores[k] >= scores[i]
                        && iou(boxes[k], boxes[i]) > 0.4
                });
                prop_assert_eq!(covered, !kept.contains(&i));
            }
        }
    }
}
