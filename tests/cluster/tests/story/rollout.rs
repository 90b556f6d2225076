//! What callers notice when pods are replaced, lost or left alone: nothing.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, ListParams},
};
use rustix::process::{Pid, Signal, kill_process};
use segmenter_cluster::eventually;
use serde_json::json;

use crate::{
    Result,
    load::{Caller, Load},
    scene::Scene,
    world::{PICTURE_URL, SOON, SYSTEM, World, figure},
};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(30);

/// Calls before and after what happens, so that what comes late is seen.
const MARGIN: Duration = Duration::from_secs(3);

const NAME: &str = "steady";

/// Two pods behind an ingress, a gateway and a Service.
async fn open<'a>(world: &'a World, namespace: &str) -> Result<(Scene<'a>, Vec<Caller>)> {
    let address = &world.gateway().await?;
    let scene = Scene::open(world, namespace).await?;
    let (web, grpc) = (
        format!("{namespace}.example.com"),
        format!("grpc.{namespace}.example.com"),
    );
    let spec = json!({
        "scaling": { "replicas": 2 },
        "resources": { "requests": { "cpu": "300m", "memory": "128Mi" }, "limits": { "memory": "1Gi" } },
        "exposure": {
            "gateway": {
                "parentRefs": [{ "name": "public", "namespace": "gateways" }],
                "hosts": [web],
                "grpcHosts": [grpc],
            },
        },
    });
    scene.service(NAME, &spec).await?;
    scene.answers(NAME).await?;
    let outside = [
        Caller::http(address, Some(&web), &world.picture)?,
        Caller::grpc(address, Some(&grpc), PICTURE_URL)?,
    ];
    for caller in &outside {
        scene
            .first_answer(caller, std::time::Instant::now())
            .await?;
    }
    let mut callers = vec![scene.http(NAME)?, scene.grpc(NAME)?];
    callers.extend(outside);
    Ok((scene, callers))
}

/// Stops the load, and says what became of it: nothing failed.
async fn judge(what: &str, load: Load) -> Result {
    tokio::time::sleep(MARGIN).await;
    let tally = load.stop().await?;
    tally.expect_nothing_lost(what)?;
    ensure!(tally.answered > 20, "{what}: {tally}");
    Ok(())
}

fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(kube::ResourceExt::name_any).collect()
}

/// Waits until there are two pods, all of them others, and the service is ready.
async fn replaced(scene: &Scene<'_>, before: &[String]) -> Result {
    eventually("other pods", SOON, async || {
        let now = names(&scene.pods().await?);
        let others = now.iter().all(|name| !before.contains(name));
        Ok((now.len() == 2 && others).then_some(()))
    })
    .await?;
    scene.ready(NAME).await
}

pub(crate) async fn another_image_takes_over(world: &World) -> Result {
    let (scene, callers) = open(world, "rollout").await?;
    let before = names(&scene.pods().await?);
    let (image, pinned) = world.other_image().await?;
    let load = Load::steady(callers).await?;
    tokio::time::sleep(MARGIN).await;
    scene.patch(NAME, &json!({ "image": image })).await?;
    replaced(&scene, &before).await?;
    for pod in scene.pods().await? {
        let spec = pod.spec.unwrap_or_default();
        ensure!(spec.containers[0].image.as_deref() == Some(pinned.as_str()));
    }
    judge("rolling out another image", load).await?;
    scene.close().await
}

pub(crate) async fn a_pod_is_deleted(world: &World) -> Result {
    let (scene, callers) = open(world, "deletion").await?;
    let before = names(&scene.pods().await?);
    let load = Load::steady(callers).await?;
    tokio::time::sleep(MARGIN).await;
    scene.kubectl(&["delete", "pod", &before[0]]).await?;
    replaced(&scene, &before[..1]).await?;
    judge("deleting a pod", load).await?;
    scene.close().await
}

pub(crate) async fn pods_are_evicted(world: &World) -> Result {
    let (scene, callers) = open(world, "eviction").await?;
    let before = names(&scene.pods().await?);
    let load = Load::steady(callers).await?;
    tokio::time::sleep(MARGIN).await;
    // As `kubectl drain` does, but the node is the only one and must take the new pods.
    // A client that asks again by itself would never be refused.
    let mut config = world.access.config().await?;
    config.default_retry = false;
    let pods = Api::<Pod>::namespaced(kube::Client::try_from(config)?, &scene.namespace);
    pods.evict(&before[0], &EvictParams::default()).await?;
    let refused = pods.evict(&before[1], &EvictParams::default()).await;
    let refused = refused.err().context("both pods were evicted at once")?;
    let refused = refused.to_string();
    ensure!(refused.contains("disruption budget"), "{refused}");
    eventually("the budget's consent", SOON, async || {
        pods.evict(&before[1], &EvictParams::default()).await?;
        Ok(Some(()))
    })
    .await?;
    replaced(&scene, &before).await?;
    judge("evicting all pods", load).await?;
    scene.close().await
}

