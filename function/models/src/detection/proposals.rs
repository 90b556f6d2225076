//! Proposals: the regions that a region proposal network finds worth a look.
//!
//! Ren et al., "Faster R-CNN", 2015; step for step torchvision's `RegionProposalNetwork`.

use super::{
    anchors::shifted,
    batch::each,
    boxes::{clip, decode, is_at_least},
    nms::batched_nms,
};
use crate::blocks::{Device, sigmoid};

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
    device: &Device,
) -> Vec<[f32; 4]> {
    let of_levels = each(device, levels.len(), |i| {
        levels[i].proposals(picture, config)
    });
    let mut all: Vec<_> = of_levels.into_iter().flatten().collect();
    // Of equals those of the finer level stay first.
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    all.truncate(config.after_nms);
    all.into_iter().map(|(_, bbox)| bbox).collect()
}

impl Level<'_> {
    /// Scores and boxes of what this level proposes, the best first.
    fn proposals(&self, picture: [f32; 2], config: &ProposalConfig) -> Vec<(f32, [f32; 4])> {
        let candidates = self.best(config.before_nms);
        let (scores, boxes): (Vec<_>, Vec<_>) = candidates
            .map(|(logit, bbox)| (sigmoid(logit), clip(bbox, picture)))
            .filter(|&(_, bbox)| is_at_least(bbox, config.min_side))
            .unzip();
        let one_group = vec![0; boxes.len()];
        let kept = batched_nms(&boxes, &scores, &one_group, config.nms_threshold);
        kept.into_iter().map(|i| (scores[i], boxes[i])).collect()
    }

    /// Logits and boxes of the `count` best, the best first.
    fn best(&self, count: usize) -> impl Iterator<Item = (f32, [f32; 4])> {
        let [height, width] = self.map;
        let (places, anchors) = (height * width, self.cells.len());
        // Row after row, place after place, anchor after anchor.
        let mut order: Vec<(f32, usize)> = (0..places)
            .flat_map(|place| (0..anchors).map(move |anchor| (place, anchor)))
            .map(|(place, anchor)| self.logits[anchor * places + place])
            .zip(0..)
            .collect();
        let by_logit = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if count < order.len() {
            order.select_nth_unstable_by(count, by_logit);
            order.truncate(count);
        }
        order.sort_unstable_by(by_logit);
        order.into_iter().map(move |(logit, i)| {
            let (place, anchor) = (i / anchors, i % anchors);
            let at = [place % width, place / width];
            let deltas = std::array::from_fn(|k| self.deltas[(anchor * 4 + k) * places + place]);
            let cell = shifted(self.cells[anchor], at, self.strides);
            (logit, decode(deltas, cell, [1.0; 4]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, Level, ProposalConfig, proposals};

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
        let found = proposals(&[level], [100.0, 100.0], &CONFIG, &Device::stock());
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
        let found = proposals(
            &[level(&[1.0]), level(&[2.0])],
            [100.0, 100.0],
            &CONFIG,
            &Device::stock(),
        );
        assert_eq!(found.len(), 2);
        let too_small = proposals(&[level(&[1.0])], [100.0, 0.5], &CONFIG, &Device::stock());
        assert!(too_small.is_empty());
    }
}
