//! The mask head of Mask R-CNN (He et al., 2017), as torchvision has it
//! (`torchvision/models/detection/mask_rcnn.py`).

use burn::module::Module;

use super::fpn::Fpn;
use crate::{
    blocks::{Activation, Conv2d, ConvTranspose2d, Device, Geometry, Map},
    weights::{WeightError, Weights},
};

/// Four convolutions, a doubling of the sides, and a mask for each class.
#[derive(Module, Debug)]
pub struct MaskHead {
    convolutions: Vec<Conv2d>,
    upsample: ConvTranspose2d,
    logits: Conv2d,
}

impl MaskHead {
    /// Takes torchvision's tensors `roi_heads.mask_head` and `roi_heads.mask_predictor`.
    pub fn load(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let channels = Fpn::CHANNELS;
        let convolutions = (0..4)
            .map(|i| {
                let name = format!("roi_heads.mask_head.{i}.0");
                let geometry = Geometry::new(channels, channels, 3);
                Conv2d::load(weights, &name, geometry, Activation::Relu, device)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            convolutions,
            upsample: ConvTranspose2d::load(
                weights,
                "roi_heads.mask_predictor.conv5_mask",
                [channels; 2],
                Activation::Relu,
                device,
            )?,
            logits: Conv2d::load(
                weights,
                "roi_heads.mask_predictor.mask_fcn_logits",
                Geometry::new(channels, classes, 1),
                Activation::Identity,
                device,
            )?,
        })
    }

    /// `[rois, 256, 14, 14]` to logits `[rois, classes, 28, 28]`.
    pub fn forward(&self, rois: Map) -> Map {
        let x = self
            .convolutions
            .iter()
            .fold(rois, |x, layer| layer.forward(x));
        self.logits.forward(self.upsample.forward(x))
    }
}
