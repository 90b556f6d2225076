//! Runs a whole cluster until Ctrl-C.

use std::{env, path::Path, process::ExitCode, time::Instant};

use anyhow::Context as _;
use segmenter_cluster::{Cluster, Entered, Sandbox, enter};

const USAGE: &str = "\
Usage: cluster [IMAGE.tar]...

Starts Kubernetes with a node, an ingress controller and Prometheus, in namespaces of its own, and runs it until
Ctrl-C, which leaves nothing behind. The node knows the images of the OCI archives that are named. Needs root;
KUBEBUILDER_ASSETS names the folder of the programs (tests/cluster/tools/build cluster).
";

/// sysexits.h's EX_USAGE.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if let Some(other) = arguments.iter().find(|name| !Path::new(name).is_file()) {
        eprintln!("error: no file {other}\n\n{USAGE}");
        return ExitCode::from(EX_USAGE);
    }
    let entered = enter().map_err(anyhow::Error::new);
    let ended = entered.and_then(|entered| match entered {
        Entered::Outside(code) => Ok(code),
        Entered::Inside(sandbox) => run(&sandbox, &arguments).map(|()| ExitCode::SUCCESS),
    });
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn run(sandbox: &Sandbox, images: &[String]) -> anyhow::Result<()> {
    let begin = Instant::now();
    let tools = Cluster::tools()?;
    let images: Vec<_> = images.iter().map(Path::new).collect();
    let cluster = tokio::select! {
        cluster = Cluster::start(&tools, sandbox, &images) => cluster?,
        interrupted = tokio::signal::ctrl_c() => return interrupted.context("cannot wait for Ctrl-C"),
    };
    let kubectl = tools.program("kubectl")?;
    println!(
        "The cluster runs; it took {:.0?}. A shell in it, as root:

    {} env KUBECONFIG={} PATH={}:$PATH bash

There kubectl and helm are on the PATH, {} is the ingress, and Services have their names
(http://prometheus.monitoring.svc.cluster.local:9090, for one). Logs are in {}. Ctrl-C ends it.",
        begin.elapsed(),
        sandbox.way_in(),
        cluster.access().kubeconfig().display(),
        kubectl.parent().unwrap_or(Path::new("/")).display(),
        Cluster::ingress(),
        sandbox.folder().display(),
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}
