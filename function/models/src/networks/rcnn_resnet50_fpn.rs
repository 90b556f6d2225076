//! Faster R-CNN and Mask R-CNN on ResNet-50 with a feature pyramid.
//!
//! Ren et al., "Faster R-CNN", 2015, and He et al., "Mask R-CNN", 2017, with the numbers of torchvision's
//! `fasterrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn`. The latter is the former with a mask head.

use burn::module::Module;
use segmenter_imaging::{
    Picture, decode::DecodeError, interpolate::Corners, normalise::Normalisation, paste::paste,
};

use super::{
    fpn::Fpn,
    mask_head::MaskHead,
    resnet::{Resnet, ResnetConfig},
};
use crate::{
    blocks::{
        Activation, Conv2d, Device, FeatureMap, Geometry, Linear, LinearShape, Map, Roi, RoiAlign,
        roi_align,
    },
    classes::COCO_BY_ID,
    detection::{
        DetectionConfig, Found, InputSize, Level, ProposalConfig, area, cell_anchors, class_masks,
        detections_of_each, each, of_picture, outputs, placed, prediction, proposals,
    },
    model::{Input, Model, Output, in_batches},
    prediction::{Prediction, Selection},
    weights::{WeightError, Weights},
};

const SIZE: InputSize = InputSize {
    shorter: 800,
    longer: 1333,
};

/// The input is padded with zeros to a multiple of this, in pixels.
const MULTIPLE: usize = 32;

/// Size of the anchors of each level, in pixels.
const ANCHOR_SIZES: [f32; 5] = [32.0, 64.0, 128.0, 256.0, 512.0];
const ASPECT_RATIOS: [f32; 3] = [0.5, 1.0, 2.0];

/// Background, and all ids of COCO.
const CLASSES: usize = COCO_BY_ID.len();

/// Channels between the layers of the box head.
const BOX_CHANNELS: usize = 1024;

/// Side of the masks in pixels.
const MASK_SIDE: usize = 28;

const PROPOSALS: ProposalConfig = ProposalConfig {
    before_nms: 1000,
    after_nms: 1000,
    nms_threshold: 0.7,
    min_side: 1e-3,
};

const DETECTIONS: DetectionConfig = DetectionConfig {
    score_floor: 0.05,
    nms_threshold: 0.5,
    max_detections: 100,
    min_side: 1e-2,
    coding: [10.0, 10.0, 5.0, 5.0],
    classes: 1..CLASSES,
};

/// How many findings go through the mask head together: as many as one picture may have, so that memory does not grow
/// with pictures.
const MASK_BATCH: usize = DETECTIONS.max_detections;

const BOX_POOL: RoiAlign = RoiAlign {
    size: 7,
    sampling: Some(2),
    aligned: false,
};

const MASK_POOL: RoiAlign = RoiAlign {
    size: 14,
    ..BOX_POOL
};

/// Levels that regions are taken from, and the size of a pixel of the input on them.
const POOLED_SCALES: [f32; 4] = [1.0 / 4.0, 1.0 / 8.0, 1.0 / 16.0, 1.0 / 32.0];

/// The network with its pre- and post-processing.
#[derive(Debug)]
pub struct RcnnResnet50Fpn {
    network: Network,
    /// Anchors of one place, a level each.
    cells: Vec<Vec<[f32; 4]>>,
    device: Device,
}

impl RcnnResnet50Fpn {
    /// Takes torchvision's tensors, by the names of today or those of the published files; `masks` says
    /// whether there is a mask head.
    pub fn load(weights: &mut Weights, masks: bool, device: &Device) -> Result<Self, WeightError> {
        weights.rename(todays_name);
        Ok(Self {
            network: Network::load(weights, masks, device)?,
            cells: ANCHOR_SIZES
                .iter()
                .map(|&size| cell_anchors(&[size], &ASPECT_RATIOS))
                .collect(),
            device: device.clone(),
        })
    }

