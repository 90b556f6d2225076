//! What the tests of several modules begin with.

use serde_json::{Value, json};

use crate::api::SegmenterService;

/// The uid of every service that is made here.
pub(super) const UID: &str = "7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11";

/// The second generation of a service in `team`, which asks for this.
pub(super) fn service(name: &str, spec: &Value) -> SegmenterService {
    serde_json::from_value(json!({
        "apiVersion": "segmenter.dev/v1alpha1",
        "kind": "SegmenterService",
        "metadata": {"name": name, "namespace": "team", "uid": UID, "generation": 2},
        "spec": spec,
    }))
    .unwrap()
}
