//! What is emitted, kind by kind and switch by switch, and why it is like that.
//!
//! `INSTA_UPDATE=always cargo test` writes the files anew; their difference is what the clusters will see.

use serde_json::{Value, json};

use super::{built, objects, spec};

/// The objects of these kinds that a spec makes, next to the reason why they are like that.
fn golden(name: &str, why: &str, asked: &Value, kinds: &[&str]) {
    let mut found = Vec::new();
    for (kind, mut object) in objects(&built(&spec(asked)).children) {
        if !kinds.contains(&kind) {
            continue;
        }
        // The same everywhere, and tested on its own.
        for field in ["ownerReferences", "namespace"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        found.push(object);
    }
    assert_eq!(found.len(), kinds.len(), "{name}: {found:#?}");
    insta::with_settings!({description => why, omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_json_snapshot!(name, json!({"spec": asked, "objects": found}));
    });
}

#[test]
fn a_service_that_asks_for_nothing() {
    golden(
        "plain",
        "The default model in one pod. No limit on the processor, which would only make single requests slower; a \
         limit on the memory, so that a leak is one pod's and not its node's.",
        &json!({}),
        &["Deployment", "Service"],
    );
}

#[test]
fn every_object_belongs_to_the_service_and_goes_with_it() {
    let all = json!({
        "scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 5},
        "exposure": {"ingress": {}, "gateway": {"parentRefs": [{"name": "a"}]}},
        "security": {"networkPolicy": {"enabled": true}},
        "observability": {"dashboard": {"enabled": true}},
    });
    let objects = objects(&built(&spec(&all)).children);
    assert_eq!(objects.len(), 11, "all kinds but ScaledObject");
    for (kind, object) in objects {
        let owner = &object["metadata"]["ownerReferences"];
        assert_eq!(
            owner[0]["uid"], "7f1c2b7e-9e1f-4a43-9d0c-0d7f6f6f0a11",
            "{kind}"
        );
        assert_eq!(owner[0]["controller"], true, "{kind}");
        assert_eq!(object["metadata"]["namespace"], "team", "{kind}");
    }
}

#[test]
fn models_from_elsewhere() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    golden(
        "model-http",
        "A container of its own downloads and checks the file before the server starts, which therefore needs \
         no network and no writable disk.",
        &json!({"model": {"digest": digest, "source": {"http": {"url": "https://models.example.com/a.pt"}}}}),
        &["Deployment"],
    );
    golden(
        "model-pvc",
        "Mounted read-only: many pods may share it.",
        &json!({"model": {"source": {"pvc": {"claimName": "models", "path": "detectors/a.pt"}}}}),
        &["Deployment"],
    );
    golden(
        "model-image",
        "The node mounts the image, and keeps it like any other.",
        &json!({"model": {"digest": digest, "source": {"image": {"reference": "registry.example.com/models/a:3", "path": "a.pt", "pullPolicy": "Always"}}}}),
        &["Deployment"],
    );
}

#[test]
fn pods_with_everything() {
    golden(
        "pod",
        "An accelerator is request and limit at once, as Kubernetes wants it, and brings its own default image. \
         InPlace ends an old pod first: with Surge a new one would wait for the accelerator that an old one holds.",
        &json!({
            "accelerator": {"runtimeClassName": "nvidia", "count": 2},
            "rollout": {"strategy": "InPlace", "progressDeadlineSeconds": 900},
            "image": {"digest": format!("sha256:{}", "cd".repeat(32)), "pullPolicy": "Always", "pullSecrets": ["registry"]},
            "model": {"threshold": 0.5, "classes": ["person", "dog"]},
            "serving": {"httpPort": 8000, "grpcPort": 9000, "queue": 8, "deadlineSeconds": 10, "drainSeconds": 15, "graceSeconds": 20, "logLevel": "debug", "env": [{"name": "SEGMENTER_MAX_BODY", "value": "1M"}]},
            "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}},
            "security": {"serviceAccountName": "detector"},
            "availability": {"topologySpread": "Required"},
            "pod": {
                "labels": {"example.com/team": "vision"}, "annotations": {"example.com/note": "a"},
                "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}}, "priorityClassName": "high",
                "overlay": {"spec": {"schedulerName": "bin-packing"}},
            },
        }),
        &["Deployment"],
    );
}

