//! The command line.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    chain::chain,
    controller::build::Defaults,
    metrics::Metrics,
    runtime::{
        Operator, discovery,
        leader::Candidate,
        server::{self, Shared},
        telemetry::{self, TelemetryError},
    },
};

/// Runs segmenters on Kubernetes: makes what every SegmenterService asks for
#[derive(Debug, Parser)]
#[command(name = "segmenter-operator", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconcile until told to stop
    Run(Box<Run>),
    /// Print the CustomResourceDefinition as YAML
    Crd,
}

#[derive(Args, Debug)]
struct Run {
    /// The namespaces to look after, separated by commas [default: all]
    #[arg(
        long,
        env = "SEGMENTER_OPERATOR_NAMESPACES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,
    /// The image of services that name none
    #[arg(long, env = "SEGMENTER_OPERATOR_IMAGE", value_name = "IMAGE", default_value = concat!("segmenter:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// The image of those of them that have an accelerator
    #[arg(long, env = "SEGMENTER_OPERATOR_ACCELERATOR_IMAGE", value_name = "IMAGE", default_value = concat!("segmenter-gpu:", env!("CARGO_PKG_VERSION")))]
    accelerator_image: String,
    /// A label of every ServiceMonitor and PrometheusRule, such as release=prometheus; may be given again
    #[arg(long = "monitor-label", env = "SEGMENTER_OPERATOR_MONITOR_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse_label)]
    monitor_labels: Vec<(String, String)>,
    /// Where probes and metrics are answered; all of the machine's if not said, IPv6 and IPv4
    #[arg(
        long,
        env = "SEGMENTER_OPERATOR_HTTP",
        value_name = "ADDR",
        default_value = "[::]:8080"
    )]
    http: SocketAddr,
    /// The namespace of the lease that one of several replicas holds [default: the pod's own; without one
    /// there is no lease, and this process always reconciles]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    lease_namespace: Option<String>,
    /// The name to hold the lease under, each replica's own
    #[arg(
        long,
        env = "POD_NAME",
        value_name = "NAME",
        default_value = "segmenter-operator"
    )]
    identity: String,
    /// How often to ask which kinds the cluster has, in seconds
    #[arg(long, env = "SEGMENTER_OPERATOR_DISCOVERY_SECONDS", value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    discovery_seconds: u64,
    /// The least severe lines that are logged, also by module; PUT /log-level changes it at run time. What
    /// the client logs of failed requests the operator says, too
    #[arg(
        long,
        env = "SEGMENTER_OPERATOR_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info,kube_client::client=off"
    )]
    log_level: String,
    /// Where traces are sent, OTLP over gRPC, such as http://collector.monitoring:4317 [default: nowhere]
    #[arg(long, env = "SEGMENTER_OPERATOR_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as release=prometheus".to_owned()),
    }
}

/// Runs a command, and says in a sentence why it could not.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads where this cannot be written.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                BAD_CONFIGURATION
            } else {
                0
            });
        }
    };
    let result = match cli.command {
        Command::Run(run) => start(*run),
        Command::Crd => print_crd(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::from(if error.is::<TelemetryError>() {
                BAD_CONFIGURATION
            } else {
                1
            })
        }
    }
}

/// `EX_USAGE`.
const BAD_CONFIGURATION: u8 = 64;

fn crd() -> anyhow::Result<String> {
    serde_saphyr::to_string(&api::crd()).context("the CRD is no YAML")
}

fn print_crd() -> anyhow::Result<()> {
    use std::io::Write;
    let result = write!(std::io::stdout(), "{}", crd()?);
    result.context("cannot write to the standard output")
}

fn start(run: Run) -> anyhow::Result<()> {
    // kube leaves the choice to the process. A second call would only say that it was made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async threads")?;
    let result = runtime.block_on(traced(run));
    // One that is dropped waits for look-ups of names, which take as long as they take.
    runtime.shutdown_background();
    result
}

async fn traced(run: Run) -> anyhow::Result<()> {
    let collector = run
        .otlp_endpoint
        .as_deref()
        .filter(|endpoint| !endpoint.is_empty());
    let (log_level, traces) = telemetry::start(&run.log_level, collector)?;
    let result = until_stopped(run, log_level).await;
    tokio::task::spawn_blocking(|| traces.finish()).await?;
    result
}

