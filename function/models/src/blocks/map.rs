//! Feature maps.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use segmenter_kernels as kernels;

use super::{Activation, Device};

/// A batch of feature maps, `[batch, channels, height, width]`, 32-bit floats. Clones share their values.
#[derive(Clone, Debug)]
pub struct Map(pub(super) Values);

/// A map is what the operations of its [`Device`] work on. Those of one device are never given another's.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Burn(Tensor<4>),
    Kernels(Arc<kernels::Map>),
    /// Three channels, as the first layer takes them.
    Picture(Arc<kernels::Context>, Arc<kernels::Picture>),
}

impl Map {
    /// A map of these values, in row-major order.
    pub fn from_host(values: &[f32], shape: [usize; 4], device: &Device) -> Self {
        Self(match device {
            Device::Burn(device) => Values::Burn(Tensor::from_data(
                TensorData::new(values.to_vec(), shape),
                device,
            )),
            Device::Kernels(context) => {
                let [batch, channels, height, width] = shape;
                if channels == kernels::Picture::CHANNELS {
                    let size = [batch, height, width];
                    let picture = kernels::Picture::from_planes(&context.arena, values, size);
                    Values::Picture(Arc::clone(context), Arc::new(picture))
                } else {
                    Values::Kernels(Arc::new(kernels::Map::from_planar(context, values, shape)))
                }
            }
        })
    }

    /// Its values in row-major order. Waits for the device.
    #[expect(
        clippy::expect_used,
        reason = "all tensors of a network are 32-bit floats, as its weights and its input are"
    )]
    pub fn to_host(&self) -> Vec<f32> {
        match &self.0 {
            Values::Burn(tensor) => {
                let data = tensor.clone().into_data();
                data.try_into_vec().expect("32-bit floats")
            }
            Values::Kernels(map) => map.to_planar(),
            Values::Picture(context, picture) => picture.to_map(context).to_planar(),
        }
    }

    /// `[batch, channels, height, width]`.
    pub fn dims(&self) -> [usize; 4] {
        match &self.0 {
            Values::Burn(tensor) => tensor.dims(),
            Values::Kernels(map) => map.shape(),
            Values::Picture(_, picture) => picture.shape(),
        }
    }

    /// The sum of two maps of one shape.
    #[must_use]
    pub fn add(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Values::Burn(x), Values::Burn(y)) => Self(Values::Burn(x + y)),
            (mut x, y) => {
                x.unshared().add(y.kernels(), Activation::Identity);
                Self(x)
            }
        }
    }

    /// Every channel multiplied by its factor, `[batch, channels, 1, 1]`.
    #[must_use]
    pub fn scale_channels(self, factors: &Self) -> Self {
        match (self.0, &factors.0) {
            (Values::Burn(x), Values::Burn(factors)) => Self(Values::Burn(x * factors.clone())),
            (mut x, factors) => {
                x.unshared().scale_channels(factors.kernels());
                Self(x)
            }
        }
    }

    /// A single pixel, `[batch, channels, 1, 1]`, repeated over a map of `[height, width]`.
    #[must_use]
    pub fn expand(self, [height, width]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.dims();
        Self(match self.0 {
            Values::Burn(x) => Values::Burn(x.expand([batch, channels, height, width])),
            x => Values::from(x.kernels().expand([height, width])),
        })
    }

    /// Maps one behind the other along their channels. There must be one at least.
    #[must_use]
    pub fn concat(maps: &[Self]) -> Self {
        let tensors: Option<Vec<Tensor<4>>> = maps
            .iter()
            .map(|map| match &map.0 {
                Values::Burn(tensor) => Some(tensor.clone()),
                _ => None,
            })
            .collect();
        Self(match tensors {
            Some(tensors) => Values::Burn(Tensor::cat(tensors, 1)),
            None => {
                let maps: Vec<&kernels::Map> = maps.iter().map(|map| map.0.kernels()).collect();
                Values::from(kernels::Map::concat(&maps))
            }
        })
    }
}

impl Values {
    pub(super) fn tensor(&self) -> Tensor<4> {
        match self {
            Self::Burn(tensor) => tensor.clone(),
            Self::Kernels(_) | Self::Picture(..) => another_device(),
        }
    }

    pub(super) fn kernels(&self) -> &kernels::Map {
        match self {
            Self::Kernels(map) => map,
            Self::Burn(_) | Self::Picture(..) => another_device(),
        }
    }

    /// To be changed, in place where nobody else has it.
    fn unshared(&mut self) -> &mut kernels::Map {
        match self {
            Self::Kernels(map) => Arc::make_mut(map),
            Self::Burn(_) | Self::Picture(..) => another_device(),
        }
    }
}

impl From<kernels::Map> for Values {
    fn from(map: kernels::Map) -> Self {
        Self::Kernels(Arc::new(map))
    }
}

/// A network is loaded on one device, and its pictures are brought to that.
fn another_device() -> ! {
    unreachable!("a map of another device, or a picture behind the first layer")
}
