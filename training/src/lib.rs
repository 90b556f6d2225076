//! Trains the detector [`segmenter_models::networks::centermask`], of notes and boards or of anything else, on its own
//! definition: burn differentiates what is served.
//!
//! ```text
//! Source ──example──> Example ──targets──> Batch ──objective──> gradients ──optimizer──> Network
//! ```
//!
//! [`source`] gives examples without an end, drawn or from a folder. [`targets`] says what the network should answer for
//! one, `batch` shares out those of a step among threads, `objective` says how far answers are from what they should be
//! (by the formulas of [`losses`]), [`train`] goes there step by step, [`evaluate`] measures it as COCO does, and
//! [`report`] makes a page of all that.

mod batch;
pub mod coco;
pub mod evaluate;
pub mod example;
pub mod losses;
mod muon;
mod objective;
pub mod parameters;
pub mod random;
pub mod report;
pub mod sheet;
pub mod source;
pub mod targets;
pub mod train;
pub mod variation;
