//! From a service's spec to its objects: pure functions, one file a kind.

mod dashboard;
mod deployment;
mod disruption_budget;
mod hpa;
mod ingress;
mod network_policy;
mod overlay;
mod pod_template;
mod prometheus_rule;
mod routes;
mod scaled_object;
mod series;
mod service;
mod service_monitor;

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use serde::Serialize;
use serde_json::Value;

pub use self::{
    pod_template::{CONTAINER, MODEL_CONTAINER},
    prometheus_rule::rules,
};
use super::{identity::Identity, kind::Kind};
use crate::{
    api::SegmenterServiceSpec,
    foreign::{GrpcRoute, HttpRoute, PrometheusRule, ScaledObject, ServiceMonitor},
};

/// What the operator is told for all services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// The image of services that name none.
    pub image: String,
    /// The image of those of them that have an accelerator.
    pub accelerator_image: String,
    /// Labels of every ServiceMonitor and PrometheusRule.
    pub monitor_labels: BTreeMap<String, String>,
}

/// All that the objects depend on.
#[derive(Clone, Debug)]
pub struct Blueprint<'a> {
    /// Whose they are.
    pub identity: &'a Identity,
    /// What is asked for.
    pub spec: &'a SegmenterServiceSpec,
    /// What the operator is told for all services.
    pub defaults: &'a Defaults,
    /// The image that was chosen earlier, and the hash of the pod template then.
    pub pinned: Option<Pin>,
}

/// The image of a service that names none.
///
/// Another default does not restart pods: the image stays until the pod template changes for another
/// reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The image that was chosen.
    pub image: String,
    /// The hash of the pod template that it was chosen for, but for the image.
    pub template: String,
}

/// The objects of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The pods.
    pub deployment: Deployment,
    /// Their address.
    pub service: Service,
    /// How many may be evicted.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// Who may talk to them.
    pub network_policy: Option<NetworkPolicy>,
    /// How many there are.
    pub hpa: Option<HorizontalPodAutoscaler>,
    /// How many there are, by KEDA.
    pub scaled_object: Option<ScaledObject>,
    /// HTTP from outside.
    pub ingress: Option<Ingress>,
    /// HTTP through a Gateway.
    pub http_route: Option<HttpRoute>,
    /// gRPC through a Gateway.
    pub grpc_route: Option<GrpcRoute>,
    /// What Prometheus scrapes.
    pub service_monitor: Option<ServiceMonitor>,
    /// What Prometheus warns of.
    pub prometheus_rule: Option<PrometheusRule>,
    /// The dashboard.
    pub dashboard: Option<ConfigMap>,
}

impl Children {
    /// Every object that is asked for, as JSON, in the order of their [kinds](Kind). A kind that is added
    /// cannot be forgotten here.
    pub fn objects(&self) -> Vec<(Kind, Value)> {
        let Self {
            deployment,
            service,
            disruption_budget,
            network_policy,
            hpa,
            scaled_object,
            ingress,
            http_route,
            grpc_route,
            service_monitor,
            prometheus_rule,
            dashboard,
        } = self;
        fn json(object: Option<&impl Serialize>) -> Option<Value> {
            // Objects of Kubernetes are all strings, numbers and lists.
            object.and_then(|object| serde_json::to_value(object).ok())
        }
        let objects = [
            (Kind::Deployment, json(Some(deployment))),
            (Kind::Service, json(Some(service))),
            (Kind::PodDisruptionBudget, json(disruption_budget.as_ref())),
            (Kind::NetworkPolicy, json(network_policy.as_ref())),
            (Kind::HorizontalPodAutoscaler, json(hpa.as_ref())),
            (Kind::ScaledObject, json(scaled_object.as_ref())),
            (Kind::Ingress, json(ingress.as_ref())),
            (Kind::HttpRoute, json(http_route.as_ref())),
            (Kind::GrpcRoute, json(grpc_route.as_ref())),
            (Kind::ServiceMonitor, json(service_monitor.as_ref())),
            (Kind::PrometheusRule, json(prometheus_rule.as_ref())),
            (Kind::ConfigMap, json(dashboard.as_ref())),
        ];
        let given = objects.into_iter();
        given
            .filter_map(|(kind, object)| Some((kind, object?)))
            .collect()
    }
}

/// What was built, and what of it has to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The objects.
    pub children: Children,
    /// The image and the template that it is for.
    pub pin: Pin,
}

/// Why a spec cannot be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSpec {
    /// `pod.overlay` does not fit a pod template.
    #[error("pod.overlay: {0}")]
    Overlay(String),
}

/// Makes the objects.
pub fn build(blueprint: &Blueprint<'_>) -> Result<Built, InvalidSpec> {
    let (template, pin) = pod_template::build(blueprint)?;
    let children = Children {
        deployment: deployment::build(blueprint, template),
        service: service::build(blueprint),
        disruption_budget: disruption_budget::build(blueprint),
        network_policy: network_policy::build(blueprint),
        hpa: hpa::build(blueprint),
        scaled_object: scaled_object::build(blueprint),
        ingress: ingress::build(blueprint),
        http_route: routes::http(blueprint),
        grpc_route: routes::grpc(blueprint),
        service_monitor: service_monitor::build(blueprint),
        prometheus_rule: prometheus_rule::build(blueprint),
        dashboard: dashboard::build(blueprint),
    };
    Ok(Built { children, pin })
}

#[cfg(test)]
mod tests;
