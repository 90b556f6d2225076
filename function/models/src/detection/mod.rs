//! What instance detectors do between their networks' parts, on the host: anchors, box coding,
//! non-maximum suppression, proposals and detections.
//!
//! A box is `[x0, y0, x1, y1]` in pixels.

mod anchors;
mod answer;
mod batch;
mod boxes;
mod detections;
mod input;
mod nms;
mod proposals;

pub use anchors::{cell_anchors, shifted};
pub use answer::{class_masks, output, prediction};
#[cfg(test)]
pub(crate) use batch::tests::{assert_close, assert_same_together, three_inputs};
pub use batch::{detections_of_each, each, findings_together, of_picture, outputs, placed};
pub use boxes::{CodingWeights, area, clip, decode, iou, is_at_least};
pub use detections::{DetectionConfig, Found, Predictions, detections};
pub use input::InputSize;
pub use nms::batched_nms;
pub use proposals::{Level, ProposalConfig, proposals};
