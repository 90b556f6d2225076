//! Every Prometheus series.
//!
//! Label values are bounded: routes are patterns, not paths, and classes are the model's.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

/// The series of one server, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Calls of HTTP `POST /predict`, whatever became of them. Its name and its lack of labels are what
    /// dashboards of this API already read.
    pub http_inferences: IntCounter,
    /// Requests answered, by `protocol`, `route` and `code`.
    pub requests: IntCounterVec,
    /// Seconds from a request's head to its reply's, by `protocol` and `route`.
    pub request_seconds: HistogramVec,
    /// Seconds in each step of a request, by `stage`.
    pub stage_seconds: HistogramVec,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// Jobs that wait for a device thread.
    pub queue_depth: IntGauge,
    /// Pictures that ran through the network together.
    pub batch_size: Histogram,
    /// Requests that were given up, by `reason`.
    pub rejected: IntCounterVec,
    /// Pictures fetched, by `outcome`.
    pub fetched: IntCounterVec,
    /// Objects answered, by `class`.
    pub detections: IntCounterVec,
    /// 1 while the model answers.
    pub model_ready: IntGauge,
    /// 1, with the `model` and the `device` it runs on.
    pub device_info: IntGaugeVec,
}

/// The steps of a request, as they are called in metrics and in `Server-Timing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Getting the picture from its URL.
    Fetch,
    /// From its bytes to samples. They are resized while they are decoded; the time of both is told apart.
    Decode,
    /// From samples to the network's input.
    Preprocess,
    /// Waiting for a device thread.
    Queue,
    /// In the network, with the rest of the batch.
    Infer,
    /// From the network's output to findings.
    Postprocess,
    /// From findings to the reply.
    Encode,
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = 7;

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Preprocess => "preprocess",
            Self::Queue => "queue",
            Self::Infer => "infer",
            Self::Postprocess => "postprocess",
            Self::Encode => "encode",
        }
    }
}

/// From a millisecond, a cached answer's time, to the default deadline.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

impl Metrics {
    /// All series, at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            http_inferences: register.add(IntCounter::new(
                "app_http_inference_count_total",
                "Calls of HTTP POST /predict",
            )?)?,
            requests: register.add(IntCounterVec::new(
                Opts::new("segmenter_requests_total", "Requests answered"),
                &["protocol", "route", "code"],
            )?)?,
            request_seconds: register.add(HistogramVec::new(
                HistogramOpts::new(
                    "segmenter_request_duration_seconds",
                    "Time from a request's head to its reply's",
                )
                .buckets(SECONDS.to_vec()),
                &["protocol", "route"],
            )?)?,
            stage_seconds: register.add(HistogramVec::new(
                HistogramOpts::new(
                    "segmenter_stage_duration_seconds",
                    "Time in each step of a prediction",
                )
                .buckets(SECONDS.to_vec()),
                &["stage"],
            )?)?,
            in_flight: register.add(IntGauge::new(
                "segmenter_in_flight",
                "Requests being answered",
            )?)?,
            queue_depth: register.add(IntGauge::new(
                "segmenter_queue_depth",
                "Pictures waiting for the network",
            )?)?,
            batch_size: register.add(Histogram::with_opts(
                HistogramOpts::new(
                    "segmenter_batch_size",
                    "Pictures that ran through the network together",
                )
                .buckets(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0]),
            )?)?,
            rejected: register.add(IntCounterVec::new(
                Opts::new("segmenter_rejected_total", "Requests given up"),
                &["reason"],
            )?)?,
            fetched: register.add(IntCounterVec::new(
                Opts::new("segmenter_fetch_total", "Pictures fetched from URLs"),
                &["outcome"],
            )?)?,
            detections: register.add(IntCounterVec::new(
                Opts::new("segmenter_detections_total", "Objects answered"),
                &["class"],
            )?)?,
            model_ready: register.add(IntGauge::new(
                "segmenter_model_ready",
                "Whether the model answers",
            )?)?,
            device_info: register.add(IntGaugeVec::new(
                Opts::new("segmenter_device_info", "What the model runs on"),
                &["model", "device"],
            )?)?,
            registry,
        };
        for stage in [
            Stage::Fetch,
            Stage::Decode,
            Stage::Preprocess,
            Stage::Queue,
            Stage::Infer,
            Stage::Postprocess,
            Stage::Encode,
        ] {
            metrics.stage_seconds.with_label_values(&[stage.name()]);
        }
        for reason in ["overloaded", "deadline", "not_ready", "abandoned"] {
            metrics.rejected.with_label_values(&[reason]);
        }
        metrics.fetched.with_label_values(&["ok"]);
        Ok(metrics)
    }

    /// Adds the series of the process: memory, processor time, file descriptors, threads.
    pub fn with_process(self) -> Result<Self, prometheus::Error> {
        self.registry
            .register(Box::new(ProcessCollector::for_self()))?;
        Ok(self)
    }

    /// Notes the time that a step took.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stage_seconds
            .with_label_values(&[stage.name()])
            .observe(took.as_secs_f64());
    }

    /// The text exposition format of version 0.0.4.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, series: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(series.clone()))?;
        Ok(series)
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn the_inference_counter_is_there_from_the_start_and_has_no_labels() {
        let metrics = Metrics::new().unwrap();
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("app_")).collect();
        assert_eq!(
            lines,
            [
                "# HELP app_http_inference_count_total Calls of HTTP POST /predict",
                "# TYPE app_http_inference_count_total counter",
                "app_http_inference_count_total 0",
            ]
        );
    }
}
