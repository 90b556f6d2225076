//! A small CenterMask: objects from the points in their middles, outlines from regions around them.
//!
//! Lee and Park, "CenterMask: Real-Time Anchor-Free Instance Segmentation", 2020: the detector of Tian et al.,
//! "FCOS", 2019, and a mask head on the regions that it finds. Its scores are those of Li et al., "Generalized Focal
//! Loss", 2020: how well the box of a point fits, so that none has to be multiplied with a centerness. It is made to
//! be trained here (`training/`): residual blocks (He et al., 2016) without norms, whose second convolution begins at
//! zero, so that what is trained is what ships.
//!
//! Every kernel has as many pixels before a cell as behind it, so that the cell `x` of a map with a stride of `s` is
//! about the pixels `s * x..s * (x + 1)`, nothing further to one side: small outlines are found on large cells.

mod closer;

use std::iter;

use burn::module::Module;
use segmenter_imaging::{
    Image, Picture,
    decode::DecodeError,
    normalise::Normalisation,
    paste::paste_exactly,
    resample::{Filter, resize},
};

use self::closer::Window;
use crate::{
    blocks::{
        Activation, Conv2d, ConvTranspose2d, Device, DeviceKind, FeatureMap, Geometry, Map, Roi,
        RoiAlign, nearest, roi_align, sigmoid,
    },
    detection::{
        Found, InputSize, batched_nms, clip, each, findings_together, is_at_least, of_picture,
        outputs, prediction,
    },
    model::{Input, Model, Output, in_batches},
    prediction::{Prediction, Selection},
    weights::{WeightError, Weights},
};

/// As large as objects of 3 % of a picture's height still have ten pixels.
const SIZE: InputSize = InputSize {
    shorter: 384,
    longer: 4 * 384,
};

/// Pixels of the input to one of each map that objects are found on.
pub const STRIDES: [usize; 3] = [8, 16, 32];

/// The longer sides of the objects that each of these maps finds, in pixels, up to the next one's.
pub const SIDES: [f32; 3] = [0.0, 64.0, 160.0];

/// Sides of inputs are multiples of the coarsest stride.
pub const MULTIPLE: usize = STRIDES[STRIDES.len() - 1];

/// Pixels of the input to one of the map that outlines are found on.
pub const MASK_STRIDE: usize = 4;

/// Regions of that map, as the mask head takes them.
pub const MASK_POOL: RoiAlign = RoiAlign {
    size: 14,
    sampling: None,
    aligned: true,
};

/// Side of the masks in pixels.
pub const MASK_SIDE: usize = 2 * MASK_POOL.size;

/// What a region for an outline is wider than its box at each side, in parts of the box: a box is some hundredths too
/// small as often as too large, and what is outside its region is in no outline.
const MASK_MARGIN: f32 = 1.0 / 8.0;

