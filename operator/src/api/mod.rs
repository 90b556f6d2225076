//! The `SegmenterService` resource: its fields, defaults, rules and status.
//!
//! Doc comments here become what `kubectl explain` prints. Rules are CEL, which the API server evaluates;
//! [`validate`] runs the same rules without one. What CEL cannot
//! see, such as whether a Secret exists, shows in the status.

#![allow(
    clippy::duplicated_attributes,
    reason = "every printcolumn has a name, a type and a path"
)]

mod availability;
mod crd;
mod exposure;
mod image;
mod model;
mod observability;
mod pod;
mod scaling;
mod security;
mod serving;
mod status;

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    availability::{Availability, DisruptionBudget, Rollout, RolloutStrategy, TopologySpread},
    crd::{crd, validate},
    exposure::{Exposure, Gateway, Ingress, IngressTls, ParentRef},
    image::{Image, PullPolicy},
    model::{EmbeddedSource, HttpSource, ImageVolumeSource, Model, ModelSource, PvcSource},
    observability::{Dashboard, Observability, Rules, ServiceMonitor},
    pod::{Accelerator, Pod},
    scaling::{Fallback, Hpa, Keda, KedaTrigger, Query, Scaling, ScalingMode},
    security::{NetworkPolicy, Security},
    serving::{LogLevel, Serving},
    status::{Failure, ModelStatus, SegmenterServiceStatus},
};

/// What is asked for. All of it may be left out: `spec: {}` is a working service.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "segmenter.dev",
    version = "v1alpha1",
    kind = "SegmenterService",
    namespaced,
    status = "SegmenterServiceStatus",
    derive = "PartialEq",
    shortname = "segsvc",
    shortname = "seg",
    category = "segmenter",
    doc = "An object detector that answers over HTTP and gRPC, and everything that it needs in a \
           cluster. `spec: {}` is a working service: the default model in one pod behind a Service of \
           the same name.",
    scale(
        spec_replicas_path = ".spec.scaling.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether it answers"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it does or does not"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "string",
        json_path = ".status.readiness",
        description = "Pods that are ready, of those that there should be"
    ),
    printcolumn(
        name = "Model",
        type_ = "string",
        json_path = ".spec.model.name",
        description = "What answers"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "Where HTTP is answered"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when there is this service"
    ),
    printcolumn(
        name = "gRPC",
        type_ = "string",
        json_path = ".status.grpcAddress",
        description = "Where gRPC is answered",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "What is the matter, in words",
        priority = 1
    )
)]
#[serde(default, rename_all = "camelCase")]
pub struct SegmenterServiceSpec {
    /// Which container image runs.
    pub image: Image,
    /// Which model answers, where its weights come from, and what it answers by default.
    pub model: Model,
    /// How the server listens, how much it takes on and how long anything may take.
    pub serving: Serving,
    /// Processor time and memory of a pod. The default suits the default model on a picture at a time.
    pub resources: ResourceRequirements,
    /// A GPU or the like, for each pod. By default there is none, and the processor computes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,
    /// How many pods there are, and who decides.
    pub scaling: Scaling,
    /// How callers outside the cluster reach it; inside, the Service of the same name always does.
    pub exposure: Exposure,
    /// How a new version replaces the old one.
    pub rollout: Rollout,
    /// How it survives the loss of nodes.
    pub availability: Availability,
    /// Who may talk to the pods, and to whom they may talk.
    pub security: Security,
    /// What Prometheus and Grafana learn of it.
    pub observability: Observability,
    /// What else the pods should have.
    pub pod: Pod,
    /// Runs no pods, keeps everything else, routes among them.
    pub suspend: bool,
    /// Leaves everything in the cluster as it is, for repairs by hand. The status is kept up, and claims nothing
    /// of the spec: conditions that would be True are Unknown, with the reason Paused.
    pub paused: bool,
}

impl Default for SegmenterServiceSpec {
    fn default() -> Self {
        Self {
            image: Image::default(),
            model: Model::default(),
            serving: Serving::default(),
            resources: default_resources(),
            accelerator: None,
            scaling: Scaling::default(),
            exposure: Exposure::default(),
            rollout: Rollout::default(),
            availability: Availability::default(),
            security: Security::default(),
            observability: Observability::default(),
            pod: Pod::default(),
            suspend: false,
            paused: false,
        }
    }
}

/// Half a core and twice what the default model needs at its peak; no limit on the processor, which would
/// only make single requests slower.
fn default_resources() -> ResourceRequirements {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    let quantities = |pairs: &[(&str, &str)]| {
        Some(
            pairs
                .iter()
                .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
                .collect(),
        )
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "500m"), ("memory", "512Mi")]),
        limits: quantities(&[("memory", "1Gi")]),
        claims: None,
    }
}

#[cfg(test)]
mod tests;