pub(crate) async fn the_process_is_killed(world: &World) -> Result {
    let (scene, callers) = open(world, "kill").await?;
    let pod = &scene.pods().await?[0];
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let process = processes("/segmenter")?
        .into_iter()
        .find(|process| process.pod.contains(&uid));
    let Some(process) = process else {
        scene.close().await?;
        return Err(world.lacks("no process of the pod is on this machine"));
    };
    // Requests that it is working on are lost, so callers ask again.
    let load = Load::start(callers, 5, Duration::from_millis(100)).await?;
    tokio::time::sleep(MARGIN).await;
    kill_process(process.id, Signal::KILL)?;
    eventually("a restart", SOON, async || {
        let pods = scene.pods().await?;
        let pod = pods.iter().find(|pod| pod.name_any() == name);
        let containers = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        let restarted = containers.is_some_and(|all| all[0].ready && all[0].restart_count == 1);
        Ok(restarted.then_some(()))
    })
    .await?;
    scene.ready(NAME).await?;
    judge("killing a process", load).await?;
    scene.close().await
}

pub(crate) async fn the_operator_restarts(world: &World) -> Result {
    let (scene, callers) = open(world, "operator").await?;
    let before = names(&scene.pods().await?);
    let load = Load::steady(callers).await?;
    tokio::time::sleep(MARGIN).await;
    let deployment = "deployment/segmenter-operator";
    let system = async |arguments: &[&str]| {
        let arguments = [&["--namespace", SYSTEM, "rollout"], arguments].concat();
        anyhow::Ok(world.access.kubectl(&arguments).await?.ok()?)
    };
    system(&["restart", deployment]).await?;
    system(&["status", deployment, "--timeout=120s"]).await?;
    // The new one works, and has left alone what was right.
    scene
        .patch(NAME, &json!({ "scaling": { "replicas": 1 } }))
        .await?;
    scene.ready(NAME).await?;
    eventually("one pod", SOON, async || {
        let now = names(&scene.pods().await?);
        Ok((now.len() == 1 && before.contains(&now[0])).then_some(()))
    })
    .await?;
    judge("restarting the operator", load).await?;
    for (who, program) in [
        ("the operator", "/segmenter-operator"),
        ("a pod of the function", "/segmenter"),
    ] {
        let process = processes(program)?.pop();
        ensure!(process.is_some() || !world.is_own(), "no {program} runs");
        if let Some(process) = process {
            figure(format!(
                "{who} has {:.1} MB in memory, and had {:.1} MB at the most",
                process.resident, process.peak
            ));
        }
    }
    scene.close().await
}

pub(crate) async fn the_api_server_is_away(world: &World) -> Result {
    let plane = world.own()?.plane();
    let (scene, callers) = open(world, "outage").await?;
    let before = names(&scene.pods().await?);
    let load = Load::steady(callers).await?;
    tokio::time::sleep(MARGIN).await;
    plane.stop_api_server().await;
    tokio::time::sleep(AWAY).await;
    plane.start_api_server().await?;
    // Everything finds its way back.
    scene
        .patch(NAME, &json!({ "scaling": { "replicas": 1 } }))
        .await?;
    scene.ready(NAME).await?;
    let after = Api::<Pod>::namespaced(world.client.clone(), &scene.namespace);
    let after = names(&after.list(&ListParams::default()).await?.items);
    ensure!(
        after.iter().all(|name| before.contains(name)),
        "{before:?}, then {after:?}"
    );
    judge("30 s without the API server", load).await?;
    scene.close().await
}

/// A process of a container.
struct Process {
    id: Pid,
    /// The control group, which has the pod's UID in it.
    pod: String,
    /// In memory, in MB.
    resident: f64,
    /// The most that ever was, in MB.
    peak: f64,
}

/// The processes of a program.
fn processes(program: &str) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("cmdline").split('\0').next() != Some(program) {
            continue;
        }
        let status = read("status");
        let megabytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kilobytes * 1024.0 / 1e6)
        };
        found.push(Process {
            id: Pid::from_raw(id).context("process 0")?,
            pod: read("cgroup"),
            resident: megabytes("VmRSS:").unwrap_or_default(),
            peak: megabytes("VmHWM:").unwrap_or_default(),
        });
    }
    Ok(found)
}
