//! Proposals: the regions that a region proposal network finds worth a look.
//!
//! Ren et al., "Faster R-CNN", 2015; step for step torchvision's `RegionProposalNetwork`.

use super::{
    anchors::shifted,
    boxes::{clip, decode, is_at_least},
    nms::batched_nms,
};
use crate::blocks::sigmoid;

/// How many proposals are taken, and which.
#[derive(Clone, Copy, Debug)]
pub struct ProposalConfig {
    /// The best of each level that are decoded.
    pub before_nms: usize,
    /// The best of all levels that are answered.
    pub after_nms: usize,
    /// Proposals of a level that a better one covers by more than this are dropped.
    pub nms_threshold: f32,
    /// Proposals with a shorter side are dropped, in pixels.
    pub min_side: f32,
}

/// What the network says about one feature map.
pub struct Level<'a> {
    /// Anchors of one place; `anchors` of them.
    pub cells: &'a [[f32; 4]],
    /// Distance between places, `[x, y]`, in pixels.
    pub strides: [usize; 2],
    /// `[height, width]`.
    pub map: [usize; 2],
    /// `[anchors, height, width]`.
    pub logits: &'a [f32],
    /// `[anchors * 4, height, width]`, each anchor's `dx, dy, dw, dh`.
    pub deltas: &'a [f32],
}

/// Proposals on a picture of `[width, height]`, the best first.
///
/// Of equal scores the one nearer to the top left comes first; torch leaves that order open.
pub fn proposals(
    levels: &[Level<'_>],
    picture: [f32; 2],
    config: &ProposalConfig,
) -> Vec<[f32; 4]> {
    let mut boxes = Vec::new();
    let mut scores = Vec::new();
    let mut groups = Vec::new();
    for (group, level) in (0..).zip(levels) {
        for candidate in level.best(config.before_nms) {
            let bbox = clip(candidate.bbox, picture);
            if is_at_least(bbox, config.min_side) {
                boxes.push(bbox);
                scores.push(sigmoid(candidate.logit));
                groups.push(group);
            }
        }
    }
    let mut kept = batched_nms(&boxes, &scores, &groups, config.nms_threshold);
    kept.truncate(config.after_nms);
    kept.into_iter().map(|i| boxes[i]).collect()
}

struct Candidate {
    logit: f32,
    bbox: [f32; 4],
}

impl Level<'_> {
    /// The `count` best, the best first.
    fn best(&self, count: usize) -> impl Iterator<Item = Candidate> {
        let [height, width] = self.map;
        let (places, anchors) = (height * width, self.cells.len());
        // Row after row, place after place, anchor after anchor.
        let logit = |i: usize| self.logits[i % anchors * places + i / anchors];
        let by_logit = |&a: &usize, &b: &usize| logit(b).total_cmp(&logit(a)).then(a.cmp(&b));

        let mut order: Vec<usize> = (0..places * anchors).collect();
        if count < order.len() {
            order.select_nth_unstable_by(count, by_logit);
            order.truncate(count);
        }
        order.sort_unstable_by(by_logit);
        order.into_iter().map(move |i| {
            let (place, anchor) = (i / anchors, i % anchors);
            let at = [place % width, place / width];
            let deltas = std::array::from_fn(|k| self.deltas[(anchor * 4 + k) * places + place]);
            Candidate {
                logit: self.logits[anchor * places + place],
                bbox: decode(
                    deltas,
                    shifted(self.cells[anchor], at, self.strides),
                    [1.0; 4],
                ),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, ProposalConfig, proposals};

    const CONFIG: ProposalConfig = ProposalConfig {
        before_nms: 3,
        after_nms: 2,
        nms_threshold: 0.7,
        min_side: 1.0,
    };

    /// Two cells on a map of 1x2 places: logits are anchor-major, the order of candidates place-major.
    #[test]
    fn the_best_of_a_level_decoded_and_clipped() {
        let cells = [[-2.0, -2.0, 2.0, 2.0], [-8.0, -8.0, 8.0, 8.0]];
        let mut deltas = vec![0.0; 16];
        // Moves the second anchor of the second place by its whole width to the left.
        deltas[4 * 2 + 1] = -1.0;
        let level = Level {
            cells: &cells,
            strides: [16, 16],
            map: [1, 2],
            logits: &[0.0, 3.0, 1.0, 2.0],
            deltas: &deltas,
        };
        let found = proposals(&[level], [100.0, 100.0], &CONFIG);
        assert_eq!(found, [[14.0, 0.0, 18.0, 2.0], [0.0, 0.0, 8.0, 8.0]]);
    }

    #[test]
    fn levels_do_not_suppress_each_other() {
        let cells = [[0.0, 0.0, 9.0, 9.0]];
        let level = |logit: &'static [f32]| Level {
            cells: &cells,
            strides: [16, 16],
            map: [1, 1],
            logits: logit,
            deltas: &[0.0; 4],
        };
        let found = proposals(&[level(&[1.0]), level(&[2.0])], [100.0, 100.0], &CONFIG);
        assert_eq!(found.len(), 2);
        let too_small = proposals(&[level(&[1.0])], [100.0, 0.5], &CONFIG);
        assert!(too_small.is_empty());
    }
}
