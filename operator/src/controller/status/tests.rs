use serde_json::{Value, json};

use super::*;
use crate::controller::fixtures::service;

fn pin(image: &str) -> Pin {
    Pin {
        image: image.to_owned(),
        template: "hash".to_owned(),
    }
}

/// A Deployment as the watch keeps it, whose controller has looked at its first generation.
fn deployment(replicas: i32, status: &Value) -> (Kind, kube::api::DynamicObject) {
    let mut object = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "demo", "generation": 1},
        "spec": {"replicas": replicas},
        "status": status,
    }))
    .unwrap();
    super::super::memory::reduce(&mut object);
    (Kind::Deployment, object)
}

fn child(kind: Kind) -> (Kind, kube::api::DynamicObject) {
    let object = json!({"metadata": {"name": "demo", "generation": 1}});
    (kind, serde_json::from_value(object).unwrap())
}

fn all_ready(count: i32) -> Value {
    json!({
        "observedGeneration": 1, "replicas": count, "readyReplicas": count,
        "updatedReplicas": count, "availableReplicas": count,
    })
}

fn status(
    spec: &Value,
    deployment: (Kind, kube::api::DynamicObject),
    applied: &Applied,
    behind: bool,
) -> SegmenterServiceStatus {
    let service = service("demo", spec);
    let served = Kind::ALL.into_iter().collect();
    let earlier = SegmenterServiceStatus {
        image: Some("registry.example.com/segmenter:1".to_owned()),
        ..SegmenterServiceStatus::default()
    };
    assess(&Assessment {
        identity: &Identity::of(&service).unwrap(),
        spec: &service.spec,
        generation: Some(2),
        observed: &Observed::of(vec![deployment, child(Kind::Service)], served),
        built: Ok(&pin("registry.example.com/segmenter:2")),
        applied,
        behind,
        earlier: &earlier,
        now: Timestamp::UNIX_EPOCH,
    })
}

/// A condition's status and reason.
fn said(status: &SegmenterServiceStatus, kind: &str) -> (String, String) {
    let mut conditions = status.conditions.iter();
    let found = conditions
        .find(|condition| condition.type_ == kind)
        .unwrap();
    (found.status.clone(), found.reason.clone())
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn pods_of_before_the_last_change_are_not_what_was_asked_for() {
    let applied = Applied::default();
    let ready = || deployment(1, &all_ready(1));
    let seen = status(&json!({}), ready(), &applied, false);
    assert_eq!(said(&seen, "Ready"), is("True", "Available"));
    assert_eq!(said(&seen, "Progressing"), is("False", "Settled"));
    let behind = status(&json!({}), ready(), &applied, true);
    assert_eq!(said(&behind, "Ready"), is("False", "Updating"));
    assert_eq!(said(&behind, "WorkloadReady"), is("Unknown", "Updating"));
    assert_eq!(said(&behind, "Progressing"), is("True", "RollingOut"));
}

#[test]
fn no_pods_are_not_idle_while_some_are_wanted() {
    let applied = Applied::default();
    let first = json!({"observedGeneration": 1, "replicas": 0});
    for scaling in [
        json!({"mode": "HPA", "maxReplicas": 3}),
        json!({"mode": "KEDA", "maxReplicas": 3, "keda": {"prometheusAddress": "http://prometheus:9090"}}),
    ] {
        let spec = json!({"scaling": scaling});
        let new = status(&spec, deployment(1, &first), &applied, false);
        assert_eq!(said(&new, "Ready"), is("False", "RollingOut"), "{spec}");
        assert_eq!(new.readiness.as_deref(), Some("0/1"), "{spec}");
        let idle = status(&spec, deployment(0, &first), &applied, false);
        assert_eq!(said(&idle, "Ready"), is("True", "Idle"), "{spec}");
    }
}

#[test]
fn an_image_is_chosen_when_the_deployment_gets_it() {
    let image = |spec: &Value, applied: &Applied| {
        let status = status(spec, deployment(1, &all_ready(1)), applied, false);
        status.image.unwrap()
    };
    let done = Applied::default();
    let refused = Applied {
        failures: vec![super::super::apply::ApplyError::Taken {
            kind: Kind::Deployment,
            name: "demo".to_owned(),
        }],
        ..Applied::default()
    };
    assert_eq!(image(&json!({}), &done), "registry.example.com/segmenter:2");
    for (spec, applied) in [(json!({}), &refused), (json!({"paused": true}), &done)] {
        assert_eq!(
            image(&spec, applied),
            "registry.example.com/segmenter:1",
            "{spec}"
        );
    }
}
