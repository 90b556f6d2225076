//! Who says how many pods there are, and what happens when somebody else is to say so.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use segmenter_cluster::{ControlPlane, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Result, SOON, Stage};

/// Every number of replicas that the Deployment is ever seen to have.
struct Recording {
    task: JoinHandle<()>,
    seen: Arc<std::sync::Mutex<Vec<i32>>>,
}

impl Recording {
    fn start(stage: &Stage) -> Self {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let deployments = stage.api::<Deployment>();
        let task = tokio::spawn(async move {
            let changes = watcher(deployments, watcher::Config::default()).applied_objects();
            let mut changes = std::pin::pin!(changes);
            while let Some(Ok(deployment)) = changes.next().await {
                let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(-1);
                noted.lock().unwrap().push(replicas);
            }
        });
        Self { task, seen }
    }

    fn lowest(self) -> i32 {
        self.task.abort();
        let seen = self.seen.lock().unwrap();
        *seen
            .iter()
            .min()
            .expect("a watch begins with what there is")
    }
}

async fn replicas(stage: &Stage) -> Result<i32> {
    let deployment = stage.api::<Deployment>().get("demo").await?;
    let spec = deployment.spec.context("a Deployment has a spec")?;
    spec.replicas.context("the API server always says how many")
}

async fn until_replicas(stage: &Stage, expected: i32) -> Result {
    eventually(&format!("{expected} replicas"), SOON, async || {
        let found = replicas(stage).await?;
        ensure!(found == expected, "there are {found}");
        Ok(Some(()))
    })
    .await
}

fn fixed(replicas: i32) -> Value {
    json!({"scaling": {"replicas": replicas}})
}

fn hpa(min: i32, max: i32) -> Value {
    json!({"scaling": {"mode": "HPA", "minReplicas": min, "maxReplicas": max}})
}

/// What an autoscaler does.
async fn scale(stage: &Stage, replicas: i32) -> Result {
    let patch = json!({"spec": {"replicas": replicas}});
    stage
        .api::<Deployment>()
        .patch_scale("demo", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

pub(crate) async fn kubectl_scale_scales(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "kubectl-scale").await?;
    stage.apply("demo", &json!({})).await?;
    until_replicas(&stage, 1).await?;
    let scale = [
        "scale",
        "-n",
        &stage.namespace,
        "segsvc/demo",
        "--replicas=3",
    ];
    stage.plane.kubectl(&scale).await?.ok()?;
    until_replicas(&stage, 3).await?;
    stage
        .condition("demo", "ScalingReady", "True", "Fixed")
        .await?;
    // Under an autoscaler it is refused, with what to do instead.
    stage.apply("auto", &hpa(1, 3)).await?;
    let scale = [
        "scale",
        "-n",
        &stage.namespace,
        "segsvc/auto",
        "--replicas=3",
    ];
    let refused = stage
        .plane
        .kubectl(&scale)
        .await?
        .ok()
        .unwrap_err()
        .to_string();
    ensure!(
        refused.contains("scaling.minReplicas and scaling.maxReplicas"),
        "{refused}"
    );
    Ok(())
}

pub(crate) async fn an_autoscaler_is_not_fought(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "no-fight").await?;
    stage.apply("demo", &hpa(1, 9)).await?;
    let kinds = [
        Kind::Deployment,
        Kind::Service,
        Kind::HorizontalPodAutoscaler,
    ];
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    scale(&stage, 4).await?;
    // The operator writes the Deployment for another reason.
    let mut spec = hpa(1, 9);
    spec["serving"] = json!({"queue": 9});
    stage.apply("demo", &spec).await?;
    eventually("the new queue", SOON, async || {
        let found = stage.children(Kind::Deployment).get("demo").await?;
        Ok(found
            .data
            .to_string()
            .contains(r#""value":"9""#)
            .then_some(()))
    })
    .await?;
    stage.quiet().await?;
    ensure!(
        replicas(&stage).await? == 4,
        "the operator undid the autoscaler's work"
    );
    Ok(())
}

pub(crate) async fn switching_modes_never_dips(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "switches").await?;
    stage.apply("demo", &fixed(3)).await?;
    until_replicas(&stage, 3).await?;
    let recording = Recording::start(&stage);

    stage.apply("demo", &hpa(2, 8)).await?;
    let kinds = [
        Kind::Deployment,
        Kind::Service,
        Kind::PodDisruptionBudget,
        Kind::HorizontalPodAutoscaler,
    ];
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    ensure!(replicas(&stage).await? == 3);
    scale(&stage, 6).await?;

    stage.apply("demo", &fixed(6)).await?;
    stage.has_exactly("demo", &kinds[..3]).await?;
    stage.quiet().await?;
    ensure!(replicas(&stage).await? == 6);

    stage.apply("demo", &hpa(4, 8)).await?;
    stage.has_exactly("demo", &kinds).await?;
    stage.quiet().await?;
    ensure!(replicas(&stage).await? == 6);

    // Back once more, with another number.
    stage.apply("demo", &fixed(4)).await?;
    until_replicas(&stage, 4).await?;
    let lowest = recording.lowest();
    ensure!(lowest == 3, "there were once only {lowest} replicas");
    Ok(())
}

pub(crate) async fn suspended_services_have_no_pods_and_wake_again(
    plane: Arc<ControlPlane>,
) -> Result {
    let stage = Stage::new(plane, "suspend").await?;
    let mut spec = hpa(2, 8);
    spec["exposure"] = json!({"ingress": {}});
    stage.apply("demo", &spec).await?;
    let kinds = [
        Kind::Deployment,
        Kind::Service,
        Kind::PodDisruptionBudget,
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
    ];
    stage.has_exactly("demo", &kinds).await?;
    spec["suspend"] = json!(true);
    stage.apply("demo", &spec).await?;
    until_replicas(&stage, 0).await?;
    // The routes stay.
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service, Kind::Ingress])
        .await?;
    stage
        .condition("demo", "Ready", "False", "Suspended")
        .await?;
    spec["suspend"] = json!(false);
    stage.apply("demo", &spec).await?;
    // An autoscaler leaves a Deployment with no replicas alone.
    until_replicas(&stage, 2).await?;
    stage.has_exactly("demo", &kinds).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(replicas(&stage).await? == 2);
    Ok(())
}
