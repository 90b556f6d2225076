//! A fully connected layer and what follows it.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, module},
};

use super::Activation;
use crate::weights::{WeightError, Weights};

/// `activation(x · weightᵀ + bias)`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`: transposed once at load, as burn multiplies it.
    weight: Param<Tensor<2>>,
    /// `[outputs]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

impl Linear {
    /// Takes `{name}.weight` (`[outputs, inputs]`, torch's order) and `{name}.bias` (`[outputs]`).
    pub fn load(
        weights: &mut Weights,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activation: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        let transposed = (0..inputs * outputs)
            .map(|i| weight[i % outputs * inputs + i / outputs])
            .collect::<Vec<f32>>();
        Ok(Self {
            weight: Param::from_data(TensorData::new(transposed, [inputs, outputs]), device),
            bias: Param::from_data(TensorData::new(bias, [outputs]), device),
            activation,
        })
    }

    /// `[batch, inputs]` to `[batch, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = module::linear(x, self.weight.val(), Some(self.bias.val()));
        self.activation.apply(x)
    }
}
