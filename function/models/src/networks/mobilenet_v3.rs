//! MobileNetV3 without its classifier: the backbone of other networks.
//!
//! Howard et al., "Searching for MobileNetV3", 2019, as torchvision has it for segmentation
//! (`mobilenet_v3_large(dilated=True)`): the last stage is dilated instead of strided.

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, SqueezeExcite},
    weights::{WeightError, Weights},
};

/// The epsilon of its batch norms.
const EPSILON: f32 = 1e-3;

/// One row of the paper's table 1.
struct Row {
    kernel: usize,
    expanded: usize,
    outputs: usize,
    squeeze_excite: bool,
    activation: Activation,
    stride: usize,
    dilation: usize,
}

const fn row(
    kernel: usize,
    expanded: usize,
    outputs: usize,
    squeeze_excite: bool,
    activation: Activation,
    stride: usize,
    dilation: usize,
) -> Row {
    Row {
        kernel,
        expanded,
        outputs,
        squeeze_excite,
        activation,
        stride,
        dilation,
    }
}

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::HardSwish;

const LARGE: [Row; 15] = [
    row(3, 16, 16, false, RE, 1, 1),
    row(3, 64, 24, false, RE, 2, 1),
    row(3, 72, 24, false, RE, 1, 1),
    row(5, 72, 40, true, RE, 2, 1),
    row(5, 120, 40, true, RE, 1, 1),
    row(5, 120, 40, true, RE, 1, 1),
    row(3, 240, 80, false, HS, 2, 1),
    row(3, 200, 80, false, HS, 1, 1),
    row(3, 184, 80, false, HS, 1, 1),
    row(3, 184, 80, false, HS, 1, 1),
    row(3, 480, 112, true, HS, 1, 1),
    row(3, 672, 112, true, HS, 1, 1),
    row(5, 672, 160, true, HS, 1, 2),
    row(5, 960, 160, true, HS, 1, 2),
    row(5, 960, 160, true, HS, 1, 2),
];

/// The first block of stride 8: its output is the map for fine detail.
const LOW: usize = 3;

/// The large one.
#[derive(Module, Debug)]
pub struct MobilenetV3 {
    stem: Conv2d,
    blocks: Vec<InvertedResidual>,
    head: Conv2d,
}

/// What it makes of a picture of `[height, width]`.
pub struct MobilenetV3Maps {
    /// `[batch, LOW_CHANNELS, height / 8, width / 8]`, rounded up.
    pub low: Map,
    /// `[batch, HIGH_CHANNELS, height / 16, width / 16]`, rounded up.
    pub high: Map,
}

impl MobilenetV3 {
    /// Channels of the map for fine detail.
    pub const LOW_CHANNELS: usize = 40;
    /// Channels of the last map.
    pub const HIGH_CHANNELS: usize = 960;

    /// Takes torchvision's tensors: `{prefix}.0` (the stem) to `{prefix}.16`.
    pub fn load(weights: &mut Weights, prefix: &str, device: &Device) -> Result<Self, WeightError> {
        let stem = load(
            weights,
            &format!("{prefix}.0"),
            Geometry::new(3, 16, 3).stride(2),
            HS,
            device,
        )?;
        let mut blocks = Vec::with_capacity(LARGE.len());
        let mut channels = 16;
        for (index, row) in LARGE.iter().enumerate() {
            let name = format!("{prefix}.{}.block", index + 1);
            blocks.push(InvertedResidual::load(
                weights, &name, channels, row, device,
            )?);
            channels = row.outputs;
        }
        let head = load(
            weights,
            &format!("{prefix}.{}", LARGE.len() + 1),
            Geometry::new(channels, Self::HIGH_CHANNELS, 1),
            HS,
            device,
        )?;
        Ok(Self { stem, blocks, head })
    }

    /// `[batch, 3, height, width]` to its maps.
    pub fn forward(&self, x: Map) -> MobilenetV3Maps {
        let (fine, coarse) = self.blocks.split_at(LOW + 1);
        let run =
            |x, blocks: &[InvertedResidual]| blocks.iter().fold(x, |x, block| block.forward(x));
        let low = run(self.stem.forward(x), fine);
        let high = self.head.forward(run(low.clone(), coarse));
        MobilenetV3Maps { low, high }
    }
}

/// 1x1 up, depthwise, squeeze and excite, 1x1 down without an activation.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<Conv2d>,
    depthwise: Conv2d,
    squeeze_excite: Option<SqueezeExcite>,
    project: Conv2d,
    /// Whether the input is added to the output.
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn load(
        weights: &mut Weights,
        name: &str,
        inputs: usize,
        row: &Row,
        device: &Device,
    ) -> Result<Self, WeightError> {
        // The layers that a block does not have are not counted in the names either.
        let mut names = (0..).map(|layer| format!("{name}.{layer}"));
        let mut next = || names.next().unwrap_or_default();

        let expand = (row.expanded != inputs)
            .then(|| {
                let geometry = Geometry::new(inputs, row.expanded, 1);
                load(weights, &next(), geometry, row.activation, device)
            })
            .transpose()?;
        let depthwise = Geometry::depthwise(row.expanded, row.kernel)
            .dilation(row.dilation)
            .stride(row.stride);
        let depthwise = load(weights, &next(), depthwise, row.activation, device)?;
        let squeeze_excite = row
            .squeeze_excite
            .then(|| {
                let channels = [row.expanded, squeezed_channels(row.expanded)];
                SqueezeExcite::load(weights, &next(), channels, Activation::HardSigmoid, device)
            })
            .transpose()?;
        let project = load(
            weights,
            &next(),
            Geometry::new(row.expanded, row.outputs, 1),
            Activation::Identity,
            device,
        )?;
        Ok(Self {
            expand,
            depthwise,
            squeeze_excite,
            project,
            residual: row.stride == 1 && inputs == row.outputs,
        })
    }

    fn forward(&self, x: Map) -> Map {
        let mut y = match &self.expand {
            Some(expand) => self.depthwise.forward_after(expand, x.clone()),
            None => self.depthwise.forward(x.clone()),
        };
        if let Some(squeeze_excite) = &self.squeeze_excite {
            y = squeeze_excite.forward(y);
        }
        if self.residual {
            self.project.forward_with_residual(y, x)
        } else {
            self.project.forward(y)
        }
    }
}

/// A quarter of the channels, rounded to a multiple of 8 but not down by more than a tenth.
fn squeezed_channels(channels: usize) -> usize {
    let quarter = channels / 4;
    let rounded = ((quarter + 4) / 8 * 8).max(8);
    if 10 * rounded < 9 * quarter {
        rounded + 8
    } else {
        rounded
    }
}

/// torchvision's `Conv2dNormActivation`: the convolution is its layer 0, the norm its layer 1.
fn load(
    weights: &mut Weights,
    name: &str,
    geometry: Geometry,
    activation: Activation,
    device: &Device,
) -> Result<Conv2d, WeightError> {
    Conv2d::load_with_norm(
        weights,
        &format!("{name}.0"),
        &format!("{name}.1"),
        EPSILON,
        geometry,
        activation,
        device,
    )
}

#[cfg(test)]
mod tests {
    use super::squeezed_channels;

    #[test]
    fn squeezed_channels_are_torchvisions() {
        let of = [72, 120, 480, 672, 960].map(squeezed_channels);
        assert_eq!(of, [24, 32, 120, 168, 240]);
    }
}
