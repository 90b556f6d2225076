//! A HorizontalPodAutoscaler that goes by processor time.

use std::time::{Duration, Instant};

use segmenter_cluster::eventually;
use serde_json::json;

use crate::{
    Result,
    load::Load,
    scene::Scene,
    world::{World, figure},
};

/// How long an autoscaler may take: figures of the pods' usage come every 10 s, of new ones later.
const FOLLOWS: Duration = Duration::from_secs(180);

pub(crate) async fn pods_follow_the_load(world: &World) -> Result {
    if !world.has("apiservice", "v1beta1.metrics.k8s.io").await? {
        return Err(world.lacks("nothing measures the pods' use of processors"));
    }
    let scene = Scene::open(world, "busy").await?;
    let spec = json!({
        // Little, so that there is enough load for three where the machine has other things to do, too.
        "resources": { "requests": { "cpu": "200m", "memory": "128Mi" } },
        "scaling": {
            "mode": "HPA",
            "minReplicas": 1,
            "maxReplicas": 3,
            "hpa": {
                "cpuUtilization": 60,
                // By default it goes down after five minutes of quiet.
                "behavior": { "scaleDown": { "stabilizationWindowSeconds": 10 } },
            },
        },
    });
    scene.service("busy", &spec).await?;
    scene.answers("busy").await?;
    let ready = async |count: i64| {
        eventually(
            &format!("{count} pods that are ready"),
            FOLLOWS,
            async || {
                let status = &scene.object("busy").await?["status"];
                let now = (&status["replicas"], &status["readyReplicas"]);
                Ok((now == (&json!(count), &json!(count))).then_some(()))
            },
        )
        .await
    };
    let begin = Instant::now();
    let mut callers = Vec::new();
    for _ in 0..2 {
        callers.extend([scene.http("busy")?, scene.grpc("busy")?]);
    }
    let load = Load::start(callers, 1, Duration::ZERO).await?;
    eventually("the decision for more pods", FOLLOWS, async || {
        let status = &scene.object("busy").await?["status"];
        Ok((status["replicas"].as_i64() > Some(1)).then_some(()))
    })
    .await?;
    let decided = begin.elapsed();
    ready(3).await?;
    figure(format!(
        "under load the autoscaler decides after {decided:.0?}, three pods are ready after {:.0?}",
        begin.elapsed()
    ));
    let high = load.stop().await?;

    let begin = Instant::now();
    let few = vec![scene.http("busy")?, scene.grpc("busy")?];
    let load = Load::start(few, 1, Duration::from_secs(1)).await?;
    ready(1).await?;
    figure(format!(
        "one pod is left {:.0?} after the load",
        begin.elapsed()
    ));
    let low = load.stop().await?;
    high.expect_nothing_lost("while pods come")?;
    low.expect_nothing_lost("while they go")?;
    scene.close().await
}
