//! Convolution with everything that follows it: folded batch norm, bias, residual, activation.

use std::sync::Arc;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation, module, ops::ConvOptions},
};
use segmenter_kernels as kernels;
use segmenter_kernels::quantized::Quantization;
pub use segmenter_kernels::{Activation, Geometry};

#[cfg(feature = "training")]
use super::training;
use super::{
    Device, Precision,
    map::{Map, Values},
    nearest,
    parameter::parameter,
    quantized::{self, Quantized},
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
    Quantized(Integers),
    #[cfg(feature = "gpu")]
    Gpu(OnGpu),
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

/// Which tensors there are.
pub(super) struct Tensors<'a> {
    /// Of the layer.
    pub(super) name: &'a str,
    /// Shape of `{name}.weight`, whose values are in the order of [`Geometry::weight_shape`].
    pub(super) weight: &'a [usize],
    /// Whether there is a `{name}.bias`.
    pub(super) bias: bool,
}

/// Weights in the kernels' order; nothing that burn could train.
#[derive(Module, Debug)]
struct Packed {
    #[module(skip)]
    conv: Arc<kernels::Conv>,
}

/// As [`Packed`], in a GPU's memory.
#[cfg(feature = "gpu")]
#[derive(Module, Debug)]
struct OnGpu {
    #[module(skip)]
    conv: Arc<segmenter_gpu::Conv>,
}

