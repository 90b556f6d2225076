//! Accepting connections, and letting them go.
//!
//! Both servers are an axum router; here is what keeps a router alive among slow, many and leaving
//! clients.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router};
use futures_util::FutureExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::observe::Peer;

/// How long a client may take to send a request's head, and an idle connection may stay open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How often an HTTP/2 client is asked whether it is still there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How long to pause where no connection can be accepted, for lack of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often to look for the rest of an HTTP/2 preface.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// Binds an address; the error says which.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves `router` until `stop` resolves, then lets the open connections finish what they have begun.
/// At most `connections` are open at a time; others wait in the kernel's backlog.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let places = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let stopping = CancellationToken::new();
    let open = TaskTracker::new();
    let start = |(stream, peer), place| {
        let (router, stopping) = (router.clone(), stopping.clone());
        let span = tracing::debug_span!("connection", %peer);
        let connection = async move {
            converse(stream, router.layer(Extension(Peer(peer))), &stopping).await;
            drop(place);
        };
        open.spawn(connection.instrument(span));
    };
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok(connection) => start(connection, place),
            Err(error) => {
                // The connection is gone already, or the process is out of something for a while.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The kernel has accepted these on our behalf; their clients may have sent a request already.
    while let Some(Ok(connection)) = listener.accept().now_or_never() {
        start(connection, Arc::clone(&places).acquire_owned().await);
    }
    drop(listener);
    stopping.cancel();
    open.close();
    open.wait().await;
}

/// Speaks with one client until either side has had enough.
async fn converse(stream: TcpStream, router: Router, stopping: &CancellationToken) {
    let is_http2 = tokio::select! {
        biased;
        opening = tokio::time::timeout(HEAD_TIMEOUT, opens_with_http2(&stream)) => opening,
        () = stopping.cancelled() => return,
    };
    let Ok(Ok(is_http2)) = is_http2 else {
        return;
    };
    // Replies are small and whole: waiting to fill packets only delays them. Not vital where refused.
    let _ = stream.set_nodelay(true);

    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS);
    let builder = if is_http2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Whether the client opens with HTTP/2's preface; waits until that can be told.
async fn opens_with_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut opening = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut opening).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&opening[..seen]) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        // A part of it is here: nothing tells when more is.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
