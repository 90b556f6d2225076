//! What the status says while pods start, fail and are replaced.
//!
//! There is no node, so what a kubelet would say of the pods is said by the tests; everything else is real.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use segmenter_cluster::{ControlPlane, Crds, Options, Tools, eventually};
use segmenter_operator::api::{SegmenterService, crd};
use serde_json::{Value, json};

use crate::support::{Result, SOON, Stage};

/// The pods of the service, as many as there should be.
pub(crate) async fn pods(stage: &Stage, name: &str, count: usize) -> Result<Vec<Pod>> {
    let selector = format!("app.kubernetes.io/instance={name}");
    eventually(&format!("{count} pods"), SOON, async || {
        let pods = stage.api::<Pod>();
        let found = pods
            .list(&ListParams::default().labels(&selector))
            .await?
            .items;
        ensure!(found.len() == count, "there are {}", found.len());
        Ok(Some(found))
    })
    .await
}

/// Says of a pod what a kubelet would.
pub(crate) async fn say(stage: &Stage, pod: &Pod, status: &Value) -> Result {
    let patch = json!({"status": status});
    stage
        .api::<Pod>()
        .patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await?;
    Ok(())
}

fn container(ready: bool, state: &Value) -> Value {
    json!({
        "name": "segmenter", "image": "x", "imageID": "x", "restartCount": i32::from(!ready),
        "ready": ready, "state": state,
    })
}

pub(crate) fn ready() -> Value {
    let now = "2026-01-01T00:00:00Z";
    json!({
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": now},
            {"type": "ContainersReady", "status": "True", "lastTransitionTime": now},
        ],
        "containerStatuses": [container(true, &json!({"running": {"startedAt": now}}))],
    })
}

fn waiting(reason: &str, message: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    json!({"phase": "Pending", "containerStatuses": [container(false, &state)]})
}

fn crashed(code: i32, message: &str) -> Value {
    let state = json!({"terminated": {"exitCode": code, "reason": "Error", "message": message}});
    json!({"phase": "Running", "containerStatuses": [container(false, &state)]})
}

pub(crate) async fn a_service_is_ready_when_its_pods_are(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(Arc::clone(&plane), "ready").await?;
    stage
        .apply("demo", &json!({"scaling": {"replicas": 2}}))
        .await?;
    stage
        .condition("demo", "Ready", "False", "Starting")
        .await?;
    let pods = pods(&stage, "demo", 2).await?;
    say(&stage, &pods[0], &ready()).await?;
    eventually("1/2", SOON, async || {
        let status = stage
            .services()
            .get("demo")
            .await?
            .status
            .unwrap_or_default();
        Ok((status.readiness.as_deref() == Some("1/2")).then_some(()))
    })
    .await?;
    stage
        .condition("demo", "Ready", "False", "Starting")
        .await?;
    say(&stage, &pods[1], &ready()).await?;
    let namespace = &stage.namespace;
    let wait = [
        "wait",
        "-n",
        namespace,
        "segsvc/demo",
        "--for=condition=Ready",
        "--timeout=30s",
    ];
    plane.kubectl(&wait).await?.ok()?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    stage
        .condition("demo", "ModelReady", "True", "Loaded")
        .await?;
    stage
        .condition("demo", "Progressing", "False", "Settled")
        .await?;
    stage
        .condition("demo", "Degraded", "False", "AsExpected")
        .await?;
    let service = stage.services().get("demo").await?;
    let status = service.status.context("there is a status")?;
    ensure!(status.observed_generation == service.metadata.generation);
    ensure!(
        status.url.as_deref() == Some("http://demo.ready.svc:8080"),
        "{:?}",
        status.url
    );
    ensure!(status.grpc_address.as_deref() == Some("demo.ready.svc:9090"));
    ensure!((status.replicas, status.ready_replicas) == (2, 2));

    let events = ["events", "-n", namespace, "--for", "segsvc/demo"];
    let events = eventually("an event", SOON, async || {
        let events = plane.kubectl(&events).await?.ok()?;
        Ok(events.contains("2 of 2 pods are ready").then_some(events))
    })
    .await?;
    ensure!(events.contains("Available"), "{events}");

    // A change of the spec: the new pod has to be ready first.
    stage
        .apply(
            "demo",
            &json!({"scaling": {"replicas": 2}, "serving": {"queue": 9}}),
        )
        .await?;
    stage
        .condition("demo", "Progressing", "True", "RollingOut")
        .await?;
    stage
        .condition("demo", "Ready", "False", "RollingOut")
        .await?;
    Ok(())
}

