//! The networks, one file each.

pub mod centermask;
pub mod deeplab;
pub mod deeplab_mobilenet_v2;
mod fbnet;
pub mod fpn;
pub mod lraspp;
pub mod mask_head;
pub mod maskrcnn_fbnet;
pub mod mobilenet_v3;
pub mod rcnn_resnet50_fpn;
pub mod resnet;

use std::path::Path;

use self::{
    centermask::CenterMask, deeplab::Deeplab, deeplab_mobilenet_v2::DeeplabMobilenetV2,
    lraspp::Lraspp, maskrcnn_fbnet::MaskRcnnFbnet, rcnn_resnet50_fpn::RcnnResnet50Fpn,
    resnet::ResnetConfig,
};
use segmenter_kernels::Isa;

use crate::{
    blocks::{Device, Precision},
    catalogue::WeightsFormat,
    classes::VOC,
    model::Model,
    onnx::{OnnxError, OnnxModel},
    semantic::{InputRule, SemanticModel},
    weights::{WeightError, Weights},
};

/// Which network to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// [`maskrcnn_fbnet`].
    MaskRcnnFbnet,
    /// [`rcnn_resnet50_fpn`] without masks.
    FasterRcnnResnet50Fpn,
    /// [`rcnn_resnet50_fpn`] with masks.
    MaskRcnnResnet50Fpn,
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
    /// [`centermask`].
    CenterMask,
    /// [`onnx`](crate::onnx).
    Onnx,
}

impl Network {
    /// Whether its weights are 8-bit integers that it can be calculated in.
    pub fn has_integers(self) -> bool {
        matches!(self, Self::MaskRcnnFbnet | Self::DeeplabMobilenetV2(_))
    }

    /// What it is calculated with soonest: integers where it can be and these instructions are fast with them.
    pub fn fastest_precision(self, isa: Isa) -> Precision {
        if self.has_integers() && isa.fast_integers() {
            Precision::Int8
        } else {
            Precision::F32
        }
    }

    /// Reads the weights at `path` and builds it with them, on this device.
    pub fn load_file(
        self,
        path: &Path,
        format: WeightsFormat,
        device: &Device,
    ) -> Result<Box<dyn Model>, WeightError> {
        if self == Self::Onnx {
            return Ok(Box::new(OnnxModel::load(path, device)?));
        }
        self.load(Weights::read(path, format, device.precision())?, device)
    }

    /// Builds it from these weights and no others, on this device.
    ///
    /// # Errors
    /// If one of them is missing or left, and as [`build`](Self::build).
    pub fn load(
        self,
        mut weights: Weights,
        device: &Device,
    ) -> Result<Box<dyn Model>, WeightError> {
        let model = self.build(&mut weights, device)?;
        weights.finish()?;
        Ok(model)
    }

    /// Builds it from its weights, on this device.
    ///
    /// # Errors
    /// Also if it is in a file of its own, as ONNX' are.
    pub fn build(
        self,
        weights: &mut Weights,
        device: &Device,
    ) -> Result<Box<dyn Model>, WeightError> {
        const CLASSES: usize = VOC.len();
        Ok(match self {
            Self::MaskRcnnFbnet => Box::new(MaskRcnnFbnet::load(weights, device)?),
            Self::FasterRcnnResnet50Fpn => Box::new(RcnnResnet50Fpn::load(weights, false, device)?),
            Self::MaskRcnnResnet50Fpn => Box::new(RcnnResnet50Fpn::load(weights, true, device)?),
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
            Self::CenterMask => Box::new(CenterMask::load(weights, device)?),
            Self::Onnx => return Err(OnnxError::Weightless.into()),
        })
    }
}