    /// Of inputs of one shape, each with what is wanted of it.
    fn detect(&self, inputs: Vec<Input>, selections: &[&Selection]) -> Vec<Output> {
        let [_, height, width] = inputs[0].shape;
        let picture = [width as f32, height as f32];
        let x = Input::stack(inputs, MULTIPLE, &self.device);
        let [pictures, _, padded_height, padded_width] = x.dims();

        let pyramid = self.network.pyramid(x);
        let rpn: Vec<[Map; 2]> = pyramid
            .iter()
            .map(|features| self.network.rpn(features.clone()))
            .collect();
        let answers = Map::to_host_all(rpn.as_flattened());
        let sizes: Vec<_> = pyramid
            .iter()
            .map(|features| {
                let [_, _, rows, columns] = features.dims();
                [rows, columns]
            })
            .collect();
        let proposals = each(&self.device, pictures, |index| {
            let levels: Vec<Level<'_>> = self
                .cells
                .iter()
                .zip(&sizes)
                .zip(answers.chunks_exact(2))
                .map(|((cells, &[rows, columns]), answers)| Level {
                    cells,
                    strides: [padded_width / columns, padded_height / rows],
                    map: [rows, columns],
                    logits: of_picture(&answers[0], index, pictures),
                    deltas: of_picture(&answers[1], index, pictures),
                })
                .collect();
            proposals(&levels, picture, &PROPOSALS, &self.device)
        });

        let maps: Vec<FeatureMap> = pyramid
            .into_iter()
            .zip(POOLED_SCALES)
            .map(|(map, scale)| FeatureMap::read(map, scale, &self.device))
            .collect();
        let found = self.classify(&maps, &proposals, picture, selections);
        let head = self.network.mask_head.as_ref();
        let masked: Vec<_> = selections
            .iter()
            .map(|selection| selection.masks && head.is_some())
            .collect();
        outputs(&found, &masked, MASK_SIDE, |found| {
            head.map_or_else(Vec::new, |head| self.masks(head, &maps, found))
        })
    }

    fn classify(
        &self,
        maps: &[FeatureMap],
        proposals: &[Vec<[f32; 4]>],
        picture: [f32; 2],
        selections: &[&Selection],
    ) -> Vec<Vec<Found>> {
        let rois: Vec<_> = placed(proposals)
            .map(|(image, bbox)| roi(maps, image, bbox))
            .collect();
        if rois.is_empty() {
            return vec![Vec::new(); proposals.len()];
        }
        let pooled = roi_align(&BOX_POOL, &rois, Fpn::CHANNELS, &self.device);
        let answers = Map::to_host_all(&self.network.box_head(pooled));
        let answers = [&answers[0][..], &answers[1]];
        detections_of_each(
            &self.device,
            proposals,
            answers,
            picture,
            &DETECTIONS,
            selections,
        )
    }

    /// Mask probabilities of each finding's class, `[found, MASK_SIDE, MASK_SIDE]`.
    fn masks(&self, head: &MaskHead, maps: &[FeatureMap], found: &[(usize, Found)]) -> Vec<f32> {
        let batches = found.chunks(MASK_BATCH).flat_map(|found| {
            let rois: Vec<_> = found
                .iter()
                .map(|&(image, f)| roi(maps, image, f.bbox))
                .collect();
            let pooled = roi_align(&MASK_POOL, &rois, Fpn::CHANNELS, &self.device);
            class_masks(&head.forward(pooled), found)
        });
        batches.collect()
    }
}

