//! Handing a Deployment's replicas over to an autoscaler.
//!
//! While the operator says how many replicas there are, it owns `spec.replicas`. When it just stops saying
//! so, the API server removes the field, which means 1: all other pods end. So another field manager first
//! takes the number that there is; then the operator can let go of it.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::identity::FIELD_MANAGER;
use crate::api::Scaling;

/// Who owns the replicas after the operator, until an autoscaler writes them.
pub const HANDOVER_MANAGER: &str = "segmenter-operator-handover";

/// Keeps the replicas at what they are, or within what the autoscaler may choose; returns whether that was
/// needed.
pub async fn hand_over(
    deployments: &Api<Deployment>,
    name: &str,
    scaling: &Scaling,
) -> Result<bool, kube::Error> {
    let Some(deployment) = deployments.get_opt(name).await? else {
        return Ok(false);
    };
    if !owns_replicas(&deployment) {
        return Ok(false);
    }
    let current = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let replicas = within(current, scaling);
    let patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas},
    });
    let parameters = PatchParams::apply(HANDOVER_MANAGER).force();
    deployments
        .patch(name, &parameters, &Patch::Apply(&patch))
        .await?;
    Ok(true)
}

/// As many as there are, but at least the fewest and at most the most: a HorizontalPodAutoscaler leaves a
/// Deployment with no replicas alone.
fn within(current: i32, scaling: &Scaling) -> i32 {
    let fewest = scaling.min_replicas.unwrap_or(1);
    current
        .min(scaling.max_replicas.unwrap_or(current))
        .max(fewest)
}

/// Whether the operator says how many replicas there are.
fn owns_replicas(deployment: &Deployment) -> bool {
    let managed = deployment.metadata.managed_fields.iter().flatten();
    managed
        .filter(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.is_none()
        })
        .filter_map(|entry| entry.fields_v1.as_ref())
        .any(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_what_the_autoscaler_may_choose() {
        let scaling = |min, max| Scaling {
            min_replicas: min,
            max_replicas: Some(max),
            ..Scaling::default()
        };
        for (current, scaling, expected) in [
            (3, scaling(None, 8), 3),
            (0, scaling(None, 8), 1),
            (1, scaling(Some(2), 8), 2),
            (9, scaling(Some(2), 8), 8),
            (0, scaling(Some(0), 8), 0),
        ] {
            assert_eq!(within(current, &scaling), expected, "{current} {scaling:?}");
        }
    }

    #[test]
    fn only_what_the_operator_applied_is_its_to_hand_over() {
        let deployment = |manager: &str, operation: &str| -> Deployment {
            serde_json::from_value(json!({"metadata": {"managedFields": [{
                "manager": manager,
                "operation": operation,
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }]}}))
            .unwrap()
        };
        assert!(owns_replicas(&deployment(FIELD_MANAGER, "Apply")));
        assert!(!owns_replicas(&deployment(FIELD_MANAGER, "Update")));
        assert!(!owns_replicas(&deployment(HANDOVER_MANAGER, "Apply")));
    }
}
