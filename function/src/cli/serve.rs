//! `segmenter serve`: both servers, from the first port bound to the last request answered.

use std::{io, sync::Arc, time::Instant};

use anyhow::Context;
use clap::ArgMatches;
use futures_util::future;
use tokio::{net::TcpListener, signal::unix};
use tokio_util::sync::CancellationToken;

use super::{
    print_config,
    start::{self, Starting},
};
use crate::{config::Serve, grpc, http, listen};

pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter serve
  segmenter serve --model-dir /models --offline --http 127.0.0.1:8080
  segmenter serve --fetch-allow 10.0.0.0/8,images.internal --max-body 50MiB
  SEGMENTER_QUEUE=16 segmenter serve --deadline 5s --print-config

  curl localhost:8080/predict --data-binary @picture.jpg
  curl localhost:8080/predict -d '{\"url\": \"http://images.cocodataset.org/val2017/000000001268.jpg\"}'

A page to try it on: http://localhost:8080, documentation of the API: http://localhost:8080/docs";

/// Serves until it is told to stop.
pub(super) fn run(mut serve: Serve, matches: &ArgMatches) -> anyhow::Result<()> {
    let started = Instant::now();
    serve.model.fall_back();
    if serve.print_config {
        return super::print(&print_config::settings(&serve, matches));
    }
    let runtime = start::runtime(&serve.model)?;
    let result = runtime.block_on(until_stopped(serve, started));
    // What still runs has been given its time already.
    runtime.shutdown_background();
    result
}

async fn until_stopped(serve: Serve, started: Instant) -> anyhow::Result<()> {
    // First of all, so that a signal during the start is not lost.
    let mut signals = Signals::install()?;
    let segmenter = Arc::new(start::service(&serve)?);
    let bucket = start::bucket(&serve)?;
    // What takes longest begins first; all else is made meanwhile.
    let starting = Starting::begin(&segmenter, &serve);
    let listeners = (
        TcpListener::from_std(listen::bind(serve.listen.http)?)?,
        TcpListener::from_std(listen::bind(serve.listen.grpc)?)?,
    );
    // What the system chose where the port asked for is 0.
    let addresses = (listeners.0.local_addr()?, listeners.1.local_addr()?);
    let stop = CancellationToken::new();
    let servers = {
        let (health, _) = tonic_health::server::health_reporter();
        let http = http::router(&segmenter, &serve, bucket);
        let grpc = grpc::router(&segmenter, health.clone())?;
        let patience = listen::Patience::new(serve.listen.max_connections);
        let readiness = segmenter.readiness().watch();
        tokio::spawn(future::join3(
            listen::serve(listeners.0, http, patience, stop.clone().cancelled_owned()),
            listen::serve(listeners.1, grpc, patience, stop.clone().cancelled_owned()),
            grpc::report(health, readiness, stop.clone().cancelled_owned()),
        ))
    };
    tracing::info!(http = %addresses.0, grpc = %addresses.1, "listening");

    tokio::select! {
        installed = starting.finish(&segmenter) => installed?,
        _ = signals.received() => return Ok(()),
    }
    tracing::info!("ready in {} ms", started.elapsed().as_millis());

    let first = signals.received().await;
    segmenter.readiness().drain();
    if first == Signal::Terminate {
        let delay = serve.limits.drain_delay;
        tracing::info!("stopping: not ready from now on, accepting for {delay:?} more");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = signals.received() => {}
        }
    }
    tracing::info!("finishing what was accepted");
    stop.cancel();
    let finished = async {
        servers.await?;
        tokio::task::spawn_blocking(move || segmenter.close()).await
    };
    tokio::select! {
        finished = tokio::time::timeout(serve.limits.grace, finished) => {
            finished.context("stopped with requests unanswered, the time of --grace is over")??;
        }
        _ = signals.received() => anyhow::bail!("stopped with requests unanswered, told to hurry"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Why the server is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// SIGTERM: by a supervisor, which tells load balancers at the same time.
    Terminate,
    /// SIGINT: by somebody at a terminal, who does not want to wait for those.
    Interrupt,
}

struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(unix::SignalKind::terminate())?,
            interrupt: unix::signal(unix::SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
