//! Transposed convolution.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, module, ops::ConvTransposeOptions},
};

use super::Activation;
use crate::weights::{WeightError, Weights};

/// A transposed convolution that doubles the sides of its map (kernel and stride 2), its bias, and the
/// activation after it.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// `[in_channels, out_channels, 2, 2]`.
    weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
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
        Ok(Self {
            weight: Param::from_data(TensorData::new(weight, shape), device),
            bias: Param::from_data(TensorData::new(bias, [outputs]), device),
            activation,
        })
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, 2h, 2w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1);
        let x = module::conv_transpose2d(x, self.weight.val(), Some(self.bias.val()), options);
        self.activation.apply(x)
    }
}
