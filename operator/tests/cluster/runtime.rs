//! The operator as a process: the lease, probes, metrics, logs, and many services.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Service};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use segmenter_cluster::{ControlPlane, eventually};
use segmenter_operator::controller::kind::Kind;
use serde_json::json;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    process::{Process, request},
    support::{Result, SOON, Stage},
};

pub(crate) async fn one_replica_leads_and_another_takes_over(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "lease").await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let start = |identity: &str| {
        let identity = format!("--identity={identity}");
        let arguments = [
            "--namespaces=lease",
            "--lease-namespace=lease",
            identity.as_str(),
        ];
        Process::start(&kubeconfig, &arguments)
    };
    let leads = async |process: &Process| -> Result<bool> {
        let metrics = process.answers("/metrics", 200).await?;
        Ok(metrics.contains("segmenter_operator_leader 1"))
    };
    let mut first = start("first")?;
    eventually("a leader", SOON, async || {
        Ok(leads(&first).await?.then_some(()))
    })
    .await?;
    let mut second = start("second")?;
    // Who stands by is ready to.
    let body = second.answers("/readyz", 200).await?;
    ensure!(body.contains(r#""leads":false"#), "{body}");
    stage.apply("demo", &json!({})).await?;
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service])
        .await?;
    ensure!(!leads(&second).await?);

    // Told to stop, it gives the lease back, which the other notices within its duration.
    let began = Instant::now();
    ensure!(first.stop().await? == Some(0));
    eventually("the other to lead", SOON, async || {
        Ok(leads(&second).await?.then_some(()))
    })
    .await?;
    println!("taken over after a stop in {:?}", began.elapsed());
    stage.apply("next", &json!({})).await?;
    stage
        .has_exactly("next", &[Kind::Deployment, Kind::Service])
        .await?;

    // Killed, it cannot: the lease runs out.
    let third = start("third")?;
    third.answers("/readyz", 200).await?;
    let began = Instant::now();
    second.kill()?;
    eventually("the third to lead", SOON, async || {
        Ok(leads(&third).await?.then_some(()))
    })
    .await?;
    println!("taken over after a kill in {:?}", began.elapsed());
    stage.apply("last", &json!({})).await?;
    stage
        .has_exactly("last", &[Kind::Deployment, Kind::Service])
        .await
}

pub(crate) async fn a_leader_that_loses_the_lease_ends(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "lost-lease").await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let arguments = [
        "--namespaces=lost-lease",
        "--lease-namespace=lost-lease",
        "--identity=first",
    ];
    let mut process = Process::start(&kubeconfig, &arguments)?;
    // Its name is in the lease before it knows that it leads.
    eventually("a leader", SOON, async || {
        let metrics = process.answers("/metrics", 200).await?;
        let leads = metrics.contains("segmenter_operator_leader 1");
        Ok(leads.then_some(()))
    })
    .await?;
    let leases: Api<Lease> = stage.api();
    // Somebody else takes it.
    let theirs = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600, "renewTime": "2999-01-01T00:00:00.000000Z"}});
    leases
        .patch(
            "segmenter-operator",
            &PatchParams::default(),
            &Patch::Merge(&theirs),
        )
        .await?;
    let code = process.wait().await?;
    ensure!(code == Some(1), "it ended with {code:?}");
    Ok(())
}

pub(crate) async fn told_to_stop_it_waits_for_no_api_server(_: Arc<ControlPlane>) -> Result {
    // It takes connections and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "silent",
        "clusters": [{"name": "silent", "cluster": {"server": format!("http://{}", server.local_addr()?)}}],
        "users": [{"name": "silent", "user": {}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
    });
    std::fs::write(&kubeconfig, text.to_string())?;
    let mut process = Process::start_deaf(&kubeconfig)?;
    let _asked = server.accept().await?;
    let code = process.stop().await?;
    ensure!(code == Some(0), "it ended with {code:?}");
    Ok(())
}

/// Passes connections on to a server until it is shut: then nothing comes through any more, and nothing ends.
struct Gate {
    address: SocketAddr,
    shut: watch::Sender<bool>,
}

impl Gate {
    async fn before(server: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (shut, is_shut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let (server, mut is_shut) = (server.clone(), is_shut.clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await?;
                    let shut = async {
                        let _ = is_shut.wait_for(|is_shut| *is_shut).await;
                    };
                    tokio::select! {
                        passed = copy_bidirectional(&mut caller, &mut server) => passed.map(|_| ()),
                        () = shut => std::future::pending().await,
                    }
                });
            }
        });
        Ok(Self { address, shut })
    }
}

pub(crate) async fn told_to_stop_it_waits_for_neither_the_lease_nor_a_caller(
    plane: Arc<ControlPlane>,
) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "hanging").await?;
    let server = plane.config().cluster_url;
    let server = server.authority().context("it has an address")?.to_string();
    let gate = Gate::before(server.clone()).await?;
    let kubeconfig = std::fs::read_to_string(stage.operators_kubeconfig().await?)?;
    let folder = tempfile::tempdir()?;
    let behind_the_gate = folder.path().join("kubeconfig");
    let address = gate.address.to_string();
    std::fs::write(&behind_the_gate, kubeconfig.replace(&server, &address))?;
    let arguments = ["--namespaces=hanging", "--lease-namespace=hanging"];
    let mut process = Process::start(&behind_the_gate, &arguments)?;

    // Somebody who never says all that he has to say.
    let address = process.url.trim_start_matches("http://");
    let mut caller = TcpStream::connect(address).await?;
    let half = "PUT /log-level HTTP/1.1\r\nHost: operator\r\nContent-Length: 5\r\n\r\nin";
    caller.write_all(half.as_bytes()).await?;
    eventually("a leader", SOON, async || {
        let metrics = process.answers("/metrics", 200).await?;
        Ok(metrics
            .contains("segmenter_operator_leader 1")
            .then_some(()))
    })
    .await?;
    gate.shut.send_replace(true);
    let began = Instant::now();
    let code = process.stop().await?;
    ensure!(code == Some(0), "it ended with {code:?}");
    ensure!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    Ok(())
}