/// Where an object with this box, `[x0, y0, x1, y1]`, is outlined.
pub fn mask_region([x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
    let [x, y] = [(x1 - x0) * MASK_MARGIN, (y1 - y0) * MASK_MARGIN];
    [x0 - x, y0 - y, x1 + x, y1 + y]
}

/// Channels of the map that outlines are found on.
pub const MASK_CHANNELS: usize = 32;

/// Channels behind each stage of the backbone, at strides of 4, 8, 16 and 32, and how many residual blocks each has.
const STAGES: [(usize, usize); 4] = [(32, 1), (64, 2), (96, 2), (128, 2)];

/// Channels of the maps that objects are found on.
const CHANNELS: usize = 64;

/// Convolutions before scores and distances, the same for every map.
const TOWER: usize = 2;

/// Only scores above this are looked at; a caller's threshold has no effect below.
const SCORE_FLOOR: f32 = 0.05;

/// Points of a picture whose boxes are looked at, those with the best scores.
const CANDIDATES: usize = 1000;

/// Detections that a better one of the same class covers by more than this are dropped.
const NMS_THRESHOLD: f32 = 0.6;

/// As many are answered at most, whatever the caller allows.
const MAX_DETECTIONS: usize = 300;

/// How many findings go through the mask head together on processors, in whose caches they stay.
const MASK_BATCH: usize = 16;

/// The network with its pre- and post-processing.
#[derive(Debug)]
pub struct CenterMask {
    network: Network,
    classes: usize,
    device: Device,
}

impl CenterMask {
    /// Takes the tensors that [`Network::load`] does, for as many classes as they are for.
    ///
    /// # Errors
    /// Where one is missing or has another shape.
    pub fn load(weights: &mut Weights, device: &Device) -> Result<Self, WeightError> {
        let classes = weights.first_axis("scores.bias")?;
        let network = Network::load(weights, classes, device)?;
        Ok(Self::new(network, classes, device))
    }

    /// Of a network that is there already, such as one that is being trained.
    pub fn new(network: Network, classes: usize, device: &Device) -> Self {
        Self {
            network,
            classes,
            device: device.clone(),
        }
    }

    /// Pixels of the input to one of a picture of `[width, height]`, along both.
    pub fn scale(picture: [u32; 2]) -> [f32; 2] {
        let input = input_size(picture);
        std::array::from_fn(|axis| input[axis] as f32 / picture[axis].max(1) as f32)
    }

    /// What becomes of a picture that has the size of an input already.
    pub const NORMALISATION: Normalisation = Normalisation::IMAGENET;

    /// Of inputs of one shape, each with what is wanted of it.
    fn detect(&self, inputs: Vec<Input>, selections: &[&Selection]) -> Vec<Output> {
        let [_, height, width] = inputs[0].shape;
        let size = [width as f32, height as f32];
        let pictures: Vec<_> = inputs.iter().map(|input| input.closer.clone()).collect();
        let x = Input::stack(inputs, 1, &self.device);
        let Look { mut found, masks } = self.look(x, size, selections);
        let of_each = found.iter_mut().zip(pictures).zip(selections);
        let closer = of_each.map(|((found, picture), selection)| {
            let picture = picture?;
            let closer = self.look_closer(found, size, &picture, selection)?;
            *found = best(closer.window.merged(found, &closer.found), size);
            Some(closer)
        });
        let closer: Vec<_> = closer.collect();
        for (found, selection) in found.iter_mut().zip(selections) {
            found.retain(|found| found.score >= selection.threshold);
            found.truncate(selection.max_detections);
        }
        let masked: Vec<_> = selections.iter().map(|selection| selection.masks).collect();
        outputs(&found, &masked, MASK_SIDE, |found| {
            self.outline(&masks, &closer, found)
        })
    }

    /// What is on pictures, `[pictures, 3, h, w]`, of `[width, height]` without their padding.
    fn look(&self, x: Map, size: [f32; 2], selections: &[&Selection]) -> Look {
        let Features { levels, masks } = self.network.features(x);
        let answers = levels.map(|level| <[Map; 2]>::from(self.network.detect(level)));
        let values = Map::to_host_all(answers.as_flattened());
        let sizes = answers.map(|[scores, _]| {
            let [_, _, rows, columns] = scores.dims();
            [rows, columns]
        });
        let pictures = selections.len();
        let found = each(&self.device, pictures, |index| {
            let mut candidates = Vec::new();
            for (i, size) in sizes.into_iter().enumerate() {
                let points = Points {
                    stride: STRIDES[i],
                    size,
                    logits: of_picture(&values[2 * i], index, pictures),
                    distances: of_picture(&values[2 * i + 1], index, pictures),
                };
                points.candidates(self.classes, selections[index], &mut candidates);
            }
            best(candidates, size)
        });
        Look {
            found,
            masks: FeatureMap::read(masks, 1.0 / MASK_STRIDE as f32, &self.device),
        }
    }

    /// What there is where small things were found on an input of this size, `[width, height]`, if any were.
    fn look_closer(
        &self,
        found: &[Found],
        size: [f32; 2],
        picture: &Image,
        selection: &Selection,
    ) -> Option<Closer> {
        let window = Window::around(found, size, picture)?;
        let part = Input::of_image(window.of(picture)?, &Self::NORMALISATION, &self.device);
        let x = Input::stack(vec![part], MULTIPLE, &self.device);
        let Look { mut found, masks } = self.look(x, window.size(), &[selection]);
        Some(Closer {
            window,
            found: found.remove(0),
            masks,
        })
    }

    /// Mask probabilities, `[found, MASK_SIDE, MASK_SIDE]`; each from where it is seen best.
    fn outline(
        &self,
        masks: &FeatureMap,
        closer: &[Option<Closer>],
        found: &[(usize, Found)],
    ) -> Vec<f32> {
        let batch = findings_together(&self.device, MASK_BATCH, MAX_DETECTIONS);
        let roi = |&(image, Found { bbox, .. }): &(usize, Found)| match &closer[image] {
            Some(closer) if closer.window.takes(bbox) => Roi {
                map: &closer.masks,
                image: 0,
                bbox: mask_region(closer.window.to_window(bbox)),
            },
            _ => Roi {
                map: masks,
                image,
                bbox: mask_region(bbox),
            },
        };
        let batches = found.chunks(batch).flat_map(|found| {
            let rois: Vec<_> = found.iter().map(roi).collect();
            let pooled = roi_align(&MASK_POOL, &rois, MASK_CHANNELS, &self.device);
            let outlines = self.network.outline(pooled);
            let mut logits = outlines.planes_to_host(iter::repeat_n(0, found.len()));
            logits.iter_mut().for_each(|x| *x = sigmoid(*x));
            logits
        });
        batches.collect()
    }
}

/// What is seen on pictures.
struct Look {
    /// On each, best first.
    found: Vec<Vec<Found>>,
    /// What outlines are found on.
    masks: FeatureMap,
}

/// What is seen on a part of a picture that is looked at closer.
struct Closer {
    window: Window,
    /// In pixels of the window.
    found: Vec<Found>,
    masks: FeatureMap,
}

impl Model for CenterMask {
    fn preprocess(&self, picture: Picture<'_>, _: &Selection) -> Result<Input, DecodeError> {
        let size = [picture.width(), picture.height()];
        let [width, height] = input_size(size);
        let (resized, closer) = match closer::size(size, [width, height]) {
            Some([columns, rows]) => {
                let closer = resize(picture, columns, rows, Filter::Bilinear)?;
                let resized = resize(&closer, width, height, Filter::Bilinear)?;
                (resized, Some(closer))
            }
            None => (resize(picture, width, height, Filter::Bilinear)?, None),
        };
        let input = Input::of_image(resized, &Self::NORMALISATION, &self.device);
        Ok(input.with_closer(closer))
    }

    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        in_batches(batch, &self.device, |inputs, selections| {
            self.detect(inputs, selections)
        })
    }

    fn postprocess(&self, output: Output, picture_size: [u32; 2], _: &Selection) -> Prediction {
        let scale = Self::scale(picture_size);
        prediction(
            output,
            picture_size,
            scale,
            |mask, side, bbox, picture, threshold| {
                paste_exactly(mask, side, mask_region(bbox), picture, threshold)
            },
        )
    }

    fn preferred_batch(&self) -> usize {
        self.device.kind().preferred_batch()
    }

    fn warm_up_shapes(&self) -> Vec<[usize; 3]> {
        match self.device.kind() {
            // A picture takes longer than what the first one would gain.
            DeviceKind::Cpu => Vec::new(),
            // It compiles kernels.
            DeviceKind::Gpu => {
                let [width, height] = input_size([640, 480]);
                vec![[3, height as usize, width as usize]]
            }
        }
    }
}

