//! What holds whatever the spec.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Blueprint, Built, Defaults, build, defaults, identity, objects, restricted::violations, spec,
};
use crate::{
    api::{SegmenterService, SegmenterServiceSpec, validate},
    controller::build::Pin,
};

fn names() -> impl Strategy<Value = String> {
    "[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
}

fn scaling() -> impl Strategy<Value = Value> {
    let autoscaled = |mode: &'static str, more: Value| {
        (1..5i32, 0..5i32).prop_map(move |(least, more_pods)| {
            let mut scaling =
                json!({"mode": mode, "minReplicas": least, "maxReplicas": least + more_pods});
            for (name, value) in more.as_object().unwrap() {
                scaling[name] = value.clone();
            }
            scaling
        })
    };
    let keda = |trigger: Value| json!({"keda": {"prometheusAddress": "http://a:9090", "trigger": trigger}});
    prop_oneof![
        (0..1000i32).prop_map(|replicas| json!({"replicas": replicas})),
        autoscaled("HPA", json!({})),
        autoscaled("HPA", json!({"hpa": {"memoryUtilization": 70}})),
        autoscaled("KEDA", keda(json!({}))),
        autoscaled("KEDA", keda(json!({"queueDepth": 3}))),
        autoscaled(
            "KEDA",
            keda(json!({"query": {"promql": "sum(up)", "threshold": 2.5}}))
        ),
    ]
}

fn model() -> impl Strategy<Value = Value> {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let path = "[a-z]{1,8}(/[a-z.]{1,8}[a-z])?";
    prop_oneof![
        Just(json!({})),
        Just(json!({"source": {"embedded": {}}, "threshold": 0.25, "classes": ["person"]})),
        Just(json!({"source": {"http": {}}})),
        path.prop_map(move |path| json!({"digest": digest, "source": {"http": {"url": format!("https://a/{path}")}}})),
        path.prop_map(|path| json!({"source": {"pvc": {"claimName": "models", "path": path}}})),
        path.prop_map(|path| json!({"source": {"image": {"reference": "a/b:1", "path": path}}})),
    ]
}

fn serving() -> impl Strategy<Value = Value> {
    (1..30000i32, 30000..60000i32, 1..100i32, 0..600i32, 0..100i32, "[A-Z]{1,9}").prop_map(
        |(http, grpc, deadline, drain, more, variable)| {
            json!({
                "httpPort": http, "grpcPort": grpc, "deadlineSeconds": deadline, "drainSeconds": drain,
                "graceSeconds": deadline + more, "env": [{"name": variable, "value": "1"}],
            })
        },
    )
}

fn pod() -> impl Strategy<Value = Value> {
    let words = prop::collection::btree_map("[a-z]{1,9}", "[a-z]{0,9}", 0..3);
    (words.clone(), words.clone(), words, any::<bool>()).prop_map(
        |(labels, annotations, nodes, overlay)| {
            let mut pod =
                json!({"labels": labels, "annotations": annotations, "nodeSelector": nodes});
            if overlay {
                pod["overlay"] =
                    json!({"metadata": {"labels": {"x": "y"}}, "spec": {"dnsPolicy": "Default"}});
            }
            pod
        },
    )
}

fn image() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"tag": "2"})),
        Just(json!({"repository": "example.com:5000/a", "tag": "3", "pullSecrets": ["a"]})),
        Just(json!({"digest": format!("sha256:{}", "ee".repeat(32))})),
    ]
}

fn exposure() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"ingress": {"hosts": ["a.example.com"]}})),
        Just(
            json!({"ingress": {}, "gateway": {"parentRefs": [{"name": "a"}], "hosts": ["a"], "grpcHosts": ["b"]}})
        ),
        Just(json!({"gateway": {"parentRefs": [{"name": "a"}], "grpc": false}})),
    ]
}

/// Specs that the API server takes.
fn specs() -> impl Strategy<Value = SegmenterServiceSpec> {
    let switches = any::<[bool; 6]>();
    (image(), model(), serving(), scaling(), exposure(), pod(), switches, 1..3600i32).prop_map(
        |(image, model, serving, scaling, exposure, pod, switches, interval)| {
            let [accelerated, in_place, suspend, policy, watched, required] = switches;
            let mut whole = json!({
                "image": image, "model": model, "serving": serving, "scaling": scaling, "exposure": exposure,
                "pod": pod, "suspend": suspend, "security": {"networkPolicy": {"enabled": policy}},
                "rollout": {"strategy": if in_place { "InPlace" } else { "Surge" }},
                "availability": {"topologySpread": if required { "Required" } else { "None" }},
                "observability": {
                    "serviceMonitor": {"enabled": watched, "intervalSeconds": interval},
                    "rules": {"enabled": watched}, "dashboard": {"enabled": watched},
                },
            });
            if accelerated {
                whole["accelerator"] = json!({"runtimeClassName": "nvidia"});
            }
            spec(&whole)
        },
    )
}

fn make(
    name: &str,
    spec: &SegmenterServiceSpec,
    defaults: &Defaults,
    pinned: Option<Pin>,
) -> Built {
    let blueprint = Blueprint {
        identity: &identity(name),
        spec,
        defaults,
        pinned,
    };
    build(&blueprint).unwrap()
}

fn template(built: &Built) -> Value {
    let spec = built.children.deployment.spec.as_ref().unwrap();
    serde_json::to_value(&spec.template).unwrap()
}

/// The same template with no image, so that those of two operators can be compared.
fn without_image(mut template: Value) -> Value {
    for field in ["initContainers", "containers"] {
        for container in template["spec"][field].as_array_mut().into_iter().flatten() {
            container.as_object_mut().unwrap().remove("image");
        }
    }
    template
}

