//! Channels weighed by what the whole map holds.

use burn::module::Module;

use super::{Activation, Conv2d, Device, Geometry, Map, global_mean};
use crate::weights::{WeightError, Weights};

/// `x * scale(x)`, where `scale` is two fully connected layers on the mean of every channel.
///
/// Hu et al., "Squeeze-and-excitation networks", 2017.
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    squeeze: Conv2d,
    excite: Conv2d,
}

impl SqueezeExcite {
    /// Takes `{name}.fc1` and `{name}.fc2`, 1x1 convolutions from `channels` to `squeezed` and back, with
    /// ReLU between them and `scale` behind.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        [channels, squeezed]: [usize; 2],
        scale: Activation,
        device: &Device,
    ) -> Result<Self, WeightError> {
        Ok(Self {
            squeeze: Conv2d::load(
                weights,
                &format!("{name}.fc1"),
                Geometry::new(channels, squeezed, 1),
                Activation::Relu,
                device,
            )?,
            excite: Conv2d::load(
                weights,
                &format!("{name}.fc2"),
                Geometry::new(squeezed, channels, 1),
                scale,
                device,
            )?,
        })
    }

    /// `[batch, channels, h, w]` to the same shape.
    pub fn forward(&self, x: Map) -> Map {
        let scale = self.squeeze.forward(global_mean(x.clone()));
        x.scale_channels(&self.excite.forward(scale))
    }
}