/// As [`Packed`], in 8-bit integers.
#[derive(Module, Debug)]
struct Integers {
    #[module(skip)]
    conv: Arc<Quantized>,
    /// What the sum with a residual stands for.
    #[module(skip)]
    sum: Option<Quantization>,
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
    /// From values, to be calculated in floats: `weight` in the order of [`Geometry::weight_shape`], `bias` one
    /// an output channel. burn knows them as `{name}.weight` and `{name}.bias`.
    pub fn new(
        name: &str,
        weight: Vec<f32>,
        bias: Vec<f32>,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Self {
        let method = match device {
            Device::Burn(device) => {
                let shape = geometry.weight_shape();
                Method::Burn(Parameters {
                    weight: parameter(&format!("{name}.weight"), weight, shape, device),
                    bias: parameter(&format!("{name}.bias"), bias, [geometry.outputs], device),
                    geometry,
                    activation,
                })
            }
            Device::Kernels(context, _) => {
                let conv = kernels::Conv::new(context.isa, geometry, &weight, &bias, activation);
                Method::Kernels(Packed {
                    conv: Arc::new(conv),
                })
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu, _) => {
                let conv = segmenter_gpu::Conv::new(gpu, geometry, &weight, &bias, activation);
                Method::Gpu(OnGpu {
                    conv: Arc::new(conv),
                })
            }
        };
        Self { method }
    }

    /// Takes `{name}.weight` and `{name}.bias`, and in integers what the output of `name` stands for.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let tensors = Tensors {
            name,
            weight: &geometry.weight_shape(),
            bias: true,
        };
        Self::load_tensors(weights, tensors, geometry, activation, device)
    }

    /// As [`load`](Self::load), of a convolution that has no bias.
    pub fn load_without_bias(
        weights: &mut Weights,
        name: &str,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let tensors = Tensors {
            name,
            weight: &geometry.weight_shape(),
            bias: false,
        };
        Self::load_tensors(weights, tensors, geometry, activation, device)
    }

    /// As [`load`](Self::load), whatever shape the weight has in the file.
    pub(super) fn load_tensors(
        weights: &mut Weights,
        Tensors { name, weight, bias }: Tensors<'_>,
        geometry: Geometry,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let weight_name = format!("{name}.weight");
        let take_bias = |weights: &mut Weights| {
            bias.then(|| weights.take(&format!("{name}.bias"), &[geometry.outputs]))
                .transpose()
        };
        if let Device::Kernels(context, Precision::Int8) = device {
            let parameters = quantized::Parameters {
                weight: weights.take_quantized(&weight_name, weight)?,
                bias: take_bias(weights)?,
            };
            let output = weights.take_output(name)?;
            let conv = Quantized::new(context.isa, geometry, parameters, activation, output);
            return Ok(Self {
                method: Method::Quantized(Integers {
                    conv: Arc::new(conv),
                    sum: None,
                }),
            });
        }
        let weight = weights.take(&weight_name, weight)?;
        let bias = take_bias(weights)?.unwrap_or_else(|| vec![0.0; geometry.outputs]);
        Ok(Self::new(name, weight, bias, geometry, activation, device))
    }

    /// Makes it one that is run [with a residual](Self::forward_with_residual): in integers, takes what the
    /// output of the addition `name` stands for.
    pub fn load_addition(mut self, weights: &mut Weights, name: &str) -> Result<Self, WeightError> {
        if let Method::Quantized(Integers { sum, .. }) = &mut self.method {
            *sum = Some(weights.take_output(name)?);
        }
        Ok(self)
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
        Ok(Self::new(conv, weight, bias, geometry, activation, device))
    }

    /// `activation(conv(x) + bias)`: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`.
    pub fn forward(&self, x: Map) -> Map {
        Map(match (&self.method, &x.0) {
            (Method::Burn(burn), x) => burn.forward(x, None),
            (Method::Kernels(Packed { conv }), Values::Picture(context, picture)) => {
                conv.forward_picture(context, picture).into()
            }
            (Method::Kernels(Packed { conv }), x) => conv.forward(x.kernels(), None).into(),
            (Method::Quantized(Integers { conv, .. }), x) => conv.forward(x),
            #[cfg(feature = "gpu")]
            (Method::Gpu(OnGpu { conv }), x) => Values::Gpu(conv.forward(x.gpu(), None)),
        })
    }

    /// [`forward`](Self::forward) of what `before` makes of `x`: faster, and in less memory, where `before` widens a
    /// map for this depthwise convolution.
    pub fn forward_after(&self, before: &Self, x: Map) -> Map {
        match (&self.method, &before.method, &x.0) {
            (Method::Kernels(this), Method::Kernels(before), Values::Kernels(x)) => {
                Map(this.conv.forward_after(&before.conv, x).into())
            }
            _ => self.forward(before.forward(x)),
        }
    }

    /// `activation(conv(x) + bias + residual)`; `residual` has the shape of the result.
    pub fn forward_with_residual(&self, x: Map, residual: Map) -> Map {
        Map(match &self.method {
            Method::Burn(burn) => burn.forward(&x.0, Some(&residual.0)),
            Method::Kernels(Packed { conv }) => conv
                .forward(x.0.kernels(), Some(residual.0.kernels()))
                .into(),
            Method::Quantized(Integers { conv, sum }) => {
                conv.forward_with_residual(&x.0, &residual.0, *sum)
            }
            #[cfg(feature = "gpu")]
            Method::Gpu(OnGpu { conv }) => {
                Values::Gpu(conv.forward(x.0.gpu(), Some(residual.0.gpu())))
            }
        })
    }

    /// [`forward`](Self::forward) on `x` with its sides doubled, every pixel repeated. The convolution must
    /// be depthwise, of stride 1, and keep the size of its map.
    pub fn forward_doubled(&self, x: Map) -> Map {
        match &self.method {
            Method::Kernels(Packed { conv }) => Map(conv.forward_doubled(x.0.kernels()).into()),
            Method::Quantized(Integers { conv, .. }) => Map(conv.forward_doubled(&x.0)),
            _ => {
                let [_, _, height, width] = x.dims();
                self.forward(nearest(x, [2 * height, 2 * width]))
            }
        }
    }
}

impl Parameters {
    fn forward(&self, x: &Values, residual: Option<&Values>) -> Values {
        #[cfg(feature = "training")]
        if training::suits(&self.geometry, x) {
            let parameters = [
                self.weight.val().into_dispatch(),
                self.bias.val().into_dispatch(),
            ];
            return training::forward(self.geometry, self.activation, parameters, x, residual);
        }
        let Geometry {
            stride,
            padding: [before, after],
            dilation,
            groups,
            ..
        } = self.geometry;
        let sum = module::conv2d(
            x.tensor(),
            self.weight.val(),
            Some(self.bias.val()),
            ConvOptions::new_with_padding([stride; 2], [(before, after); 2], [dilation; 2], groups),
        );
        let sum = match residual {
            Some(residual) => sum + residual.tensor(),
            None => sum,
        };
        Values::Burn(activate(self.activation, sum))
    }
}
