//! What the CRD takes and refuses: the API server and kube's CEL have to agree.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use segmenter_cluster::ControlPlane;
use segmenter_operator::api::{SegmenterService, SegmenterServiceSpec, crd, validate};
use serde_json::{Value, json};

use crate::support::{Result, Stage};

/// A rule, told by where it complains and how its message begins, with a service that it lets pass and one
/// that it alone refuses.
struct Case {
    field: &'static str,
    message: &'static str,
    accepted: Value,
    rejected: Value,
}

fn case(field: &'static str, message: &'static str, accepted: Value, rejected: Value) -> Case {
    let demo = |spec: Value| {
        let mut demo = named("demo");
        demo["spec"] = spec;
        demo
    };
    Case {
        field,
        message,
        accepted: demo(accepted),
        rejected: demo(rejected),
    }
}

/// A digest, of nothing in particular.
fn digest() -> String {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
}

fn keda(more: &Value) -> Value {
    let mut keda = json!({"prometheusAddress": "http://prometheus.monitoring:9090"});
    for (name, value) in more.as_object().into_iter().flatten() {
        keda[name] = value.clone();
    }
    json!({"scaling": {"mode": "KEDA", "maxReplicas": 3, "keda": keda}})
}

fn gateway(more: &Value) -> Value {
    let mut gateway = json!({"parentRefs": [{"name": "public"}], "hosts": ["a.example.com"], "grpcHosts": ["b.example.com"]});
    for (name, value) in more.as_object().into_iter().flatten() {
        gateway[name] = value.clone();
    }
    json!({"exposure": {"gateway": gateway}})
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {}})
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        Case {
            field: "metadata.name",
            message: "metadata.name becomes",
            accepted: named(&"a".repeat(40)),
            rejected: named(&"a".repeat(41)),
        },
        // Such names a Service may not have.
        Case { field: "metadata.name", message: "metadata.name becomes", accepted: named("a"), rejected: named("1a") },
        Case { field: "metadata.name", message: "metadata.name becomes", accepted: named("a-1"), rejected: named("a.b") },
        case("spec.image.repository", "image.repository is a name without a tag",
            json!({"image": {"repository": "registry.example.com:5000/team/segmenter", "tag": "1"}}),
            json!({"image": {"repository": "registry.example.com/segmenter:1"}})),
        case("spec.image.tag", "image.tag holds", json!({"image": {"tag": "v1.2_3-x"}}), json!({"image": {"tag": "a/b"}})),
        case("spec.image.digest", "image.digest is", json!({"image": {"digest": digest()}}), json!({"image": {"digest": "sha256:12"}})),
        case("spec.model.name", "model.name is", json!({"model": {"name": "maskrcnn_resnet50_fpn"}}), json!({"model": {"name": "Mask R-CNN"}})),
        case("spec.model.digest", "model.digest is", json!({"model": {"digest": digest()}}), json!({"model": {"digest": "e3b0c442"}})),
        case("spec.model.digest", "a model from a URL",
            json!({"model": {"digest": digest(), "source": {"http": {"url": "https://models.example.com/a.pt"}}}}),
            json!({"model": {"source": {"http": {"url": "https://models.example.com/a.pt"}}}})),
        // The catalogue knows the digest of its own.
        case("spec.model.digest", "a model from a URL", json!({"model": {"source": {"http": {}}}}),
            json!({"model": {"source": {"http": {"url": "http://a/b"}}}})),
        case("spec.model.threshold", "model.threshold is", json!({"model": {"threshold": 1.0}}), json!({"model": {"threshold": 50.0}})),
        case("spec.model.threshold", "model.threshold is", json!({"model": {"threshold": 0}}), json!({"model": {"threshold": -0.1}})),
        case("spec.model.classes", "model.classes is", json!({"model": {"classes": ["person", "traffic light"]}}), json!({"model": {"classes": ["person,dog"]}})),
        case("spec.model.source", "model.source has one of",
            json!({"model": {"source": {"embedded": {}}}}),
            json!({"model": {"source": {"embedded": {}, "http": {}}}})),
        case("spec.model.source.http.url", "model.source.http.url is",
            json!({"model": {"digest": digest(), "source": {"http": {"url": "http://a/b"}}}}),
            json!({"model": {"digest": digest(), "source": {"http": {"url": "s3://models/a.pt"}}}})),
        case("spec.model.source.pvc.path", "model.source.pvc.path is",
            json!({"model": {"source": {"pvc": {"claimName": "models", "path": "a/b..c.pt"}}}}),
            json!({"model": {"source": {"pvc": {"claimName": "models", "path": "a/../../etc/passwd"}}}})),
        case("spec.model.source.pvc.path", "model.source.pvc.path is",
            json!({"model": {"source": {"pvc": {"claimName": "models", "path": "a.pt"}}}}),
            json!({"model": {"source": {"pvc": {"claimName": "models", "path": ""}}}})),
        case("spec.model.source.image.path", "model.source.image.path is",
            json!({"model": {"source": {"image": {"reference": "registry.example.com/a:1", "path": "a.pt"}}}}),
            json!({"model": {"source": {"image": {"reference": "registry.example.com/a:1", "path": "/a.pt"}}}})),
        case("spec.serving.grpcPort", "serving.httpPort and serving.grpcPort", json!({"serving": {"httpPort": 9000}}), json!({"serving": {"httpPort": 9090}})),
        case("spec.serving.graceSeconds", "serving.graceSeconds has", json!({"serving": {"deadlineSeconds": 60, "graceSeconds": 60}}), json!({"serving": {"deadlineSeconds": 60}})),
        case("spec.serving.env", "serving.env may not",
            json!({"serving": {"env": [{"name": "SEGMENTER_MAX_BODY", "value": "1M"}]}}),
            json!({"serving": {"env": [{"name": "SEGMENTER_QUEUE", "value": "1"}]}})),
        case("spec.accelerator.resourceName", "accelerator.resourceName is", json!({"accelerator": {"resourceName": "nvidia.com/mig-1g.10gb"}}), json!({"accelerator": {"resourceName": "gpu"}})),
        case("spec.availability.disruptionBudget", "availability.disruptionBudget has",
            json!({"availability": {"disruptionBudget": {"minAvailable": 1}}}),
            json!({"availability": {"disruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}})),
        case("spec.availability.disruptionBudget.maxUnavailable", "availability.disruptionBudget.maxUnavailable is",
            json!({"availability": {"disruptionBudget": {"maxUnavailable": "25%"}}}),
            json!({"availability": {"disruptionBudget": {"maxUnavailable": "a quarter"}}})),
        case("spec.availability.disruptionBudget.maxUnavailable", "availability.disruptionBudget.maxUnavailable is",
            json!({"availability": {"disruptionBudget": {"maxUnavailable": 0}}}),
            json!({"availability": {"disruptionBudget": {"maxUnavailable": -1}}})),
        case("spec.availability.disruptionBudget.minAvailable", "availability.disruptionBudget.minAvailable is",
            json!({"availability": {"disruptionBudget": {"minAvailable": "100%"}}}),
            json!({"availability": {"disruptionBudget": {"minAvailable": "101%"}}})),
        // A number in quotes is none to Kubernetes.
        case("spec.availability.disruptionBudget.minAvailable", "availability.disruptionBudget.minAvailable is",
            json!({"availability": {"disruptionBudget": {"minAvailable": 2}}}),
            json!({"availability": {"disruptionBudget": {"minAvailable": "2"}}})),
        case("spec.exposure.ingress.hosts", "exposure.ingress.tls needs",
            json!({"exposure": {"ingress": {"hosts": ["a.example.com"], "tls": {"secretName": "a"}}}}),
            json!({"exposure": {"ingress": {"tls": {"secretName": "a"}}}})),
        case("spec.exposure.ingress.hosts", "exposure.ingress.tls needs",
            json!({"exposure": {"ingress": {"hosts": []}}}),
            json!({"exposure": {"ingress": {"hosts": [], "tls": {"secretName": "a"}}}})),
        case("spec.exposure.ingress.hosts", "exposure.ingress.hosts are",
            json!({"exposure": {"ingress": {"hosts": ["*.example.com", "localhost"]}}}),
            json!({"exposure": {"ingress": {"hosts": ["https://a.example.com"]}}})),
        case("spec.exposure.ingress.hosts", "exposure.ingress.hosts are",
            json!({"exposure": {"ingress": {"hosts": ["1.example.com"]}}}),
            json!({"exposure": {"ingress": {"hosts": ["192.0.2.1"]}}})),
        case("spec.exposure.ingress.path", "exposure.ingress.path begins", json!({"exposure": {"ingress": {"path": "/predict"}}}), json!({"exposure": {"ingress": {"path": "predict"}}})),
        case("spec.exposure.gateway", "exposure.gateway with neither", gateway(&json!({"http": false})), gateway(&json!({"http": false, "grpc": false}))),
        case("spec.exposure.gateway", "a Gateway tells HTTP", gateway(&json!({})), gateway(&json!({"grpcHosts": ["c.example.com", "a.example.com"]}))),
        // No names are all names.
        case("spec.exposure.gateway", "a Gateway tells HTTP", gateway(&json!({"hosts": [], "grpc": false})), gateway(&json!({"hosts": []}))),
        case("spec.exposure.gateway.parentRefs", "exposure.gateway.parentRefs names",
            gateway(&json!({"parentRefs": [{"name": "a", "namespace": "b", "sectionName": "c"}]})), gateway(&json!({"parentRefs": []}))),
        case("spec.exposure.gateway.hosts", "exposure.gateway.hosts are", gateway(&json!({"hosts": ["*.example.com"]})), gateway(&json!({"hosts": ["A.example.com"]}))),
        case("spec.exposure.gateway.grpcHosts", "exposure.gateway.grpcHosts are", gateway(&json!({"grpcHosts": ["*.example.com"]})), gateway(&json!({"grpcHosts": ["b.example.com:443"]}))),
        case("spec.pod.labels", "pod.labels may not", json!({"pod": {"labels": {"example.com/team": "a"}}}), json!({"pod": {"labels": {"app.kubernetes.io/name": "a"}}})),
        case("spec.pod.labels", "pod.labels may not", json!({"pod": {"labels": {}}}), json!({"pod": {"labels": {"segmenter.dev/a": "a"}}})),
        case("spec.scaling.replicas", "scaling.replicas is for mode Fixed", json!({"scaling": {"replicas": 3}}), json!({"scaling": {"mode": "HPA", "maxReplicas": 5, "replicas": 3}})),
        case("spec.scaling", "scaling.minReplicas and scaling.maxReplicas are", json!({"scaling": {"mode": "HPA", "minReplicas": 1, "maxReplicas": 2}}), json!({"scaling": {"maxReplicas": 2}})),
        case("spec.scaling.maxReplicas", "an autoscaler needs", json!({"scaling": {"mode": "HPA", "maxReplicas": 2}}), json!({"scaling": {"mode": "HPA"}})),
        case("spec.scaling.minReplicas", "scaling.minReplicas (1 if not given)",
            json!({"scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 2}}),
            json!({"scaling": {"mode": "HPA", "minReplicas": 3, "maxReplicas": 2}})),
        case("spec.scaling.minReplicas", "scaling.minReplicas: 0 needs",
            json!({"scaling": {"mode": "KEDA", "minReplicas": 0, "maxReplicas": 2, "keda": {
                "prometheusAddress": "http://a", "trigger": {"query": {"promql": "sum(up)", "threshold": 1.0}}}}}),
            json!({"scaling": {"mode": "KEDA", "minReplicas": 0, "maxReplicas": 2, "keda": {
                "prometheusAddress": "http://a", "trigger": {"inFlight": 2}}}})),
        case("spec.scaling.minReplicas", "scaling.minReplicas: 0 needs",
            json!({"scaling": {"mode": "HPA", "minReplicas": 1, "maxReplicas": 2}}),
            json!({"scaling": {"mode": "HPA", "minReplicas": 0, "maxReplicas": 2}})),
        case("spec.scaling.hpa", "scaling.hpa is for mode HPA",
            json!({"scaling": {"mode": "HPA", "maxReplicas": 2, "hpa": {"memoryUtilization": 70}}}),
            json!({"scaling": {"hpa": {"memoryUtilization": 70}}})),
        case("spec.scaling.hpa", "scaling.hpa needs something",
            json!({"scaling": {"mode": "HPA", "maxReplicas": 2, "hpa": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}}),
            json!({"scaling": {"mode": "HPA", "maxReplicas": 2, "hpa": {"metrics": []}}})),
        case("spec.scaling.keda", "scaling.keda is for mode KEDA", keda(&json!({})), json!({"scaling": {"keda": {"prometheusAddress": "http://a"}}})),
        case("spec.scaling.keda", "mode KEDA needs", keda(&json!({})), json!({"scaling": {"mode": "KEDA", "maxReplicas": 2}})),
        case("spec.scaling.keda.prometheusAddress", "scaling.keda.prometheusAddress is", keda(&json!({"prometheusAddress": "https://a/prometheus"})), keda(&json!({"prometheusAddress": "a:9090"}))),
        case("spec.scaling.keda.metadata", "scaling.keda.metadata may not", keda(&json!({"metadata": {"ignoreNullValues": "false"}})), keda(&json!({"metadata": {"threshold": "1"}}))),
        case("spec.scaling.keda.trigger", "scaling.keda.trigger has one of", keda(&json!({"trigger": {"queueDepth": 1}})), keda(&json!({"trigger": {"queueDepth": 1, "inFlight": 1}}))),
        case("spec.scaling.keda.trigger.query.threshold", "scaling.keda.trigger.query.threshold is",
            keda(&json!({"trigger": {"query": {"promql": "sum(up)", "threshold": 0.5}}})),
            keda(&json!({"trigger": {"query": {"promql": "sum(up)", "threshold": 0}}}))),
    ]
}

/// Every rule of the CRD: where it complains, and what it says.
fn rules() -> Result<Vec<(String, String)>> {
    fn collect(schema: &Value, path: &str, rules: &mut Vec<(String, String)>) {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let field = rule["fieldPath"].as_str().unwrap_or_default();
            let message = rule["message"].as_str().unwrap_or_default();
            let place = format!("{path}{field}");
            rules.push((place.trim_start_matches('.').to_owned(), message.to_owned()));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            collect(property, &format!("{path}.{name}"), rules);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                collect(&schema[inner], &format!("{path}[]"), rules);
            }
        }
    }
    let crd = serde_json::to_value(crd())?;
    let mut rules = Vec::new();
    collect(
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        "",
        &mut rules,
    );
    Ok(rules)
}

/// What somebody writes, as an object of any kind: the types would fill in defaults on the way.
fn written(body: &Value) -> Result<DynamicObject> {
    let mut object = body.clone();
    object["apiVersion"] = json!("segmenter.dev/v1alpha1");
    object["kind"] = json!("SegmenterService");
    Ok(serde_json::from_value(object)?)
}

/// The same, as this program knows it.
fn service(body: &Value) -> Result<SegmenterService> {
    Ok(written(body)?.try_parse()?)
}

/// The API server's answer to what somebody writes, without anything being stored.
async fn submit(stage: &Stage, body: &Value) -> Result<DynamicObject> {
    let resource = ApiResource::erase::<SegmenterService>(&());
    let services = Api::namespaced_with(stage.client.clone(), &stage.namespace, &resource);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    Ok(services.create(&dry, &written(body)?).await?)
}

pub(crate) async fn both_engines_agree_on_every_rule(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(plane, "rules").await?;
    let rules = rules()?;
    let mut seen = BTreeSet::new();
    for Case {
        field,
        message,
        accepted,
        rejected,
    } in cases()
    {
        let found = rules
            .iter()
            .filter(|(place, said)| place == field && said.starts_with(message));
        let [(_, said)] = found.collect::<Vec<_>>()[..] else {
            bail!("{field}: not one rule says {message:?}");
        };
        seen.insert((field.to_owned(), said.clone()));

        let answer = submit(&stage, &accepted).await;
        let answer = answer.with_context(|| format!("the API server refuses {accepted}"))?;
        validate(&answer.try_parse()?)
            .with_context(|| format!("kube refuses {accepted} with its defaults"))?;
        validate(&service(&accepted)?).with_context(|| format!("kube refuses {accepted}"))?;

        let Err(refused) = submit(&stage, &rejected).await else {
            bail!("the API server takes {rejected}");
        };
        let causes = match refused.downcast_ref() {
            Some(kube::Error::Api(status)) if status.code == 422 => status
                .details
                .clone()
                .map(|details| details.causes)
                .unwrap_or_default(),
            _ => bail!("the API server should refuse {rejected} as invalid: {refused:#}"),
        };
        let [cause] = &causes[..] else {
            bail!("{rejected}: more than one complaint: {causes:#?}");
        };
        ensure!(
            cause.field == field && cause.message.contains(said.as_str()),
            "{rejected}: {}: {}",
            cause.field,
            cause.message
        );
        let Err(errors) = validate(&service(&rejected)?) else {
            bail!(
                "kube takes {rejected}, which the API server refuses: {}",
                cause.message
            );
        };
        let [error] = &errors[..] else {
            bail!("{rejected}: more than one complaint of kube's: {errors}");
        };
        ensure!(
            error.field_path.trim_start_matches('.') == field && error.message == *said,
            "{rejected}: kube says {error}"
        );
    }
    let all: BTreeSet<_> = rules.into_iter().collect();
    let untested: Vec<_> = all.difference(&seen).collect();
    ensure!(untested.is_empty(), "rules without a case: {untested:#?}");
    println!("{} rules", all.len());
    Ok(())
}

/// What is not given is filled in by the API server as it is in Rust.
pub(crate) async fn both_sides_fill_in_the_same_defaults(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(plane, "defaults").await?;
    let answer = submit(&stage, &named("demo")).await?;
    let ours = serde_json::to_value(SegmenterServiceSpec::default())?;
    ensure!(
        answer.data["spec"] == ours,
        "{:#} is not {ours:#}",
        answer.data["spec"]
    );

    for spec in [
        json!({"exposure": {"ingress": {}, "gateway": {"parentRefs": [{"name": "a"}], "grpc": false}}}),
        json!({"accelerator": {}, "model": {"source": {"image": {"reference": "a", "path": "b"}}}}),
        json!({"scaling": {"mode": "KEDA", "maxReplicas": 2, "keda": {"prometheusAddress": "http://a"}}}),
        json!({"observability": {"serviceMonitor": {}, "rules": {}, "dashboard": {}}, "availability": {"disruptionBudget": {}}}),
        // As from a template with a hole in it.
        json!({"scaling": null, "model": {"digest": null, "source": null}, "serving": {"queue": null}, "resources": null}),
    ] {
        let answer = submit(&stage, &json!({"metadata": {"name": "demo"}, "spec": spec})).await?;
        let mut given = spec.clone();
        without_nulls(&mut given);
        let read: SegmenterServiceSpec = serde_json::from_value(given)?;
        let ours = serde_json::to_value(read)?;
        ensure!(
            answer.data["spec"] == ours,
            "{spec}: {:#} is not {ours:#}",
            answer.data["spec"]
        );
    }
    Ok(())
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

/// Applying the CRD from a file, as people do, in both ways that there are.
pub(crate) async fn kubectl_applies_the_crd(plane: Arc<ControlPlane>) -> Result {
    let text = serde_json::to_string(&crd())?;
    for how in [
        &["apply", "--dry-run=server", "--filename", "-"][..],
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--filename",
            "-",
        ],
    ] {
        plane.kubectl_with_input(how, &text).await?.ok()?;
    }
    Ok(())
}

/// Somebody else's variable, applied by their own tool, stays beside the first one's.
pub(crate) async fn variables_of_two_people_do_not_overwrite_each_other(
    plane: Arc<ControlPlane>,
) -> Result {
    let stage = Stage::without_operator(plane, "variables").await?;
    for (who, name) in [("one", "A"), ("other", "B")] {
        let object = json!({
            "apiVersion": "segmenter.dev/v1alpha1", "kind": "SegmenterService", "metadata": {"name": "demo"},
            "spec": {"serving": {"env": [{"name": name, "value": who}]}},
        });
        stage
            .services()
            .patch("demo", &PatchParams::apply(who), &Patch::Apply(&object))
            .await?;
    }
    let service = stage.services().get("demo").await?;
    let names: Vec<_> = service
        .spec
        .serving
        .env
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    ensure!(names == ["A", "B"], "{names:?}");

    let twice = json!({"metadata": {"name": "twice"}, "spec": {"serving": {"env": [{"name": "A"}, {"name": "A"}]}}});
    let refused = submit(&stage, &twice)
        .await
        .err()
        .context("a variable is there twice")?;
    ensure!(refused.to_string().contains("Duplicate value"), "{refused}");
    Ok(())
}
