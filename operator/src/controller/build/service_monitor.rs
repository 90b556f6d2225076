use std::collections::BTreeMap;

use kube::core::ObjectMeta;

use super::{Blueprint, service::HTTP};
use crate::foreign::{Endpoint, ServiceMonitor, ServiceMonitorSpec};

pub(super) fn build(blueprint: &Blueprint<'_>) -> Option<ServiceMonitor> {
    let monitor = &blueprint.spec.observability.service_monitor;
    if !monitor.enabled {
        return None;
    }
    Some(ServiceMonitor {
        metadata: labelled(blueprint, &monitor.labels),
        spec: ServiceMonitorSpec {
            selector: blueprint.identity.label_selector(),
            endpoints: vec![Endpoint {
                port: HTTP.to_owned(),
                path: "/metrics".to_owned(),
                interval: format!("{}s", monitor.interval_seconds),
            }],
        },
    })
}

/// Metadata with the labels that Prometheus selects by: the operator's, the service's, and over both the
/// operator's own, which it finds its objects by.
pub(super) fn labelled(blueprint: &Blueprint<'_>, asked: &BTreeMap<String, String>) -> ObjectMeta {
    let mut metadata = blueprint.identity.metadata();
    let mut labels = blueprint.defaults.monitor_labels.clone();
    labels.extend(asked.clone());
    labels.extend(blueprint.identity.labels());
    metadata.labels = Some(labels);
    metadata
}
