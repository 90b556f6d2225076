use super::crd::{Fault, rule, rule_on};
use schemars::JsonSchema;
use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many pods there are, and who decides.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct Scaling {
    /// Who decides: Fixed (`replicas`), HPA (a HorizontalPodAutoscaler) or KEDA (a ScaledObject, which may
    /// go down to no pods).
    pub mode: ScalingMode,
    /// How many pods, in mode Fixed. `kubectl scale` sets it.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// The fewest pods, in modes HPA and KEDA. By default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: Option<i32>,
    /// The most pods, in modes HPA and KEDA, which need it. By default there is none, for mode Fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
    /// What the HorizontalPodAutoscaler goes by. By default 80 % of the requested processor time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hpa: Option<Hpa>,
    /// What KEDA goes by, in mode KEDA, which needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mode: ScalingMode::Fixed,
            replicas: 1,
            min_replicas: None,
            max_replicas: None,
            hpa: None,
            keda: None,
        }
    }
}

/// What fits together.
fn rules() -> [Value; 8] {
    [
        rule_on(
            ".replicas",
            Fault::Invalid,
            "self.mode == 'Fixed' || self.replicas == 1",
            "scaling.replicas is for mode Fixed: remove it, or set it to 1; an autoscaler goes by \
             scaling.minReplicas and scaling.maxReplicas",
        ),
        rule(
            "self.mode != 'Fixed' || (!has(self.minReplicas) && !has(self.maxReplicas))",
            "scaling.minReplicas and scaling.maxReplicas are for modes HPA and KEDA: set scaling.mode to \
             one of them, or remove both; mode Fixed goes by scaling.replicas",
        ),
        rule_on(
            ".maxReplicas",
            Fault::Required,
            "self.mode == 'Fixed' || has(self.maxReplicas)",
            "an autoscaler needs scaling.maxReplicas: the most pods that you want to pay for",
        ),
        rule_on(
            ".minReplicas",
            Fault::Invalid,
            "!has(self.maxReplicas) || (has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            "scaling.minReplicas (1 if not given) is more than scaling.maxReplicas: lower the one or raise \
             the other",
        ),
        rule_on(
            ".minReplicas",
            Fault::Invalid,
            "!has(self.minReplicas) || self.minReplicas >= 1 \
             || (self.mode == 'KEDA' && has(self.keda) && has(self.keda.trigger.query))",
            "scaling.minReplicas: 0 needs mode KEDA and scaling.keda.trigger.query: without pods only figures \
             from elsewhere, such as those of your ingress, can wake the service; to stop it, use spec.suspend",
        ),
        rule_on(
            ".hpa",
            Fault::Forbidden,
            "self.mode == 'HPA' || !has(self.hpa)",
            "scaling.hpa is for mode HPA: set scaling.mode to HPA, or remove it",
        ),
        rule_on(
            ".keda",
            Fault::Forbidden,
            "self.mode == 'KEDA' || !has(self.keda)",
            "scaling.keda is for mode KEDA: set scaling.mode to KEDA, or remove it",
        ),
        rule_on(
            ".keda",
            Fault::Required,
            "self.mode != 'KEDA' || has(self.keda)",
            "mode KEDA needs scaling.keda.prometheusAddress: where Prometheus answers queries, such as \
             http://prometheus-operated.monitoring:9090",
        ),
    ]
}

/// Who decides how many pods there are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalingMode {
    /// Nobody: there are as many as `replicas` says.
    #[default]
    Fixed,
    /// A HorizontalPodAutoscaler.
    #[serde(rename = "HPA")]
    Hpa,
    /// A ScaledObject of KEDA.
    #[serde(rename = "KEDA")]
    Keda,
}

/// What a HorizontalPodAutoscaler goes by.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule("has(self.cpuUtilization) || has(self.memoryUtilization) || (has(self.metrics) && size(self.metrics) > 0)", "scaling.hpa needs something to go by: give cpuUtilization, memoryUtilization or metrics, or remove scaling.hpa for 80 % of the requested processor time")]))]
pub struct Hpa {
    /// The processor time that pods should use, in percent of what they request. By default it does not
    /// count, unless the whole of `hpa` is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu_utilization: Option<i32>,
    /// The memory that pods should use, in percent of what they request. By default it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub memory_utilization: Option<i32>,
    /// Any other metrics, as `autoscaling/v2` has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub metrics: Vec<MetricSpec>,
    /// How fast it goes up and down, as `autoscaling/v2` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// What KEDA goes by: figures that the pods report to Prometheus.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Keda {
    /// Where Prometheus answers queries, such as `http://prometheus-operated.monitoring:9090`.
    #[schemars(length(max = 2048))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.matches('^https?://[^/ ]+(/[^ ]*)?$')", "scaling.keda.prometheusAddress is an http:// or https:// address, such as http://prometheus-operated.monitoring:9090")]))]
    pub prometheus_address: String,
    /// What is measured, and how much of it one pod should have. By default 4 requests under way.
    #[serde(default)]
    pub trigger: KedaTrigger,
    /// How often it looks, in seconds.
    #[serde(default = "polling_interval")]
    #[schemars(range(min = 1, max = 3600))]
    pub polling_interval_seconds: i32,
    /// How long there must be nothing to do before the last pod goes, in seconds.
    #[serde(default = "cooldown_period")]
    #[schemars(range(min = 0, max = 86400))]
    pub cooldown_seconds: i32,
    /// What to do while Prometheus does not answer. By default everything stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// How fast it goes up and down, as `autoscaling/v2` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
    /// More settings of the trigger, as KEDA's `prometheus` scaler has them, such as `ignoreNullValues`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.all(key, !(key in ['serverAddress', 'query', 'threshold']))", "scaling.keda.metadata may not hold serverAddress, query or threshold: use scaling.keda.prometheusAddress and scaling.keda.trigger")]))]
    pub metadata: BTreeMap<String, String>,
}

fn polling_interval() -> i32 {
    15
}

fn cooldown_period() -> i32 {
    300
}

/// What is measured, and how much of it one pod should have.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule("[has(self.inFlight), has(self.queueDepth), has(self.requestsPerSecond), has(self.query)].filter(given, given).size() <= 1", "scaling.keda.trigger has one of inFlight, queueDepth, requestsPerSecond and query, not several: remove all but one")]))]
pub struct KedaTrigger {
    /// Requests under way. By default 4, if nothing else is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub in_flight: Option<i32>,
    /// Pictures that wait for the network. By default they do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub queue_depth: Option<i32>,
    /// Predictions that are answered in a second. By default they do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_second: Option<i32>,
    /// A figure of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
}

/// A figure of your own.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// PromQL that returns one number.
    #[schemars(length(min = 1, max = 4096))]
    pub promql: String,
    /// How much of it one pod should have.
    #[schemars(extend("x-kubernetes-validations" = [rule("self > 0.0", "scaling.keda.trigger.query.threshold is how much of the figure one pod should have, more than 0")]))]
    pub threshold: f64,
}

/// What to do while Prometheus does not answer.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// After how many failed queries.
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: i32,
    /// How many pods to have then.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
}