/// The input's `[width, height]` for a picture of `[width, height]`: each side the nearest multiple of [`MULTIPLE`] to
/// what keeps the picture's shape, which stretches ordinary ones by a few hundredths at most, and pads none.
fn input_size(picture: [u32; 2]) -> [u32; 2] {
    let multiple = MULTIPLE as u32;
    SIZE.resized(picture)
        .map(|side| ((side + multiple / 2) / multiple).max(1) * multiple)
}

/// What the network says about the points of one map.
struct Points<'a> {
    /// Distance between points in pixels; the first is half of it from the edge.
    stride: usize,
    /// `[height, width]`.
    size: [usize; 2],
    /// `[classes, height, width]`.
    logits: &'a [f32],
    /// To the left, upper, right and lower side of the object's box, as logarithms of strides:
    /// `[4, height, width]`.
    distances: &'a [f32],
}

impl Points<'_> {
    /// Adds what is wanted of these points.
    fn candidates(&self, classes: usize, selection: &Selection, candidates: &mut Vec<Found>) {
        let [rows, columns] = self.size;
        let places = rows * columns;
        // What is likely enough may be worth a closer look.
        let floor = selection.threshold.clamp(SCORE_FLOOR, closer::LIKELY);
        let wanted = (0..classes).filter(|&class| selection.wants(class as u32));
        for class in wanted {
            let logits = &self.logits[class * places..][..places];
            for (place, &logit) in logits.iter().enumerate() {
                let score = sigmoid(logit);
                if score >= floor {
                    candidates.push(Found {
                        class: class as u32,
                        score,
                        bbox: self.bbox(place),
                    });
                }
            }
        }
    }

    fn bbox(&self, place: usize) -> [f32; 4] {
        let [rows, columns] = self.size;
        let stride = self.stride as f32;
        let [x, y] = point([place % columns, place / columns], self.stride);
        let distance = |side: usize| {
            let logarithm = self.distances[side * rows * columns + place];
            logarithm.min(MAX_LOG_DISTANCE).exp() * stride
        };
        [
            x - distance(0),
            y - distance(1),
            x + distance(2),
            y + distance(3),
        ]
    }
}

