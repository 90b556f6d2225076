//! Kinds of other projects, and charts.

use std::{fs, sync::Arc};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use segmenter_cluster::{ControlPlane, Crds};

use crate::{Result, apply, namespace};

pub(crate) async fn foreign_kinds_are_served(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "foreign").await?;
    for crds in [Crds::GatewayApi, Crds::PrometheusOperator, Crds::Keda] {
        plane.install_crds(&crds).await?;
    }
    apply(
        &plane,
        r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: foreign}
spec: {parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web, namespace: foreign}
spec: {parentRefs: [{name: gateway}], rules: [{backendRefs: [{name: web, port: 90}]}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: web, namespace: foreign}
spec: {selector: {}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: web, namespace: foreign}
spec: {groups: [{name: web, rules: [{alert: Down, expr: 'up == 0'}]}]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web, namespace: foreign}
spec: {scaleTargetRef: {name: web}, triggers: [{type: cron, metadata: {}}]}
",
    )
    .await?;
    let names = plane
        .kubectl(&[
            "get",
            "httproutes,grpcroutes,servicemonitors,prometheusrules,scaledobjects",
            "--namespace=foreign",
            "--output=name",
        ])
        .await?
        .ok()?;
    ensure!(names.lines().count() == 5, "{names}");

    // Their schemas are in force.
    let wrong = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wrong, namespace: foreign}
spec: {rules: [{backendRefs: [{name: web, port: 0}]}]}
";
    let refused = plane
        .kubectl_with_input(&["apply", "--filename", "-"], wrong)
        .await?;
    ensure!(
        refused.stderr.contains("spec.rules[0].backendRefs[0].port"),
        "{refused:?}"
    );
    Ok(())
}

pub(crate) async fn helm_installs_a_chart(plane: Arc<ControlPlane>) -> Result {
    namespace(&plane, "charts").await?;
    let chart = tempfile::tempdir()?;
    fs::write(
        chart.path().join("Chart.yaml"),
        "{apiVersion: v2, name: greeting, version: 1.0.0, kubeVersion: '>=1.30.0-0'}",
    )?;
    fs::create_dir(chart.path().join("templates"))?;
    fs::write(
        chart.path().join("templates/greeting.yaml"),
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: '{{ .Values.text }}'}}",
    )?;
    let path = chart.path().to_str().context("not UTF-8")?;
    // Without a cluster to ask, the chart is for the version of Kubernetes that helm was built for.
    let template = plane
        .helm(&["template", "greeting", path, "--set=text=hello"])
        .await?
        .ok()?;
    ensure!(template.contains("hello"), "{template}");
    plane
        .helm(&[
            "install",
            "greeting",
            path,
            "--namespace=charts",
            "--set=text=hello",
        ])
        .await?
        .ok()?;
    let map = Api::<ConfigMap>::namespaced(plane.client()?, "charts")
        .get("greeting")
        .await?;
    let text = map.data.and_then(|mut data| data.remove("text"));
    ensure!(text.as_deref() == Some("hello"), "{text:?}");
    let version = plane.helm(&["version", "--short"]).await?.ok()?;
    ensure!(version.starts_with("v3."), "{version}");
    Ok(())
}
