//! The GPU kernels that the networks run on: what `segmenter-kernels` does on a processor, in WGSL.
//!
//! ```text
//! adapters() ──Adapter::open──> Gpu
//! planes ──Map::from_planar──> Map ──Conv::forward──> Map ── ... ──read──> planes
//! ```
//!
//! A [`Map`] lies in the GPU's memory with four channels of a pixel side by side. An operation is recorded and answers
//! at once; the GPU begins with what is recorded while more is, and only [`read`] waits for it. Shaders are written once
//! and compiled for each geometry of a kernel, not for each size of a map: what is compiled when a network has run once
//! serves pictures of every size.

mod adapter;
mod class_map;
mod combine;
mod conv;
mod gpu;
mod halves;
mod kept;
mod map;
mod memory;
mod pictures;
mod pool;
mod resize;
mod roi_align;
mod shader;
mod tiling;
mod trace;

pub use adapter::{Adapter, Kind, Options, adapters};
pub use class_map::{ClassMap, argmax_softmax};
pub use combine::{add, concat, expand, scale_channels};
pub use conv::{Conv, ConvTranspose};
pub use gpu::{Gpu, GpuError};
pub use map::{Map, planes, read};
pub use pictures::Normalisation;
pub use pool::{global_mean, max_pool};
pub use resize::{bilinear, nearest};
pub use roi_align::{Roi, roi_align};
