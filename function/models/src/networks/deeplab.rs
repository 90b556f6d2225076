//! DeepLabV3 as torchvision has it: a dilated backbone, atrous spatial pyramid pooling, a classifier.
//!
//! Chen et al., "Rethinking atrous convolution for semantic image segmentation", 2017.

use burn::module::Module;

use super::{
    mobilenet_v3::MobilenetV3,
    resnet::{Resnet, ResnetConfig},
};
use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, global_mean},
    semantic::Segmenter,
    weights::{WeightError, Weights},
};

/// Channels of the pyramid and of what follows it.
const CHANNELS: usize = 256;

/// Dilations of the pyramid's 3x3 convolutions.
const RATES: [usize; 3] = [12, 24, 36];

/// The epsilon of the head's batch norms.
const EPSILON: f32 = 1e-5;

/// The network.
#[derive(Module, Debug)]
pub struct Deeplab {
    backbone: Backbone,
    pyramid: Pyramid,
    smooth: Conv2d,
    classifier: Conv2d,
}

#[expect(clippy::large_enum_variant, reason = "there is one in a network")]
#[derive(Module, Debug)]
enum Backbone {
    Resnet(Resnet),
    MobilenetV3(MobilenetV3),
}

impl Deeplab {
    /// `deeplabv3_resnet50` and `deeplabv3_resnet101`: a ResNet whose last two stages are dilated, for an
    /// output stride of 8.
    pub fn load_resnet(
        weights: &mut Weights,
        config: ResnetConfig,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let config = ResnetConfig {
            replace_stride_with_dilation: [false, true, true],
            ..config
        };
        let backbone = Backbone::Resnet(Resnet::load(weights, "backbone", &config, device)?);
        let [.., channels] = Resnet::CHANNELS;
        Self::load_head(weights, backbone, channels, classes, device)
    }

    /// `deeplabv3_mobilenet_v3_large`, of an output stride of 16.
    pub fn load_mobilenet_v3(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let backbone = MobilenetV3::load(weights, "backbone", device)?;
        Self::load_head(
            weights,
            Backbone::MobilenetV3(backbone),
            MobilenetV3::HIGH_CHANNELS,
            classes,
            device,
        )
    }

    fn load_head(
        weights: &mut Weights,
        backbone: Backbone,
        channels: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        // A second head helps training and is of no use afterwards.
        weights.ignore(|name| name.starts_with("aux_classifier."));
        Ok(Self {
            backbone,
            pyramid: Pyramid::load(weights, channels, device)?,
            smooth: Conv2d::load_with_norm(
                weights,
                "classifier.1",
                "classifier.2",
                EPSILON,
                Geometry::new(CHANNELS, CHANNELS, 3),
                Activation::Relu,
                device,
            )?,
            classifier: Conv2d::load(
                weights,
                "classifier.4",
                Geometry::new(CHANNELS, classes, 1),
                Activation::Identity,
                device,
            )?,
        })
    }
}

impl Segmenter for Deeplab {
    /// `[batch, 3, h, w]` to logits `[batch, classes, h / s, w / s]` rounded up, `s` the output stride.
    fn forward(&self, x: Map) -> Map {
        let features = match &self.backbone {
            Backbone::Resnet(backbone) => {
                let [.., last] = backbone.forward(x);
                last
            }
            Backbone::MobilenetV3(backbone) => backbone.forward(x).high,
        };
        let features = self.pyramid.forward(features);
        self.classifier.forward(self.smooth.forward(features))
    }
}

/// Atrous spatial pyramid pooling: the map seen at several scales at once.
#[derive(Module, Debug)]
struct Pyramid {
    /// 1x1, then a 3x3 for each rate.
    local: Vec<Conv2d>,
    /// On the mean of the whole map.
    global: Conv2d,
    project: Conv2d,
}

impl Pyramid {
    fn load(weights: &mut Weights, channels: usize, device: &Device) -> Result<Self, WeightError> {
        let mut load = |conv: &str, norm: &str, geometry| {
            Conv2d::load_with_norm(
                weights,
                &format!("classifier.0.{conv}"),
                &format!("classifier.0.{norm}"),
                EPSILON,
                geometry,
                Activation::Relu,
                device,
            )
        };
        let mut geometries = vec![Geometry::new(channels, CHANNELS, 1)];
        geometries.extend(RATES.map(|rate| Geometry::new(channels, CHANNELS, 3).dilation(rate)));
        let branches = geometries.len() + 1;
        let local = geometries
            .into_iter()
            .enumerate()
            .map(|(index, geometry)| {
                load(
                    &format!("convs.{index}.0"),
                    &format!("convs.{index}.1"),
                    geometry,
                )
            })
            .collect::<Result<_, _>>()?;
        // Its layer 0 is the mean.
        let global = load(
            "convs.4.1",
            "convs.4.2",
            Geometry::new(channels, CHANNELS, 1),
        )?;
        let project = Geometry::new(branches * CHANNELS, CHANNELS, 1);
        Ok(Self {
            local,
            global,
            project: load("project.0", "project.1", project)?,
        })
    }

    /// `[batch, channels, h, w]` to `[batch, CHANNELS, h, w]`.
    fn forward(&self, x: Map) -> Map {
        let [_, _, height, width] = x.dims();
        let mut branches: Vec<Map> = self
            .local
            .iter()
            .map(|conv| conv.forward(x.clone()))
            .collect();
        // Enlarging a single pixel is repeating it.
        let global = self.global.forward(global_mean(x));
        branches.push(global.expand([height, width]));
        self.project.forward(Map::concat(&branches))
    }
}
