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
    api::{SegmenterService, SegmenterServiceSpec},
    controller::identity::Identity,
};

fn identity(name: &str) -> Identity {
    let service: SegmenterService = serde_json::from_value(json!({
        "apiVersion": "segmenter.dev/v1alpha1",
        "kind": "SegmenterService",
        "metadata": {"name": name, "namespace": "team", "uid": "7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11"},
        "spec": {},
    }))
    .unwrap();
    Identity::of(&service).unwrap()
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

/// The objects that there are, by their kinds. Without `..`: a new kind has to be tested, too.
fn objects(children: &Children) -> Vec<(&'static str, Value)> {
    fn object(object: &impl serde::Serialize) -> Value {
        serde_json::to_value(object).unwrap()
    }
    let Children {
        deployment,
        service,
        disruption_budget,
        network_policy,
        hpa,
        scaled_object,
        ingress,
        http_route,
        grpc_route,
        service_monitor,
        prometheus_rule,
        dashboard,
    } = children;
    let all = [
        ("Deployment", Some(object(deployment))),
        ("Service", Some(object(service))),
        (
            "PodDisruptionBudget",
            disruption_budget.as_ref().map(object),
        ),
        ("NetworkPolicy", network_policy.as_ref().map(object)),
        ("HorizontalPodAutoscaler", hpa.as_ref().map(object)),
        ("ScaledObject", scaled_object.as_ref().map(object)),
        ("Ingress", ingress.as_ref().map(object)),
        ("HTTPRoute", http_route.as_ref().map(object)),
        ("GRPCRoute", grpc_route.as_ref().map(object)),
        ("ServiceMonitor", service_monitor.as_ref().map(object)),
        ("PrometheusRule", prometheus_rule.as_ref().map(object)),
        ("ConfigMap", dashboard.as_ref().map(object)),
    ];
    all.into_iter()
        .filter_map(|(kind, object)| Some((kind, object?)))
        .collect()
}