/// The greatest logarithm of a distance that is decoded: no box is more than a thousand strides wide.
pub const MAX_LOG_DISTANCE: f32 = 6.0;

/// Where the point `[column, row]` of a map with this stride is, in pixels: `[x, y]`.
pub fn point(place: [usize; 2], stride: usize) -> [f32; 2] {
    place.map(|at| (at as f32 + 0.5) * stride as f32)
}

/// The best of all candidates on a picture of `[width, height]`, best first.
fn best(mut candidates: Vec<Found>, picture: [f32; 2]) -> Vec<Found> {
    let by_score = |a: &Found, b: &Found| b.score.total_cmp(&a.score);
    if candidates.len() > CANDIDATES {
        candidates.select_nth_unstable_by(CANDIDATES, by_score);
        candidates.truncate(CANDIDATES);
    }
    for candidate in &mut candidates {
        candidate.bbox = clip(candidate.bbox, picture);
    }
    // A point at the edge may have a box beside the picture.
    candidates.retain(|candidate| is_at_least(candidate.bbox, 1.0));
    let boxes: Vec<_> = candidates.iter().map(|f| f.bbox).collect();
    let scores: Vec<_> = candidates.iter().map(|f| f.score).collect();
    let classes: Vec<_> = candidates.iter().map(|f| f.class).collect();
    let mut kept = batched_nms(&boxes, &scores, &classes, NMS_THRESHOLD);
    kept.truncate(MAX_DETECTIONS);
    kept.into_iter().map(|i| candidates[i]).collect()
}

/// What the backbone makes of a picture.
pub struct Features {
    /// `[batch, 64, h / s, w / s]` for every `s` of [`STRIDES`].
    pub levels: [Map; 3],
    /// `[batch, MASK_CHANNELS, h / 4, w / 4]`.
    pub masks: Map,
}

/// All that has weights.
#[derive(Module, Debug)]
pub struct Network {
    stem: Conv2d,
    stages: Vec<Stage>,
    /// From the backbone's second stage on, to [`CHANNELS`].
    laterals: Vec<Conv2d>,
    /// Of every level.
    smooth: Vec<Conv2d>,
    mask_lateral: Conv2d,
    mask_top: Conv2d,
    mask_smooth: Conv2d,
    tower: Vec<Conv2d>,
    scores: Conv2d,
    distances: Conv2d,
    outline: Vec<Conv2d>,
    outline_doubled: ConvTranspose2d,
    outline_logits: Conv2d,
}

#[derive(Module, Debug)]
struct Stage {
    /// Halves the sides; the first stage has none.
    down: Option<Conv2d>,
    blocks: Vec<Residual>,
}

/// Two convolutions, and the input added between the second and its activation.
#[derive(Module, Debug)]
struct Residual {
    first: Conv2d,
    second: Conv2d,
}

