use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};

use super::Blueprint;
use crate::api::{Hpa, ScalingMode};

/// What pods should use of the processor time that they request, in percent, where nothing else is asked.
const CPU_UTILIZATION: i32 = 80;

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<HorizontalPodAutoscaler> {
    let (identity, spec) = (blueprint.identity, blueprint.spec);
    let scaling = &spec.scaling;
    if scaling.mode != ScalingMode::Hpa || spec.suspend {
        return None;
    }
    let hpa = scaling.hpa.clone().unwrap_or_else(|| Hpa {
        cpu_utilization: Some(CPU_UTILIZATION),
        ..Hpa::default()
    });
    let used = [
        ("cpu", hpa.cpu_utilization),
        ("memory", hpa.memory_utilization),
    ];
    let mut metrics: Vec<_> = used
        .into_iter()
        .filter_map(|(name, percent)| Some(utilization(name, percent?)))
        .collect();
    metrics.extend(hpa.metrics);
    Some(HorizontalPodAutoscaler {
        metadata: identity.metadata(),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: identity.name.clone(),
            },
            min_replicas: Some(scaling.min_replicas.unwrap_or(1)),
            // The CRD demands it.
            max_replicas: scaling.max_replicas.unwrap_or(1),
            metrics: Some(metrics),
            behavior: hpa.behavior,
        }),
        status: None,
    })
}

fn utilization(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: resource.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
