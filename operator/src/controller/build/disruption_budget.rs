use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::Blueprint;
use crate::api::{Scaling, ScalingMode};

/// A budget, unless there may be but one pod: it could never be evicted.
pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<PodDisruptionBudget> {
    let spec = blueprint.spec;
    let budget = &spec.availability.disruption_budget;
    if !budget.enabled || spec.suspend || fewest(&spec.scaling) < 2 {
        return None;
    }
    let max_unavailable = match (&budget.max_unavailable, &budget.min_available) {
        (None, None) => Some(IntOrString::Int(1)),
        (given, _) => given.clone(),
    };
    Some(PodDisruptionBudget {
        metadata: blueprint.identity.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(blueprint.identity.label_selector()),
            max_unavailable,
            min_available: budget.min_available.clone(),
            // A pod that does not answer is no loss: it must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    })
}

/// How many pods there are to be at least.
pub(super) fn fewest(scaling: &Scaling) -> i32 {
    match scaling.mode {
        ScalingMode::Fixed => scaling.replicas,
        ScalingMode::Hpa | ScalingMode::Keda => scaling.min_replicas.unwrap_or(1),
    }
}
