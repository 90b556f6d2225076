//! What Prometheus learns, by nothing but what the operator makes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use segmenter_cluster::eventually;
use serde_json::{Value, json};

use crate::{
    Result,
    scene::Scene,
    world::{SOON, World, figure, with_weights, wrong_digest},
};

/// A Prometheus, made by the Prometheus Operator.
const PROMETHEUS: &str = "http://prometheus.monitoring.svc.cluster.local:9090";

/// How long an alert may take that waits for two minutes itself.
const ALERT: Duration = Duration::from_secs(300);

/// Whether there is one to ask, on a cluster that may have none; ours gets its own meanwhile.
async fn is_there(world: &World) -> Result {
    if world.is_own() {
        return Ok(());
    }
    let answer = reqwest::get(format!("{PROMETHEUS}/-/healthy")).await;
    let lacks = |error| world.lacks(format!("no Prometheus at {PROMETHEUS}: {error}"));
    answer.map(drop).map_err(lacks)
}

async fn ask(path: &str, query: &[(&str, &str)]) -> Result<Value> {
    let mut url = reqwest::Url::parse(&format!("{PROMETHEUS}/api/v1/{path}"))?;
    url.query_pairs_mut().extend_pairs(query);
    let reply = reqwest::get(url).await?.error_for_status()?;
    let reply: Value = reply.json().await?;
    ensure!(reply["status"] == "success", "{reply}");
    Ok(reply["data"].clone())
}

/// The only value of a query, if there is one.
async fn value(query: &str) -> Result<Option<f64>> {
    let data = ask("query", &[("query", query)]).await?;
    let value = &data["result"][0]["value"][1];
    Ok(value.as_str().map(str::parse).transpose()?)
}

/// The state of an alert by the rules that Prometheus loaded: inactive, pending or firing.
async fn alerts(group: &str) -> Result<Vec<(String, String)>> {
    let data = ask("rules", &[("type", "alert")]).await?;
    let groups = data["groups"].as_array().context("no groups")?;
    let group = groups.iter().find(|candidate| candidate["name"] == group);
    let rules = group.and_then(|group| group["rules"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(rules
        .into_iter()
        .flatten()
        .map(|rule| (text(&rule["name"]), text(&rule["state"])))
        .collect())
}

pub(crate) async fn prometheus_counts_what_was_asked(world: &World) -> Result {
    is_there(world).await?;
    let scene = Scene::open(world, "counted").await?;
    let spec = json!({ "observability": { "serviceMonitor": { "intervalSeconds": 2 } } });
    scene.service("counted", &spec).await?;
    scene.ready("counted").await?;
    scene
        .condition("counted", "Monitored", "True", None)
        .await?;
    let (http, grpc) = (scene.http("counted")?, scene.grpc("counted")?);
    for (caller, times) in [(&http, 5), (&grpc, 3)] {
        // An attempt that does not reach a pod is none that it counts.
        scene.first_answer(caller, Instant::now()).await?;
        for _ in 1..times {
            caller.objects().await?;
        }
    }
    // Calls over gRPC are none that the first counts.
    for (series, labels, expected) in [
        ("app_http_inference_count_total", "", 5.0),
        ("segmenter_requests_total", ", protocol=\"grpc\"", 3.0),
    ] {
        let query = format!("sum({series}{{namespace=\"counted\"{labels}}})");
        let mut seen = None;
        eventually(&format!("{query} being {expected}"), SOON, async || {
            seen = value(&query).await?;
            Ok((seen == Some(expected)).then_some(()))
        })
        .await
        .with_context(|| format!("it was {seen:?}"))?;
    }
    let operator = eventually("the operator's own metrics", SOON, async || {
        value("sum(up{namespace=\"segmenter-system\"})").await
    })
    .await?;
    ensure!(operator == 1.0, "{operator} operators answer Prometheus");
    scene.close().await
}

pub(crate) async fn an_alert_fires_and_clears(world: &World) -> Result {
    is_there(world).await?;
    world.others()?;
    let scene = Scene::open(world, "alarmed").await?;
    let begin = Instant::now();
    // Nothing serves weights that are not what they have to be, so no pod answers.
    let mut spec = json!({
        // It is there for minutes, beside those of other stories.
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
        "observability": { "serviceMonitor": { "intervalSeconds": 2 } },
    });
    spec["model"] = with_weights(&wrong_digest())["model"].take();
    scene.service("alarmed", &spec).await?;
    let group = "segmenter-alarmed-alarmed";
    let loaded = eventually("the alerts", SOON, async || {
        let alerts = alerts(group).await?;
        Ok((!alerts.is_empty()).then_some(alerts))
    })
    .await?;
    let mut names: Vec<_> = loaded.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "SegmenterDown",
        "SegmenterErrors",
        "SegmenterNotReady",
        "SegmenterSaturated",
        "SegmenterSlow",
    ];
    ensure!(names == expected, "{names:?}");
    let wait_for = async |state: &str| {
        eventually(&format!("SegmenterDown being {state}"), ALERT, async || {
            let alerts = alerts(group).await?;
            let down = alerts.iter().find(|(name, _)| name == "SegmenterDown");
            Ok(down.is_some_and(|(_, now)| now == state).then_some(()))
        })
        .await
    };
    wait_for("firing").await?;
    figure(format!(
        "SegmenterDown fires {:.0?} after a service was made whose weights are wrong",
        begin.elapsed()
    ));
    let mended = Instant::now();
    let good = json!({ "model": { "digest": null, "source": { "http": null } } });
    scene.patch("alarmed", &good).await?;
    scene.ready("alarmed").await?;
    wait_for("inactive").await?;
    figure(format!(
        "and is cleared {:.0?} after it is mended",
        mended.elapsed()
    ));
    scene.close().await
}
