use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Blueprint, build, built, defaults, identity, spec};
use crate::controller::build::InvalidSpec;

fn template(overlay: &Value) -> Result<Value, String> {
    let spec = spec(&json!({"pod": {"overlay": overlay}}));
    let blueprint = Blueprint {
        identity: &identity("demo"),
        spec: &spec,
        defaults: &defaults(),
        pinned: None,
    };
    let built = build(&blueprint).map_err(|InvalidSpec::Overlay(message)| message)?;
    let deployment = serde_json::to_value(built.children.deployment).unwrap();
    Ok(deployment["spec"]["template"].clone())
}

fn plain() -> Value {
    let deployment = built(&spec(&json!({}))).children.deployment;
    serde_json::to_value(deployment).unwrap()["spec"]["template"].clone()
}

#[test]
fn things_that_have_a_name_are_merged_by_it() {
    let overlay = json!({"spec": {"containers": [
        {"name": "segmenter", "env": [{"name": "SEGMENTER_QUEUE", "value": "1"}, {"name": "A", "value": "b"}]},
        {"name": "sidecar", "image": "example.com/sidecar:1"},
    ]}});
    let merged = template(&overlay).unwrap();
    let containers = merged["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2);
    assert_eq!(containers[0]["args"], json!(["serve"]));
    let variables = containers[0]["env"].as_array().unwrap();
    let before = plain()["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(variables.len(), before + 1);
    let queue = variables
        .iter()
        .find(|variable| variable["name"] == "SEGMENTER_QUEUE")
        .unwrap();
    assert_eq!(queue["value"], "1");
}

#[test]
fn null_removes_and_lists_of_plain_values_are_replaced() {
    let overlay = json!({"spec": {"topologySpreadConstraints": null, "containers": [{"name": "segmenter", "args": ["serve", "--x"]}]}});
    let merged = template(&overlay).unwrap();
    assert_eq!(merged["spec"].get("topologySpreadConstraints"), None);
    assert_eq!(
        merged["spec"]["containers"][0]["args"],
        json!(["serve", "--x"])
    );
}

#[test]
fn what_no_pod_template_has_is_refused_by_its_path() {
    for (overlay, path) in [
        (json!({"containers": [{"name": "a"}]}), "containers"),
        (json!({"spec": {"container": {"a": 1}}}), "spec.container"),
        (
            json!({"spec": {"containers": [{"name": "segmenter", "imagePolicy": "Always"}]}}),
            "spec.containers[0].imagePolicy",
        ),
        (
            json!({"spec": {"securityContext": {"runAsUsers": 1}}}),
            "spec.securityContext.runAsUsers",
        ),
    ] {
        let refused = template(&overlay).unwrap_err();
        assert!(refused.contains(&format!("no {path};")), "{refused}");
    }
    assert!(template(&json!({"spec": {"containers": "a"}})).is_err());
    let label = template(&json!({"metadata": {"labels": {"app.kubernetes.io/instance": "x"}}}))
        .unwrap_err();
    assert!(
        label.contains("app.kubernetes.io/instance") && label.contains("demo"),
        "{label}"
    );
}

#[test]
fn an_overlay_that_says_what_is_changes_nothing() {
    assert_eq!(template(&plain()).unwrap(), plain());
    assert_eq!(template(&json!({})).unwrap(), plain());
}

/// Overlays that fit.
fn overlays() -> impl Strategy<Value = Value> {
    let word = "[a-z]{1,6}";
    let annotations = prop::collection::btree_map(word, word, 0..3);
    let variables = prop::collection::btree_map("[A-Z]{1,3}", word, 0..3);
    (
        annotations,
        variables,
        prop::option::of(word),
        prop::option::of(0..100i64),
    )
        .prop_map(|(annotations, variables, scheduler, seconds)| {
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            let mut spec = json!({"containers": [{"name": "segmenter", "env": variables}]});
            if let Some(name) = scheduler {
                spec["schedulerName"] = json!(name);
            }
            if let Some(seconds) = seconds {
                spec["terminationGracePeriodSeconds"] = json!(seconds);
            }
            json!({"metadata": {"annotations": annotations}, "spec": spec})
        })
}

/// Whether all that `part` says holds of `whole`; things that are known by a name by that.
fn says(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, part)| {
            whole.get(name).is_some_and(|whole| says(whole, part))
                || *part == json!({})
                || *part == json!([])
        }),
        (Value::Array(whole), Value::Array(part)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| says(whole, part))),
        (whole, part) => whole == part,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_overlay_wins_and_leaves_the_rest_as_it_is(overlay in overlays()) {
        let merged = template(&overlay).unwrap();
        prop_assert!(says(&merged, &overlay), "{merged:#} lacks of {overlay:#}");
        let (mut rest, plain) = (merged, plain());
        // But for what the overlay speaks of, it is the template of before.
        rest["metadata"].as_object_mut().unwrap().remove("annotations");
        for field in ["schedulerName", "terminationGracePeriodSeconds"] {
            rest["spec"].as_object_mut().unwrap().remove(field);
        }
        if let Some(seconds) = plain["spec"].get("terminationGracePeriodSeconds") {
            rest["spec"]["terminationGracePeriodSeconds"] = seconds.clone();
        }
        let before = plain["spec"]["containers"][0]["env"].as_array().unwrap().len();
        rest["spec"]["containers"][0]["env"].as_array_mut().unwrap().truncate(before);
        prop_assert_eq!(rest, plain);
    }

    #[test]
    fn laying_it_twice_is_laying_it_once(overlay in overlays()) {
        let once = template(&overlay).unwrap();
        prop_assert_eq!(template(&once).unwrap(), once);
    }
}