pub(crate) async fn what_keeps_a_pod_from_starting_is_lifted_up(
    plane: Arc<ControlPlane>,
) -> Result {
    let stage = Stage::new(plane, "failures").await?;
    stage.apply("demo", &json!({})).await?;
    let pod = pods(&stage, "demo", 1).await?.remove(0);
    let unschedulable = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]});
    for (status, reason, model, message) in [
        (
            unschedulable,
            "Unschedulable",
            "Unknown/Waiting",
            "3 Insufficient memory",
        ),
        (
            waiting("ImagePullBackOff", "no such image"),
            "ImagePullBackOff",
            "Unknown/Waiting",
            "no such image",
        ),
        (
            crashed(1, "starting\nerror: the port is taken"),
            "CrashLoop",
            "Unknown/Waiting",
            "(exit code 1): the port is taken",
        ),
        (
            crashed(65, "pulling\nerror: it has the SHA-256 1, expected 0"),
            "DigestMismatch",
            "False/DigestMismatch",
            "(exit code 65): it has the SHA-256 1, expected 0",
        ),
    ] {
        // Not a merge of all that was said before.
        say(
            &stage,
            &pod,
            &json!({"conditions": null, "containerStatuses": null}),
        )
        .await?;
        say(&stage, &pod, &status).await?;
        let said = stage
            .condition("demo", "WorkloadReady", "False", reason)
            .await?;
        ensure!(said.contains(message), "{said}");
        stage.condition("demo", "Ready", "False", reason).await?;
        let said = stage.condition("demo", "Degraded", "True", reason).await?;
        ensure!(said.contains(message), "{said}");
        let (status, reason_of_model) = model.split_once('/').expect("both are given");
        stage
            .condition("demo", "ModelReady", status, reason_of_model)
            .await?;
        let service = stage.services().get("demo").await?;
        let failure = service.status.and_then(|status| status.failure);
        let failure = failure.context("the failure is in the status")?;
        ensure!(
            failure.reason == reason && failure.pod == pod.name_any(),
            "{failure:?}"
        );
    }
    say(
        &stage,
        &pod,
        &json!({"conditions": null, "containerStatuses": null}),
    )
    .await?;
    say(&stage, &pod, &ready()).await?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    stage
        .condition("demo", "Degraded", "False", "AsExpected")
        .await?;
    let service = stage.services().get("demo").await?;
    ensure!(
        service
            .status
            .is_some_and(|status| status.failure.is_none())
    );
    Ok(())
}

pub(crate) async fn a_rollout_that_waits_for_an_old_pods_gpu_says_so(
    plane: Arc<ControlPlane>,
) -> Result {
    let stage = Stage::new(plane, "gpus").await?;
    stage.apply("demo", &json!({"accelerator": {}})).await?;
    let old = pods(&stage, "demo", 1).await?.remove(0);
    say(&stage, &old, &ready()).await?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    stage
        .apply("demo", &json!({"accelerator": {}, "serving": {"queue": 9}}))
        .await?;
    let both = pods(&stage, "demo", 2).await?;
    let new = both
        .iter()
        .find(|pod| pod.uid() != old.uid())
        .context("there is a new pod")?;
    let pending = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
    }]});
    say(&stage, new, &pending).await?;
    let said = stage
        .condition("demo", "Progressing", "False", "InsufficientAccelerators")
        .await?;
    ensure!(said.contains("InPlace"), "{said}");
    Ok(())
}

