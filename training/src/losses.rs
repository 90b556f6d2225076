//! How far answers are from the truth.

use burn::tensor::{Tensor, activation::sigmoid};

/// Binary cross-entropy of logits, value by value: `max(x, 0) - x * y + ln(1 + exp(-|x|))`.
pub fn cross_entropy<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let magnitude = logits.clone().abs().neg().exp().log1p();
    logits.clone().clamp_min(0.0) - logits * targets + magnitude
}

/// The quality focal loss of score logits, value by value: cross-entropy times the square of how wrong the score is, so
/// that the many points that are plainly background count for nothing (Li et al., "Generalized Focal Loss", 2020,
/// equation 2, with beta 2). A target is 0 where nothing is to be found, else how well the box there fits.
pub fn quality_focal<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let wrong = (sigmoid(logits.clone()) - targets.clone()).powi_scalar(2);
    cross_entropy(logits, targets) * wrong
}

/// Of boxes around the same points by their distances to the left, upper, right and lower side, `[boxes, 4]`: the
/// intersection over union, 0 to 1, and the generalized one, -1 to 1, which also tells boxes apart that have nothing in
/// common (Rezatofighi et al., 2019).
pub fn overlaps(distances: &Tensor<2>, targets: &Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    let side = |boxes: &Tensor<2>, side: usize| boxes.clone().narrow(1, side, 1).squeeze_dim(1);
    let area = |boxes: &Tensor<2>| -> Tensor<1> {
        (side(boxes, 0) + side(boxes, 2)) * (side(boxes, 1) + side(boxes, 3))
    };
    let both = distances.clone().min_pair(targets.clone());
    let around = distances.clone().max_pair(targets.clone());
    let (intersection, hull) = (area(&both), area(&around));
    let union = area(distances) + area(targets) - intersection.clone();
    let iou = intersection / union.clone();
    let beside = (hull.clone() - union) / hull;
    (iou.clone(), iou - beside)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn boxes_that_fit_overlap_wholly_and_others_the_less_the_farther() {
        let target = [1.0, 1.0, 1.0, 1.0];
        let boxes = [
            target,
            [1.0, 1.0, 3.0, 1.0],
            [0.1, 0.1, 0.1, 0.1],
            [3.0, 0.1, 0.1, 1.0],
        ];
        let (iou, generalized) = overlaps(
            &tensor(boxes.as_flattened(), [4, 4]),
            &tensor([target; 4].as_flattened(), [4, 4]),
        );
        let (iou, generalized) = (values(iou), values(generalized));
        for (value, expected) in iou.iter().zip([1.0, 0.5, 0.01, 1.21 / 6.2]) {
            assert!((value - expected).abs() < 1e-6, "{value}, not {expected}");
        }
        // One of the first three is within the other, so that their hull is their union.
        assert_eq!(iou[..3], generalized[..3]);
        assert!((generalized[3] - (iou[3] - 1.8 / 8.0)).abs() < 1e-6);
    }

    #[test]
    fn entropy_is_that_of_the_formula_and_finite_anywhere() {
        let logits = [0.3, -2.0, 90.0, -90.0];
        let targets = [1.0, 0.25, 0.0, 1.0];
        let entropies = values(cross_entropy(tensor(&logits, [4]), tensor(&targets, [4])));
        for ((x, y), entropy) in logits.iter().zip(targets).zip(&entropies).take(2) {
            let p = 1.0 / (1.0 + f32::exp(-x));
            let expected = -(y * p.ln() + (1.0 - y) * (1.0 - p).ln());
            assert!((entropy - expected).abs() < 1e-6);
        }
        assert_eq!(entropies[2..], [90.0, 90.0]);
        let focal = values(quality_focal(tensor(&logits, [4]), tensor(&targets, [4])));
        assert!(focal.iter().zip(&entropies).all(|(f, e)| f <= e));
    }
}
