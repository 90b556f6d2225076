//! What the chart allows the operator is what the operator needs: no less, and no more.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    events::v1::Event,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use segmenter_cluster::{AuditEvent, ControlPlane, Crds, Options, Tools, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::{Value, json};

use crate::{
    chart,
    support::{
        Result, SOON, Stage,
        rights::{RELEASE, SYSTEM, install},
    },
};

/// Rights that are granted though the life below does not use them, and why.
const UNUSED: [(&str, &str); 0] = [];

/// The namespace with services.
const SHOP: &str = "shop";

pub(crate) async fn of_the_whole_cluster(_: Arc<ControlPlane>) -> Result {
    let plane = start().await?;
    install(&plane, RELEASE, &[]).await?;
    a_whole_life(plane).await
}

pub(crate) async fn of_named_namespaces(_: Arc<ControlPlane>) -> Result {
    let plane = start().await?;
    install(&plane, RELEASE, &["watchNamespaces={shop,barn}"]).await?;
    let bindings = ["get", "clusterrolebindings,clusterroles", "--output=name"];
    let bindings = plane.kubectl(&bindings).await?.ok()?;
    ensure!(!bindings.contains(RELEASE), "{bindings}");
    // What is elsewhere is none of its business.
    let elsewhere = Stage::without_operator(Arc::clone(&plane), "elsewhere").await?;
    elsewhere.apply("demo", &json!({})).await?;
    a_whole_life(plane).await?;
    elsewhere.has_exactly("demo", &[]).await?;
    let service = elsewhere.services().get("demo").await?;
    ensure!(service.status.is_none(), "{service:?}");
    Ok(())
}

/// A control plane with the kind and nothing else, and two namespaces.
async fn start() -> Result<Arc<ControlPlane>> {
    let options = Options {
        // As OpenShift has it: then owners whose deletion is blocked take a right of their own.
        api_server: vec![
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
        ],
        ..Options::default()
    };
    let plane = ControlPlane::start(&Tools::find()?, options).await?;
    install(&plane, "segmenter-crds", &[]).await?;
    for namespace in [SHOP, "barn"] {
        plane
            .kubectl(&["create", "namespace", namespace])
            .await?
            .ok()?;
    }
    Ok(Arc::new(plane))
}

/// Everything that can be asked for; what foreign kinds there are is for the cluster to say.
fn everything() -> Value {
    json!({
        "scaling": {"mode": "HPA", "minReplicas": 2, "maxReplicas": 5},
        "exposure": {
            "ingress": {"hosts": ["demo.example.com"]},
            "gateway": {
                "parentRefs": [{"name": "public"}],
                "hosts": ["demo.example.com"],
                "grpcHosts": ["grpc.example.com"],
            },
        },
        "security": {"networkPolicy": {"enabled": true}},
        "observability": {"dashboard": {"enabled": true}},
    })
}