impl Network {
    /// Takes its tensors, `{name}.weight` and `{name}.bias` for each layer. Those that begin at zero where the network
    /// is to be trained are `*.second`.
    ///
    /// # Errors
    /// Where one is missing or has another shape.
    pub fn load(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let [(first_channels, _), ..] = STAGES;
        let mut conv = |name: &str, geometry: Geometry, activation: Activation| {
            Conv2d::load(weights, name, geometry, activation, device)
        };
        let stem = Geometry::new(3, first_channels, 6).stride(4).padding(1, 1);
        let stem = conv("stem", stem, Activation::Relu)?;
        let mut stages = Vec::new();
        let mut inputs = first_channels;
        for (i, (channels, blocks)) in STAGES.into_iter().enumerate() {
            let down = (i > 0)
                .then(|| {
                    let down = Geometry::new(inputs, channels, 4).stride(2).padding(1, 1);
                    conv(&format!("stages.{i}.down"), down, Activation::Relu)
                })
                .transpose()?;
            let blocks = (0..blocks)
                .map(|block| {
                    let name = format!("stages.{i}.blocks.{block}");
                    let geometry = Geometry::new(channels, channels, 3);
                    Ok(Residual {
                        first: conv(&format!("{name}.first"), geometry, Activation::Relu)?,
                        second: conv(&format!("{name}.second"), geometry, Activation::Relu)?,
                    })
                })
                .collect::<Result<_, WeightError>>()?;
            stages.push(Stage { down, blocks });
            inputs = channels;
        }
        let laterals = STAGES[1..].iter().enumerate();
        let laterals = laterals
            .map(|(i, &(channels, _))| {
                let geometry = Geometry::new(channels, CHANNELS, 1);
                conv(&format!("laterals.{i}"), geometry, Activation::Identity)
            })
            .collect::<Result<_, _>>()?;
        let wide = Geometry::new(CHANNELS, CHANNELS, 3);
        let narrow = Geometry::new(MASK_CHANNELS, MASK_CHANNELS, 3);
        let smooth = (0..STRIDES.len())
            .map(|i| conv(&format!("smooth.{i}"), wide, Activation::Relu))
            .collect::<Result<_, _>>()?;
        let mask_lateral = Geometry::new(first_channels, MASK_CHANNELS, 1);
        let mask_lateral = conv("mask_lateral", mask_lateral, Activation::Identity)?;
        let mask_top = Geometry::new(CHANNELS, MASK_CHANNELS, 1);
        let mask_top = conv("mask_top", mask_top, Activation::Identity)?;
        let mask_smooth = conv("mask_smooth", narrow, Activation::Relu)?;
        let tower = (0..TOWER)
            .map(|i| conv(&format!("tower.{i}"), wide, Activation::Relu))
            .collect::<Result<_, _>>()?;
        let scores = Geometry::new(CHANNELS, classes, 3);
        let scores = conv("scores", scores, Activation::Identity)?;
        let distances = Geometry::new(CHANNELS, 4, 3);
        let distances = conv("distances", distances, Activation::Identity)?;
        let outline = (0..3)
            .map(|i| conv(&format!("outline.{i}"), narrow, Activation::Relu))
            .collect::<Result<_, _>>()?;
        let outline_logits = Geometry::new(MASK_CHANNELS, 1, 1);
        let outline_logits = conv("outline_logits", outline_logits, Activation::Identity)?;
        Ok(Self {
            stem,
            stages,
            laterals,
            smooth,
            mask_lateral,
            mask_top,
            mask_smooth,
            tower,
            scores,
            distances,
            outline,
            outline_doubled: ConvTranspose2d::load(
                weights,
                "outline_doubled",
                [MASK_CHANNELS; 2],
                Activation::Relu,
                device,
            )?,
            outline_logits,
        })
    }

    /// Of pictures `[batch, 3, h, w]`, whose sides are multiples of [`MULTIPLE`].
    pub fn features(&self, x: Map) -> Features {
        let mut x = self.stem.forward(x);
        let mut maps = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            if let Some(down) = &stage.down {
                x = down.forward(x);
            }
            for block in &stage.blocks {
                let residual = x.clone();
                x = block
                    .second
                    .forward_with_residual(block.first.forward(x), residual);
            }
            maps.push(x.clone());
        }
        let [fine, middle, coarse, coarsest] = [0, 1, 2, 3].map(|i| maps[i].clone());
        let lateral = |i: usize, x: Map| self.laterals[i].forward(x);
        let coarsest = lateral(2, coarsest);
        let coarse = beneath(coarsest.clone(), lateral(1, coarse));
        let middle = beneath(coarse.clone(), lateral(0, middle));
        let smooth = |i: usize, x: Map| self.smooth[i].forward(x);
        let levels = [smooth(0, middle), smooth(1, coarse), smooth(2, coarsest)];
        let top = self.mask_top.forward(levels[0].clone());
        let masks = beneath(top, self.mask_lateral.forward(fine));
        Features {
            levels,
            masks: self.mask_smooth.forward(masks),
        }
    }

    /// Of one of the levels: score logits `[batch, classes, h, w]`, and logarithms of the distances from each point to
    /// the left, upper, right and lower side of its object's box, in strides, `[batch, 4, h, w]`.
    pub fn detect(&self, level: Map) -> (Map, Map) {
        let x = self.tower.iter().fold(level, |x, layer| layer.forward(x));
        (self.scores.forward(x.clone()), self.distances.forward(x))
    }

    /// Regions `[rois, MASK_CHANNELS, 14, 14]` to mask logits `[rois, 1, MASK_SIDE, MASK_SIDE]`.
    pub fn outline(&self, rois: Map) -> Map {
        let x = self.outline.iter().fold(rois, |x, layer| layer.forward(x));
        self.outline_logits.forward(self.outline_doubled.forward(x))
    }
}

