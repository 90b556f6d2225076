//! Trains the detector [`segmenter_models::networks::centermask`], of notes and boards or of anything else, on its own
//! definition: burn differentiates what is served.
//!
//! ```text
//! Source ──example──> Example ──targets──> Batch ──losses──> gradients ──optimizer──> Network
//! ```
//!
//! [`source`] gives examples without an end, drawn or from a folder. [`targets`] says what the network should answer for
//! one, [`losses`] how far it is from that, [`train`] goes there step by step, [`evaluate`] measures it as COCO does, and
//! [`report`] makes a page of all that.

pub mod coco;
pub mod evaluate;
pub mod example;
pub mod losses;
mod muon;
pub mod parameters;
pub mod random;
pub mod regions;
pub mod report;
pub mod sheet;
pub mod source;
pub mod targets;
pub mod train;
pub mod variation;
