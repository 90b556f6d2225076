use super::crd::{Fault, rule, rule_on};
use k8s_openapi::api::core::v1::EnvVar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the server listens, how much it takes on and how long anything may take.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule_on(".grpcPort", Fault::Invalid, "self.httpPort != self.grpcPort", "serving.httpPort and serving.grpcPort are two ports: give them two numbers"), rule_on(".graceSeconds", Fault::Invalid, "self.graceSeconds >= self.deadlineSeconds", "serving.graceSeconds has to be at least serving.deadlineSeconds, or a rollout cuts off requests that still have time")]))]
pub struct Serving {
    /// Port of HTTP, in the pod and in the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: i32,
    /// Port of gRPC, in the pod and in the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub grpc_port: i32,
    /// Requests that may wait in a pod; one more is answered 429 at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub queue: i32,
    /// The longest that a request may take, in seconds; callers may ask for less.
    #[schemars(range(min = 1, max = 3600))]
    pub deadline_seconds: i32,
    /// For how long a pod that is told to stop still accepts requests, while load balancers notice.
    #[schemars(range(min = 0, max = 600))]
    pub drain_seconds: i32,
    /// For how long after that requests that were accepted may go on.
    #[schemars(range(min = 0, max = 3600))]
    pub grace_seconds: i32,
    /// The least severe lines that are logged.
    pub log_level: LogLevel,
    /// More environment variables of the server, such as `SEGMENTER_MAX_BODY`; `segmenter serve --help`
    /// lists them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    // A name that is there twice is refused, and several people may each apply variables of their own.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[schemars(extend("x-kubernetes-validations" = [rule("self.all(variable, !(variable.name in ['SEGMENTER_MODEL', 'SEGMENTER_MODEL_DIR', 'SEGMENTER_WEIGHTS', 'SEGMENTER_SHA256', 'SEGMENTER_OFFLINE', 'SEGMENTER_DEVICE', 'SEGMENTER_THRESHOLD', 'SEGMENTER_CLASSES', 'SEGMENTER_HTTP', 'SEGMENTER_GRPC', 'SEGMENTER_QUEUE', 'SEGMENTER_DEADLINE', 'SEGMENTER_DRAIN_DELAY', 'SEGMENTER_GRACE', 'SEGMENTER_LOG_LEVEL', 'SEGMENTER_LOG_FORMAT']))", "serving.env may not hold what has a field of its own: use spec.model, spec.serving and spec.accelerator")]))]
    pub env: Vec<EnvVar>,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            http_port: 8080,
            grpc_port: 9090,
            queue: 64,
            deadline_seconds: 30,
            drain_seconds: 5,
            grace_seconds: 30,
            log_level: LogLevel::Info,
            env: Vec::new(),
        }
    }
}

/// The least severe lines that are logged.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may fail soon.
    Warn,
    /// What is of interest.
    #[default]
    Info,
    /// What helps to find an error.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As the server reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
