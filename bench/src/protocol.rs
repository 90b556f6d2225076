//! What a contestant and the benchmark say to each other, a line of JSON each.
//!
//! The contestant begins with [`Hello`]. Then, for each line that it reads, which has the paths of a batch's pictures
//! with tabs between them, it does its work once and says an [`Answer`]. `peers/protocol.py` speaks the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// That the contestant is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// What it runs on.
    pub(crate) version: String,
}

/// That the work was done once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// How long the work on the whole batch took, by the contestant's own clock.
    pub(crate) ms: f64,
    /// Numbers that are alike where the same work was done, by name, summed over the batch.
    pub(crate) found: BTreeMap<String, f64>,
    /// Milliseconds of each step, also of those that are not counted, where the contestant tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) steps: BTreeMap<String, f64>,
}
