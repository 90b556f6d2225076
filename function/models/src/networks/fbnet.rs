//! The blocks that FBNet is made of (Wan et al., "FBNetV2", 2020), as D2Go writes them.

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map},
    weights::{WeightError, Weights},
};

/// Through all blocks, one after the other.
pub(super) fn run(blocks: &[InvertedResidual], x: Map) -> Map {
    blocks.iter().fold(x, |x, block| block.forward(x))
}

/// Blocks `{name}_{first}` and on, the first of which has `inputs` channels.
pub(super) fn load_blocks(
    weights: &mut Weights,
    name: &str,
    first: usize,
    mut inputs: usize,
    blocks: &[Block],
    device: &Device,
) -> Result<Vec<InvertedResidual>, WeightError> {
    let mut loaded = Vec::with_capacity(blocks.len());
    for (i, block) in (first..).zip(blocks) {
        let name = format!("{name}_{i}");
        loaded.push(InvertedResidual::load(
            weights, &name, inputs, block, device,
        )?);
        inputs = block.outputs;
    }
    Ok(loaded)
}

/// The shape of an [`InvertedResidual`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Channels of the depthwise convolution.
    hidden: usize,
    /// Side of its kernel.
    kernel: usize,
    /// Channels that come out.
    pub(super) outputs: usize,
    /// Step of the depthwise convolution.
    stride: usize,
    /// Whether a convolution leads from the input's channels to the hidden ones.
    expansion: bool,
    /// Whether the sides of the map are doubled before the depthwise convolution.
    upsampled: bool,
}

impl Block {
    /// With an expansion, on a map that keeps its size.
    pub(super) const fn new(hidden: usize, kernel: usize, outputs: usize) -> Self {
        Self {
            hidden,
            kernel,
            outputs,
            stride: 1,
            expansion: true,
            upsampled: false,
        }
    }

    pub(super) const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(super) const fn without_expansion(self) -> Self {
        Self {
            expansion: false,
            ..self
        }
    }

    /// On a map of twice the sides.
    pub(super) const fn upsampled(self) -> Self {
        Self {
            upsampled: true,
            ..self
        }
    }
}

/// 1x1 to more channels, depthwise, 1x1 to fewer; the input is added where it has the output's shape.
#[derive(Module, Debug)]
pub(super) struct InvertedResidual {
    expand: Option<Conv2d>,
    depthwise: Conv2d,
    project: Conv2d,
    #[module(skip)]
    upsampled: bool,
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn load(
        weights: &mut Weights,
        name: &str,
        inputs: usize,
        block: &Block,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let Block {
            hidden,
            kernel,
            outputs,
            stride,
            expansion,
            upsampled,
        } = *block;
        let expand = expansion
            .then(|| {
                let geometry = Geometry::new(inputs, hidden, 1);
                let name = format!("{name}.pw.conv");
                Conv2d::load(weights, &name, geometry, Activation::Relu, device)
            })
            .transpose()?;
        let mut project = Conv2d::load(
            weights,
            &format!("{name}.pwl.conv"),
            Geometry::new(hidden, outputs, 1),
            Activation::Identity,
            device,
        )?;
        let residual = inputs == outputs && stride == 1 && !upsampled;
        if residual {
            project = project.load_addition(weights, &format!("{name}.res_conn"))?;
        }
        Ok(Self {
            expand,
            depthwise: Conv2d::load_without_bias(
                weights,
                &format!("{name}.dw.conv"),
                Geometry::depthwise(hidden, kernel).stride(stride),
                Activation::Identity,
                device,
            )?,
            project,
            upsampled,
            residual,
        })
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, h / stride, w / stride]`, or `2h, 2w` if upsampled.
    fn forward(&self, input: Map) -> Map {
        let x = match &self.expand {
            Some(expand) if self.upsampled => self
                .depthwise
                .forward_doubled(expand.forward(input.clone())),
            Some(expand) => self.depthwise.forward_after(expand, input.clone()),
            None if self.upsampled => self.depthwise.forward_doubled(input.clone()),
            None => self.depthwise.forward(input.clone()),
        };
        if self.residual {
            self.project.forward_with_residual(x, input)
        } else {
            self.project.forward(x)
        }
    }
}
