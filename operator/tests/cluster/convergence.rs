//! From a service to its objects, and then rest.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use segmenter_cluster::{ControlPlane, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};

use crate::{
    status::{pods, ready, say},
    support::{Result, SOON, Stage, child_name, defaults},
};

/// What a service has that asks for nothing, in a cluster that has nothing but Kubernetes.
const PLAIN: [Kind; 2] = [Kind::Deployment, Kind::Service];

/// Whatever Kubernetes itself can have, and those kinds.
fn everything() -> (Value, [Kind; 7]) {
    let spec = json!({
        "scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 5},
        "exposure": {"ingress": {"hosts": ["demo.example.com"]}},
        "security": {"networkPolicy": {"enabled": true}},
        "observability": {"dashboard": {"enabled": true}},
    });
    let kinds = [
        Kind::Deployment,
        Kind::Service,
        Kind::PodDisruptionBudget,
        Kind::NetworkPolicy,
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
        Kind::ConfigMap,
    ];
    (spec, kinds)
}

pub(crate) async fn three_lines_are_a_service(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "three-lines").await?;
    stage.apply("warm-up", &json!({})).await?;
    stage.has_exactly("warm-up", &PLAIN).await?;
    let began = Instant::now();
    stage.apply("demo", &json!({})).await?;
    stage.has_exactly("demo", &PLAIN).await?;
    let took = began.elapsed();
    println!("from apply to all children: {} ms", took.as_millis());
    ensure!(took.as_secs_f64() < 2.0, "it took {took:?}");
    Ok(())
}

pub(crate) async fn what_has_converged_is_left_alone(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "quiet").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    let before = stage.services().get("demo").await?;

    // Each of these makes the operator look at the service again.
    let position = stage.plane.audit_position().await?;
    for round in 0..5 {
        let touch = json!({"metadata": {"annotations": {"touched": round.to_string()}}});
        stage
            .services()
            .patch("demo", &PatchParams::default(), &Patch::Merge(&touch))
            .await?;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let writes = stage.writes_since(position).await?;
    ensure!(writes.is_empty(), "nothing had changed: {writes:#?}");
    let after = stage.services().get("demo").await?;
    ensure!(before.status == after.status);
    Ok(())
}

pub(crate) async fn a_restart_changes_nothing(plane: Arc<ControlPlane>) -> Result {
    let mut stage = Stage::new(plane, "restart").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    let before = versions(&stage, &kinds).await?;
    stage.start(defaults()).await?;
    stage.quiet().await?;
    ensure!(
        versions(&stage, &kinds).await? == before,
        "an object was written anew"
    );
    Ok(())
}

/// Another default image, as a new release of the operator has.
pub(crate) async fn a_new_operator_restarts_no_pods(plane: Arc<ControlPlane>) -> Result {
    let mut stage = Stage::new(plane, "upgrade").await?;
    stage.apply("demo", &json!({})).await?;
    stage.has_exactly("demo", &PLAIN).await?;
    stage.quiet().await?;
    let template = async |stage: &Stage| -> Result<_> {
        let deployment = stage.api::<Deployment>().get("demo").await?;
        let spec = deployment.spec.context("a Deployment has a spec")?;
        Ok(spec.template)
    };
    let before = template(&stage).await?;
    let mut newer = defaults();
    newer.image = "registry.example.com/segmenter:2".to_owned();
    stage.start(newer).await?;
    stage.quiet().await?;
    ensure!(
        template(&stage).await? == before,
        "the pods would be replaced"
    );

    // Nor when something changes that is no matter of the pods.
    stage
        .apply("demo", &json!({"scaling": {"replicas": 2}}))
        .await?;
    eventually("two replicas", SOON, async || {
        let deployment = stage.api::<Deployment>().get("demo").await?;
        Ok(deployment
            .spec
            .and_then(|spec| spec.replicas)
            .filter(|&replicas| replicas == 2))
    })
    .await?;
    ensure!(
        template(&stage).await? == before,
        "the pods would be replaced"
    );

    // When they are replaced anyway, the new image is taken.
    stage
        .apply("demo", &json!({"serving": {"queue": 8}}))
        .await?;
    eventually("the new image", SOON, async || {
        let spec = template(&stage)
            .await?
            .spec
            .context("a template has a spec")?;
        let image = spec
            .containers
            .into_iter()
            .find_map(|container| container.image);
        Ok(image.filter(|image| image == "registry.example.com/segmenter:2"))
    })
    .await?;
    Ok(())
}

