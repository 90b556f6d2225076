//! The models: what is in the catalogue, how their weights are read, and their networks in burn.
//!
//! ```text
//! Picture ──preprocess──> Input ──forward──> Output ──postprocess──> Prediction
//! ```
//!
//! [`Model`] is that line. [`catalogue`] says which models there are, [`weights`] reads their files
//! without executing anything in them, [`blocks`] holds the few operations that every network is made
//! of, and each network has one file that reads like the paper it comes from.

pub mod blocks;
pub mod catalogue;
pub mod classes;
pub mod detection;
pub mod model;
pub mod networks;
pub mod onnx;
pub mod own;
pub mod prediction;
pub mod semantic;
pub mod weights;

pub use blocks::{Device, DeviceKind, Precision};
pub use model::{Input, LoadError, Model, Output, load, load_built_in, load_bytes};
pub use prediction::{ClassMap, Detection, Outcome, Prediction, Selection};
pub use segmenter_kernels::{Isa, IsaError, Span, on_this_thread, peak_multiplications};
