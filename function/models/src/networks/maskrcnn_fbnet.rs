//! Mask R-CNN on FBNetV3-A: small, quick, and made for phones.
//!
//! He et al., "Mask R-CNN", 2017, with the backbone of Dai et al., "FBNetV3", 2020, cut at its fourth
//! stage (a stride of 16), and heads of the same blocks, as D2Go's `mask_rcnn_fbnetv3a_C4` has them.
//! D2Go calculates it in 8-bit integers, here it can be that or the same weights as 32-bit floats. Between its
//! parts there are floats in either.

use burn::module::Module;
use segmenter_imaging::{
    Picture,
    decode::DecodeError,
    interpolate::Corners,
    normalise::{Normalisation, Order},
    paste::paste,
};

use super::fbnet::{Block, InvertedResidual, load_blocks, run};
use crate::{
    blocks::{
        Activation, ClassMasks, Conv2d, Device, FeatureMap, Geometry, Linear, LinearShape, Map,
        Precision, QuantStub, Roi, RoiAlign, Strips, global_mean, roi_align, sigmoid,
    },
    classes::COCO,
    detection::{
        DetectionConfig, Found, InputSize, Level, ProposalConfig, detections_of_each, each,
        findings_together, of_picture, outputs, placed, prediction, proposals,
    },
    model::{Input, Model, Output, in_batches},
    prediction::{Prediction, Selection},
    weights::{WeightError, Weights},
};

/// The network was trained on pictures of ordinary shape and has no limit to the longer side; without one
/// a picture of 10000x1 would be resized to 3 200 000 by 320.
const SIZE: InputSize = InputSize {
    shorter: 320,
    longer: 5 * 320,
};

/// Pixels of the input to one of the feature map.
const STRIDE: usize = 16;

/// Anchors at each place of the feature map: five sizes in three aspect ratios.
const ANCHORS: usize = 15;

/// Side of the masks in pixels.
const MASK_SIDE: usize = 28;

const PROPOSALS: ProposalConfig = ProposalConfig {
    before_nms: 1000,
    after_nms: 30,
    nms_threshold: 0.7,
    min_side: f32::MIN_POSITIVE,
};

const DETECTIONS: DetectionConfig = DetectionConfig {
    score_floor: 0.05,
    nms_threshold: 0.5,
    max_detections: 100,
    min_side: 0.0,
    coding: [10.0, 10.0, 5.0, 5.0],
    classes: 0..COCO.len(),
};

const BOX_POOL: RoiAlign = RoiAlign {
    size: 6,
    sampling: None,
    aligned: true,
};

const MASK_POOL: RoiAlign = RoiAlign {
    size: 14,
    ..BOX_POOL
};

/// How many findings go through the mask head together on processors. In floats each takes 1 MB there, and from this
/// many on they are busy.
const MASK_BATCH: usize = 8;

/// The block after the stem: its convolution widens nothing, so it has no expansion.
const TRUNK_0: &[Block] = &[Block::new(16, 3, 16).without_expansion()];
const TRUNK_1: &[Block] = &[Block::new(64, 5, 32).stride(2), Block::new(64, 5, 32)];
const TRUNK_2: &[Block] = &[
    Block::new(128, 5, 40).stride(2),
    Block::new(120, 3, 40),
    Block::new(120, 3, 40),
    Block::new(120, 3, 40),
];
const TRUNK_3: &[Block] = &[
    Block::new(160, 5, 72).stride(2),
    Block::new(216, 3, 72),
    Block::new(216, 3, 72),
    Block::new(216, 3, 72),
    Block::new(288, 5, CHANNELS),
    Block::new(448, 5, CHANNELS),
    Block::new(448, 5, CHANNELS),
    Block::new(448, 5, CHANNELS),
];
/// The stem and the blocks up to a stride of 4. Strips are for wide pictures: those of ordinary shape are run whole.
const FIRST_STRIPS: Strips = Strips {
    whole: 160 << 10,
    stride: 4,
    margin: 2,
};
/// The other blocks at that stride.
const SECOND_STRIPS: Strips = Strips {
    whole: FIRST_STRIPS.whole / (4 * 4),
    stride: 1,
    margin: 2,
};
/// Channels of the feature map.
const CHANNELS: usize = 112;
const RPN: &[Block] = &[Block::new(448, 5, CHANNELS); 3];
const BOX_HEAD: &[Block] = &[
    Block::new(448, 3, 128).stride(2),
    Block::new(768, 3, 128),
    Block::new(768, 3, 128),
    Block::new(768, 3, 160),
];
const MASK_HEAD: &[Block] = &[
    Block::new(448, 3, 128).stride(2),
    Block::new(768, 3, 128),
    Block::new(768, 3, 128),
    Block::new(768, 3, 128).upsampled(),
];
/// Channels of the mask head's last block, [`ClassMasks`]: in the middle, and behind it.
const MASK_CHANNELS: [usize; 2] = [384, 64];

