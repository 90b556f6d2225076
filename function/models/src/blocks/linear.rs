//! A fully connected layer and what follows it.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, module},
};

use super::{
    Activation, Conv2d, Device, Geometry,
    conv::{Tensors, activate},
    map::{Map, Values},
    parameter::parameter,
};
use crate::weights::{WeightError, Weights};

/// `activation(weight · x + bias)`, where `x` is all of a map, in the order `[channels, height, width]`.
#[derive(Module, Debug)]
pub struct Linear {
    method: Method,
}

/// Who computes it.
#[derive(Module, Debug)]
enum Method {
    Burn(Parameters),
    /// As a convolution whose kernel covers the map.
    Conv(Conv2d),
}

#[derive(Module, Debug)]
struct Parameters {
    /// `[inputs, outputs]`: transposed once at load, as burn multiplies it.
    weight: Param<Tensor<2>>,
    /// `[outputs]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

/// What a fully connected layer takes and gives.
#[derive(Clone, Copy, Debug)]
pub struct LinearShape {
    /// Channels of the map.
    pub channels: usize,
    /// Its height, and its width.
    pub side: usize,
    /// Values that come out.
    pub outputs: usize,
}

impl Linear {
    /// Takes `{name}.weight` (`[outputs, channels * side * side]`, torch's order) and `{name}.bias`
    /// (`[outputs]`), and in integers what the output of `name` stands for.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        shape: LinearShape,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let LinearShape {
            channels,
            side,
            outputs,
        } = shape;
        let inputs = channels * side * side;
        let method = match device {
            Device::Burn(device) => {
                let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
                let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
                let transposed = (0..inputs * outputs)
                    .map(|i| weight[i % outputs * inputs + i / outputs])
                    .collect::<Vec<f32>>();
                Method::Burn(Parameters {
                    weight: parameter(
                        &format!("{name}.weight"),
                        transposed,
                        [inputs, outputs],
                        device,
                    ),
                    bias: parameter(&format!("{name}.bias"), bias, [outputs], device),
                    activation,
                })
            }
            _ => {
                let tensors = Tensors {
                    name,
                    weight: &[outputs, inputs],
                    bias: true,
                };
                let geometry = Geometry::new(channels, outputs, side).padding(0, 0);
                let conv = Conv2d::load_tensors(weights, tensors, geometry, activation, device)?;
                Method::Conv(conv)
            }
        };
        Ok(Self { method })
    }

    /// `[batch, channels, side, side]` to `[batch, outputs, 1, 1]`.
    pub fn forward(&self, x: Map) -> Map {
        match &self.method {
            Method::Burn(burn) => {
                let x = x.0.tensor().flatten(1, 3);
                let x = module::linear(x, burn.weight.val(), Some(burn.bias.val()));
                let [batch, outputs] = x.dims();
                let x = activate(burn.activation, x);
                Map(Values::Burn(x.reshape([batch, outputs, 1, 1])))
            }
            Method::Conv(conv) => conv.forward(x),
        }
    }
}