/// Times of transition do not move when nothing does.
pub(crate) async fn transitions_have_their_times(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "transitions").await?;
    stage.apply("demo", &json!({})).await?;
    stage
        .condition("demo", "Ready", "False", "Starting")
        .await?;
    stage.quiet().await?;
    let since = async |kind: &str| -> Result<_> {
        let status = stage
            .services()
            .get("demo")
            .await?
            .status
            .context("a status")?;
        let mut conditions = status.conditions.into_iter();
        let found = conditions.find(|condition| condition.type_ == kind);
        Ok(found.context("the condition")?.last_transition_time)
    };
    let (ready_since, accepted_since) = (since("Ready").await?, since("Accepted").await?);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let pod = pods(&stage, "demo", 1).await?.remove(0);
    // Another reason, the same status.
    say(&stage, &pod, &waiting("ImagePullBackOff", "no such image")).await?;
    stage
        .condition("demo", "Ready", "False", "ImagePullBackOff")
        .await?;
    ensure!(since("Ready").await? == ready_since);
    say(&stage, &pod, &json!({"containerStatuses": null})).await?;
    say(&stage, &pod, &ready()).await?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    ensure!(since("Ready").await? > ready_since);
    ensure!(since("Accepted").await? == accepted_since);
    Ok(())
}

/// A CRD of another version lets through what this operator does not know.
pub(crate) async fn a_service_that_cannot_be_read_says_so(_: Arc<ControlPlane>) -> Result {
    let mut crd = serde_json::to_value(crd())?;
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["schema"]["openAPIV3Schema"]["properties"]["spec"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    let options = Options {
        crds: vec![Crds::Manifest(crd.to_string())],
        ..Options::default()
    };
    let plane = Arc::new(ControlPlane::start(&Tools::find()?, options).await?);
    let stage = Stage::new(plane, "unreadable").await?;
    // What was said of it before is not lost: pods would restart when it can be read again.
    stage.apply("demo", &json!({})).await?;
    stage
        .condition("demo", "Ready", "False", "Starting")
        .await?;
    stage.quiet().await?;
    let before = stage.services().get("demo").await?.status;
    let before = serde_json::to_value(before)?;
    ensure!(before["image"].is_string(), "{before:#}");
    let services = stage.api::<DeserializeGuard<SegmenterService>>();
    let unreadable = json!({
        "apiVersion": "segmenter.dev/v1alpha1",
        "kind": "SegmenterService",
        "metadata": {"name": "demo"},
        "spec": {"scaling": {"mode": "Tides"}},
    });
    let parameters = PatchParams::apply("tests").force();
    services
        .patch("demo", &parameters, &Patch::Apply(&unreadable))
        .await?;
    let arguments = [
        "get",
        "segsvc/demo",
        "--namespace=unreadable",
        "--output=json",
    ];
    for kind in ["Ready", "Accepted"] {
        eventually(&format!("{kind} False/Unreadable"), SOON, async || {
            let service = stage.plane.kubectl(&arguments).await?.ok()?;
            let service: Value = serde_json::from_str(&service)?;
            let conditions = service["status"]["conditions"].as_array();
            let found = conditions
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == kind)
                .context("it is not there yet")?;
            let message = found["message"].as_str().unwrap_or_default();
            ensure!(
                (&found["status"], &found["reason"]) == (&json!("False"), &json!("Unreadable"))
                    && message.contains("Tides"),
                "{found}"
            );
            let since = found["lastTransitionTime"].as_str().unwrap_or_default();
            ensure!(!since.starts_with("1970"), "{found}");
            for field in ["image", "podTemplate"] {
                ensure!(service["status"][field] == before[field], "{service:#}");
            }
            ensure!(conditions.map(Vec::len) == before["conditions"].as_array().map(Vec::len));
            Ok(Some(()))
        })
        .await?;
    }
    // It is not tried again and again, and what comes to be read is carried out.
    stage.quiet().await?;
    stage
        .apply("demo", &json!({"scaling": {"mode": "Fixed"}}))
        .await?;
    stage.condition("demo", "Accepted", "True", "Valid").await?;
    Ok(())
}
