//! Accepting connections, and letting them go.
//!
//! Both servers are an axum router; here is what keeps a router alive among slow, many and leaving
//! clients.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{self, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
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
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::observe::Peer;

/// How a port is kept open for everybody.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Connections open at a time; others wait in the kernel's backlog.
    pub connections: usize,
    /// How long a client may take to send a request's head, and an idle connection of HTTP/1 may stay open.
    pub head: Duration,
    /// How long a client may take nothing of a reply that waits for it.
    pub reply: Duration,
    /// How long a connection of HTTP/2 may stay open without a request.
    pub idle: Duration,
}

impl Patience {
    /// With this many connections.
    pub fn new(connections: usize) -> Self {
        Self {
            connections,
            head: Duration::from_secs(30),
            reply: Duration::from_secs(30),
            idle: Duration::from_mins(5),
        }
    }
}

/// How often an HTTP/2 client is asked whether it is still there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How long to pause where no connection can be accepted, for lack of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often to look whether a connection has had no request for long enough, at the most.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// How often to look for the rest of an HTTP/2 preface.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// Binds an address; the error says which.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves `router` until `stop` resolves, then lets the open connections finish what they have begun.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let places = Arc::new(Semaphore::new(
        patience.connections.min(Semaphore::MAX_PERMITS),
    ));
    let stopping = CancellationToken::new();
    let open = TaskTracker::new();
    let start = |(stream, peer), place| {
        let (router, stopping) = (router.clone(), stopping.clone());
        let span = tracing::debug_span!("connection", %peer);
        let connection = async move {
            converse(
                stream,
                router.layer(Extension(Peer(peer))),
                &patience,
                &stopping,
            )
            .await;
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
async fn converse(
    stream: TcpStream,
    router: Router,
    patience: &Patience,
    stopping: &CancellationToken,
) {
    let is_http2 = tokio::select! {
        biased;
        opening = tokio::time::timeout(patience.head, opens_with_http2(&stream)) => opening,
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
        .header_read_timeout(patience.head);
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
    let requests = Requests::default();
    let router = router.layer(from_fn_with_state(requests.clone(), counted));
    let service = TowerToHyperService::new(router);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.reply));
    let stream = TokioIo::new(Box::pin(stream));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = leaving(stopping, &requests, patience.idle) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Ends when a connection should: the server stops, or the client has asked for nothing for so long.
async fn leaving(stopping: &CancellationToken, requests: &Requests, idle: Duration) {
    let unused = async {
        while let Some(left) = idle.checked_sub(requests.idle()) {
            // A request may come and go meanwhile.
            tokio::time::sleep(left.max(IDLE_PAUSE)).await;
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = unused => {}
    }
}

/// The requests of one connection.
#[derive(Clone)]
struct Requests(Arc<Mutex<(usize, Instant)>>);

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0, Instant::now()))))
    }
}

impl Requests {
    fn state(&self) -> MutexGuard<'_, (usize, Instant)> {
        // No change of it can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one for as long as what is returned lives.
    fn begin(&self) -> Request {
        self.state().0 += 1;
        Request(self.clone())
    }

    /// For how long there has been none.
    fn idle(&self) -> Duration {
        match *self.state() {
            (0, since) => since.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

struct Request(Requests);

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.0 -= 1;
        state.1 = Instant::now();
    }
}

async fn counted(
    State(requests): State<Requests>,
    request: extract::Request,
    next: Next,
) -> Response {
    let _open = requests.begin();
    next.run(request).await
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
    };

    use super::*;
    use crate::fetch;

    const BRISK: Patience = Patience {
        connections: 2,
        head: Duration::from_millis(200),
        reply: Duration::from_millis(200),
        idle: Duration::from_millis(200),
    };

    async fn start() -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/large", get(|| async { vec![0_u8; 64 << 20] }))
            .route("/slow", get(slow));
        let serving = serve(listener, router, BRISK, stop.clone().cancelled_owned());
        (address, stop, tokio::spawn(serving))
    }

    /// Longer than an idle connection stays open.
    async fn slow() -> &'static str {
        tokio::time::sleep(3 * BRISK.idle).await;
        "at last"
    }

    /// Sends this and returns everything that comes back until the server closes.
    async fn exchange(address: SocketAddr, sent: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8_lossy(&reply).into_owned()
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    /// That a place is free for another connection, or is in a moment.
    async fn assert_served_soon(address: SocketAddr) {
        let reply = tokio::time::timeout(Duration::from_secs(5), exchange(address, REQUEST));
        assert!(reply.await.unwrap().ends_with("hello"));
    }

    #[tokio::test]
    async fn clients_that_say_nothing_or_too_little_are_let_go() {
        let (address, ..) = start().await;
        for opening in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nHost: "] {
            let begin = Instant::now();
            let reply = exchange(address, opening).await;
            assert!(!reply.contains("200 OK"), "{opening:?}: {reply}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{opening:?}");
        }
        assert!(exchange(address, REQUEST).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_their_turn() {
        let (address, ..) = start().await;
        let first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let third = tokio::spawn(exchange(address, REQUEST));
        drop(first);
        assert!(third.await.unwrap().ends_with("hello"));
    }

    #[tokio::test]
    async fn a_reply_that_nobody_reads_does_not_keep_its_place() {
        let (address, ..) = start().await;
        let mut unread = Vec::new();
        for _ in 0..BRISK.connections {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(request).await.unwrap();
            unread.push(stream);
        }
        assert_served_soon(address).await;
    }

    #[tokio::test]
    async fn http2_connections_are_closed_when_they_are_idle_and_not_before() {
        let (address, ..) = start().await;
        let mut idle = Vec::new();
        for _ in 0..BRISK.connections {
            let client = fetch::client_builder().http2_prior_knowledge();
            let client = client.build().unwrap();
            let reply = client.get(format!("http://{address}/slow")).send().await;
            assert_eq!(reply.unwrap().text().await.unwrap(), "at last");
            idle.push(client);
        }
        assert_served_soon(address).await;
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_a_stopped_server() {
        let (address, stop, serving) = start().await;
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut reply = [0; 512];
        assert_ne!(idle.read(&mut reply).await.unwrap(), 0);
        stop.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(5), serving);
        stopped.await.expect("it still serves").unwrap();
    }
}
