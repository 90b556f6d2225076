//! DeepLab with MobileNetV2, as TensorFlow's `deeplab` exports it for phones.
//!
//! Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018, section 6.3: an output
//! stride of 16, atrous convolution behind it, and of the pyramid only the 1x1 branch and the image's
//! mean. Inputs whose sides are `16 n + 1` pixels keep that form through every layer, so that
//! TensorFlow's `SAME` padding, which may differ before and after, is here the same on both sides.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    blocks::{Activation, Conv2d, Geometry, global_mean},
    semantic::Segmenter,
    weights::{WeightError, Weights},
};

/// Expansion of the channels, output channels, blocks, and stride of the first block: the paper's
/// table 2.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// From here on a stride becomes dilation instead.
const OUTPUT_STRIDE: usize = 16;

/// The network.
#[derive(Module, Debug)]
pub struct DeeplabMobilenetV2 {
    stem: Conv2d,
    blocks: Vec<InvertedResidual>,
    image_pooling: Conv2d,
    aspp: Conv2d,
    projection: Conv2d,
    classifier: Conv2d,
}

impl DeeplabMobilenetV2 {
    /// Takes the layers by their names in TensorFlow's model garden, batch norm folded.
    pub fn load(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let mut load = |name: &str, geometry, activation| {
            Conv2d::load(weights, name, geometry, activation, device)
        };
        let stem = load(
            "MobilenetV2/Conv",
            Geometry::new(3, 32, 3).stride(2),
            Activation::Relu6,
        )?;

        let mut blocks = Vec::new();
        let (mut channels, mut stride, mut dilation) = (32, 2, 1);
        for [expansion, outputs, repeats, first_stride] in STAGES {
            for repeat in 0..repeats {
                let wanted = if repeat == 0 { first_stride } else { 1 };
                let strides = stride * wanted <= OUTPUT_STRIDE;
                let width = channels * expansion;
                let depthwise = Geometry::depthwise(width, 3)
                    .dilation(dilation)
                    .stride(if strides { wanted } else { 1 });
                let name = match blocks.len() {
                    0 => "MobilenetV2/expanded_conv".to_owned(),
                    index => format!("MobilenetV2/expanded_conv_{index}"),
                };
                blocks.push(InvertedResidual {
                    expand: (expansion != 1)
                        .then(|| {
                            let geometry = Geometry::new(channels, width, 1);
                            load(&format!("{name}/expand"), geometry, Activation::Relu6)
                        })
                        .transpose()?,
                    depthwise: load(&format!("{name}/depthwise"), depthwise, Activation::Relu6)?,
                    project: load(
                        &format!("{name}/project"),
                        Geometry::new(width, outputs, 1),
                        Activation::Identity,
                    )?,
                    residual: repeat > 0,
                });
                channels = outputs;
                if strides {
                    stride *= wanted;
                } else {
                    // The block that would have had the stride is itself not dilated yet.
                    dilation *= wanted;
                }
            }
        }

        let relu = Activation::Relu;
        Ok(Self {
            stem,
            blocks,
            image_pooling: load("image_pooling", Geometry::new(channels, 256, 1), relu)?,
            aspp: load("aspp0", Geometry::new(channels, 256, 1), relu)?,
            projection: load("concat_projection", Geometry::new(512, 256, 1), relu)?,
            classifier: load(
                "logits/semantic",
                Geometry::new(256, classes, 1),
                Activation::Identity,
            )?,
        })
    }
}

impl Segmenter for DeeplabMobilenetV2 {
    /// `[batch, 3, 16 n + 1, 16 m + 1]` in -1..1 to logits `[batch, classes, n + 1, m + 1]`, of which the
    /// corners lie on the corners of the input.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.stem.forward(x);
        for block in &self.blocks {
            x = block.forward(x);
        }
        let local = self.aspp.forward(x.clone());
        let global = self.image_pooling.forward(global_mean(x));
        let global = global.expand(local.dims());
        let features = self.projection.forward(Tensor::cat(vec![global, local], 1));
        self.classifier.forward(features)
    }
}

/// 1x1 up, 3x3 depthwise, 1x1 down without an activation.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<Conv2d>,
    depthwise: Conv2d,
    project: Conv2d,
    /// Whether the input is added to the output.
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = match &self.expand {
            Some(expand) => expand.forward(x.clone()),
            None => x.clone(),
        };
        let y = self.depthwise.forward(y);
        if self.residual {
            self.project.forward_with_residual(y, x)
        } else {
            self.project.forward(y)
        }
    }
}
