//! What training makes less.

use anyhow::Context as _;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use segmenter_models::{
    blocks::{FeatureMap, Map, Roi, roi_align},
    networks::centermask::{
        Features, MASK_CHANNELS, MASK_POOL, MASK_SIDE, MASK_STRIDE, MAX_LOG_DISTANCE, Network,
        STRIDES,
    },
};

use crate::{
    batch::Part,
    losses::{cross_entropy, overlaps, quality_focal},
    targets::Positive,
    train::device,
};

/// What is listed by its points is filled up to a multiple of this with what counts for nothing, so that there is
/// something in any case.
const POINTS: usize = 64;

/// What losses count for, beside that of the scores.
const BOX_WEIGHT: f32 = 2.0;
const MASK_WEIGHT: f32 = 1.0;

/// What answers cost.
pub(crate) struct Loss {
    /// What is to become less.
    pub(crate) sum: Tensor<1>,
    /// Of the scores, the boxes and the masks, `[3]`.
    pub(crate) parts: Tensor<1>,
}

/// What a network's answers for a part of a step cost: its share of what the step does.
///
/// # Errors
/// Where the network is not one of burn's.
pub(crate) fn loss(network: &Network, part: &Part, classes: usize) -> anyhow::Result<Loss> {
    let pictures = Map::to_train_on(part.pictures.clone());
    let Features { levels, masks } = network.features(pictures);
    let device = device();
    let (of_scores, of_boxes) = detection(network, part, levels, classes, &device)?;
    let of_masks = outlines(network, part, masks, &device)?;
    let parts = [&of_scores, &of_boxes, &of_masks].map(|loss| loss.clone().detach());
    Ok(Loss {
        parts: Tensor::cat(parts.into(), 0),
        sum: of_scores + of_boxes * BOX_WEIGHT + of_masks * MASK_WEIGHT,
    })
}

/// Of the scores of all points, and of the boxes of those that have to find something.
fn detection(
    network: &Network,
    part: &Part,
    levels: [Map; STRIDES.len()],
    classes: usize,
    device: &Device,
) -> anyhow::Result<(Tensor<1>, Tensor<1>)> {
    let mut scores = Vec::new();
    let mut distances = Vec::new();
    for level in levels {
        let (logits, logarithms) = network.detect(level);
        let logits = logits.into_tensor().context("scores of burn's")?;
        scores.push(logits.flatten::<1>(0, 3));
        let logarithms = logarithms.into_tensor().context("distances of burn's")?;
        distances.push(logarithms.permute([0, 2, 3, 1]).reshape([-1, 4]));
    }

    let listed = part.positives.len().next_multiple_of(POINTS).max(POINTS);
    let indices = |of: &dyn Fn(&Positive) -> usize| -> Tensor<1, Int> {
        let mut indices: Vec<i64> = part.positives.iter().map(|one| of(one) as i64).collect();
        indices.resize(listed, 0);
        Tensor::from_data(TensorData::new(indices, [listed]), device)
    };
    let rows = indices(&|one| part.row(&one.at));
    let places = indices(&|one| part.score(&one.at, classes));
    let mut weights = part.weights.clone();
    weights.resize(listed, 0.0);
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [listed]), device);
    let positives = part.positives.iter();
    let mut truth: Vec<f32> = positives.flat_map(|one| one.distances).collect();
    truth.resize(4 * listed, 1.0);
    let truth: Tensor<2> = Tensor::from_data(TensorData::new(truth, [listed, 4]), device);

    let found: Tensor<2> = Tensor::cat(distances, 0).select(0, rows);
    let found = found.clamp_max(MAX_LOG_DISTANCE).exp();
    let (iou, generalized) = overlaps(&found, &truth);
    let of_boxes = ((generalized.neg() + 1.0) * weights.clone()).sum() / part.step.points;

    // What is filled up is at the first place and counts for nothing.
    let everywhere = part.score_weights(classes);
    let shape = [everywhere.len()];
    let qualities = Tensor::zeros(shape, device).select_assign(
        0,
        places,
        iou.detach() * weights.sign(),
        IndexingUpdateOp::Add,
    );
    let weights = Tensor::from_data(TensorData::new(everywhere, shape), device);
    let scores: Tensor<1> = Tensor::cat(scores, 0);
    let of_scores = (quality_focal(scores, qualities) * weights).sum() / part.step.points;
    Ok((of_scores, of_boxes))
}

/// Of the outlines in all regions.
fn outlines(
    network: &Network,
    part: &Part,
    masks: Map,
    device: &Device,
) -> anyhow::Result<Tensor<1>> {
    let regions = part.regions.len();
    let burn = segmenter_models::Device::Burn(device.clone());
    let maps = FeatureMap::read(masks, 1.0 / MASK_STRIDE as f32, &burn);
    let rois = part.regions.iter().enumerate().map(|(index, region)| Roi {
        map: &maps,
        image: index * part.examples / regions,
        bbox: region.bbox,
    });
    let rois: Vec<_> = rois.collect();
    let pooled = roi_align(&MASK_POOL, &rois, MASK_CHANNELS, &burn);
    let logits = network.outline(pooled);
    let logits = logits.into_tensor().context("outlines of burn's")?;
    let truth: Vec<f32> = part.regions.iter().flat_map(|r| r.mask.clone()).collect();
    let truth = TensorData::new(truth, [regions, 1, MASK_SIDE, MASK_SIDE]);
    let counts: Vec<f32> = part.regions.iter().map(|region| region.weight).collect();
    let counts = Tensor::from_data(TensorData::new(counts, [regions, 1, 1, 1]), device);
    let of_pixels = cross_entropy(logits, Tensor::from_data(truth, device));
    let pixels = part.step.regions * (MASK_SIDE * MASK_SIDE) as f32;
    Ok((of_pixels * counts).sum() / pixels)
}

#[cfg(test)]
mod tests {
    use segmenter_models::Device;

    use super::*;
    use crate::{batch::tests::squares, parameters};

    #[test]
    fn the_parts_of_a_step_lose_what_it_loses() {
        let tensors = parameters::fresh(1, 5).unwrap();
        let network = parameters::network(&tensors, 1, &Device::Burn(device())).unwrap();
        let of = |parts| {
            let mut sums = [0.0; 3];
            for part in &squares(5, parts).parts {
                let losses = loss(&network, part, 1).unwrap().parts;
                let losses: Vec<f32> = losses.into_data().try_into_vec().unwrap();
                sums.iter_mut()
                    .zip(losses)
                    .for_each(|(sum, loss)| *sum += loss);
            }
            sums
        };
        let (whole, parts) = (of(1), of(3));
        assert!(whole.iter().all(|loss| *loss > 0.01), "{whole:?}");
        for (a, b) in whole.iter().zip(parts) {
            assert!((a - b).abs() < 1e-4 * a, "{whole:?} and {parts:?}");
        }
    }
}