pub(crate) async fn what_is_edited_is_put_right(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "drift-edit").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    // A field of each that the operator has set.
    let edits = [
        (
            Kind::Deployment,
            json!({"spec": {"progressDeadlineSeconds": 77}}),
            "/spec/progressDeadlineSeconds",
        ),
        (
            Kind::Service,
            json!({"spec": {"selector": {"app.kubernetes.io/instance": "another"}}}),
            "/spec/selector",
        ),
        (
            Kind::PodDisruptionBudget,
            json!({"spec": {"maxUnavailable": 2}}),
            "/spec/maxUnavailable",
        ),
        (
            Kind::NetworkPolicy,
            json!({"spec": {"policyTypes": ["Ingress"]}}),
            "/spec/policyTypes",
        ),
        (
            Kind::HorizontalPodAutoscaler,
            json!({"spec": {"maxReplicas": 50}}),
            "/spec/maxReplicas",
        ),
        (
            Kind::Ingress,
            json!({"spec": {"rules": [{"host": "evil.example.com"}]}}),
            "/spec/rules",
        ),
        (Kind::ConfigMap, json!({"data": null}), "/data"),
    ];
    for (kind, edit, field) in edits {
        let name = child_name(kind, "demo");
        let api = stage.children(kind);
        let before = api.get(&name).await?;
        let before = before.data.pointer(field).cloned();
        let edited = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&edit))
            .await?;
        ensure!(
            edited.data.pointer(field) != before.as_ref(),
            "{kind:?} was not edited"
        );
        eventually(&format!("{kind:?} as it was"), SOON, async || {
            let found = api.get(&name).await?;
            Ok((found.data.pointer(field) == before.as_ref()).then_some(()))
        })
        .await?;
    }
    // What the operator has not set is not its business.
    let label = json!({"metadata": {"labels": {"mine": "yes"}}});
    let services = stage.api::<Service>();
    services
        .patch("demo", &PatchParams::default(), &Patch::Merge(&label))
        .await?;
    stage.quiet().await?;
    let labels = services
        .get("demo")
        .await?
        .metadata
        .labels
        .unwrap_or_default();
    ensure!(labels.get("mine").is_some_and(|value| value == "yes"));
    Ok(())
}

pub(crate) async fn what_is_deleted_comes_back(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "drift-delete").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    for kind in kinds {
        let name = child_name(kind, "demo");
        let uid = async || -> Result<_> {
            let found = stage.children(kind).get_opt(&name).await?;
            Ok(found.and_then(|found| found.metadata.uid))
        };
        let before = uid().await?;
        stage
            .children(kind)
            .delete(&name, &DeleteParams::background())
            .await?;
        eventually(&format!("another {kind:?}"), SOON, async || {
            let now = uid().await?;
            Ok((now.is_some() && now != before).then_some(()))
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn what_is_no_longer_asked_for_goes(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "orphans").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.apply("demo", &json!({})).await?;
    stage.has_exactly("demo", &PLAIN).await
}

/// With the real garbage collector.
pub(crate) async fn deletion_leaves_nothing_behind(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "deletion").await?;
    let (spec, kinds) = everything();
    stage.apply("demo", &spec).await?;
    stage.has_exactly("demo", &kinds).await?;
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    stage.services().delete("demo", &parameters).await?;
    stage.has_exactly("demo", &[]).await?;
    stage.quiet().await?;
    // Nor does the operator, having seen the last of them go, make any again.
    stage.has_exactly("demo", &[]).await
}

pub(crate) async fn an_object_of_somebody_else_is_not_taken(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "taken").await?;
    let theirs: Service = serde_json::from_value(json!({
        "metadata": {"name": "demo"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }))?;
    let services = stage.api::<Service>();
    services.create(&Default::default(), &theirs).await?;
    stage.apply("demo", &json!({})).await?;
    let message = stage
        .condition("demo", "Accepted", "False", "NameTaken")
        .await?;
    ensure!(message.contains("a Service demo already"), "{message}");
    let selector = services
        .get("demo")
        .await?
        .spec
        .and_then(|spec| spec.selector);
    ensure!(
        selector.is_some_and(|selector| selector.contains_key("app")),
        "it was taken"
    );
    services.delete("demo", &DeleteParams::default()).await?;
    // The next try is at most as long away as the tries before took together.
    stage.condition("demo", "Accepted", "True", "Valid").await?;
    Ok(())
}

pub(crate) async fn paused_services_are_only_watched(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "paused").await?;
    stage.apply("demo", &json!({})).await?;
    stage.has_exactly("demo", &PLAIN).await?;
    let pod = &pods(&stage, "demo", 1).await?[0];
    say(&stage, pod, &ready()).await?;
    stage
        .condition("demo", "Ready", "True", "Available")
        .await?;
    stage
        .apply("demo", &json!({"paused": true, "scaling": {"replicas": 3}}))
        .await?;
    // Who waits for the change waits until it is carried out.
    stage
        .condition("demo", "Accepted", "Unknown", "Paused")
        .await?;
    let message = stage
        .condition("demo", "Ready", "Unknown", "Paused")
        .await?;
    ensure!(message.contains("1 of 1 pods are ready"), "{message}");
    stage.quiet().await?;
    let deployments = stage.api::<Deployment>();
    deployments
        .delete("demo", &DeleteParams::background())
        .await?;
    stage.quiet().await?;
    ensure!(
        deployments.get_opt("demo").await?.is_none(),
        "it was made again"
    );
    stage
        .condition("demo", "Ready", "False", "Creating")
        .await?;
    stage
        .apply("demo", &json!({"scaling": {"replicas": 3}}))
        .await?;
    stage
        .has_exactly(
            "demo",
            &[Kind::Deployment, Kind::Service, Kind::PodDisruptionBudget],
        )
        .await?;
    stage.condition("demo", "Accepted", "True", "Valid").await?;
    Ok(())
}

