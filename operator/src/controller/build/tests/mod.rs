//! What the build step makes, without a cluster.

mod alerts;
mod dashboard;
mod golden;
mod overlay;
mod properties;
mod restricted;

use serde_json::{Value, json};

use super::{Blueprint, Built, Children, Defaults, build};
use crate::{
    api::SegmenterServiceSpec,
    controller::{fixtures::service, identity::Identity},
};

fn identity(name: &str) -> Identity {
    Identity::of(&service(name, &json!({}))).unwrap()
}

fn spec(spec: &Value) -> SegmenterServiceSpec {
    serde_json::from_value(spec.clone()).unwrap()
}

fn defaults() -> Defaults {
    Defaults {
        image: "registry.example.com/segmenter:1".to_owned(),
        accelerator_image: "registry.example.com/segmenter-gpu:1".to_owned(),
        monitor_labels: [("release".to_owned(), "prometheus".to_owned())].into(),
    }
}

/// What `demo` in `team` becomes.
fn built(spec: &SegmenterServiceSpec) -> Built {
    let blueprint = Blueprint {
        identity: &identity("demo"),
        spec,
        defaults: &defaults(),
        pinned: None,
    };
    build(&blueprint).unwrap()
}

/// The objects that there are, by their kinds.
fn objects(children: &Children) -> Vec<(&'static str, Value)> {
    let objects = children.objects().into_iter();
    objects
        .map(|(kind, object)| (kind.name(), object))
        .collect()
}
