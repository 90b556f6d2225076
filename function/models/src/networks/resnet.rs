//! ResNet with bottleneck blocks, without its classifier: the backbone of other networks.
//!
//! He et al., "Deep residual learning for image recognition", 2015, as torchvision has it
//! (`torchvision/models/resnet.py`): the stride is in the 3x3 convolution.

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, max_pool},
    weights::{WeightError, Weights},
};

/// Which ResNet.
#[derive(Clone, Copy, Debug)]
pub struct ResnetConfig {
    /// Blocks in each of the four stages.
    pub blocks: [usize; 4],
    /// For each of the last three stages: dilate its kernels instead of halving its map.
    pub replace_stride_with_dilation: [bool; 3],
    /// The epsilon of the batch norms.
    pub epsilon: f32,
}

impl ResnetConfig {
    /// ResNet-50: a stride of 32, torch's epsilon.
    pub const RESNET_50: Self = Self {
        blocks: [3, 4, 6, 3],
        replace_stride_with_dilation: [false; 3],
        epsilon: 1e-5,
    };

    /// ResNet-101, otherwise as [`RESNET_50`](Self::RESNET_50).
    pub const RESNET_101: Self = Self {
        blocks: [3, 4, 23, 3],
        ..Self::RESNET_50
    };
}

/// The feature maps of a picture, a stage each.
#[derive(Module, Debug)]
pub struct Resnet {
    stem: Conv2d,
    stages: Vec<Vec<Bottleneck>>,
}

impl Resnet {
    /// Channels of the four maps.
    pub const CHANNELS: [usize; 4] = [256, 512, 1024, 2048];

    /// Takes torchvision's tensors: `{prefix}.conv1`, `.bn1`, `.layer1` to `.layer4`.
    pub fn load(
        weights: &mut Weights,
        prefix: &str,
        config: &ResnetConfig,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let stem = Conv2d::load_with_norm(
            weights,
            &format!("{prefix}.conv1"),
            &format!("{prefix}.bn1"),
            config.epsilon,
            Geometry::new(3, 64, 7).stride(2),
            Activation::Relu,
            device,
        )?;

        let mut stages = Vec::with_capacity(4);
        let (mut inputs, mut dilation) = (64, 1);
        for (stage, outputs) in Self::CHANNELS.into_iter().enumerate() {
            let dilate = stage > 0 && config.replace_stride_with_dilation[stage - 1];
            let stride = if stage == 0 || dilate { 1 } else { 2 };
            let mut blocks = Vec::with_capacity(config.blocks[stage]);
            for block in 0..config.blocks[stage] {
                // The first block of a stage still has the dilation of the stage before.
                let geometry = Geometry::new(outputs / 4, outputs / 4, 3).dilation(dilation);
                let stride = if block == 0 { stride } else { 1 };
                blocks.push(Bottleneck::load(
                    weights,
                    &format!("{prefix}.layer{}.{block}", stage + 1),
                    config.epsilon,
                    [inputs, outputs],
                    geometry.stride(stride),
                    device,
                )?);
                inputs = outputs;
                if block == 0 && dilate {
                    dilation *= 2;
                }
            }
            stages.push(blocks);
        }
        Ok(Self { stem, stages })
    }

    /// `[batch, 3, h, w]` to the maps of the four stages, `[batch, CHANNELS[i], h / s, w / s]` rounded up,
    /// `s` = 4, 8, 16, 32 where no stride is replaced.
    pub fn forward(&self, x: Map) -> [Map; 4] {
        let mut x = max_pool(self.stem.forward(x), 3, 2);
        std::array::from_fn(|stage| {
            for block in &self.stages[stage] {
                x = block.forward(x.clone());
            }
            x.clone()
        })
    }
}

/// 1x1 down, 3x3, 1x1 up, and the input added before the last activation.
#[derive(Module, Debug)]
struct Bottleneck {
    reduce: Conv2d,
    spatial: Conv2d,
    expand: Conv2d,
    /// Brings the input to the shape of the output where they differ.
    projection: Option<Conv2d>,
}

impl Bottleneck {
    fn load(
        weights: &mut Weights,
        name: &str,
        epsilon: f32,
        [inputs, outputs]: [usize; 2],
        spatial: Geometry,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let mut load = |conv: &str, norm: &str, geometry, activation| {
            Conv2d::load_with_norm(
                weights,
                &format!("{name}.{conv}"),
                &format!("{name}.{norm}"),
                epsilon,
                geometry,
                activation,
                device,
            )
        };
        let width = spatial.outputs;
        let stride = spatial.stride;
        Ok(Self {
            reduce: load(
                "conv1",
                "bn1",
                Geometry::new(inputs, width, 1),
                Activation::Relu,
            )?,
            spatial: load("conv2", "bn2", spatial, Activation::Relu)?,
            expand: load(
                "conv3",
                "bn3",
                Geometry::new(width, outputs, 1),
                Activation::Relu,
            )?,
            projection: (inputs != outputs || stride != 1)
                .then(|| {
                    let geometry = Geometry::new(inputs, outputs, 1).stride(stride);
                    load(
                        "downsample.0",
                        "downsample.1",
                        geometry,
                        Activation::Identity,
                    )
                })
                .transpose()?,
        })
    }

    /// `[batch, inputs, h, w]` to `[batch, outputs, h / stride, w / stride]`.
    fn forward(&self, x: Map) -> Map {
        let y = self.spatial.forward(self.reduce.forward(x.clone()));
        let residual = match &self.projection {
            Some(projection) => projection.forward(x),
            None => x,
        };
        self.expand.forward_with_residual(y, residual)
    }
}

#[cfg(test)]
mod tests {
    use super::{Map, Resnet, ResnetConfig};
    use crate::weights::seeded;

    /// Compared with `scripts/parity_resnet.py`.
    #[test]
    fn feature_maps_equal_torchvisions() {
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/parity/resnet50.json")).unwrap();
        let picture = seeded::picture([96, 160]);
        for device in seeded::devices() {
            for (name, replace_stride_with_dilation) in
                [("strided", [false; 3]), ("dilated", [false, true, true])]
            {
                let config = ResnetConfig {
                    replace_stride_with_dilation,
                    ..ResnetConfig::RESNET_50
                };
                let network =
                    Resnet::load(&mut seeded::weights(), "backbone", &config, &device).unwrap();
                let picture = Map::from_host(&picture, [1, 3, 96, 160], &device);
                for (stage, map) in network.forward(picture).into_iter().enumerate() {
                    let expected = &expected[name][stage];
                    seeded::assert_close(&map.to_host(), &map.dims(), expected, 1e-4);
                }
            }
        }
    }
}