#[test]
fn how_many_pods_there_are() {
    golden(
        "suspended",
        "No pods; and no autoscaler or budget, which would have them back. The Service stays.",
        &json!({"suspend": true, "scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 4}}),
        &["Deployment", "Service", "ServiceMonitor"],
    );
    golden(
        "hpa",
        "No replicas in the Deployment: each apply would undo what the autoscaler has decided.",
        &json!({"scaling": {"mode": "HPA", "maxReplicas": 4}}),
        &["Deployment", "HorizontalPodAutoscaler"],
    );
    golden(
        "hpa-metrics",
        "What is asked for, in the order in which the spec has it; the default 80 % does not come on top.",
        &json!({"scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 4, "hpa": {
            "cpuUtilization": 60, "memoryUtilization": 70,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": "segmenter_queue_depth"}, "target": {"type": "AverageValue", "averageValue": "4"}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        }}}),
        &["HorizontalPodAutoscaler", "PodDisruptionBudget"],
    );
    golden(
        "keda",
        "A pod that is asked counts the asking among its requests: 1 is taken off. The fallback is the user's choice.",
        &json!({"scaling": {"mode": "KEDA", "maxReplicas": 4, "keda": {
            "prometheusAddress": "http://prometheus.monitoring:9090", "fallback": {"failureThreshold": 3, "replicas": 2},
            "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}}, "metadata": {"ignoreNullValues": "false"},
        }}}),
        &["ScaledObject"],
    );
    golden(
        "keda-to-zero",
        "Down to nothing, by a figure that is there without pods.",
        &json!({"scaling": {"mode": "KEDA", "minReplicas": 0, "maxReplicas": 4, "keda": {
            "prometheusAddress": "http://prometheus.monitoring:9090",
            "trigger": {"query": {"promql": "sum(rate(ingress_requests_total{host=\"a\"}[2m]))", "threshold": 0.5}},
        }}}),
        &["ScaledObject", "PrometheusRule"],
    );
    golden(
        "keda-rate",
        "Probes are requests, too: only predictions count.",
        &json!({"scaling": {"mode": "KEDA", "maxReplicas": 4, "keda": {
            "prometheusAddress": "http://prometheus.monitoring:9090", "trigger": {"requestsPerSecond": 20},
        }}}),
        &["ScaledObject"],
    );
}

#[test]
fn what_may_be_evicted() {
    golden(
        "budget",
        "A pod that does not answer may always go: otherwise it would keep its node from being drained.",
        &json!({"scaling": {"replicas": 3}}),
        &["PodDisruptionBudget"],
    );
    golden(
        "budget-share",
        "Only what is asked for: Kubernetes takes one of the two.",
        &json!({"scaling": {"replicas": 3}, "availability": {"disruptionBudget": {"minAvailable": "50%"}}}),
        &["PodDisruptionBudget"],
    );
    for single in [
        json!({}),
        json!({"scaling": {"replicas": 0}}),
        json!({"scaling": {"mode": "HPA", "maxReplicas": 9}}),
        json!({"scaling": {"replicas": 3}, "availability": {"disruptionBudget": {"enabled": false}}}),
        json!({"scaling": {"replicas": 3}, "suspend": true}),
    ] {
        let budget = built(&spec(&single)).children.disruption_budget;
        assert_eq!(
            budget, None,
            "it would keep nodes from being drained: {single}"
        );
    }
}

#[test]
fn ways_in() {
    golden(
        "ingress",
        "HTTP alone: an Ingress cannot say what speaks gRPC.",
        &json!({"exposure": {"ingress": {"className": "nginx", "hosts": ["a.example.com", "b.example.com"], "path": "/segment", "tls": {"secretName": "a-tls"}, "annotations": {"cert-manager.io/issuer": "ca"}}}}),
        &["Ingress"],
    );
    golden(
        "ingress-of-all-hosts",
        "Without names, a rule without a host.",
        &json!({"exposure": {"ingress": {}}}),
        &["Ingress"],
    );
    golden(
        "gateway",
        "Two kinds, because only a GRPCRoute knows gRPC; two sets of names, because on one a Gateway lets only \
         one kind of route in.",
        &json!({"exposure": {"gateway": {
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
            "hosts": ["a.example.com"], "grpcHosts": ["grpc.a.example.com"],
        }}}),
        &["HTTPRoute", "GRPCRoute"],
    );
    golden(
        "network-policy",
        "Pictures come from public addresses. Private ones, such as a cloud's metadata, are out of reach unless \
         they are asked for.",
        &json!({"security": {"networkPolicy": {
            "enabled": true,
            "allowFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
            "allowTo": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}],
        }}}),
        &["NetworkPolicy"],
    );
}

#[test]
fn what_is_watched() {
    golden(
        "observability",
        "The labels of the service win over the operator's, and its own over both. Rates are taken over four \
         scrapes at least.",
        &json!({"observability": {
            "serviceMonitor": {"intervalSeconds": 120, "labels": {"release": "mine", "app.kubernetes.io/name": "x"}},
            "rules": {"errorPercent": 1, "latencyMilliseconds": 400},
            "dashboard": {"enabled": true},
        }}),
        &["ServiceMonitor", "PrometheusRule", "ConfigMap"],
    );
    let none = json!({"observability": {"serviceMonitor": {"enabled": false}, "rules": {"enabled": false}}});
    let kinds: Vec<_> = objects(&built(&spec(&none)).children)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, ["Deployment", "Service"]);
}
