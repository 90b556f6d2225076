use std::collections::BTreeMap;

use super::{Blueprint, service_monitor::labelled};
use crate::{
    api::Rules,
    controller::identity::Identity,
    foreign::{AlertRule, PrometheusRule, PrometheusRuleSpec, RuleGroup},
};

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<PrometheusRule> {
    let asked = &blueprint.spec.observability.rules;
    if !asked.enabled {
        return None;
    }
    Some(PrometheusRule {
        metadata: labelled(blueprint, &asked.labels),
        spec: PrometheusRuleSpec {
            groups: vec![rules(blueprint.identity, asked)],
        },
    })
}

/// What Prometheus warns of, all of it over the series of `function`'s `/metrics`.
pub fn rules(identity: &Identity, asked: &Rules) -> RuleGroup {
    let Identity {
        name, namespace, ..
    } = identity;
    let pods = format!("namespace=\"{namespace}\", service=\"{name}\"");
    let rule =
        |alert: &str, severity: &str, hold: &str, expr: String, summary: String, advice: &str| {
            AlertRule {
                alert: alert.to_owned(),
                expr,
                hold: hold.to_owned(),
                labels: BTreeMap::from([
                    ("severity".to_owned(), severity.to_owned()),
                    ("namespace".to_owned(), namespace.clone()),
                    ("service".to_owned(), name.clone()),
                ]),
                annotations: BTreeMap::from([
                    ("summary".to_owned(), summary),
                    ("description".to_owned(), advice.to_owned()),
                ]),
            }
        };
    let Rules {
        error_percent,
        latency_milliseconds,
        ..
    } = asked;
    let seconds = f64::from(*latency_milliseconds) / 1000.0;
    RuleGroup {
        name: format!("segmenter-{namespace}-{name}"),
        rules: vec![
            rule(
                "SegmenterDown",
                "critical",
                "2m",
                format!("sum(up{{{pods}}}) == 0 and count(up{{{pods}}}) > 0"),
                format!("No pod of {namespace}/{name} answers Prometheus"),
                "See `kubectl describe segsvc` for what keeps its pods from starting.",
            ),
            rule(
                "SegmenterNotReady",
                "warning",
                "10m",
                format!("min(segmenter_model_ready{{{pods}}}) == 0"),
                format!("A pod of {namespace}/{name} has had no model for 10 minutes"),
                "Its log says what it waits for; /readyz too.",
            ),
            rule(
                "SegmenterErrors",
                "warning",
                "5m",
                format!(
                    "100 * sum(rate(segmenter_requests_total{{{pods}, code=~\"5..|Internal|Unavailable|DeadlineExceeded\"}}[5m])) \
                     / sum(rate(segmenter_requests_total{{{pods}}}[5m])) > {error_percent}"
                ),
                format!(
                    "{{{{ $value | printf \"%.1f\" }}}} % of the requests of {namespace}/{name} fail"
                ),
                "The logs name each failed request's error and id.",
            ),
            rule(
                "SegmenterSlow",
                "warning",
                "10m",
                format!(
                    "histogram_quantile(0.95, sum by (le) (rate(segmenter_request_duration_seconds_bucket{{{pods}}}[5m]))) > {seconds}"
                ),
                format!(
                    "95 % of the requests of {namespace}/{name} take up to {{{{ $value | printf \"%.2f\" }}}} s"
                ),
                "segmenter_stage_duration_seconds tells which step takes the time; more pods shorten the queue.",
            ),
            rule(
                "SegmenterSaturated",
                "warning",
                "5m",
                format!(
                    "sum(rate(segmenter_rejected_total{{{pods}, reason=\"overloaded\"}}[5m])) > 0"
                ),
                format!("{namespace}/{name} refuses requests because its queue is full"),
                "Raise scaling.replicas or scaling.maxReplicas, or give the pods more processor time.",
            ),
        ],
    }
}
