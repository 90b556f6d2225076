//! Kinds of other projects, as far as the operator writes them.
//!
//! Hand-written: crates with the whole of them lag behind `kube`, and only these fields are emitted. What
//! the operator reads of such objects is their status, which is small enough to read as JSON.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscalerBehavior,
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// What Prometheus scrapes, for the Prometheus Operator.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "ServiceMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitorSpec {
    /// The Services.
    pub selector: LabelSelector,
    /// Their ports.
    pub endpoints: Vec<Endpoint>,
}

/// A port that is scraped.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The port's name in the Service.
    pub port: String,
    /// The HTTP path.
    pub path: String,
    /// How often, such as `30s`.
    pub interval: String,
}

/// What Prometheus warns of, for the Prometheus Operator.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PrometheusRule",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct PrometheusRuleSpec {
    /// Rules that are evaluated together.
    pub groups: Vec<RuleGroup>,
}

/// Rules that are evaluated together.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct RuleGroup {
    /// The group's name.
    pub name: String,
    /// Its rules.
    pub rules: Vec<AlertRule>,
}

/// A condition to warn of.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct AlertRule {
    /// The alert's name.
    pub alert: String,
    /// PromQL; whatever it returns is warned of.
    pub expr: String,
    /// For how long it has to hold.
    #[serde(rename = "for")]
    pub hold: String,
    /// Labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
}

/// HTTP through a Gateway.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    root = "HttpRoute",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways.
    pub parent_refs: Vec<ParentReference>,
    /// Host names; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// What goes where.
    pub rules: Vec<HttpRouteRule>,
}

/// gRPC through a Gateway.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "GRPCRoute",
    plural = "grpcroutes",
    root = "GrpcRoute",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// The Gateways.
    pub parent_refs: Vec<ParentReference>,
    /// Host names; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// What goes where.
    pub rules: Vec<GrpcRouteRule>,
}

/// A Gateway, or one of its listeners.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// `gateway.networking.k8s.io`.
    pub group: String,
    /// `Gateway`.
    pub kind: String,
    /// The Gateway's name.
    pub name: String,
    /// Its namespace, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The listener, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// Which requests go where.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Which.
    pub matches: Vec<HttpRouteMatch>,
    /// Where.
    pub backend_refs: Vec<BackendRef>,
}

/// Which requests.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct HttpRouteMatch {
    /// By their path.
    pub path: PathMatch,
}

/// Requests by their path.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct PathMatch {
    /// How the path is compared, such as `PathPrefix`.
    #[serde(rename = "type")]
    pub kind: String,
    /// With what.
    pub value: String,
}

/// Where calls go.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteRule {
    /// Where.
    pub backend_refs: Vec<BackendRef>,
}

/// A Service that requests go to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct BackendRef {
    /// The Service.
    pub name: String,
    /// Its port.
    pub port: i32,
}

/// What KEDA scales, and by what.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The Deployment.
    pub scale_target_ref: ScaleTargetRef,
    /// The fewest pods.
    pub min_replica_count: i32,
    /// The most.
    pub max_replica_count: i32,
    /// Seconds between looks.
    pub polling_interval: i32,
    /// Seconds without anything to do before the last pod goes.
    pub cooldown_period: i32,
    /// The same, after the ScaledObject is made.
    pub initial_cooldown_period: i32,
    /// What to do while the figures are not to be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<ScaledObjectFallback>,
    /// How fast it goes up and down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advanced: Option<Advanced>,
    /// The figures.
    pub triggers: Vec<Trigger>,
}

/// A Deployment that is scaled.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTargetRef {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What KEDA does while the figures are not to be had.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectFallback {
    /// After how many failures.
    pub failure_threshold: i32,
    /// How many pods.
    pub replicas: i32,
}

/// How fast KEDA goes up and down.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// What KEDA passes on to the HorizontalPodAutoscaler that it makes.
    pub horizontal_pod_autoscaler_config: HpaConfig,
}

/// What KEDA passes on to a HorizontalPodAutoscaler.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct HpaConfig {
    /// How fast it goes up and down.
    pub behavior: HorizontalPodAutoscalerBehavior,
}

/// A figure that KEDA goes by.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// KEDA's scaler, such as `prometheus`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What that scaler wants to know.
    pub metadata: BTreeMap<String, String>,
}