/// The network with its pre- and post-processing.
#[derive(Debug)]
pub struct MaskRcnnFbnet {
    network: Network,
    /// Taken off each channel, blue, green, red; of samples 0..=255.
    mean: [f32; 3],
    /// Each channel is divided by it.
    deviation: [f32; 3],
    /// Anchors of one place.
    cells: Vec<[f32; 4]>,
    device: Device,
}

impl MaskRcnnFbnet {
    /// Takes the tensors of D2Go's export.
    pub fn load(weights: &mut Weights, device: &Device) -> Result<Self, WeightError> {
        // A copy of the class ids, and what only 8-bit integers need.
        weights.ignore(|name| {
            let stub = device.precision() != Precision::Int8 && name.contains("quant_stubs");
            stub || name == "coco_idx"
        });
        let channels = |values: Vec<f32>| [values[0], values[1], values[2]];
        let cells = "proposal_generator.anchor_generator.cell_anchors.0";
        let cells = weights.take(cells, &[ANCHORS, 4])?.as_chunks().0.to_vec();
        let network = Network::load(weights, device)?;
        if device.precision() == Precision::Int8 {
            network.run_all(device);
        }
        Ok(Self {
            mean: channels(weights.take("pixel_mean", &[3, 1, 1])?),
            deviation: channels(weights.take("pixel_std", &[3, 1, 1])?),
            cells,
            network,
            device: device.clone(),
        })
    }

    /// Of inputs of one shape, each with what is wanted of it.
    fn detect(&self, inputs: Vec<Input>, selections: &[&Selection]) -> Vec<Output> {
        let [_, height, width] = inputs[0].shape;
        let picture = [width as f32, height as f32];
        let x = Input::stack(inputs, 1, &self.device);

        let features = self.network.backbone(x);
        let [pictures, _, rows, columns] = features.dims();
        let answers = Map::to_host_all(&self.network.rpn(features.clone()));
        let features = FeatureMap::read(features, 1.0 / STRIDE as f32, &self.device);
        let proposals = each(&self.device, pictures, |index| {
            let level = Level {
                cells: &self.cells,
                strides: [STRIDE; 2],
                map: [rows, columns],
                logits: of_picture(&answers[0], index, pictures),
                deltas: of_picture(&answers[1], index, pictures),
            };
            proposals(&[level], picture, &PROPOSALS, &self.device)
        });
        let found = self.classify(&features, &proposals, picture, selections);
        let masked: Vec<_> = selections.iter().map(|selection| selection.masks).collect();
        outputs(&found, &masked, MASK_SIDE, |found| {
            self.masks(&features, found)
        })
    }

