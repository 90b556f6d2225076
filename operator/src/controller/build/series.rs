//! Which series are a service's, for alerts, dashboards and KEDA.

use crate::{api::SegmenterServiceSpec, controller::identity::Identity};

/// The label matchers of all its pods. The Prometheus Operator labels what a ServiceMonitor finds with the
/// namespace and the name of its Service.
pub(super) fn pods(identity: &Identity) -> String {
    let (namespace, name) = (&identity.namespace, &identity.name);
    format!("namespace=\"{namespace}\", service=\"{name}\"")
}

/// The same, of the requests that are predictions, in HTTP and in gRPC. Probes and scrapes are requests,
/// too, many and quick and never failing, and would hide the others.
pub(super) fn predictions(identity: &Identity) -> String {
    format!("{}, route=~\".*/[Pp]redict\"", pods(identity))
}

/// The time that this share of predictions stays under, in seconds, over this much time.
pub(super) fn latency(identity: &Identity, share: &str, window: &str) -> String {
    format!(
        "histogram_quantile({share}, sum by (le) (rate(segmenter_request_duration_seconds_bucket{{{}}}[{window}])))",
        predictions(identity)
    )
}

/// How many requests are under way in all pods. A pod that is asked counts the asking, too.
pub(super) fn under_way(identity: &Identity) -> String {
    format!(
        "sum(clamp_min(segmenter_in_flight{{{}}} - 1, 0))",
        pods(identity)
    )
}

/// Over how much time rates are taken: at least this many seconds, and no less than a few scrapes, for
/// fewer than two have no rate.
pub(super) fn window(spec: &SegmenterServiceSpec, least: i32) -> String {
    const SCRAPES: i32 = 4;
    let interval = spec.observability.service_monitor.interval_seconds;
    let seconds = interval.saturating_mul(SCRAPES).max(least);
    format!("{seconds}s")
}
