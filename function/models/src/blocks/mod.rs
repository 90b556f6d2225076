//! The few operations that every network is made of.
//!
//! Networks are written against these and never call burn's tensor operations, so that faster kernels and
//! other devices come in here and nowhere else. Each operation runs on burn's tensors or on the processor's
//! own kernels, as the [`Device`] says that the network was loaded on. A [`Map`] is
//! `[batch, channels, height, width]` in either.

mod conv;
mod conv_transpose;
mod device;
mod linear;
mod map;
mod pool;
mod roi_align;
mod scale;
mod softmax;
mod squeeze_excite;

pub use conv::{Activation, Conv2d, Geometry};
pub use conv_transpose::ConvTranspose2d;
pub use device::Device;
pub use linear::{Linear, LinearShape};
pub use map::Map;
pub use pool::{global_mean, max_pool};
pub use roi_align::{FeatureMap, RoiAlign, roi_align};
pub use scale::{bilinear, nearest};
pub use softmax::{sigmoid, softmax};
pub use squeeze_excite::SqueezeExcite;
