use serde_json::{Value, json};

use super::*;

/// The schema of the one version, as it is installed.
fn schema() -> Value {
    let crd = serde_json::to_value(crd()).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1);
    versions[0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with the path and the schema of everything in a schema, and whether it has to be given.
fn walk(schema: &Value, path: &str, required: bool, visit: &mut impl FnMut(&str, &Value, bool)) {
    visit(path, schema, required);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        walk(property, &path, required.contains(&json!(name)), visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            // An element is there where somebody put it.
            walk(&schema[inner], &format!("{path}[]"), true, visit);
        }
    }
}

/// Those types that are Kubernetes' own, where its documentation says what is the default.
fn is_foreign(path: &str) -> bool {
    [
        ".spec.pod.affinity.",
        ".spec.pod.tolerations[]",
        ".spec.resources.",
        ".spec.scaling.hpa.behavior.",
        ".spec.scaling.hpa.metrics[]",
        ".spec.scaling.keda.behavior.",
        ".spec.security.networkPolicy.allowFrom[]",
        ".spec.security.networkPolicy.allowTo[]",
        ".spec.serving.env[]",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
}

/// Half of what `kubectl apply` can keep in its annotation of what was applied last.
#[test]
fn the_crd_is_small_enough_for_kubectl_apply() {
    let size = serde_json::to_vec(&crd()).unwrap().len();
    println!("{size} bytes");
    assert!(size < 200_000, "{size} bytes");
}

#[test]
fn the_crd_in_the_repository_is_this_one() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crds/segmenterservices.yaml"
    );
    let kept = std::fs::read_to_string(path).unwrap();
    let printed = serde_saphyr::to_string(&crd()).unwrap();
    assert!(
        kept == printed,
        "the types have changed: segmenter-operator crd > crds/segmenterservices.yaml"
    );
}

#[test]
fn every_field_has_a_description() {
    let (mut fields, mut bare) = (0, Vec::new());
    walk(&schema(), "", true, &mut |path, schema, _| {
        // Elements have that of their list, and `metadata` is not the CRD's to describe.
        if path.is_empty() || path.ends_with("[]") || path.starts_with(".metadata") {
            return;
        }
        fields += 1;
        if schema["description"]
            .as_str()
            .is_none_or(|text| text.trim().is_empty())
        {
            bare.push(path.to_owned());
        }
    });
    assert!(fields > 300, "the walk saw only {fields} fields");
    assert_eq!(bare, [""; 0]);
}

#[test]
fn every_field_has_a_default_or_says_what_its_absence_means() {
    let mut silent = Vec::new();
    walk(&schema(), "", true, &mut |path, schema, required| {
        let is_value = !matches!(schema["type"].as_str(), Some("object" | "array"));
        let said = schema["description"]
            .as_str()
            .is_some_and(|text| text.contains("By default"));
        let ours = path.starts_with(".spec.") && !is_foreign(path);
        if ours && is_value && !required && schema.get("default").is_none() && !said {
            silent.push(path.to_owned());
        }
    });
    assert_eq!(silent, [""; 0]);
}

/// A field that may be `null` is one more case for every rule, and for everybody who reads a service.
#[test]
fn nothing_may_be_null() {
    walk(&schema(), "", true, &mut |path, schema, _| {
        assert_eq!(schema.get("nullable"), None, "{path}");
    });
}

/// The two ways in which what is not given is filled in: by the API server and, of services that were
/// stored by an older CRD, by serde.
#[test]
fn the_schema_and_rust_agree_on_defaults() {
    let schema = schema();
    for spec in [
        json!({}),
        json!({"image": {}, "model": {"source": {}}, "serving": {}, "scaling": {}, "rollout": {}, "pod": {}}),
        json!({"observability": {"serviceMonitor": {}, "rules": {}, "dashboard": {}}}),
        json!({"availability": {"disruptionBudget": {}}, "security": {"networkPolicy": {}}}),
        json!({"accelerator": {}, "exposure": {"ingress": {}, "gateway": {"parentRefs": [{"name": "a"}]}}}),
        json!({"model": {"source": {"http": {}, "image": {"reference": "a", "path": "b"}}}}),
        json!({"scaling": {"hpa": {}, "keda": {"prometheusAddress": "http://a"}}}),
    ] {
        let given = json!({"spec": spec});
        let filled = kube::core::cel::apply_defaults(&schema, &given);
        // Only what is there is filled in by that.
        let filled = kube::core::cel::apply_defaults(&schema, &filled);
        let read: SegmenterServiceSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            filled["spec"],
            "{spec}"
        );
    }
    let nothing: SegmenterServiceSpec = serde_json::from_value(json!({})).unwrap();
    assert_eq!(nothing, SegmenterServiceSpec::default());
}

#[test]
fn columns_are_explained_and_those_that_matter_fit_a_terminal() {
    let crd = crd();
    let columns = crd.spec.versions[0]
        .additional_printer_columns
        .clone()
        .unwrap();
    for column in &columns {
        assert!(column.description.is_some(), "{}", column.name);
    }
    let shown = columns
        .iter()
        .filter(|column| column.priority.unwrap_or(0) == 0);
    let shown: Vec<_> = shown.map(|column| column.name.as_str()).collect();
    assert_eq!(
        shown,
        ["Ready", "Reason", "Replicas", "Model", "URL", "Age"]
    );
}

/// Rules are found in the schema by `kubectl`'s user through their messages alone.
#[test]
fn every_rule_says_something_of_its_own() {
    let mut messages = Vec::new();
    walk(&schema(), "", true, &mut |path, schema, _| {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{path}: {}", rule["rule"]);
            messages.push(message.to_owned());
        }
    });
    let all = messages.len();
    assert!(all > 30, "the walk saw only {all} rules");
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), all);
}
