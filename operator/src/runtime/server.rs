//! Probes, metrics and the log level, over HTTP.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use kube::{core::DeserializeGuard, runtime::reflector::Store};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::telemetry::LogLevel;
use crate::{
    api::SegmenterService,
    controller::{kind::Kind, observe::Served},
    metrics::Metrics,
};

/// What the routes look at.
#[derive(Clone)]
pub struct Shared {
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// The services of each scope.
    pub services: Vec<Store<DeserializeGuard<SegmenterService>>>,
    /// The kinds that the cluster has.
    pub served: watch::Receiver<Served>,
    /// Whether this replica reconciles.
    pub leads: Arc<AtomicBool>,
    /// Which lines are logged.
    pub log_level: LogLevel,
}

/// Listens on an address. `[::]` is all addresses, those of IPv4, too, and alone where the machine knows no IPv6.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && error.kind() != io::ErrorKind::AddrInUse =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Serves until it is told to stop.
pub async fn serve(
    listener: TcpListener,
    state: Shared,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log-level", put(log_level))
        .with_state(state);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Ready is who has listed all services, or stands by for the one who has.
async fn readyz(State(state): State<Shared>) -> Response {
    let leads = state.leads.load(Ordering::Relaxed);
    let listed = state.services.iter().all(is_ready);
    let served = state.served.borrow();
    let missing = Kind::ALL.iter().filter(|kind| !served.contains(kind));
    let missing: Vec<_> = missing.map(|kind| kind.name()).collect();
    let pending: Vec<_> = if leads && !listed {
        vec!["the list of services"]
    } else {
        vec![]
    };
    let status = if pending.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({"leads": leads, "pending": pending, "kindsNotInCluster": missing});
    (status, Json(body)).into_response()
}

/// Whether everything was listed once.
fn is_ready<K>(store: &Store<K>) -> bool
where
    K: kube::Resource + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    use futures_util::FutureExt;
    store.wait_until_ready().now_or_never().is_some()
}

async fn metrics(State(state): State<Shared>) -> Response {
    match state.metrics.render(&state.services) {
        Ok(text) => {
            let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4");
            ([kind], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn log_level(State(state): State<Shared>, level: String) -> Response {
    match state.log_level.set(level.trim()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}
