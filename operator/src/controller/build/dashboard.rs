use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{Blueprint, series};
use crate::{
    api::SegmenterServiceSpec,
    controller::{identity::Identity, kind::Kind},
};

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<ConfigMap> {
    let identity = blueprint.identity;
    let asked = &blueprint.spec.observability.dashboard;
    if !asked.enabled {
        return None;
    }
    let mut metadata = identity.metadata_named(&identity.name_of(Kind::ConfigMap));
    let mut labels = asked.labels.clone();
    labels.extend(identity.labels());
    metadata.labels = Some(labels);
    let file = format!("segmenter-{}-{}.json", identity.namespace, identity.name);
    Some(ConfigMap {
        metadata,
        data: Some(BTreeMap::from([(
            file,
            dashboard(identity, blueprint.spec).to_string(),
        )])),
        ..ConfigMap::default()
    })
}

/// Panels in two columns, of what somebody looks at who is called at night.
fn dashboard(identity: &Identity, spec: &SegmenterServiceSpec) -> Value {
    let Identity {
        name, namespace, ..
    } = identity;
    let pods = series::pods(identity);
    let predictions = series::predictions(identity);
    let while_ = series::window(spec, 300);
    let quantile = |share: &str| series::latency(identity, share, &while_);
    let panels = [
        (
            "Predictions a second, by code",
            "reqps",
            vec![(
                format!(
                    "sum by (code) (rate(segmenter_requests_total{{{predictions}}}[{while_}]))"
                ),
                "{{code}}",
            )],
        ),
        (
            "Time of a prediction",
            "s",
            vec![
                (quantile("0.5"), "p50"),
                (quantile("0.95"), "p95"),
                (quantile("0.99"), "p99"),
            ],
        ),
        (
            "Time in each step, mean",
            "s",
            vec![(
                format!(
                    "sum by (stage) (rate(segmenter_stage_duration_seconds_sum{{{pods}}}[{while_}])) \
                     / sum by (stage) (rate(segmenter_stage_duration_seconds_count{{{pods}}}[{while_}]))"
                ),
                "{{stage}}",
            )],
        ),
        (
            "Under way and waiting",
            "short",
            vec![
                (series::under_way(identity), "under way"),
                (format!("sum(segmenter_queue_depth{{{pods}}})"), "waiting"),
            ],
        ),
        (
            "Given up, a second",
            "reqps",
            vec![(
                format!("sum by (reason) (rate(segmenter_rejected_total{{{pods}}}[{while_}]))"),
                "{{reason}}",
            )],
        ),
        (
            "Memory of a pod",
            "bytes",
            vec![(
                format!("process_resident_memory_bytes{{{pods}}}"),
                "{{pod}}",
            )],
        ),
    ];
    let panels: Vec<_> = panels
        .into_iter()
        .enumerate()
        .map(|(index, (title, unit, queries))| {
            let targets: Vec<_> = queries
                .into_iter()
                .zip('A'..)
                .map(|((expr, legend), id)| {
                    json!({"refId": id.to_string(), "expr": expr, "legendFormat": legend})
                })
                .collect();
            json!({
                "id": index + 1,
                "title": title,
                "type": "timeseries",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "gridPos": {"x": index % 2 * 12, "y": index / 2 * 8, "w": 12, "h": 8},
                "targets": targets,
            })
        })
        .collect();
    json!({
        // Grafana takes up to 40 characters, and this has 36.
        "uid": &identity.uid,
        "title": format!("segmenter {namespace}/{name}"),
        "tags": ["segmenter"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
        ]},
        "panels": panels,
    })
}