    fn classify(
        &self,
        map: &FeatureMap,
        proposals: &[Vec<[f32; 4]>],
        picture: [f32; 2],
        selections: &[&Selection],
    ) -> Vec<Vec<Found>> {
        let rois: Vec<_> = placed(proposals)
            .map(|(image, bbox)| Roi { map, image, bbox })
            .collect();
        if rois.is_empty() {
            return vec![Vec::new(); proposals.len()];
        }
        let pooled = roi_align(&BOX_POOL, &rois, CHANNELS, &self.device);
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
    fn masks(&self, map: &FeatureMap, found: &[(usize, Found)]) -> Vec<f32> {
        let batch = findings_together(&self.device, MASK_BATCH, DETECTIONS.max_detections);
        let batches = found.chunks(batch).flat_map(|found| {
            let rois: Vec<_> = found
                .iter()
                .map(|&(image, Found { bbox, .. })| Roi { map, image, bbox })
                .collect();
            let pooled = roi_align(&MASK_POOL, &rois, CHANNELS, &self.device);
            let classes: Vec<_> = found.iter().map(|(_, f)| f.class as usize).collect();
            self.network.mask_head(pooled, &classes)
        });
        batches.collect()
    }
}

impl Model for MaskRcnnFbnet {
    fn preprocess(&self, picture: Picture<'_>, _: &Selection) -> Result<Input, DecodeError> {
        let normalisation = Normalisation {
            order: Order::Bgr,
            mean: self.mean,
            deviation: self.deviation,
        };
        SIZE.prepare(picture, Corners::Aligned, &normalisation, &self.device)
    }

    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        in_batches(batch, &self.device, |inputs, selections| {
            self.detect(inputs, selections)
        })
    }

