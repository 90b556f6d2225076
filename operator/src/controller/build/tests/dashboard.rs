use serde_json::{Value, json};

use super::{built, identity, spec};
use crate::controller::build::{rules, series};

/// The function's metrics and routes, as text: it is another package's program.
const METRICS: &str = include_str!("../../../../../function/src/metrics.rs");
const ROUTES: [&str; 3] = [
    include_str!("../../../../../function/src/http/predict.rs"),
    include_str!("../../../../../function/src/http/probes.rs"),
    include_str!("../../../../../function/src/grpc/mod.rs"),
];

/// What Prometheus adds to every series that a ServiceMonitor finds.
const TARGET: [&str; 3] = ["namespace", "service", "pod"];

/// The strings in a piece of source.
fn strings(source: &str) -> Vec<&str> {
    source.split('"').skip(1).step_by(2).collect()
}

/// The labels of a series that the function registers; `None` if it does not.
fn labels(series: &str) -> Option<Vec<&'static str>> {
    if series == "up" {
        return Some(Vec::new());
    }
    if series.starts_with("process_") {
        // Those of the `prometheus` crate's collector, which has no labels.
        return METRICS.contains("ProcessCollector").then(Vec::new);
    }
    let plain = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| series.strip_suffix(end))
        .unwrap_or(series);
    let begin = METRICS.find(&format!("\"{plain}\""))?;
    let registration = METRICS[begin..].split("?)?").next()?;
    let mut labels = Vec::new();
    if let Some(list) = registration.split("&[").nth(1) {
        labels = strings(list.split(']').next()?);
    }
    if series.ends_with("_bucket") {
        labels.push("le");
    }
    Some(labels)
}

/// The series of an expression, each with the labels that it is selected by.
fn selected(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices('{') {
        let before = &expression[..at];
        let begin = before
            .rfind(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .map_or(0, |at| at + 1);
        let matchers = expression[at + 1..].split('}').next().unwrap();
        let labels = matchers.split(", ").map(|matcher| {
            let end = matcher.find(['=', '!']).unwrap();
            matcher[..end].to_owned()
        });
        found.push((before[begin..].to_owned(), labels.collect()));
    }
    found
}

fn expressions() -> Vec<String> {
    let spec = spec(&json!({"observability": {"dashboard": {"enabled": true}}}));
    let data = built(&spec).children.dashboard.unwrap().data.unwrap();
    let dashboard: Value = serde_json::from_str(data.values().next().unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut all: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(all.len() > 5);
    all.extend(
        rules(&identity("demo"), &spec)
            .rules
            .into_iter()
            .map(|rule| rule.expr),
    );
    all.push(series::under_way(&identity("demo")));
    all
}

#[test]
fn every_series_and_label_is_one_that_the_function_has() {
    for expression in expressions() {
        let selected = selected(&expression);
        assert!(!selected.is_empty(), "{expression} selects nothing");
        for (series, matchers) in &selected {
            let known = labels(series).unwrap_or_else(|| panic!("{series} of {expression}"));
            for label in matchers {
                assert!(
                    known.contains(&label.as_str()) || TARGET.contains(&label.as_str()),
                    "{series} has no label {label}: {expression}"
                );
            }
            for by in expression.split("by (").skip(1) {
                let by = by.split(')').next().unwrap();
                assert!(
                    known.contains(&by),
                    "{series} has no label {by}: {expression}"
                );
            }
            for label in ["namespace", "service"] {
                assert!(
                    matchers.iter().any(|matcher| matcher == label),
                    "{expression}: {label}"
                );
            }
        }
    }
}

/// Otherwise Prometheus renames them, to `exported_namespace` and the like.
#[test]
fn the_function_has_no_label_that_prometheus_adds() {
    let lists = METRICS
        .split("&[")
        .skip(1)
        .map(|list| list.split(']').next().unwrap());
    for label in lists.flat_map(strings) {
        assert!(!TARGET.contains(&label), "{label}");
    }
}

#[test]
fn the_check_sees_what_the_function_does_not_have() {
    assert_eq!(
        labels("segmenter_requests_total").unwrap(),
        ["protocol", "route", "code"]
    );
    assert_eq!(
        labels("segmenter_request_duration_seconds_bucket").unwrap(),
        ["protocol", "route", "le"]
    );
    assert_eq!(labels("segmenter_in_flight").unwrap(), [""; 0]);
    assert_eq!(labels("segmenter_requests"), None);
}

/// What the matcher of [`series::predictions`] takes, which has to be all predictions and nothing else.
#[test]
fn predictions_are_told_from_probes() {
    assert!(series::predictions(&identity("demo")).ends_with("route=~\".*/[Pp]redict\""));
    let quoted = ROUTES.iter().flat_map(|source| strings(source));
    let routes: Vec<_> = quoted
        .filter(|text| text.starts_with('/') && text.len() > 1 && !text.contains(' '))
        .collect();
    let (mut predictions, mut others) = (Vec::new(), Vec::new());
    for route in routes {
        match route.ends_with("/predict") || route.ends_with("/Predict") {
            true => predictions.push(route),
            false => others.push(route),
        }
    }
    for route in [
        "/predict",
        "/v1/predict",
        "/inference.InstanceDetector/Predict",
        "/segmenter.v1.Segmenter/Predict",
    ] {
        assert!(
            predictions.contains(&route),
            "{route} is gone: {predictions:?}"
        );
    }
    for route in [
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/grpc.health.v1.Health/Check",
    ] {
        assert!(others.contains(&route), "{route} is gone: {others:?}");
    }
}
