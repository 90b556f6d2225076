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
        url: Some("http://demo.team.svc:8080".to_owned()),
        ..SegmenterServiceStatus::default()
    };
    assess(&Assessment {
        identity: &Identity::of(&service).unwrap(),
        spec: &service.spec,
        generation: Some(2),
        observed: &Observed::of(vec![deployment, child(Kind::Service)], served),
        built: Ok(&pin("registry.example.com/segmenter:2")),
        applied,
        behind: if behind { &Kind::ALL } else { &[] },
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

#[test]
fn nothing_is_claimed_of_a_spec_that_is_not_carried_out() {
    let applied = Applied::default();
    let asked = json!({
        "paused": true,
        "model": {"name": "maskrcnn_resnet50_fpn"},
        "scaling": {"replicas": 3},
        "exposure": {"ingress": {"hosts": ["new.example.com"]}},
    });
    let seen = status(&asked, deployment(1, &all_ready(1)), &applied, false);
    for condition in &seen.conditions {
        assert_ne!(condition.status, "True", "{condition:?}");
    }
    for kind in ["Accepted", "ModelReady", "WorkloadReady", "ScalingReady"] {
        assert_eq!(said(&seen, kind), is("Unknown", "Paused"), "{kind}");
    }
    assert_eq!(said(&seen, "Progressing"), is("False", "Settled"));
    assert_eq!(said(&seen, "Degraded"), is("False", "AsExpected"));
    // What there is, is told: one pod, where it was before.
    assert_eq!(seen.readiness.as_deref(), Some("1/1"));
    assert_eq!(seen.url.as_deref(), Some("http://demo.team.svc:8080"));
    assert_eq!(seen.model, None);

    let paused = |spec: &Value, deployment| {
        let mut spec = spec.clone();
        spec["paused"] = json!(true);
        said(&status(&spec, deployment, &applied, false), "Ready")
    };
    for spec in [json!({}), json!({"suspend": true})] {
        let found = paused(&spec, deployment(1, &all_ready(1)));
        assert_eq!(found, is("Unknown", "Paused"), "{spec}");
    }
    // What fails, fails whatever is asked for.
    let found = paused(&json!({}), deployment(2, &all_ready(1)));
    assert_eq!(found, is("False", "RollingOut"));
}

#[test]
fn a_url_is_one_that_answers() {
    let applied = Applied::default();
    let url = |exposure: Value| {
        let spec = json!({"exposure": exposure});
        let seen = status(&spec, deployment(1, &all_ready(1)), &applied, false);
        seen.url.unwrap()
    };
    let ingress = json!({"hosts": ["in.example.com"], "tls": {"secretName": "in"}});
    // Whether its listeners speak TLS, and at which port, is not known.
    let gateway = json!({"parentRefs": [{"name": "public"}], "hosts": ["gateway.example.com"], "grpc": false});
    let inside = "http://demo.team.svc:8080";
    for (exposure, answers) in [
        (json!({}), inside),
        (json!({"gateway": gateway}), inside),
        (json!({"ingress": ingress}), "https://in.example.com"),
        (
            json!({"ingress": ingress, "gateway": gateway}),
            "https://in.example.com",
        ),
    ] {
        assert_eq!(url(exposure.clone()), answers, "{exposure}");
    }
}

/// What a Gateway says of a route.
fn parent(reference: &Value, conditions: &Value) -> Value {
    json!({
        "parentRef": reference,
        "controllerName": "example.com/gateway",
        "conditions": conditions,
    })
}

/// That it takes the route as it was in this generation, or does not.
fn taken(generation: Option<i64>, accepted: &str) -> Value {
    let said = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Said", "observedGeneration": generation});
    json!([said("Accepted", accepted), said("ResolvedRefs", "True")])
}

#[test]
fn a_way_is_there_when_every_gateway_has_taken_the_route_as_it_is() {
    let one = |conditions: Value| parent(&json!({"name": "one"}), &conditions);
    // As some controllers write it, with the defaults.
    let two = |conditions: Value| {
        let reference = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "two", "namespace": "team", "sectionName": "web"});
        parent(&reference, &conditions)
    };
    let three = |section: &str, conditions: Value| {
        let reference = json!({"name": "three", "namespace": "gateways", "sectionName": section});
        parent(&reference, &conditions)
    };
    let yes = || taken(Some(1), "True");
    let no = || taken(Some(1), "False");
    let old = || taken(Some(0), "True");
    let all = || vec![one(yes()), two(yes()), three("https", yes())];
    let and = |more: Value| [all(), vec![more]].concat();
    let (routed_well, waiting, refused) = (
        is("True", "Routed"),
        is("Unknown", "Waiting"),
        is("False", "Said"),
    );
    for (parents, expected) in [
        (all(), &routed_well),
        (vec![], &waiting),
        (all()[..2].to_vec(), &waiting),
        (
            vec![one(yes()), two(json!([])), three("https", yes())],
            &waiting,
        ),
        (
            vec![one(yes()), two(old()), three("https", yes())],
            &waiting,
        ),
        (vec![one(yes()), two(no()), three("https", yes())], &refused),
        // Another listener is asked for.
        (vec![one(yes()), two(yes()), three("http", yes())], &waiting),
        // Who does not say what it is about.
        (
            vec![one(taken(None, "True")), two(yes()), three("https", yes())],
            &routed_well,
        ),
        // Of another Gateway, of another namespace, of a listener beside one that takes it, and of before.
        (and(parent(&json!({"name": "four"}), &no())), &routed_well),
        (
            and(parent(&json!({"name": "one", "namespace": "other"}), &no())),
            &routed_well,
        ),
        (
            and(parent(&json!({"name": "two", "sectionName": "tcp"}), &no())),
            &routed_well,
        ),
        (and(one(old())), &routed_well),
    ] {
        let service = service(
            "demo",
            &json!({"exposure": {"gateway": {"grpc": false, "parentRefs": [
                {"name": "one"},
                {"name": "two"},
                {"name": "three", "namespace": "gateways", "sectionName": "https"},
            ]}}}),
        );
        let (kind, mut route) = child(Kind::HttpRoute);
        route.data = json!({"status": {"parents": parents}});
        let found = vec![child(Kind::Service), (kind, route)];
        let observed = Observed::of(found, Kind::ALL.into_iter().collect());
        let mut assessment = Assessment {
            identity: &Identity::of(&service).unwrap(),
            spec: &service.spec,
            generation: Some(2),
            observed: &observed,
            built: Ok(&pin("registry.example.com/segmenter:1")),
            applied: &Applied::default(),
            behind: &[],
            earlier: &SegmenterServiceStatus::default(),
            now: Timestamp::UNIX_EPOCH,
        };
        let finding = routed(&assessment);
        assert_eq!(
            is(finding.status, &finding.reason),
            *expected,
            "{parents:?}"
        );
        // The watch has yet to see what was written since.
        assessment.behind = &[Kind::HttpRoute];
        let finding = routed(&assessment);
        assert_eq!(is(finding.status, &finding.reason), waiting, "{parents:?}");
    }
}