impl Model for RcnnResnet50Fpn {
    fn preprocess(&self, picture: Picture<'_>, _: &Selection) -> Result<Input, DecodeError> {
        let normalisation = Normalisation::IMAGENET;
        SIZE.prepare(picture, Corners::Free, &normalisation, &self.device)
    }

    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        in_batches(batch, &self.device, |inputs, selections| {
            self.detect(inputs, selections)
        })
    }

    fn postprocess(&self, output: Output, picture_size: [u32; 2], _: &Selection) -> Prediction {
        let size = SIZE.resized(picture_size);
        let scale = std::array::from_fn(|axis| size[axis] as f32 / picture_size[axis] as f32);
        prediction(output, picture_size, scale, paste)
    }

    fn preferred_batch(&self) -> usize {
        self.device.kind().preferred_batch()
    }

    /// Of a picture of 4:3.
    fn warm_up_shapes(&self) -> Vec<[usize; 3]> {
        let [width, height] = SIZE.resized([640, 480]);
        vec![[3, height as usize, width as usize]]
    }
}

/// A region of one of the images, from its level.
fn roi(maps: &[FeatureMap], image: usize, bbox: [f32; 4]) -> Roi<'_> {
    Roi {
        map: &maps[level(bbox)],
        image,
        bbox,
    }
}

/// Index of the level that a region is taken from: one of 224x224 pixels from the paper's level 4, one of
/// half the sides from the level before, and so on (equation 1 of the paper on pyramids). Level 2 is the
/// first there is.
fn level(roi: [f32; 4]) -> usize {
    let level = 4.0 + (area(roi).sqrt() / 224.0).log2() + 1e-6;
    level.floor().clamp(2.0, 5.0) as usize - 2
}

/// The name that torchvision gives today to what the published files call by older names: some
/// convolutions moved into a block with what follows them.
fn todays_name(name: &str) -> String {
    let Some((layer, kind)) = name.rsplit_once('.') else {
        return name.to_owned();
    };
    match layer.rsplit_once('.') {
        Some((blocks @ ("backbone.fpn.inner_blocks" | "backbone.fpn.layer_blocks"), level)) => {
            format!("{blocks}.{level}.0.{kind}")
        }
        Some(("rpn.head", "conv")) => format!("rpn.head.conv.0.0.{kind}"),
        Some(("roi_heads.mask_head", "mask_fcn1")) => format!("roi_heads.mask_head.0.0.{kind}"),
        Some(("roi_heads.mask_head", "mask_fcn2")) => format!("roi_heads.mask_head.1.0.{kind}"),
        Some(("roi_heads.mask_head", "mask_fcn3")) => format!("roi_heads.mask_head.2.0.{kind}"),
        Some(("roi_heads.mask_head", "mask_fcn4")) => format!("roi_heads.mask_head.3.0.{kind}"),
        _ => name.to_owned(),
    }
}

/// All that has weights.
#[derive(Module, Debug)]
struct Network {
    backbone: Resnet,
    fpn: Fpn,
    rpn: Conv2d,
    rpn_logits: Conv2d,
    rpn_deltas: Conv2d,
    box_layers: [Linear; 2],
    box_scores: Linear,
    box_deltas: Linear,
    mask_head: Option<MaskHead>,
}

