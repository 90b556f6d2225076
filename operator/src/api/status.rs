use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is, as opposed to what should be.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct SegmenterServiceStatus {
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds: Accepted, ModelReady, WorkloadReady, ScalingReady, Routed, Monitored, Ready, Progressing
    /// and Degraded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that answer.
    pub ready_replicas: i32,
    /// Pods that answer, of those that there should be, such as `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<String>,
    /// Selects the pods, for `kubectl scale` and autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where HTTP is answered: through the Ingress if there is one, else inside the cluster. The scheme and
    /// the port of a Gateway are its listeners'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where gRPC is answered: the Gateway's host name, whose port is its listener's, or the address inside
    /// the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_address: Option<String>,
    /// The operator's default image at the time when the pod template last changed: a new default does not
    /// restart pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A hash of that pod template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// What keeps a pod from answering, while one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The model that answers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Its name in the catalogue.
    pub name: String,
    /// Where its weights come from: embedded, http, pvc or image.
    pub source: String,
    /// What the weights must be, where that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What keeps a pod from answering.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The pod.
    pub pod: String,
    /// The container, where it is one's fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// In a word.
    pub reason: String,
    /// What the container ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// In words.
    pub message: String,
}
