//! The few operations that every network is made of.
//!
//! Networks are written against these and never call burn's tensor operations, so that faster kernels and
//! other devices come in here and nowhere else. Each operation runs on burn's tensors or on the processor's
//! own kernels, as the [`Device`] says that the network was loaded on. A [`Map`] is
//! `[batch, channels, height, width]` in either.
//!
//! Networks whose weights are 8-bit integers can be calculated in these: a [`QuantStub`] makes bytes of a map,
//! and what follows works on bytes. In floats it changes nothing.

#![expect(
    clippy::large_enum_variant,
    reason = "there are some hundred layers and a few maps at a time; a box would be a detour for each"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "a map that is given away is freed as soon as it has been read"
)]

mod class_masks;
mod conv;
mod conv_transpose;
mod device;
mod linear;
mod map;
mod parameter;
mod pool;
mod quant_stub;
mod quantized;
mod roi_align;
mod scale;
mod softmax;
mod squeeze_excite;
mod strips;
#[cfg(feature = "training")]
mod training;

pub use class_masks::ClassMasks;
pub use conv::{Activation, Conv2d, Geometry};
pub use conv_transpose::ConvTranspose2d;
pub use device::{Device, DeviceKind, Precision};
pub use linear::{Linear, LinearShape};
pub use map::Map;
pub use parameter::parameter_id;
pub use pool::{global_mean, max_pool};
pub use quant_stub::QuantStub;
pub use roi_align::{FeatureMap, Roi, RoiAlign, roi_align};
pub use scale::{bilinear, nearest};
pub use softmax::{sigmoid, softmax};
pub use squeeze_excite::SqueezeExcite;
pub use strips::Strips;
#[cfg(feature = "training")]
pub use training::orthogonal;
