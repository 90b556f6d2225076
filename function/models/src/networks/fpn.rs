//! Feature pyramid: strong features at every scale.
//!
//! Lin et al., "Feature pyramid networks for object detection", 2017, as torchvision has it
//! (`torchvision/ops/feature_pyramid_network.py`).

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, max_pool, nearest},
    weights::{WeightError, Weights},
};

/// A pyramid of five levels on the four maps of a backbone.
#[derive(Module, Debug)]
pub struct Fpn {
    /// From each map to the pyramid's channels.
    lateral: Vec<Conv2d>,
    /// Over each sum of a map and the coarser levels.
    output: Vec<Conv2d>,
}

impl Fpn {
    /// Channels of every level.
    pub const CHANNELS: usize = 256;

    /// Takes torchvision's tensors `{prefix}.inner_blocks` and `.layer_blocks` for maps of these channels.
    pub fn load(
        weights: &mut Weights,
        prefix: &str,
        inputs: [usize; 4],
        device: &Device,
    ) -> Result<Self, WeightError> {
        let mut load = |name: &str, level: usize, inputs: usize, kernel: usize| {
            let name = format!("{prefix}.{name}.{level}.0");
            let geometry = Geometry::new(inputs, Self::CHANNELS, kernel);
            Conv2d::load(weights, &name, geometry, Activation::Identity, device)
        };
        let (mut lateral, mut output) = (Vec::new(), Vec::new());
        for (level, inputs) in inputs.into_iter().enumerate() {
            lateral.push(load("inner_blocks", level, inputs, 1)?);
            output.push(load("layer_blocks", level, Self::CHANNELS, 3)?);
        }
        Ok(Self { lateral, output })
    }

    /// Maps `[1, inputs[i], h, w]`, the finest first, to as many levels `[1, CHANNELS, h, w]` and one that
    /// is every second pixel of the last.
    pub fn forward(&self, maps: [Map; 4]) -> Vec<Map> {
        let mut levels = Vec::with_capacity(5);
        let mut coarser: Option<Map> = None;
        for (map, (lateral, output)) in maps
            .into_iter()
            .zip(self.lateral.iter().zip(&self.output))
            .rev()
        {
            let [_, _, height, width] = map.dims();
            let sum = match coarser.take() {
                Some(coarser) => {
                    lateral.forward_with_residual(map, nearest(coarser, [height, width]))
                }
                None => lateral.forward(map),
            };
            levels.push(output.forward(sum.clone()));
            coarser = Some(sum);
        }
        levels.reverse();
        let coarsest = max_pool(levels[levels.len() - 1].clone(), 1, 2);
        levels.push(coarsest);
        levels
    }
}
