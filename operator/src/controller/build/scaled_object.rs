use super::{Blueprint, series};
use crate::{
    api::{KedaTrigger, ScalingMode, SegmenterServiceSpec},
    controller::identity::Identity,
    foreign::{
        Advanced, HpaConfig, ScaleTargetRef, ScaledObject, ScaledObjectFallback, ScaledObjectSpec,
        Trigger,
    },
};

/// Requests under way that a pod should have, where nothing else is asked.
const IN_FLIGHT: i32 = 4;

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<ScaledObject> {
    let (identity, spec) = (blueprint.identity, blueprint.spec);
    let scaling = &spec.scaling;
    if scaling.mode != ScalingMode::Keda || spec.suspend {
        return None;
    }
    let keda = scaling.keda.as_ref()?;
    let (query, threshold) = figure(identity, spec, &keda.trigger);
    let mut metadata = keda.metadata.clone();
    metadata.insert("serverAddress".to_owned(), keda.prometheus_address.clone());
    metadata.insert("query".to_owned(), query);
    metadata.insert("threshold".to_owned(), threshold);
    Some(ScaledObject {
        metadata: identity.metadata(),
        spec: ScaledObjectSpec {
            scale_target_ref: ScaleTargetRef {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: identity.name.clone(),
            },
            min_replica_count: scaling.min_replicas.unwrap_or(1),
            // The CRD demands it.
            max_replica_count: scaling.max_replicas.unwrap_or(1),
            polling_interval: keda.polling_interval_seconds,
            cooldown_period: keda.cooldown_seconds,
            // A pod that is not ready yet has nothing to do, and must not go for that.
            initial_cooldown_period: spec.rollout.progress_deadline_seconds,
            fallback: keda.fallback.map(|fallback| ScaledObjectFallback {
                failure_threshold: fallback.failure_threshold,
                replicas: fallback.replicas,
            }),
            advanced: keda.behavior.clone().map(|behavior| Advanced {
                horizontal_pod_autoscaler_config: HpaConfig { behavior },
            }),
            triggers: vec![Trigger {
                kind: "prometheus".to_owned(),
                metadata,
            }],
        },
    })
}

/// PromQL over all pods of the service, and how much of it one pod should have.
fn figure(
    identity: &Identity,
    spec: &SegmenterServiceSpec,
    trigger: &KedaTrigger,
) -> (String, String) {
    let pods = series::pods(identity);
    match trigger {
        KedaTrigger {
            query: Some(query), ..
        } => (query.promql.clone(), query.threshold.to_string()),
        KedaTrigger {
            queue_depth: Some(depth),
            ..
        } => (
            format!("sum(segmenter_queue_depth{{{pods}}})"),
            depth.to_string(),
        ),
        KedaTrigger {
            requests_per_second: Some(rate),
            ..
        } => (
            format!(
                "sum(rate(segmenter_requests_total{{{}}}[{}]))",
                series::predictions(identity),
                series::window(spec, 60)
            ),
            rate.to_string(),
        ),
        KedaTrigger { in_flight, .. } => (
            series::under_way(identity),
            in_flight.unwrap_or(IN_FLIGHT).to_string(),
        ),
    }
}
