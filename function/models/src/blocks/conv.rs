//! Convolution with everything that follows it: folded batch norm, bias, residual, activation.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, activation, module, ops::ConvOptions},
};

use crate::weights::{WeightError, Weights};

/// A 2-D convolution, its bias and the activation after it, as one step.
///
/// Batch norm is folded into weight and bias when the weights are loaded.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels / groups, kernel_height, kernel_width]`.
    weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    activation: Activation,
}

/// How a convolution moves over its input. The same in both directions, but for the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Side of the square kernel, in pixels.
    pub kernel: usize,
    /// Step between outputs, in input pixels.
    pub stride: usize,
    /// Zero pixels before (top, left) and after (bottom, right) the input.
    pub padding: [usize; 2],
    /// Distance between kernel taps, in input pixels.
    pub dilation: usize,
    /// Channel groups; `inputs` for a depthwise convolution.
    pub groups: usize,
}

impl Geometry {
    /// A dense kernel of an odd side, stride 1, padded so that the map keeps its size.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride: 1,
            padding: [kernel / 2; 2],
            dilation: 1,
            groups: 1,
        }
    }

    /// One kernel a channel, otherwise as [`new`](Self::new).
    pub fn depthwise(channels: usize, kernel: usize) -> Self {
        Self {
            groups: channels,
            ..Self::new(channels, channels, kernel)
        }
    }

    /// With this step between outputs.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With this distance between taps, padded so that a map at stride 1 keeps its size.
    pub fn dilation(self, dilation: usize) -> Self {
        Self {
            dilation,
            padding: [self.kernel / 2 * dilation; 2],
            ..self
        }
    }

    /// With this many zero pixels before and after.
    pub fn padding(self, before: usize, after: usize) -> Self {
        Self {
            padding: [before, after],
            ..self
        }
    }

    /// Shape of the weight, `[out_channels, in_channels / groups, kernel, kernel]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [
            self.outputs,
            self.inputs / self.groups,
            self.kernel,
            self.kernel,
        ]
    }
}

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// Of every value.
    pub(super) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => activation::relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::HardSwish => activation::hard_swish(x),
            Self::HardSigmoid => activation::hard_sigmoid(x, 1.0 / 6.0, 0.5),
            Self::Sigmoid => activation::sigmoid(x),
        }
    }
}

impl Conv2d {
    /// From values: `weight` in the order of [`Geometry::weight_shape`], `bias` one an output channel.
    pub fn new(
        weight: Vec<f32>,
        bias: Vec<f32>,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Self {
        Self {
            weight: Param::from_data(TensorData::new(weight, geometry.weight_shape()), device),
            bias: Param::from_data(TensorData::new(bias, [geometry.outputs]), device),
            geometry,
            activation,
        }
    }

    /// Takes `{name}.weight` and `{name}.bias`.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let weight = weights.take(&format!("{name}.weight"), &geometry.weight_shape())?;
        let bias = weights.take(&format!("{name}.bias"), &[geometry.outputs])?;
        Ok(Self::new(weight, bias, geometry, activation, device))
    }

    /// Takes `{name}.weight`; the convolution has no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        name: &str,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let weight = weights.take(&format!("{name}.weight"), &geometry.weight_shape())?;
        let bias = vec![0.0; geometry.outputs];
        Ok(Self::new(weight, bias, geometry, activation, device))
    }

    /// Takes `{conv}.weight` and the batch norm `{norm}.{weight,bias,running_mean,running_var}`, and
    /// folds the latter in: `weight * gamma / sqrt(var + eps)`, `beta - mean * gamma / sqrt(var + eps)`.
    pub fn load_with_norm(
        weights: &mut Weights,
        conv: &str,
        norm: &str,
        epsilon: f32,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let mut weight = weights.take(&format!("{conv}.weight"), &geometry.weight_shape())?;
        let mut vector =
            |field: &str| weights.take(&format!("{norm}.{field}"), &[geometry.outputs]);
        let (gamma, beta) = (vector("weight")?, vector("bias")?);
        let (mean, variance) = (vector("running_mean")?, vector("running_var")?);

        let per_output = weight.len() / geometry.outputs;
        let mut bias = beta;
        for (output, kernel) in weight.chunks_exact_mut(per_output).enumerate() {
            let scale = gamma[output] / (variance[output] + epsilon).sqrt();
            kernel.iter_mut().for_each(|value| *value *= scale);
            bias[output] -= mean[output] * scale;
        }
        Ok(Self::new(weight, bias, geometry, activation, device))
    }

    /// `activation(conv(x) + bias)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.activation.apply(self.linear(x))
    }

    /// `activation(conv(x) + bias + residual)`; `residual` has the shape of the result.
    pub fn forward_with_residual(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        self.activation.apply(self.linear(x) + residual)
    }

    fn linear(&self, x: Tensor<4>) -> Tensor<4> {
        let Geometry {
            stride,
            padding: [before, after],
            dilation,
            groups,
            ..
        } = self.geometry;
        module::conv2d(
            x,
            self.weight.val(),
            Some(self.bias.val()),
            ConvOptions::new_with_padding([stride; 2], [(before, after); 2], [dilation; 2], groups),
        )
    }
}
