//! The CPU kernels that the networks run on.
//!
//! ```text
//! planes ──Map::from_planar──> Map ──Conv::forward──> Map ── ... ──Map::to_planar──> planes
//! ```
//!
//! A [`Map`] holds sixteen channels of a pixel side by side, the width of the widest vectors. A [`Conv`]
//! holds its weights packed for the vector instructions that were chosen once, an [`Isa`]. Each kernel is
//! written once against a small trait of vector operations and compiled for every set of instructions.
//! Memory comes from an [`Arena`] and goes back to it.
//!
//! Results do not depend on how many threads there are: every value is computed by one of them, in one
//! order.

mod activation;
mod arena;
mod combine;
mod conv;
mod isa;
mod map;
mod peak;
mod picture;
mod pool;
pub mod quantized;
mod resize;
mod roi_align;
mod rows;
mod semantic;
mod shared;
mod simd;
#[cfg(test)]
mod testing;
mod threads;
mod trace;
#[cfg(feature = "training")]
pub mod training;

pub use activation::Activation;
pub use arena::{Arena, Buffer, Element};
pub use conv::{ClassConv, Conv, ConvTranspose, Geometry};
pub use isa::{Isa, IsaError};
pub use map::{Context, Map};
pub use peak::peak_multiplications;
pub use picture::Picture;
pub use pool::{global_mean, max_pool};
pub use resize::{Corners, bilinear, nearest};
pub use roi_align::{Roi, RoiAlign};
pub use semantic::argmax_softmax;
pub use threads::on_this_thread;
pub use trace::Span;
