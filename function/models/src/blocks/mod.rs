//! The few operations that every network is made of.
//!
//! Networks are written against these and never call the backend's tensor operations for anything
//! that costs time, so that faster kernels and other devices come in here and nowhere else. Feature
//! maps are `[batch, channels, height, width]`.

mod conv;
mod conv_transpose;
mod host;
mod linear;
mod pool;
mod roi_align;
mod scale;
mod softmax;
mod squeeze_excite;

pub use conv::{Activation, Conv2d, Geometry};
pub use conv_transpose::ConvTranspose2d;
pub use host::{from_host, to_host};
pub use linear::Linear;
pub use pool::{global_mean, max_pool};
pub use roi_align::{FeatureMap, RoiAlign};
pub use scale::{bilinear, nearest};
pub use softmax::{sigmoid, softmax};
pub use squeeze_excite::SqueezeExcite;
