//! The few operations that every network is made of.
//!
//! Networks are written against these and never call the backend's tensor operations for anything
//! that costs time, so that faster kernels and other devices come in here and nowhere else. Feature
//! maps are `[batch, channels, height, width]`.

mod conv;
mod linear;
mod pool;

pub use conv::{Activation, Conv2d, Geometry};
pub use linear::Linear;
pub use pool::{global_mean, max_pool};
