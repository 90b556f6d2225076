//! Boxes: their coding, clipping and overlap.

/// The greatest logarithm of a scale that is decoded: no box grows by more than 1000 / 16, the largest
/// to the smallest side that networks are trained with (`BBOX_XFORM_CLIP` of Detectron).
const MAX_LOG_SCALE: f32 = 4.135_166_5;

/// How offsets are scaled, for x, y, width and height: networks learn offsets multiplied by these.
pub type CodingWeights = [f32; 4];

/// The box that `deltas` (`dx, dy, dw, dh`) make of `anchor` (Girshick et al., "R-CNN", 2014, appendix C).
pub fn decode(deltas: [f32; 4], anchor: [f32; 4], weights: CodingWeights) -> [f32; 4] {
    let width = anchor[2] - anchor[0];
    let height = anchor[3] - anchor[1];
    let centre_x = anchor[0] + 0.5 * width;
    let centre_y = anchor[1] + 0.5 * height;

    let centre_x = deltas[0] / weights[0] * width + centre_x;
    let centre_y = deltas[1] / weights[1] * height + centre_y;
    let width = (deltas[2] / weights[2]).min(MAX_LOG_SCALE).exp() * width;
    let height = (deltas[3] / weights[3]).min(MAX_LOG_SCALE).exp() * height;
    [
        centre_x - 0.5 * width,
        centre_y - 0.5 * height,
        centre_x + 0.5 * width,
        centre_y + 0.5 * height,
    ]
}

/// The part of the box inside a picture of `[width, height]`.
pub fn clip([x0, y0, x1, y1]: [f32; 4], [width, height]: [f32; 2]) -> [f32; 4] {
    [
        x0.clamp(0.0, width),
        y0.clamp(0.0, height),
        x1.clamp(0.0, width),
        y1.clamp(0.0, height),
    ]
}

/// Whether both sides are at least `side`. False for a box that is not a number.
pub fn is_at_least([x0, y0, x1, y1]: [f32; 4], side: f32) -> bool {
    x1 - x0 >= side && y1 - y0 >= side
}

/// Area in square pixels.
pub fn area([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    (x1 - x0) * (y1 - y0)
}

/// Area of the intersection over area of the union; not a number for two boxes without area.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let intersection = width * height;
    intersection / (area(a) + area(b) - intersection)
}

#[cfg(test)]
mod tests {
    use super::{area, clip, decode, iou, is_at_least};

    #[test]
    fn no_offset_is_the_anchor() {
        let anchor = [2.0, 4.0, 10.0, 8.0];
        assert_eq!(decode([0.0; 4], anchor, [10.0, 10.0, 5.0, 5.0]), anchor);
    }

    #[test]
    fn offsets_are_relative_to_the_anchor_and_weighted() {
        let anchor = [0.0, 0.0, 10.0, 20.0];
        let twice = 2.0_f32.ln() * 5.0;
        let decoded = decode([5.0, -10.0, twice, 0.0], anchor, [10.0, 10.0, 5.0, 5.0]);
        let expected = [0.0, -20.0, 20.0, 0.0];
        assert!(
            decoded
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }

    #[test]
    fn growth_has_a_limit() {
        let [x0, _, x1, _] = decode([0.0, 0.0, 1000.0, 0.0], [0.0, 0.0, 16.0, 16.0], [1.0; 4]);
        assert!((x1 - x0 - 1000.0).abs() < 0.01);
    }

    #[test]
    fn overlap() {
        let a = [0.0, 0.0, 2.0, 2.0];
        assert_eq!(iou(a, a), 1.0);
        assert_eq!(iou(a, [1.0, 0.0, 3.0, 2.0]), 1.0 / 3.0);
        assert_eq!(iou(a, [2.0, 2.0, 3.0, 3.0]), 0.0);
        assert_eq!(area(clip([-5.0, 1.0, 1.0, 9.0], [4.0, 3.0])), 2.0);
        assert!(!is_at_least([0.0, 0.0, f32::NAN, 1.0], 0.0));
    }
}
