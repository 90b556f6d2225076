//! What Prometheus learns of the operator.

use std::time::Duration;

use kube::{ResourceExt, core::DeserializeGuard, runtime::reflector::Store};
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

use crate::{
    api::SegmenterService,
    controller::{kind::Kind, observe::Served},
};

/// From a reconciliation that does nothing to one that waits for an API server in trouble.
const SECONDS: &[f64] = &[0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Every series, but those of single services, which are made when they are asked for.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounter,
    failures: IntCounterVec,
    seconds: Histogram,
    /// Reconciliations under way.
    pub in_flight: IntGauge,
    /// Requests that wrote something.
    pub writes: IntCounter,
    /// Kinds that the cluster lacks.
    missing: IntGaugeVec,
    /// Whether this replica reconciles.
    pub leader: IntGauge,
}

impl Metrics {
    /// All series, at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let metrics = Self {
            reconciles: counter("segmenter_operator_reconciles_total", "Reconciliations")?,
            failures: IntCounterVec::new(
                Opts::new(
                    "segmenter_operator_reconcile_failures_total",
                    "Reconciliations that have to be tried again",
                ),
                &["reason"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "segmenter_operator_reconcile_duration_seconds",
                    "Time of a reconciliation",
                )
                .buckets(SECONDS.to_vec()),
            )?,
            in_flight: gauge(
                "segmenter_operator_reconciles_in_flight",
                "Reconciliations under way",
            )?,
            writes: counter(
                "segmenter_operator_writes_total",
                "Requests to the API server that wrote something",
            )?,
            missing: IntGaugeVec::new(
                Opts::new(
                    "segmenter_operator_crd_missing",
                    "Whether the cluster lacks a kind that the operator can use",
                ),
                &["kind"],
            )?,
            leader: gauge(
                "segmenter_operator_leader",
                "Whether this replica reconciles",
            )?,
            registry,
        };
        let registered: [Box<dyn Collector>; 7] = [
            Box::new(metrics.reconciles.clone()),
            Box::new(metrics.failures.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.writes.clone()),
            Box::new(metrics.missing.clone()),
            Box::new(metrics.leader.clone()),
        ];
        for collector in registered {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Notes a reconciliation, and why it has to be tried again.
    pub fn reconciled(&self, took: Duration, result: Result<(), &'static str>) {
        self.reconciles.inc();
        self.seconds.observe(took.as_secs_f64());
        if let Err(reason) = result {
            self.failures.with_label_values(&[reason]).inc();
        }
    }

    /// Notes which kinds the cluster has.
    pub fn served(&self, served: &Served) {
        for kind in Kind::ALL.iter().filter(|kind| kind.provider().is_some()) {
            let missing = i64::from(!served.contains(kind));
            self.missing.with_label_values(&[kind.name()]).set(missing);
        }
    }

    /// The text exposition format of version 0.0.4, with a series for each service.
    pub fn render(
        &self,
        services: &[Store<DeserializeGuard<SegmenterService>>],
    ) -> Result<Vec<u8>, prometheus::Error> {
        let info = IntGaugeVec::new(
            Opts::new(
                "segmenter_operator_service_info",
                "A service, the model that it runs, who scales it and whether it is ready",
            ),
            &["namespace", "name", "model", "scaling", "ready", "reason"],
        )?;
        for service in services.iter().flat_map(Store::state) {
            let Ok(service) = &service.0 else { continue };
            let conditions = service.status.iter().flat_map(|status| &status.conditions);
            let ready = conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready");
            let scaling = format!("{:?}", service.spec.scaling.mode);
            info.with_label_values(&[
                service.namespace().unwrap_or_default().as_str(),
                &service.name_any(),
                &service.spec.model.name,
                &scaling,
                ready.map_or("Unknown", |ready| &ready.status),
                ready.map_or("", |ready| &ready.reason),
            ])
            .set(1);
        }
        let mut families = self.registry.gather();
        // The encoder takes a series without any values for a mistake.
        let info = info.collect().into_iter();
        families.extend(info.filter(|family| !family.get_metric().is_empty()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}