/// How long to finish what was begun when it is time to stop. With [`LEAVING`] and what the last traces may take,
/// a stop takes 15 s at the most, half of what a pod has.
const FINISHING: Duration = Duration::from_secs(8);
/// How long to give the lease back, and to answer those who have asked.
const LEAVING: Duration = Duration::from_secs(4);

/// A token that is cancelled when the process is told to stop, from now on.
fn told_to_stop() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

async fn until_stopped(run: Run, log_level: telemetry::LogLevel) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    let client = Client::try_default().await.context(
        "cannot find the cluster: there is neither a kubeconfig nor a ServiceAccount's token",
    )?;
    let version = client.apiserver_version();
    let Some(version) = stop.run_until_cancelled(version).await else {
        return Ok(());
    };
    let version = version.context("the API server does not answer")?;
    let listener = server::bind(run.http)
        .await
        .with_context(|| format!("cannot listen on {}", run.http))?;
    let address = listener.local_addr()?;
    tracing::info!(http = %address, kubernetes = version.git_version, "started");

    let metrics = Arc::new(Metrics::new()?);
    let every = Duration::from_secs(run.discovery_seconds);
    let served = discovery::follow(client.clone(), every, Arc::clone(&metrics));
    let Some(served) = stop.run_until_cancelled(served).await else {
        return Ok(());
    };
    let defaults = Defaults {
        image: run.image,
        accelerator_image: run.accelerator_image,
        monitor_labels: run.monitor_labels.into_iter().collect(),
    };
    // A chart that leaves it open passes an empty one.
    let namespaces: Vec<_> = run
        .namespaces
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    let operator = Operator::new(
        client.clone(),
        defaults,
        &namespaces,
        served.clone(),
        Arc::clone(&metrics),
    );
    let leads = Arc::new(AtomicBool::new(false));
    let stop_serving = CancellationToken::new();
    let shared = Shared {
        metrics: Arc::clone(&metrics),
        services: operator.services.clone(),
        served,
        leads: Arc::clone(&leads),
        log_level,
    };
    let serving = tokio::spawn(server::serve(listener, shared, stop_serving.clone()));

    let mut candidate = match &run.lease_namespace {
        Some(namespace) => {
            let queued = Candidate::queue(client, namespace, &run.identity);
            let Some(queued) = stop.run_until_cancelled(queued).await else {
                return Ok(());
            };
            queued.context("cannot queue for the lease")?
        }
        None => Candidate::unopposed(),
    };
    let elected = stop.run_until_cancelled(candidate.elected()).await;
    let mut result = Ok(());
    if elected.is_some() {
        tracing::info!("reconciling");
        leads.store(true, Ordering::Relaxed);
        metrics.leader.set(1);
        // Not the same token: an operator that ends because it is told to would seem to end by itself.
        let finish = CancellationToken::new();
        let mut running = tokio::spawn(operator.run(finish.clone()));
        tokio::select! {
            () = stop.cancelled() => tracing::info!("stopping"),
            () = candidate.lost() => result = Err(anyhow::anyhow!("another replica holds the lease now")),
            _ = &mut running => result = Err(anyhow::anyhow!("the controller has ended by itself")),
        }
        finish.cancel();
        if !running.is_finished() {
            match tokio::time::timeout(FINISHING, &mut running).await {
                Ok(ended) => ended.context("the controller failed")?,
                Err(_) => {
                    // Whoever does not lead must not write.
                    running.abort();
                    tracing::warn!("what was begun is not finished after {FINISHING:?}");
                }
            }
        }
    }
    stop_serving.cancel();
    let (resigned, served) = tokio::join!(
        tokio::time::timeout(LEAVING, candidate.resign()),
        tokio::time::timeout(LEAVING, serving),
    );
    if resigned.is_err() {
        tracing::warn!("the lease is not given back after {LEAVING:?}, it will run out");
    }
    match served {
        Ok(ended) => ended??,
        Err(_) => tracing::warn!("somebody who asked is not answered after {LEAVING:?}"),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crd_in_the_repository_is_what_is_printed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for path in [
            "crds/segmenterservices.yaml",
            "charts/segmenter-crds/files/segmenterservices.yaml",
        ] {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert!(
                text == crd().unwrap(),
                "{path} is not current: run `make generate`"
            );
        }
    }
}