    fn postprocess(&self, output: Output, picture_size: [u32; 2], _: &Selection) -> Prediction {
        prediction(
            output,
            picture_size,
            [SIZE.scale(picture_size) as f32; 2],
            paste,
        )
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

/// All that has weights.
#[derive(Module, Debug)]
struct Network {
    input: QuantStub,
    stem: Conv2d,
    trunk: Vec<InvertedResidual>,
    rpn_input: QuantStub,
    rpn: Vec<InvertedResidual>,
    rpn_logits: Conv2d,
    rpn_deltas: Conv2d,
    box_input: QuantStub,
    box_blocks: Vec<InvertedResidual>,
    box_mean: QuantStub,
    box_scores: Linear,
    box_deltas: Linear,
    mask_input: QuantStub,
    mask_blocks: Vec<InvertedResidual>,
    mask_expansion: Conv2d,
    masks: ClassMasks,
}

impl Network {
    fn load(weights: &mut Weights, device: &Device) -> Result<Self, WeightError> {
        let stem = Conv2d::load(
            weights,
            "backbone.body.trunk0.fbnetv2_0_0.conv",
            Geometry::new(3, 16, 3).stride(2),
            Activation::Relu,
            device,
        )?;

        let mut trunk = Vec::new();
        let mut inputs = 16;
        for (name, blocks) in [
            ("trunk0.fbnetv2_0", TRUNK_0),
            ("trunk1.fbnetv2_1", TRUNK_1),
            ("trunk2.fbnetv2_2", TRUNK_2),
            ("trunk3.fbnetv2_3", TRUNK_3),
        ] {
            // The stem is block 0 of trunk 0.
            let first = if trunk.is_empty() { 1 } else { 0 };
            let name = format!("backbone.body.{name}");
            trunk.extend(load_blocks(weights, &name, first, inputs, blocks, device)?);
            inputs = blocks[blocks.len() - 1].outputs;
        }

        let mut blocks =
            |name: &str, blocks| load_blocks(weights, name, 0, CHANNELS, blocks, device);
        let rpn = blocks("proposal_generator.rpn_head.rpn_feature.0.fbnetv2_0", RPN)?;
        let box_blocks = blocks("roi_heads.box_head.roi_box_conv.0.fbnetv2_0", BOX_HEAD)?;
        let mask_head = "roi_heads.mask_head.feature_extractor.0.fbnetv2_0";
        let mask_blocks = blocks(mask_head, MASK_HEAD)?;
        let mask_block = format!("{mask_head}_{}", MASK_HEAD.len());
        let mask_inputs = MASK_HEAD[MASK_HEAD.len() - 1].outputs;
        let [mask_hidden, mask_outputs] = MASK_CHANNELS;
        let mask_expansion = Conv2d::load(
            weights,
            &format!("{mask_block}.pw.conv"),
            Geometry::new(mask_inputs, mask_hidden, 1),
            Activation::Relu,
            device,
        )?;
        let masks = ClassMasks::load(
            weights,
            [
                &format!("{mask_block}.dw.conv"),
                &format!("{mask_block}.pwl.conv"),
                "roi_heads.mask_head.predictor.mask_fcn_logits",
            ],
            Geometry::depthwise(mask_hidden, 3),
            [mask_outputs, COCO.len()],
            device,
        )?;

        let mut pixelwise = |name: &str, inputs, outputs| {
            let geometry = Geometry::new(inputs, outputs, 1);
            Conv2d::load(weights, name, geometry, Activation::Identity, device)
        };
        let regressor = "proposal_generator.rpn_head.rpn_regressor";
        let rpn_logits = pixelwise(&format!("{regressor}.cls_logits"), CHANNELS, ANCHORS)?;
        let rpn_deltas = pixelwise(&format!("{regressor}.bbox_pred"), CHANNELS, ANCHORS * 4)?;

        let mut stub = |name: &str| {
            let name = format!("{name}.quant_stubs.stubs.0");
            QuantStub::load(weights, &name, device)
        };
        let input = stub("backbone")?;
        let rpn_input = stub("proposal_generator.rpn_head")?;
        let box_input = stub("roi_heads.box_head")?;
        let predictor = "roi_heads.box_predictor";
        let box_mean = stub(predictor)?;
        let mask_input = stub("roi_heads.mask_head")?;

        let mut linear = |name: &str, outputs| {
            let shape = LinearShape {
                channels: 160,
                side: 1,
                outputs,
            };
            Linear::load(weights, name, shape, Activation::Identity, device)
        };
        Ok(Self {
            input,
            stem,
            trunk,
            rpn_input,
            rpn,
            rpn_logits,
            rpn_deltas,
            box_input,
            box_blocks,
            box_mean,
            box_scores: linear(&format!("{predictor}.cls_score"), COCO.len() + 1)?,
            box_deltas: linear(&format!("{predictor}.bbox_pred"), COCO.len() * 4)?,
            mask_input,
            mask_blocks,
            mask_expansion,
            masks,
        })
    }

    /// Runs every layer on as little as it takes, so that those in integers have packed their weights.
    fn run_all(&self, device: &Device) {
        let zeros = |shape: [usize; 4]| {
            let values = vec![0.0; shape.iter().product()];
            Map::from_host(&values, shape, device)
        };
        self.rpn(self.backbone(zeros([1, 3, STRIDE, STRIDE])));
        self.box_head(zeros([1, CHANNELS, BOX_POOL.size, BOX_POOL.size]));
        self.mask_head(zeros([1, CHANNELS, MASK_POOL.size, MASK_POOL.size]), &[0]);
    }

    /// `[batch, 3, h, w]` to `[batch, CHANNELS, h / 16, w / 16]`, rounded up.
    fn backbone(&self, x: Map) -> Map {
        let x = self.input.forward(x);
        let (whole_resolution, rest) = self.trunk.split_at(TRUNK_0.len() + 1);
        let x = FIRST_STRIPS.run(x, |x| run(whole_resolution, self.stem.forward(x)));
        let (first, rest) = rest.split_at(TRUNK_1.len() - 1);
        let x = SECOND_STRIPS.run(x, |x| run(first, x));
        run(rest, x)
    }

    /// `[batch, CHANNELS, h, w]` to logits `[batch, ANCHORS, h, w]` and offsets `[batch, ANCHORS * 4, h, w]`.
    fn rpn(&self, features: Map) -> [Map; 2] {
        let x = run(&self.rpn, self.rpn_input.forward(features));
        [
            self.rpn_logits.forward(x.clone()),
            self.rpn_deltas.forward(x),
        ]
    }

    /// `[rois, CHANNELS, 6, 6]` to logits `[rois, 81]`, background last, and offsets `[rois, 80 * 4]`.
    fn box_head(&self, rois: Map) -> [Map; 2] {
        let x = global_mean(run(&self.box_blocks, self.box_input.forward(rois)));
        let x = self.box_mean.forward(x);
        [
            self.box_scores.forward(x.clone()),
            self.box_deltas.forward(x),
        ]
    }

    /// `[rois, CHANNELS, 14, 14]`, and a class for each, to probabilities `[rois, 28, 28]`.
    fn mask_head(&self, rois: Map, classes: &[usize]) -> Vec<f32> {
        let x = run(&self.mask_blocks, self.mask_input.forward(rois));
        let mut masks = self.masks.forward(self.mask_expansion.forward(x), classes);
        masks.iter_mut().for_each(|x| *x = sigmoid(*x));
        masks
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use segmenter_imaging::Image;

    use super::{MaskRcnnFbnet, Network, run};
    use crate::{
        Device, Isa,
        blocks::Map,
        detection::assert_same_together,
        model::{Model, Output},
        prediction::Selection,
        weights::{Weights, seeded},
    };

    const EVERYTHING: Selection = Selection {
        threshold: 0.0,
        max_detections: 100,
        classes: None,
        masks: true,
        map_size: None,
        scores: false,
    };

    /// With anchors that are boxes, and boxes and scores that have not grown from layer to layer.
    fn weights() -> Weights {
        Weights::generated(|name, shape| {
            let mut values = seeded::tensor(name, shape);
            match name {
                "proposal_generator.anchor_generator.cell_anchors.0" => {
                    for (i, cell) in (1..).zip(values.chunks_exact_mut(4)) {
                        let half = 4.0 * i as f32;
                        cell.copy_from_slice(&[-half, -half, half, half]);
                    }
                }
                "proposal_generator.rpn_head.rpn_regressor.bbox_pred.weight"
                | "roi_heads.box_predictor.bbox_pred.weight"
                | "roi_heads.box_predictor.cls_score.weight" => {
                    values.iter_mut().for_each(|value| *value *= 1e-5);
                }
                _ => {}
            }
            values
        })
    }

    #[test]
    fn any_picture_passes() {
        for device in seeded::devices() {
            let model = MaskRcnnFbnet::load(&mut seeded::weights(), &device).unwrap();
            for [width, height] in [[1, 1], [700, 2], [2, 700]] {
                let samples = (0..width * height * 3).map(|i| (i * 37 % 251) as u8);
                let image = Image::new(width, height, samples.collect()).unwrap();
                let input = model.preprocess((&image).into(), &EVERYTHING).unwrap();
                let output = model.forward(vec![(input, &EVERYTHING)]).remove(0);
                model.postprocess(output, [width, height], &EVERYTHING);
            }
        }
    }

    #[test]
    fn pictures_are_answered_together_as_alone() {
        for device in seeded::devices() {
            let model = MaskRcnnFbnet::load(&mut weights(), &device).unwrap();
            let detect = |inputs, selections: &[&_]| model.detect(inputs, selections);
            assert_same_together(&model, detect, [64, 96]);
        }
    }

    /// They answer what the whole maps do, in less memory.
    #[test]
    fn large_pictures_are_run_in_strips() {
        let kept = |device: &Device| device.host().arena.kept();
        for isa in Isa::available() {
            for [height, width] in [[319, 1600], [1201, 402]] {
                let device = Device::kernels(isa);
                let network = Network::load(&mut seeded::weights(), &device).unwrap();
                let mut pixels = device.pixels([height, width]);
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = [(i * 37 % 251) as f32 - 125.0; 4];
                }
                let picture = Map::from_pictures(vec![Arc::new(pixels)], [height, width], &device);

                let strips = network.backbone(picture.clone()).to_host();
                let kept_in_strips = kept(&device);
                let whole = run(&network.trunk, network.stem.forward(picture)).to_host();
                assert_eq!(strips, whole);
                let kept_whole = kept(&device);
                assert!(
                    kept_in_strips < kept_whole,
                    "{kept_in_strips} of {kept_whole} bytes"
                );
            }
        }
    }

    #[test]
    fn masks_only_where_asked_for() {
        let model =
            MaskRcnnFbnet::load(&mut seeded::weights(), &Device::kernels(Isa::best())).unwrap();
        let image = Image::new(8, 8, vec![128; 192]).unwrap();
        let input = model.preprocess((&image).into(), &EVERYTHING).unwrap();
        let without = Selection {
            masks: false,
            ..EVERYTHING
        };
        let outputs = model.forward(vec![(input.clone(), &EVERYTHING), (input, &without)]);
        let masks = |output: &Output| match output {
            Output::Instances { masks, .. } => masks.is_some(),
            _ => panic!("no instances"),
        };
        assert_eq!(outputs.iter().map(masks).collect::<Vec<_>>(), [true, false]);
    }
}
