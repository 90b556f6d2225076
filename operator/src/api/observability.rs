use schemars::JsonSchema;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What Prometheus and Grafana learn of the service. What needs the Prometheus Operator waits until the
/// cluster has it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Observability {
    /// What Prometheus scrapes: a ServiceMonitor.
    pub service_monitor: ServiceMonitor,
    /// What Prometheus warns of: a PrometheusRule.
    pub rules: Rules,
    /// What Grafana shows: a ConfigMap with a dashboard.
    pub dashboard: Dashboard,
}

/// What Prometheus scrapes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceMonitor {
    /// Whether there is one.
    pub enabled: bool,
    /// How often it scrapes, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: i32,
    /// Labels that your Prometheus selects by, such as `release: prometheus`, over those that the operator
    /// adds to all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub labels: BTreeMap<String, String>,
}

impl Default for ServiceMonitor {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_seconds: 30,
            labels: BTreeMap::new(),
        }
    }
}

/// What Prometheus warns of.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Rules {
    /// Whether there are any.
    pub enabled: bool,
    /// Labels that your Prometheus selects by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub labels: BTreeMap<String, String>,
    /// The share of predictions that may fail, in percent, before it warns.
    #[schemars(range(min = 1, max = 99))]
    pub error_percent: i32,
    /// The time that 95 % of predictions should stay under, in milliseconds; up to 30 seconds, beyond which
    /// the pods do not tell apart how long a prediction takes.
    #[schemars(range(min = 1, max = 30_000))]
    pub latency_milliseconds: i32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            enabled: true,
            labels: BTreeMap::new(),
            error_percent: 5,
            latency_milliseconds: 2500,
        }
    }
}

/// What Grafana shows.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Dashboard {
    /// Whether there is one.
    pub enabled: bool,
    /// Labels that Grafana's sidecar selects by.
    pub labels: BTreeMap<String, String>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            enabled: false,
            labels: BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())]),
        }
    }
}