/// A map and the coarser one above it.
fn beneath(above: Map, x: Map) -> Map {
    let [_, _, height, width] = x.dims();
    nearest(above, [height, width]).add(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detection::assert_same_together, weights::seeded};

    const EVERYTHING: Selection = Selection {
        threshold: 0.0,
        max_detections: 100,
        classes: None,
        masks: true,
        map_size: None,
        scores: false,
    };

    fn model(device: &Device) -> CenterMask {
        let network = Network::load(&mut seeded::weights(), 3, device).unwrap();
        CenterMask::new(network, 3, device)
    }

    #[test]
    fn every_device_answers_the_same() {
        let planes = seeded::picture([64, 96]);
        let expected = {
            let device = Device::stock();
            let model = model(&device);
            let x = Map::from_host(&planes, [1, 3, 64, 96], &device);
            let features = model.network.features(x);
            let (scores, distances) = model.network.detect(features.levels[0].clone());
            [features.masks, scores, distances].map(|map| (map.dims(), map.to_host()))
        };
        for device in seeded::devices() {
            let model = model(&device);
            let x = Map::from_host(&planes, [1, 3, 64, 96], &device);
            let features = model.network.features(x);
            let (scores, distances) = model.network.detect(features.levels[0].clone());
            for (map, (dims, values)) in [features.masks, scores, distances]
                .into_iter()
                .zip(&expected)
            {
                assert_eq!(map.dims(), *dims);
                let largest = values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                for (a, b) in map.to_host().iter().zip(values) {
                    assert!((a - b).abs() <= 1e-4 * largest, "{a} instead of {b}");
                }
            }
        }
    }

    #[test]
    fn pictures_are_answered_together_as_alone() {
        for device in seeded::devices() {
            let model = model(&device);
            let detect = |inputs, selections: &[&_]| model.detect(inputs, selections);
            assert_same_together(&model, detect, [64, 96]);
        }
    }

    #[test]
    fn inputs_have_nearly_the_shape_of_their_pictures() {
        assert_eq!(input_size([4032, 3024]), [512, 384]);
        assert_eq!(input_size([1080, 1920]), [384, 672]);
        assert_eq!(input_size([640, 427]), [576, 384]);
        assert_eq!(input_size([1, 10_000]), [32, 1536]);
    }

    #[test]
    fn boxes_are_around_their_points() {
        let points = Points {
            stride: 8,
            size: [1, 2],
            logits: &[-9.0, 2.0],
            distances: &[0.0, 0.0, 0.0, 2_f32.ln(), 0.0, 0.0, 0.0, 0.0],
        };
        let mut found = Vec::new();
        points.candidates(1, &EVERYTHING, &mut found);
        assert_eq!(found.len(), 1);
        let [x0, y0, x1, y1] = found[0].bbox;
        assert_eq!([x0, x1, y1], [4.0, 20.0, 12.0]);
        assert!((y0 - (4.0 - 16.0)).abs() < 1e-5);
    }

    #[test]
    fn pictures_of_any_shape_are_answered_within_themselves() {
        let device = Device::kernels(crate::Isa::best());
        let model = model(&device);
        for [width, height] in [[1, 1], [700, 3], [3, 700], [640, 480]] {
            let picture =
                Image::new(width, height, vec![90; (width * height * 3) as usize]).unwrap();
            let input = model.preprocess((&picture).into(), &EVERYTHING).unwrap();
            let outputs = model.forward(vec![(input, &EVERYTHING)]);
            for output in outputs {
                let prediction = model.postprocess(output, [width, height], &EVERYTHING);
                let crate::Outcome::Detections(found) = prediction.outcome else {
                    panic!("no detections");
                };
                for found in found {
                    let [x0, y0, x1, y1] = found.bbox;
                    assert!(x0 >= 0.0 && y0 >= 0.0);
                    assert!(x1 <= width as f32 && y1 <= height as f32);
                }
            }
        }
    }
}