pub(crate) async fn it_tells_how_it_is(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "tells").await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let mut process = Process::start(&kubeconfig, &["--namespaces=tells"])?;
    stage.apply("demo", &json!({})).await?;
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service])
        .await?;
    process.answers("/livez", 200).await?;
    let ready = process.answers("/readyz", 200).await?;
    ensure!(
        ready.contains("ServiceMonitor"),
        "it tells what the cluster lacks: {ready}"
    );
    eventually("the series", SOON, async || {
        let metrics = process.answers("/metrics", 200).await?;
        for series in [
            "segmenter_operator_crd_missing{kind=\"ScaledObject\"} 1",
            "segmenter_operator_service_info{model=\"maskrcnn_fbnetv3a_c4\",name=\"demo\",namespace=\"tells\",ready=\"False\",reason=\"Starting\",scaling=\"Fixed\"} 1",
            "segmenter_operator_reconciles_total ",
            "segmenter_operator_leader 1",
        ] {
            ensure!(metrics.contains(series), "there is no {series} in:\n{metrics}");
        }
        Ok(Some(()))
    })
    .await?;
    let level = format!("{}/log-level", process.url);
    ensure!(request("PUT", &level, "debug").await?.0 == 204);
    let (status, refusal) = request("PUT", &level, "very=loud=ly").await?;
    ensure!(
        status == 400 && refusal.contains("expected error, warn, info"),
        "{status} {refusal}"
    );
    ensure!(process.stop().await? == Some(0));
    Ok(())
}

/// A collector of traces that keeps their names.
#[derive(Clone, Default)]
struct Collector(Arc<std::sync::Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let spans = request.into_inner().resource_spans.into_iter();
        let spans = spans.flat_map(|resource| resource.scope_spans);
        let names = spans.flat_map(|scope| scope.spans).map(|span| span.name);
        self.0.lock().unwrap().extend(names);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

pub(crate) async fn traces_reach_a_collector(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "traces").await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("--otlp-endpoint=http://{}", listener.local_addr()?);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let served = TraceServiceServer::new(collector.clone());
    let server = tonic::transport::Server::builder().add_service(served);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    let mut process = Process::start(&kubeconfig, &["--namespaces=traces", &endpoint])?;
    stage.apply("demo", &json!({})).await?;
    stage
        .has_exactly("demo", &[Kind::Deployment, Kind::Service])
        .await?;
    ensure!(process.stop().await? == Some(0));
    let names = collector.0.lock().unwrap().clone();
    for name in ["reconciling object", "apply", "write status"] {
        ensure!(
            names.iter().any(|found| found == name),
            "no {name} in {names:?}"
        );
    }
    serving.abort();
    Ok(())
}

/// How many services are too few to make an operator sweat.
const MANY: usize = 500;

pub(crate) async fn five_hundred_services_converge_and_rest(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::without_operator(Arc::clone(&plane), "many").await?;
    let kubeconfig = stage.operators_kubeconfig().await?;
    let process = Process::start(&kubeconfig, &["--namespaces=many"])?;
    let began = Instant::now();
    for index in 0..MANY {
        stage.apply(&format!("demo-{index}"), &json!({})).await?;
    }
    let created = began.elapsed();
    let limit = SOON * 10;
    eventually("all objects of all services", limit, async || {
        let all = ListParams::default();
        let deployments = stage
            .api::<Deployment>()
            .list_metadata(&all)
            .await?
            .items
            .len();
        let services = stage
            .api::<Service>()
            .list_metadata(&all)
            .await?
            .items
            .len();
        ensure!(
            (deployments, services) == (MANY, MANY),
            "{deployments} and {services}"
        );
        Ok(Some(()))
    })
    .await?;
    let converged = began.elapsed();
    // The controllers take their time over 500 ReplicaSets; the statuses follow.
    eventually("rest", limit, async || {
        let position = plane.audit_position().await?;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        Ok(stage.writes_since(position).await?.is_empty().then_some(()))
    })
    .await?;

    let position = plane.audit_position().await?;
    for index in 0..MANY {
        let touch = json!({"metadata": {"annotations": {"touched": "yes"}}});
        stage
            .services()
            .patch(
                &format!("demo-{index}"),
                &PatchParams::default(),
                &Patch::Merge(&touch),
            )
            .await?;
    }
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let writes = stage.writes_since(position).await?;
    let memory = process.peak_memory()?;
    println!(
        "{MANY} services: applied in {created:.1?}, all objects there after {converged:.1?}; \
         a second reconciliation of all wrote {} times; the operator's peak memory is {:.1} MB",
        writes.len(),
        memory as f64 / 1e6
    );
    ensure!(writes.is_empty(), "{:#?}", &writes[..writes.len().min(5)]);
    ensure!(memory < 100_000_000, "{memory} bytes");
    Ok(())
}
