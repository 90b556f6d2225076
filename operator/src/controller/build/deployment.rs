use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::Blueprint;
use crate::api::{RolloutStrategy, Scaling, ScalingMode};

pub(super) fn build(blueprint: &Blueprint<'_>, template: PodTemplateSpec) -> Deployment {
    let (identity, spec) = (blueprint.identity, blueprint.spec);
    let (surge, unavailable) = match spec.rollout.strategy {
        RolloutStrategy::Surge => (1, 0),
        RolloutStrategy::InPlace => (0, 1),
    };
    Deployment {
        metadata: identity.metadata(),
        spec: Some(DeploymentSpec {
            replicas: replicas(&spec.scaling, spec.suspend),
            selector: identity.label_selector(),
            template,
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(surge)),
                    max_unavailable: Some(IntOrString::Int(unavailable)),
                }),
            }),
            progress_deadline_seconds: Some(spec.rollout.progress_deadline_seconds),
            // Enough to go back by hand; each is an object that everybody who lists them has to read.
            revision_history_limit: Some(3),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// How many pods the operator says there are; `None` where that is an autoscaler's to say.
pub(super) fn replicas(scaling: &Scaling, suspend: bool) -> Option<i32> {
    match scaling.mode {
        _ if suspend => Some(0),
        ScalingMode::Fixed => Some(scaling.replicas),
        ScalingMode::Hpa | ScalingMode::Keda => None,
    }
}