/// All selectors of pods in a value, wherever they are.
fn selectors(value: &Value, found: &mut Vec<Value>) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            // Whom to let in is the user's to say, and selects other pods.
            match name.as_str() {
                "allowFrom" | "from" | "to" | "affinity" => {}
                "selector" | "podSelector" | "labelSelector" => {
                    found.push(value.get("matchLabels").unwrap_or(value).clone());
                }
                _ => selectors(value, found),
            }
        }
    } else if let Value::Array(elements) = value {
        elements
            .iter()
            .for_each(|element| selectors(element, found));
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn names_fit_and_values_of_labels_do(name in names(), spec in specs()) {
        let built = make(&name, &spec, &defaults(), None);
        for (kind, object) in objects(&built.children) {
            let metadata = &object["metadata"];
            let own = metadata["name"].as_str().unwrap();
            prop_assert!(own.len() <= 63 && own.starts_with(&name), "{}: {}", kind, own);
            for (key, value) in metadata["labels"].as_object().unwrap() {
                prop_assert!(value.as_str().unwrap().len() <= 63, "{}: {}", kind, key);
            }
        }
    }

    #[test]
    fn selectors_never_change(name in names(), spec in specs()) {
        let built = make(&name, &spec, &defaults(), None);
        let expected = json!({"app.kubernetes.io/name": "segmenter", "app.kubernetes.io/instance": name});
        let labels = template(&built)["metadata"]["labels"].clone();
        for (key, value) in expected.as_object().unwrap() {
            prop_assert_eq!(&labels[key], value, "pods lack what selects them");
        }
        let mut all = Vec::new();
        for (kind, object) in objects(&built.children) {
            let mut found = Vec::new();
            selectors(&object, &mut found);
            let selects = ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"];
            prop_assert_eq!(!found.is_empty(), selects.contains(&kind), "{}", kind);
            all.extend(found);
        }
        for selector in all {
            prop_assert_eq!(&selector, &expected);
        }
    }

    #[test]
    fn whoever_decides_decides_alone(spec in specs()) {
        let children = make("demo", &spec, &defaults(), None).children;
        let replicas = children.deployment.spec.as_ref().unwrap().replicas;
        let autoscalers = usize::from(children.hpa.is_some()) + usize::from(children.scaled_object.is_some());
        if spec.suspend {
            prop_assert_eq!((replicas, autoscalers), (Some(0), 0));
        } else {
            prop_assert_eq!(autoscalers, usize::from(replicas.is_none()));
        }
        let strategy = children.deployment.spec.unwrap().strategy.unwrap().rolling_update.unwrap();
        // Kubernetes refuses a rollout that may neither add nor remove a pod.
        prop_assert_ne!(strategy.max_surge, strategy.max_unavailable);
    }

    #[test]
    fn every_pod_is_restricted(spec in specs()) {
        let template = template(&make("demo", &spec, &defaults(), None));
        prop_assert_eq!(violations(&template["spec"]), Vec::<String>::new());
        prop_assert_eq!(&template["spec"]["automountServiceAccountToken"], &json!(false));
        for container in template["spec"]["containers"].as_array().unwrap() {
            prop_assert_eq!(&container["securityContext"]["readOnlyRootFilesystem"], &json!(true));
        }
    }

    #[test]
    fn the_same_spec_makes_the_same_bytes(name in names(), spec in specs()) {
        let bytes = || serde_json::to_vec(&objects(&make(&name, &spec, &defaults(), None).children)).unwrap();
        prop_assert_eq!(bytes(), bytes());
        // Nor does it matter that it went through the API server.
        let stored: SegmenterServiceSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
        prop_assert_eq!(make(&name, &stored, &defaults(), None), make(&name, &spec, &defaults(), None));
    }

    /// A new release of the operator restarts no pods: it has another default image, and nothing else that
    /// pods depend on.
    #[test]
    fn pods_do_not_depend_on_the_operator(spec in specs()) {
        let newer = Defaults {
            image: "registry.example.com/segmenter:2".to_owned(),
            accelerator_image: "registry.example.com/segmenter-gpu:2".to_owned(),
            monitor_labels: [("a".to_owned(), "b".to_owned())].into(),
        };
        let before = make("demo", &spec, &defaults(), None);
        let after = make("demo", &spec, &newer, Some(before.pin.clone()));
        prop_assert_eq!(template(&before), template(&after));
        prop_assert_eq!(&before.pin, &after.pin);
        let anew = make("demo", &spec, &newer, None);
        prop_assert_eq!(without_image(template(&before)), without_image(template(&anew)));
        prop_assert_eq!(&before.pin.template, &anew.pin.template);
        let text = template(&before).to_string();
        prop_assert!(!text.contains("segmenter-operator/") && !text.contains(concat!("v", env!("CARGO_PKG_VERSION"))));
    }

    /// Where the template changes anyway, the newer image is taken with it.
    #[test]
    fn a_change_takes_the_new_image(spec in specs()) {
        let mut newer = defaults();
        newer.image = "registry.example.com/segmenter:2".to_owned();
        newer.accelerator_image = newer.image.clone();
        let before = make("demo", &spec, &defaults(), None);
        let mut changed = spec;
        changed.serving.queue += 1;
        let after = make("demo", &changed, &newer, Some(before.pin.clone()));
        prop_assert_eq!(&after.pin.image, &newer.image);
        prop_assert_ne!(&after.pin.template, &before.pin.template);
    }
}

proptest! {
    #![proptest_config(config(48))]

    /// Or the properties above would be about services that nobody can have.
    #[test]
    fn the_specs_of_these_tests_are_valid(name in names(), spec in specs()) {
        let service = SegmenterService::new(&name, spec);
        let checked = validate(&service);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}
