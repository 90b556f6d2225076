//! Lite reduced atrous spatial pyramid pooling on MobileNetV3: `lraspp_mobilenet_v3_large`.
//!
//! Howard et al., "Searching for MobileNetV3", 2019, section 6.4, as torchvision has it.

use burn::module::Module;

use super::mobilenet_v3::MobilenetV3;
use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, bilinear, global_mean},
    semantic::Segmenter,
    weights::{WeightError, Weights},
};

/// Channels between the backbone and the classifier.
const CHANNELS: usize = 128;

/// The network.
#[derive(Module, Debug)]
pub struct Lraspp {
    backbone: MobilenetV3,
    features: Conv2d,
    scale: Conv2d,
    low_classifier: Conv2d,
    high_classifier: Conv2d,
}

impl Lraspp {
    /// Takes torchvision's tensors.
    pub fn load(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        const HIGH: usize = MobilenetV3::HIGH_CHANNELS;
        let backbone = MobilenetV3::load(weights, "backbone", device)?;
        let features = Conv2d::load_with_norm(
            weights,
            "classifier.cbr.0",
            "classifier.cbr.1",
            1e-5,
            Geometry::new(HIGH, CHANNELS, 1),
            Activation::Relu,
            device,
        )?;
        let scale = Conv2d::load_without_bias(
            weights,
            "classifier.scale.1",
            Geometry::new(HIGH, CHANNELS, 1),
            Activation::Sigmoid,
            device,
        )?;
        let mut classifier = |name: &str, channels| {
            let geometry = Geometry::new(channels, classes, 1);
            Conv2d::load(weights, name, geometry, Activation::Identity, device)
        };
        Ok(Self {
            backbone,
            features,
            scale,
            low_classifier: classifier("classifier.low_classifier", MobilenetV3::LOW_CHANNELS)?,
            high_classifier: classifier("classifier.high_classifier", CHANNELS)?,
        })
    }
}

impl Segmenter for Lraspp {
    /// `[batch, 3, h, w]` to logits `[batch, classes, h / 8, w / 8]`, rounded up.
    fn forward(&self, x: Map) -> Map {
        let maps = self.backbone.forward(x);
        let scale = self.scale.forward(global_mean(maps.high.clone()));
        let high = self
            .high_classifier
            .forward(self.features.forward(maps.high).scale_channels(&scale));
        let low = self.low_classifier.forward(maps.low);
        // torchvision enlarges before it classifies. A 1x1 convolution and an interpolation may change
        // places, and the classes are fewer than the channels.
        let [_, _, height, width] = low.dims();
        low.add(bilinear(high, [height, width]))
    }
}
