//! To sleep, and to wake up.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use segmenter_cluster::eventually;
use serde_json::{Value, json};

use crate::{
    Result,
    scene::Scene,
    world::{SOON, World, figure},
};

pub(crate) async fn a_suspended_service_wakes_up(world: &World) -> Result {
    let scene = Scene::open(world, "asleep").await?;
    scene.service("asleep", &json!({})).await?;
    scene.ready("asleep").await?;
    scene.patch("asleep", &json!({ "suspend": true })).await?;
    scene
        .condition("asleep", "Ready", "False", Some("Suspended"))
        .await?;
    eventually("the end of the pods", SOON, async || {
        Ok(scene.pods().await?.is_empty().then_some(()))
    })
    .await?;
    let caller = scene.http("asleep")?;
    let answer = caller.objects().await;
    ensure!(answer.is_err(), "{answer:?} although nothing runs");

    let begin = Instant::now();
    scene.patch("asleep", &json!({ "suspend": false })).await?;
    // Times of the API are whole seconds, so the pod is looked at all the time.
    let until = async |what: &str, met: fn(&Pod) -> bool| {
        eventually(what, SOON, async || {
            Ok(scene.pods().await?.iter().any(met).then(|| begin.elapsed()))
        })
        .await
    };
    let scheduled = until("a pod on a node", |pod| condition(pod, "PodScheduled")).await?;
    let started = until("a container that runs", running).await?;
    let ready = until("a pod that is ready", |pod| condition(pod, "Ready")).await?;
    let answered = scene.first_answer(&caller, begin).await?;
    let loaded = load_time(&scene, &scene.pods().await?).await?;
    let part = |from: Duration, to: Duration| format!("{:.2?}", to.saturating_sub(from));
    figure(format!(
        "from waking up to the first answer: {answered:.2?} (scheduled after {scheduled:.2?}, its container runs after \
         {} more, has loaded the model in {loaded} ms, is ready after {}, answers after {})",
        part(scheduled, started),
        part(started, ready),
        part(ready, answered)
    ));
    scene.ready("asleep").await?;
    scene.close().await
}

/// How long the server took to find, verify, load and try its model, in milliseconds, as it logs it.
async fn load_time(scene: &Scene<'_>, pods: &[Pod]) -> Result<Value> {
    let pod = pods.first().context("no pod")?.name_any();
    let log = scene.kubectl(&["logs", &pod]).await?;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut times = lines.filter_map(|line: Value| line.get("load_ms").cloned());
    times.next().with_context(|| format!("no load_ms in {log}"))
}

fn condition(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn running(pod: &Pod) -> bool {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| &status.container_statuses);
    containers.flatten().any(|container| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    })
}