impl Network {
    fn load(weights: &mut Weights, masks: bool, device: &Device) -> Result<Self, WeightError> {
        // torchvision sets the epsilon to 0 for its trained weights.
        let config = ResnetConfig {
            epsilon: 0.0,
            ..ResnetConfig::RESNET_50
        };
        let backbone = Resnet::load(weights, "backbone.body", &config, device)?;
        let fpn = Fpn::load(weights, "backbone.fpn", Resnet::CHANNELS, device)?;

        let anchors = ASPECT_RATIOS.len();
        let mut conv = |name: &str, outputs, kernel, activation| {
            let geometry = Geometry::new(Fpn::CHANNELS, outputs, kernel);
            Conv2d::load(weights, name, geometry, activation, device)
        };
        let rpn = conv("rpn.head.conv.0.0", Fpn::CHANNELS, 3, Activation::Relu)?;
        let rpn_logits = conv("rpn.head.cls_logits", anchors, 1, Activation::Identity)?;
        let rpn_deltas = conv("rpn.head.bbox_pred", anchors * 4, 1, Activation::Identity)?;

        let mut linear = |name: &str, shape, activation| {
            let name = format!("roi_heads.{name}");
            Linear::load(weights, &name, shape, activation, device)
        };
        let pooled = LinearShape {
            channels: Fpn::CHANNELS,
            side: BOX_POOL.size,
            outputs: BOX_CHANNELS,
        };
        let hidden = |outputs| LinearShape {
            channels: BOX_CHANNELS,
            side: 1,
            outputs,
        };
        let box_layers = [
            linear("box_head.fc6", pooled, Activation::Relu)?,
            linear("box_head.fc7", hidden(BOX_CHANNELS), Activation::Relu)?,
        ];
        let mut predictor = |name: &str, outputs| {
            let name = format!("box_predictor.{name}");
            linear(&name, hidden(outputs), Activation::Identity)
        };
        Ok(Self {
            backbone,
            fpn,
            rpn,
            rpn_logits,
            rpn_deltas,
            box_layers,
            box_scores: predictor("cls_score", CLASSES)?,
            box_deltas: predictor("bbox_pred", CLASSES * 4)?,
            mask_head: masks
                .then(|| MaskHead::load(weights, CLASSES, device))
                .transpose()?,
        })
    }

    /// `[1, 3, h, w]` to five levels `[1, 256, h / s, w / s]`, `s` = 4, 8, 16, 32, 64.
    fn pyramid(&self, x: Map) -> Vec<Map> {
        self.fpn.forward(self.backbone.forward(x))
    }

    /// `[1, 256, h, w]` to logits `[1, anchors, h, w]` and offsets `[1, anchors * 4, h, w]`.
    fn rpn(&self, level: Map) -> [Map; 2] {
        let x = self.rpn.forward(level);
        [
            self.rpn_logits.forward(x.clone()),
            self.rpn_deltas.forward(x),
        ]
    }

