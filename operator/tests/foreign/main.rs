//! The operator beside the Prometheus Operator, the Gateway API and KEDA: their real CRDs, which come while
//! it runs. Their controllers do not run; what those would say is said by the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../cluster/support.rs"]
mod support;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, Patch, PatchParams};
use segmenter_cluster::{ControlPlane, Crds, Options, Suite, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};

use crate::support::{Result, SOON, Stage, defaults};

fn main() -> ExitCode {
    let crd = serde_json::to_string(&segmenter_operator::api::crd()).expect("the CRD is JSON");
    let options = Options {
        crds: vec![Crds::Manifest(crd)],
        ..Options::default()
    };
    Suite::<ControlPlane>::new()
        .test(
            "foreign_kinds_are_used_when_they_come",
            foreign_kinds_are_used_when_they_come,
        )
        .run(options)
}

/// Everything that needs the kinds of others.
fn wanted() -> Value {
    json!({
        "scaling": {"mode": "KEDA", "maxReplicas": 4, "keda": {
            "prometheusAddress": "http://prometheus.monitoring:9090",
            "fallback": {"failureThreshold": 3, "replicas": 2},
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        }},
        "exposure": {"gateway": {
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "web"}],
            "hosts": ["demo.example.com"],
            "grpcHosts": ["grpc.example.com"],
        }},
        "observability": {"serviceMonitor": {"labels": {"release": "mine"}}},
    })
}

const FOREIGN: [Kind; 5] = [
    Kind::ScaledObject,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::ServiceMonitor,
    Kind::PrometheusRule,
];

fn with_foreign(foreign: &[Kind]) -> Vec<Kind> {
    let own = [Kind::Deployment, Kind::Service];
    own.iter().chain(foreign).copied().collect()
}

/// Says what another's controller would.
async fn say(stage: &Stage, kind: Kind, status: &Value) -> Result {
    let patch = json!({"status": status});
    let parameters = PatchParams::default();
    // Of the CRDs that are used here all have the status as a subresource.
    stage
        .children(kind)
        .patch_status("demo", &parameters, &Patch::Merge(&patch))
        .await?;
    Ok(())
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    })
}

async fn foreign_kinds_are_used_when_they_come(plane: Arc<ControlPlane>) -> Result {
    let mut stage = Stage::new(Arc::clone(&plane), "foreign").await?;
    let mut defaults = defaults();
    defaults.monitor_labels = [("team".to_owned(), "vision".to_owned())].into();
    stage.start(defaults).await?;

    // Without them everything else is there, and the conditions say what is missing.
    stage.apply("demo", &wanted()).await?;
    stage.has_exactly("demo", &with_foreign(&[])).await?;
    for (kind, says) in [
        ("ScalingReady", "no ScaledObject: install KEDA"),
        ("Routed", "no HTTPRoute: install the Gateway API"),
        (
            "Monitored",
            "no ServiceMonitor: install the Prometheus Operator",
        ),
    ] {
        let message = stage
            .condition("demo", kind, "False", "CRDNotInstalled")
            .await?;
        ensure!(message.contains(says), "{message}");
    }
    stage.condition("demo", "Accepted", "True", "Valid").await?;

    // They come one after the other, and each is used at once.
    plane.install_crds(&Crds::PrometheusOperator).await?;
    stage
        .has_exactly("demo", &with_foreign(&FOREIGN[3..]))
        .await?;
    stage
        .condition("demo", "Monitored", "True", "Applied")
        .await?;
    let monitor = stage.children(Kind::ServiceMonitor).get("demo").await?;
    let labels = monitor.metadata.labels.context("a monitor has labels")?;
    ensure!(
        labels["release"] == "mine" && labels["team"] == "vision",
        "{labels:?}"
    );

    plane.install_crds(&Crds::GatewayApi).await?;
    stage
        .has_exactly("demo", &with_foreign(&FOREIGN[1..]))
        .await?;
    stage
        .condition("demo", "Routed", "Unknown", "Waiting")
        .await?;
    let parent = |accepted: &Value| {
        json!({"parents": [{
            "parentRef": {"name": "public", "namespace": "gateways", "sectionName": "web"},
            "controllerName": "example.com/gateway",
            "conditions": [accepted, condition("ResolvedRefs", "True", "ResolvedRefs", "")],
        }]})
    };
    let refused = condition(
        "Accepted",
        "False",
        "NotAllowedByListeners",
        "not from this namespace",
    );
    let accepted = condition("Accepted", "True", "Accepted", "");
    say(&stage, Kind::HttpRoute, &parent(&accepted)).await?;
    say(&stage, Kind::GrpcRoute, &parent(&refused)).await?;
    let message = stage
        .condition("demo", "Routed", "False", "NotAllowedByListeners")
        .await?;
    ensure!(
        message.contains("GRPCRoute: not from this namespace"),
        "{message}"
    );
    say(&stage, Kind::GrpcRoute, &parent(&accepted)).await?;
    stage.condition("demo", "Routed", "True", "Routed").await?;

    plane.install_crds(&Crds::Keda).await?;
    stage.has_exactly("demo", &with_foreign(&FOREIGN)).await?;
    stage
        .condition("demo", "ScalingReady", "Unknown", "Waiting")
        .await?;
    let ready = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ready"}]});
    say(&stage, Kind::ScaledObject, &ready).await?;
    stage
        .condition("demo", "ScalingReady", "True", "Active")
        .await?;
    stage.quiet().await?;

    // What is deleted comes back, as with Kubernetes' own kinds.
    for kind in FOREIGN {
        let before = stage.children(kind).get("demo").await?.metadata.uid;
        stage
            .children(kind)
            .delete("demo", &DeleteParams::default())
            .await?;
        eventually(&format!("another {kind:?}"), SOON, async || {
            let found = stage.children(kind).get_opt("demo").await?;
            Ok(found
                .filter(|found| found.metadata.uid != before)
                .map(|_| ()))
        })
        .await?;
    }

    // From KEDA to a HorizontalPodAutoscaler and back, at four replicas.
    let scale = json!({"spec": {"replicas": 4}});
    let deployments = stage.api::<Deployment>();
    deployments
        .patch_scale("demo", &PatchParams::default(), &Patch::Merge(&scale))
        .await?;
    let mut spec = wanted();
    spec["scaling"] = json!({"mode": "HPA", "maxReplicas": 6});
    stage.apply("demo", &spec).await?;
    let mut kinds = with_foreign(&FOREIGN[1..]);
    kinds.insert(2, Kind::HorizontalPodAutoscaler);
    stage.has_exactly("demo", &kinds).await?;
    stage.apply("demo", &wanted()).await?;
    stage.has_exactly("demo", &with_foreign(&FOREIGN)).await?;
    stage.quiet().await?;
    let replicas = deployments
        .get("demo")
        .await?
        .spec
        .and_then(|spec| spec.replicas);
    ensure!(replicas == Some(4), "{replicas:?}");

    // What is no longer asked for goes.
    let nothing = json!({"observability": {"serviceMonitor": {"enabled": false}, "rules": {"enabled": false}}});
    stage.apply("demo", &nothing).await?;
    stage.has_exactly("demo", &with_foreign(&[])).await?;
    stage
        .condition("demo", "Monitored", "False", "Disabled")
        .await?;
    Ok(())
}
