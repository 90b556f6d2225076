//! The kinds of objects that a service consists of.

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, core::ApiResource};

use crate::foreign::{GrpcRoute, HttpRoute, PrometheusRule, ScaledObject, ServiceMonitor};

/// A kind of object that the operator makes.
///
/// In the order in which they are applied: pods first, then what points at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The pods.
    Deployment,
    /// Their address.
    Service,
    /// How many may be evicted.
    PodDisruptionBudget,
    /// Who may talk to them.
    NetworkPolicy,
    /// How many there are.
    HorizontalPodAutoscaler,
    /// How many there are, by KEDA.
    ScaledObject,
    /// HTTP from outside.
    Ingress,
    /// HTTP through a Gateway.
    HttpRoute,
    /// gRPC through a Gateway.
    GrpcRoute,
    /// What Prometheus scrapes.
    ServiceMonitor,
    /// What Prometheus warns of.
    PrometheusRule,
    /// The dashboard.
    ConfigMap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Deployment,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::HorizontalPodAutoscaler,
        Self::ScaledObject,
        Self::Ingress,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::ServiceMonitor,
        Self::PrometheusRule,
        Self::ConfigMap,
    ];

    /// How the API server knows it.
    pub fn resource(self) -> ApiResource {
        fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        match self {
            Self::Deployment => of::<Deployment>(),
            Self::Service => of::<Service>(),
            Self::PodDisruptionBudget => of::<PodDisruptionBudget>(),
            Self::NetworkPolicy => of::<NetworkPolicy>(),
            Self::HorizontalPodAutoscaler => of::<HorizontalPodAutoscaler>(),
            Self::ScaledObject => of::<ScaledObject>(),
            Self::Ingress => of::<Ingress>(),
            Self::HttpRoute => of::<HttpRoute>(),
            Self::GrpcRoute => of::<GrpcRoute>(),
            Self::ServiceMonitor => of::<ServiceMonitor>(),
            Self::PrometheusRule => of::<PrometheusRule>(),
            Self::ConfigMap => of::<ConfigMap>(),
        }
    }

    /// Its name, as `kubectl` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::ScaledObject => "ScaledObject",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PrometheusRule => "PrometheusRule",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// Who brings this kind into a cluster; `None` for those of Kubernetes itself.
    pub fn provider(self) -> Option<&'static str> {
        match self {
            Self::ScaledObject => Some("KEDA"),
            Self::HttpRoute | Self::GrpcRoute => Some("the Gateway API"),
            Self::ServiceMonitor | Self::PrometheusRule => Some("the Prometheus Operator"),
            Self::Deployment
            | Self::Service
            | Self::PodDisruptionBudget
            | Self::NetworkPolicy
            | Self::HorizontalPodAutoscaler
            | Self::Ingress
            | Self::ConfigMap => None,
        }
    }
}
