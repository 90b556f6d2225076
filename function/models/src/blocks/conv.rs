//! Convolution with everything that follows it: folded batch norm, bias, residual, activation.

use std::sync::Arc;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, activation, module, ops::ConvOptions},
};
use segmenter_kernels as kernels;
pub use segmenter_kernels::{Activation, Geometry};

use super::{
    Device,
    map::{Map, Values},
    nearest,
};
use crate::weights::{WeightError, Weights};

/// A 2-D convolution, its bias and the activation after it, as one step.
///
/// Batch norm is folded into weight and bias when the weights are loaded.
#[derive(Module, Debug)]
pub struct Conv2d {
    method: Method,
}

/// Who computes it.
#[derive(Module, Debug)]
enum Method {
    Burn(Parameters),
    Kernels(Packed),
}

#[derive(Module, Debug)]
struct Parameters {
    /// `[out_channels, in_channels / groups, kernel_height, kernel_width]`.
    weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    activation: Activation,
}

/// Weights in the kernels' order; nothing that burn could train.
#[derive(Module, Debug)]
struct Packed {
    #[module(skip)]
    conv: Arc<kernels::Conv>,
}

/// Of every value.
pub(super) fn activate<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => activation::relu(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::HardSwish => activation::hard_swish(x),
        Activation::HardSigmoid => activation::hard_sigmoid(x, 1.0 / 6.0, 0.5),
        Activation::Sigmoid => activation::sigmoid(x),
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
        let method = match device {
            Device::Burn(device) => Method::Burn(Parameters {
                weight: Param::from_data(TensorData::new(weight, geometry.weight_shape()), device),
                bias: Param::from_data(TensorData::new(bias, [geometry.outputs]), device),
                geometry,
                activation,
            }),
            Device::Kernels(context) => {
                let conv = kernels::Conv::new(context.isa, geometry, &weight, &bias, activation);
                Method::Kernels(Packed {
                    conv: Arc::new(conv),
                })
            }
        };
        Self { method }
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
    pub fn forward(&self, x: Map) -> Map {
        Map(match (&self.method, &x.0) {
            (Method::Burn(burn), x) => Values::Burn(burn.forward(x.tensor(), None)),
            (Method::Kernels(Packed { conv }), Values::Picture(context, picture)) => {
                conv.forward_picture(context, picture).into()
            }
            (Method::Kernels(Packed { conv }), x) => conv.forward(x.kernels(), None).into(),
        })
    }

    /// `activation(conv(x) + bias + residual)`; `residual` has the shape of the result.
    pub fn forward_with_residual(&self, x: Map, residual: Map) -> Map {
        Map(match &self.method {
            Method::Burn(burn) => {
                Values::Burn(burn.forward(x.0.tensor(), Some(residual.0.tensor())))
            }
            Method::Kernels(Packed { conv }) => conv
                .forward(x.0.kernels(), Some(residual.0.kernels()))
                .into(),
        })
    }

    /// [`forward`](Self::forward) on `x` with its sides doubled, every pixel repeated. The convolution must
    /// be depthwise, of stride 1, and keep the size of its map.
    pub fn forward_doubled(&self, x: Map) -> Map {
        match &self.method {
            Method::Burn(_) => {
                let [_, _, height, width] = x.dims();
                self.forward(nearest(x, [2 * height, 2 * width]))
            }
            Method::Kernels(Packed { conv }) => Map(conv.forward_doubled(x.0.kernels()).into()),
        }
    }
}

impl Parameters {
    fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let Geometry {
            stride,
            padding: [before, after],
            dilation,
            groups,
            ..
        } = self.geometry;
        let sum = module::conv2d(
            x,
            self.weight.val(),
            Some(self.bias.val()),
            ConvOptions::new_with_padding([stride; 2], [(before, after); 2], [dilation; 2], groups),
        );
        let sum = match residual {
            Some(residual) => sum + residual,
            None => sum,
        };
        activate(self.activation, sum)
    }
}
