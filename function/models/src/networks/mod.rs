//! The networks, one file each.

pub mod deeplab;
pub mod deeplab_mobilenet_v2;
pub mod lraspp;
pub mod mobilenet_v3;
pub mod resnet;

use burn::tensor::Device;

use self::{
    deeplab::Deeplab, deeplab_mobilenet_v2::DeeplabMobilenetV2, lraspp::Lraspp,
    resnet::ResnetConfig,
};
use crate::{
    classes::VOC,
    model::Model,
    semantic::{InputRule, SemanticModel},
    weights::{WeightError, Weights},
};

/// Which network to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// [`deeplab`] with ResNet-50.
    DeeplabResnet50(InputRule),
    /// [`deeplab`] with ResNet-101.
    DeeplabResnet101(InputRule),
    /// [`deeplab`] with MobileNetV3.
    DeeplabMobilenetV3(InputRule),
    /// [`deeplab_mobilenet_v2`].
    DeeplabMobilenetV2(InputRule),
    /// [`lraspp`].
    LrasppMobilenetV3(InputRule),
}

impl Network {
    /// Builds it from its weights, on this device.
    pub fn build(
        self,
        weights: &mut Weights,
        device: &Device,
    ) -> Result<Box<dyn Model>, WeightError> {
        const CLASSES: usize = VOC.len();
        Ok(match self {
            Self::DeeplabResnet50(input) => {
                let config = ResnetConfig::RESNET_50;
                let network = Deeplab::load_resnet(weights, config, CLASSES, device)?;
                Box::new(SemanticModel::new(network, input, device))
            }
            Self::DeeplabResnet101(input) => {
                let config = ResnetConfig::RESNET_101;
                let network = Deeplab::load_resnet(weights, config, CLASSES, device)?;
                Box::new(SemanticModel::new(network, input, device))
            }
            Self::DeeplabMobilenetV3(input) => {
                let network = Deeplab::load_mobilenet_v3(weights, CLASSES, device)?;
                Box::new(SemanticModel::new(network, input, device))
            }
            Self::DeeplabMobilenetV2(input) => {
                let network = DeeplabMobilenetV2::load(weights, CLASSES, device)?;
                Box::new(SemanticModel::new(network, input, device))
            }
            Self::LrasppMobilenetV3(input) => {
                let network = Lraspp::load(weights, CLASSES, device)?;
                Box::new(SemanticModel::new(network, input, device))
            }
        })
    }
}
