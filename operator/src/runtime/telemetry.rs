//! Log lines, how many of them, and traces.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError, Targets},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// Changes which lines are logged while the operator runs.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

/// Traces on their way to a collector.
pub struct Traces(Option<SdkTracerProvider>);

/// Why logging or tracing could not be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// It is no log level.
    #[error(
        "the log level is none: expected error, warn, info, debug or trace, also by module, such as info,kube=debug"
    )]
    LogLevel(#[from] ParseError),
    /// Logging has ended.
    #[error("the log level cannot be changed any more")]
    Ended(#[from] reload::Error),
    /// The collector's address is none.
    #[error(
        "traces cannot be sent to {endpoint}: expected an address such as http://collector.monitoring:4317"
    )]
    Collector {
        /// The address.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: ExporterBuildError,
    },
}

impl LogLevel {
    /// Logs these lines from now on.
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        Ok((self.0)(EnvFilter::try_new(level)?)?)
    }
}

/// Starts logging, as text on a terminal and as JSON elsewhere, and sends traces to a collector (OTLP over
/// gRPC) if there is one.
///
/// Has to be called on a tokio thread.
pub fn start(level: &str, collector: Option<&str>) -> Result<(LogLevel, Traces), TelemetryError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    let provider = collector.map(tracer_provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        // Not those of the client that sends them, which would be traced in their turn.
        let traced = Targets::new()
            .with_target("segmenter_operator", LevelFilter::INFO)
            .with_target("kube_runtime", LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("segmenter-operator"))
            .with_filter(traced)
    });
    Registry::default()
        .with(lines.with_filter(filter))
        .with(spans)
        .init();
    let level = LogLevel(Arc::new(move |filter| handle.reload(filter)));
    Ok((level, Traces(provider)))
}

fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| TelemetryError::Collector {
            endpoint: endpoint.to_owned(),
            source,
        })?;
    let resource = Resource::builder()
        .with_service_name("segmenter-operator")
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

/// How long the last traces may take to be sent.
const LAST: Duration = Duration::from_secs(3);

impl Traces {
    /// Sends what is not sent yet. Blocks.
    pub fn finish(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(LAST)
        {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}