    /// `[rois, 256, 7, 7]` to logits `[rois, 91, 1, 1]`, background first, and offsets `[rois, 91 * 4, 1, 1]`.
    fn box_head(&self, rois: Map) -> [Map; 2] {
        let x = self
            .box_layers
            .iter()
            .fold(rois, |x, layer| layer.forward(x));
        [
            self.box_scores.forward(x.clone()),
            self.box_deltas.forward(x),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Input, MULTIPLE, RcnnResnet50Fpn, level, todays_name};
    use crate::{
        blocks::Map,
        detection::{assert_same_together, iou},
        model::{Model, Output},
        prediction::Selection,
        weights::{Weights, seeded},
    };

    /// As `scripts/parity_rcnn.py` makes them.
    fn weights() -> Weights {
        Weights::generated(|name, shape| {
            let mut values = seeded::tensor(name, shape);
            let divisor = match name {
                "rpn.head.cls_logits.weight" | "rpn.head.bbox_pred.weight" => 32.0,
                "roi_heads.box_predictor.bbox_pred.weight" => 32.0,
                "roi_heads.box_predictor.cls_score.weight" => 16.0,
                _ => 1.0,
            };
            values.iter_mut().for_each(|value| *value /= divisor);
            values
        })
    }

    fn input() -> Input {
        let mut samples = seeded::picture([250, 310]);
        samples
            .iter_mut()
            .for_each(|value| *value = 4.0 * *value - 2.0);
        seeded::input(&samples, [250, 310])
    }

    fn assert_close(actual: &Map, expected: &Value) {
        seeded::assert_close(&actual.to_host(), &actual.dims(), expected, 1e-4);
    }

    /// As `scripts/parity_rcnn.py` writes it.
    fn expected() -> Value {
        let json = include_str!("../../tests/parity/rcnn_resnet50_fpn.json");
        serde_json::from_str(json).unwrap()
    }

    /// All detections, compared with torchvision's; their masks, if there are any, and the side of those.
    fn assert_detections(model: &RcnnResnet50Fpn, expected: &Value) -> Option<(Vec<f32>, usize)> {
        let selection = Selection {
            threshold: 0.0,
            max_detections: 100,
            classes: None,
            masks: true,
            map_size: None,
            scores: false,
        };
        let output = model.forward(vec![(input(), &selection)]).remove(0);
        let Output::Instances {
            boxes,
            classes,
            scores,
            masks,
        } = output
        else {
            panic!("no instances in {output:?}");
        };
        let expected_boxes = expected["boxes"].as_array().unwrap();
        assert_eq!(boxes.len(), expected_boxes.len());
        for (i, bbox) in expected_boxes.iter().enumerate() {
            let bbox: [f32; 4] = std::array::from_fn(|k| bbox[k].as_f64().unwrap() as f32);
            let score = expected["scores"][i].as_f64().unwrap() as f32;
            assert_eq!(
                u64::from(classes[i]),
                expected["classes"][i].as_u64().unwrap()
            );
            assert!(
                iou(boxes[i], bbox) > 0.999,
                "{:?}, expected {bbox:?}",
                boxes[i]
            );
            assert!(
                (scores[i] - score).abs() < 1e-4,
                "{}, expected {score}",
                scores[i]
            );
        }
        masks
    }

    #[test]
    fn mask_rcnn_equals_torchvisions() {
        let expected = expected();
        for device in seeded::devices() {
            let model = RcnnResnet50Fpn::load(&mut weights(), true, &device).unwrap();

            let picture = Input::stack(vec![input()], MULTIPLE, &device);
            assert_eq!(picture.dims(), [1, 3, 256, 320]);
            for (i, features) in model.network.pyramid(picture).into_iter().enumerate() {
                assert_close(&features, &expected["pyramid"][i]);
                let [logits, deltas] = model.network.rpn(features);
                assert_close(&logits, &expected["logits"][i]);
                assert_close(&deltas, &expected["deltas"][i]);
            }

            let (masks, side) = assert_detections(&model, &expected).unwrap();
            let count = expected["boxes"].as_array().unwrap().len();
            seeded::assert_close(&masks, &[count, side, side], &expected["masks"], 1e-3);
        }
    }

    #[test]
    fn faster_rcnn_equals_torchvisions() {
        for device in seeded::devices() {
            let model = RcnnResnet50Fpn::load(&mut weights(), false, &device).unwrap();
            assert_eq!(assert_detections(&model, &expected()), None);
        }
    }

    #[test]
    fn pictures_are_answered_together_as_alone() {
        for device in seeded::devices() {
            let model = RcnnResnet50Fpn::load(&mut weights(), true, &device).unwrap();
            let detect = |inputs, selections: &[&_]| model.detect(inputs, selections);
            assert_same_together(&model, detect, [30, 60]);
        }
    }

    #[test]
    fn levels_by_size() {
        let square = |side| level([0.0, 0.0, side, side]);
        let levels = [0.0, 111.0, 112.0, 224.0, 447.0, 448.0, 4000.0].map(square);
        assert_eq!(levels, [0, 0, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn published_files_have_older_names() {
        for (older, todays) in [
            (
                "backbone.fpn.inner_blocks.2.weight",
                "backbone.fpn.inner_blocks.2.0.weight",
            ),
            (
                "backbone.fpn.layer_blocks.0.bias",
                "backbone.fpn.layer_blocks.0.0.bias",
            ),
            ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
            (
                "roi_heads.mask_head.mask_fcn4.bias",
                "roi_heads.mask_head.3.0.bias",
            ),
        ] {
            assert_eq!(todays_name(older), todays);
            assert_eq!(todays_name(todays), todays);
        }
        assert_eq!(
            todays_name("backbone.body.conv1.weight"),
            "backbone.body.conv1.weight"
        );
    }
}
