//! Transposed convolution.

use std::sync::Arc;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, module, ops::ConvTransposeOptions},
};
use segmenter_kernels as kernels;

#[cfg(feature = "training")]
use super::training;
use super::{
    Activation, Device,
    conv::activate,
    map::{Map, Values},
    parameter::parameter,
};
use crate::weights::{WeightError, Weights};

/// A transposed convolution that doubles the sides of its map (kernel and stride 2), its bias, and the
/// activation after it.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    method: Method,
}

/// Who computes it.
#[derive(Module, Debug)]
enum Method {
    Burn(Parameters),
    Kernels(Packed),
    #[cfg(feature = "gpu")]
    Gpu(OnGpu),
}

#[derive(Module, Debug)]
struct Parameters {
    /// `[in_channels, out_channels, 2, 2]`.
    weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

/// Weights in the kernels' order; nothing that burn could train.
#[derive(Module, Debug)]
struct Packed {
    #[module(skip)]
    conv: Arc<kernels::ConvTranspose>,
}

/// As [`Packed`], in a GPU's memory.
#[cfg(feature = "gpu")]
#[derive(Module, Debug)]
struct OnGpu {
    #[module(skip)]
    conv: Arc<segmenter_gpu::ConvTranspose>,
}

impl ConvTranspose2d {
    /// Takes `{name}.weight` and `{name}.bias`.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let shape = [inputs, outputs, 2, 2];
        let weight = weights.take(&format!("{name}.weight"), &shape)?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        let method = match device {
            Device::Burn(device) => Method::Burn(Parameters {
                weight: parameter(&format!("{name}.weight"), weight, shape, device),
                bias: parameter(&format!("{name}.bias"), bias, [outputs], device),
                activation,
            }),
            Device::Kernels(context, _) => {
                let channels = [inputs, outputs];
                let conv =
                    kernels::ConvTranspose::new(context.isa, channels, &weight, &bias, activation);
                Method::Kernels(Packed {
                    conv: Arc::new(conv),
                })
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu, _) => {
                let channels = [inputs, outputs];
                let conv =
                    segmenter_gpu::ConvTranspose::new(gpu, channels, &weight, &bias, activation);
                Method::Gpu(OnGpu {
                    conv: Arc::new(conv),
                })
            }
        };
        Ok(Self { method })
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, 2h, 2w]`.
    pub fn forward(&self, x: Map) -> Map {
        Map(match &self.method {
            #[cfg(feature = "training")]
            Method::Burn(burn) if training::suits_transposed(&x.0) => {
                let parameters = [
                    burn.weight.val().into_dispatch(),
                    burn.bias.val().into_dispatch(),
                ];
                training::transposed(burn.activation, parameters, &x.0)
            }
            Method::Burn(burn) => {
                let options = ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1);
                let (weight, bias) = (burn.weight.val(), Some(burn.bias.val()));
                let x = module::conv_transpose2d(x.0.tensor(), weight, bias, options);
                Values::Burn(activate(burn.activation, x))
            }
            Method::Kernels(Packed { conv }) => conv.forward(x.0.kernels()).into(),
            #[cfg(feature = "gpu")]
            Method::Gpu(OnGpu { conv }) => Values::Gpu(conv.forward(x.0.gpu())),
        })
    }
}