/// Two replicas of the operator from their start to their end, and a service from its.
async fn a_whole_life(plane: Arc<ControlPlane>) -> Result {
    let mut stage = Stage::in_namespace(Arc::clone(&plane), SHOP)?;
    stage.user = format!("system:serviceaccount:{SYSTEM}:{RELEASE}");
    let mut first = chart::replica(&plane, "segmenter-operator-0").await?;
    chart::leads(&first).await?;
    let mut second = chart::replica(&plane, "segmenter-operator-1").await?;
    let waits = second.answers("/readyz", 200).await?;
    ensure!(waits.contains(r#""leads":false"#), "{waits}");

    // In a cluster that has nothing but Kubernetes.
    let mut spec = everything();
    stage.apply("demo", &spec).await?;
    let own = Kind::ALL
        .into_iter()
        .filter(|kind| kind.provider().is_none());
    stage.has_exactly("demo", &own.collect::<Vec<_>>()).await?;

    // What fails twice is told of twice, in one event.
    let bad = json!({"pod": {"overlay": {"metadata": {"nane": "x"}}}});
    for _ in 0..2 {
        stage.apply("other", &bad).await?;
        stage
            .condition("other", "Degraded", "True", "InvalidSpec")
            .await?;
        stage.apply("other", &json!({})).await?;
        stage
            .condition("other", "Accepted", "True", "Valid")
            .await?;
    }
    let events = Api::<Event>::namespaced(stage.client.clone(), SHOP);
    eventually("an event of both", SOON, async || {
        let events = events.list(&ListParams::default()).await?;
        let mut events = events.items.into_iter();
        let repeated = events.any(|event| event.series.is_some_and(|series| series.count == 2));
        Ok(repeated.then_some(()))
    })
    .await?;

    // One replica ends, the other goes on, and the cluster gets everything else.
    ensure!(first.stop().await? == Some(0));
    let began = Instant::now();
    chart::leads(&second).await?;
    println!("taken over in {} ms", began.elapsed().as_millis());
    for crds in [Crds::GatewayApi, Crds::PrometheusOperator, Crds::Keda] {
        plane.install_crds(&crds).await?;
    }
    let all = Kind::ALL.into_iter();
    let with_hpa: Vec<_> = all.filter(|kind| *kind != Kind::ScaledObject).collect();
    stage.has_exactly("demo", &with_hpa).await?;

    let keda = json!({"prometheusAddress": "http://prometheus.example.com"});
    spec["scaling"] = json!({"mode": "KEDA", "minReplicas": 2, "maxReplicas": 5, "keda": keda});
    stage.apply("demo", &spec).await?;
    let all = Kind::ALL.into_iter();
    let with_keda: Vec<_> = all
        .filter(|kind| *kind != Kind::HorizontalPodAutoscaler)
        .collect();
    stage.has_exactly("demo", &with_keda).await?;
    spec["suspend"] = json!(true);
    stage.apply("demo", &spec).await?;
    stage
        .condition("demo", "Ready", "False", "Suspended")
        .await?;
    let nothing = json!({"observability": {
        "serviceMonitor": {"enabled": false},
        "rules": {"enabled": false},
    }});
    stage.apply("demo", &nothing).await?;
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service])
        .await?;
    let parameters = DeleteParams::background();
    stage.services().delete("demo", &parameters).await?;
    stage.has_exactly("demo", &[]).await?;
    // A watch is in the log once it has ended.
    ensure!(second.stop().await? == Some(0));

    let asked: Vec<_> = plane.audit().await?;
    let asked: Vec<_> = asked
        .into_iter()
        .filter(|event| event.user == stage.user)
        .collect();
    let refused: Vec<_> = asked.iter().filter(|event| !event.allowed).collect();
    ensure!(refused.is_empty(), "it may not: {refused:#?}");
    let used = used(&asked);
    let granted = granted(&stage).await?;
    println!("{} requests, {} rights", asked.len(), granted.len());
    let mut unused: Vec<_> = granted.difference(&used).collect();
    unused.retain(|right| !UNUSED.iter().any(|(known, _)| known == right));
    ensure!(unused.is_empty(), "granted but never used: {unused:#?}");
    Ok(())
}

/// Rights as `verb group/resource`.
fn right(verb: &str, group: &str, resource: &str) -> String {
    format!("{verb} {group}/{resource}")
}

fn used(asked: &[AuditEvent]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for event in asked {
        let resource = match event.subresource.as_str() {
            "" => event.resource.clone(),
            subresource => format!("{}/{subresource}", event.resource),
        };
        used.insert(right(&event.verb, &event.group, &resource));
        // An apply that makes the object takes the right to create it, besides that to patch it.
        if event.verb == "patch" && event.code == 201 {
            used.insert(right("create", &event.group, &resource));
        }
    }
    used
}

/// Everything that roles of the release allow.
async fn granted(stage: &Stage) -> Result<BTreeSet<String>> {
    let mine = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    let roles = Api::<Role>::all(stage.client.clone()).list(&mine).await?;
    let cluster_roles = Api::<ClusterRole>::all(stage.client.clone())
        .list(&mine)
        .await?;
    let rules = roles.items.into_iter().map(|role| role.rules);
    let rules: Vec<PolicyRule> = rules
        .chain(cluster_roles.items.into_iter().map(|role| role.rules))
        .flat_map(Option::unwrap_or_default)
        .collect();
    let mut granted = BTreeSet::new();
    for rule in rules {
        ensure!(rule.non_resource_urls.is_none(), "{rule:?}");
        let groups = rule.api_groups.context("a rule has groups")?;
        for resource in rule.resources.iter().flatten() {
            for (group, verb) in groups
                .iter()
                .flat_map(|group| rule.verbs.iter().map(move |verb| (group, verb)))
            {
                ensure!(resource != "secrets" && resource != "*" && verb != "*");
                granted.insert(right(verb, group, resource));
            }
        }
    }
    ensure!(granted.len() > 50, "{granted:?}");
    Ok(granted)
}