pub(crate) async fn a_bad_overlay_changes_nothing_and_says_so(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "overlay").await?;
    stage.apply("demo", &json!({})).await?;
    stage.has_exactly("demo", &PLAIN).await?;
    stage.quiet().await?;
    let before = versions(&stage, &PLAIN).await?;
    let overlay = json!({"spec": {"contaners": []}, "metadata": {"nane": "x"}});
    stage
        .apply("demo", &json!({"pod": {"overlay": overlay}}))
        .await?;
    let message = stage
        .condition("demo", "Accepted", "False", "InvalidSpec")
        .await?;
    ensure!(
        message.contains("a pod template has no metadata.nane"),
        "{message}"
    );
    ensure!(
        versions(&stage, &PLAIN).await? == before,
        "something was changed"
    );
    // The pods still answer, or not, as before: but not what was asked for.
    stage
        .condition("demo", "Ready", "False", "InvalidSpec")
        .await?;
    stage
        .condition("demo", "ScalingReady", "Unknown", "InvalidSpec")
        .await?;

    let overlay = json!({"spec": {
        "hostNetwork": true,
        "containers": [{"name": "segmenter", "env": [{"name": "EXTRA", "value": "1"}]}],
    }});
    stage
        .apply("demo", &json!({"pod": {"overlay": overlay}}))
        .await?;
    stage.condition("demo", "Accepted", "True", "Valid").await?;
    eventually("the overlay", SOON, async || {
        let deployment = stage.children(Kind::Deployment).get("demo").await?;
        let pod = deployment
            .data
            .pointer("/spec/template/spec")
            .cloned()
            .unwrap_or_default();
        let env = pod["containers"][0]["env"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let merged = env.iter().any(|variable| variable["name"] == "EXTRA")
            && env
                .iter()
                .any(|variable| variable["name"] == "SEGMENTER_MODEL");
        Ok((merged && pod["hostNetwork"] == true).then_some(()))
    })
    .await
}

/// The resource versions of the service's objects.
async fn versions(stage: &Stage, kinds: &[Kind]) -> Result<Vec<Option<String>>> {
    let mut versions = Vec::new();
    for &kind in kinds {
        let found = stage.children(kind).get(&child_name(kind, "demo")).await?;
        // The controllers of Kubernetes write the status, of those that have one.
        let settled = matches!(
            kind,
            Kind::Service | Kind::NetworkPolicy | Kind::Ingress | Kind::ConfigMap
        );
        let version = if settled {
            found.metadata.resource_version
        } else {
            found
                .metadata
                .generation
                .map(|generation| generation.to_string())
        };
        versions.push(version);
    }
    Ok(versions)
}
