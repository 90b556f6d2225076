use std::collections::BTreeMap;

use super::{Blueprint, disruption_budget::fewest, series, service_monitor::labelled};
use crate::{
    api::SegmenterServiceSpec,
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
            groups: vec![rules(blueprint.identity, blueprint.spec)],
        },
    })
}

/// The server's own failures, by their codes in HTTP and in gRPC. Not among them: 429 and
/// ResourceExhausted, which SegmenterSaturated is for; 502 and FailedPrecondition, which are a picture's
/// host that does not answer; and all that a caller did wrong.
const FAILURES: &str = "500|503|504|Internal|Unavailable|DeadlineExceeded|Unknown|DataLoss";

/// What Prometheus warns of, all of it over the series of `function`'s `/metrics`.
pub fn rules(identity: &Identity, spec: &SegmenterServiceSpec) -> RuleGroup {
    let Identity {
        name, namespace, ..
    } = identity;
    let asked = &spec.observability.rules;
    let error_percent = asked.error_percent;
    let seconds = f64::from(asked.latency_milliseconds) / 1000.0;
    let pods = series::pods(identity);
    let predictions = series::predictions(identity);
    let while_ = series::window(spec, 300);
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
    // A pod that waits for a node is no target of Prometheus: where there have to be pods, having no
    // targets is as bad as having none that answer.
    let down = if spec.suspend || fewest(&spec.scaling) == 0 {
        format!("sum(up{{{pods}}}) == 0")
    } else {
        format!("absent(up{{{pods}}}) or sum(up{{{pods}}}) == 0")
    };
    RuleGroup {
        name: format!("segmenter-{namespace}-{name}"),
        rules: vec![
            rule(
                "SegmenterDown",
                "critical",
                "2m",
                down,
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
                    "100 * sum(rate(segmenter_requests_total{{{predictions}, code=~\"{FAILURES}\"}}[{while_}])) \
                     / sum(rate(segmenter_requests_total{{{predictions}}}[{while_}])) > {error_percent}"
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
                    "{} >= {seconds}",
                    series::latency(identity, "0.95", &while_)
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
                    "sum(rate(segmenter_rejected_total{{{pods}, reason=\"overloaded\"}}[{while_}])) > 0"
                ),
                format!("{namespace}/{name} refuses requests because its queue is full"),
                "Raise scaling.replicas or scaling.maxReplicas, or give the pods more processor time.",
            ),
        ],
    }
}
