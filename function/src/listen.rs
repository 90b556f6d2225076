//! Accepting connections, and letting them go.
//!
//! Both servers are an axum router; here is what keeps a router alive among slow, many and leaving
//! clients.

use std::{
    collections::HashMap,
    io,
    net::{self, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{self, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use socket2::{Domain, Protocol, Socket, Type};
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
/// Pieces in which replies are handed on, in bytes: of more than one, none waits where it cannot be given up any more.
const PIECE: usize = 64 << 10;
/// How often to look whether a connection has been of no use for long enough, at the most.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// How often to look for the rest of an HTTP/2 preface.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// Connections that the kernel accepts on our behalf, at the most.
const BACKLOG: i32 = 1024;

/// Listens on an address, without blocking; the error says on which. `[::]` is all addresses of the machine, those of
/// IPv4, too, and alone where it knows no IPv6.
pub fn bind(address: SocketAddr) -> io::Result<net::TcpListener> {
    bind_by(open, address)
}

fn bind_by<T>(open: impl Fn(SocketAddr) -> io::Result<T>, address: SocketAddr) -> io::Result<T> {
    let opened = match open(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && knows_no_ipv6(&error) => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    };
    opened.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Whether that is why an address of IPv6 cannot be listened on.
fn knows_no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

fn open(address: SocketAddr) -> io::Result<net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        // Whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    // What is left of connections to a server that was here before does not keep the next one away.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An IPv4 address as it is, which on a socket of both comes mapped into an IPv6 one.
fn unmapped(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
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
        let peer = unmapped(peer);
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
        () = leaving(stopping, &requests, patience) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = abandoned(&requests, patience) => {
                    tracing::debug!("a client takes nothing of what is left for it");
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Ends when a connection should take no more requests: the server stops, the client has asked for nothing for so long, or
/// takes nothing of one of its replies. The others may be those of other clients, which share it through a proxy.
async fn leaving(stopping: &CancellationToken, requests: &Requests, patience: &Patience) {
    tokio::select! {
        () = stopping.cancelled() => {}
        () = lasted(patience.idle, || requests.idle()) => {}
        () = lasted(patience.reply, || requests.stalled()) => {}
    }
}

/// Ends when all that is left of a connection are replies of which the client takes nothing.
async fn abandoned(requests: &Requests, patience: &Patience) {
    // A request may be on its way.
    tokio::time::sleep(patience.reply).await;
    lasted(patience.reply, || requests.still()).await;
}

/// Ends when something has lasted for so long.
async fn lasted(limit: Duration, time: impl Fn() -> Duration) {
    while let Some(left) = limit.checked_sub(time()) {
        // It may end and begin again meanwhile.
        tokio::time::sleep(left.max(IDLE_PAUSE)).await;
    }
}

/// The requests of one connection, from their heads to the ends of their replies.
#[derive(Clone)]
struct Requests(Arc<Mutex<Open>>);

struct Open {
    /// By number, each with the time since when a piece of its reply waits to be taken, where one does.
    requests: HashMap<u64, Option<Instant>>,
    /// The number of the next one.
    next: u64,
    /// When the last one ended.
    ended: Instant,
}

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Open {
            requests: HashMap::new(),
            next: 0,
            ended: Instant::now(),
        })))
    }
}

impl Requests {
    fn state(&self) -> MutexGuard<'_, Open> {
        // No change of it can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one for as long as what is returned lives.
    fn begin(&self) -> Request {
        let mut open = self.state();
        let number = open.next;
        open.next += 1;
        open.requests.insert(number, None);
        Request {
            number,
            requests: self.clone(),
        }
    }

    /// For how long there has been none.
    fn idle(&self) -> Duration {
        let open = self.state();
        if open.requests.is_empty() {
            open.ended.elapsed()
        } else {
            Duration::ZERO
        }
    }

    /// For how long the reply has waited that has waited longest.
    fn stalled(&self) -> Duration {
        let open = self.state();
        let since = open.requests.values().flatten().min();
        since.map_or(Duration::ZERO, Instant::elapsed)
    }

    /// For how long there has been nothing but replies that wait.
    fn still(&self) -> Duration {
        let open = self.state();
        let mut since = open.ended;
        for waits in open.requests.values() {
            let Some(waits) = *waits else {
                return Duration::ZERO;
            };
            since = since.max(waits);
        }
        since.elapsed()
    }
}

struct Request {
    number: u64,
    requests: Requests,
}

impl Request {
    /// Whether a piece of its reply waits to be taken from now on.
    fn waits(&self, waits: bool) {
        let since = waits.then(Instant::now);
        self.requests.state().requests.insert(self.number, since);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut open = self.requests.state();
        open.requests.remove(&self.number);
        open.ended = Instant::now();
    }
}

async fn counted(
    State(requests): State<Requests>,
    request: extract::Request,
    next: Next,
) -> Response {
    let open = requests.begin();
    let response = next.run(request).await;
    open.waits(true);
    response.map(|body| {
        Body::new(Reply {
            body,
            rest: Bytes::new(),
            request: open,
        })
    })
}

/// A reply in pieces. That the next one is asked for tells that the client has taken the one before.
struct Reply {
    body: Body,
    /// What is not handed on yet of what the body gave last.
    rest: Bytes,
    request: Request,
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            // While there is none the client waits for us.
            self.request.waits(false);
            let next = ready!(Pin::new(&mut self.body).poll_frame(context));
            let data = match next.map(|next| next.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            self.rest = data;
        }
        self.request.waits(true);
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::routing::get;
    use futures_util::{StreamExt, stream};
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
        start_on("127.0.0.1:0").await
    }

    async fn start_on(address: &str) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = bind(address.parse().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route(
                "/peer",
                get(|Extension(Peer(peer)): Extension<Peer>| async move { peer.to_string() }),
            )
            .route("/large", get(|| async { vec![0_u8; 64 << 20] }))
            .route("/slow", get(slow))
            .route("/quiet", get(quiet));
        let serving = serve(listener, router, BRISK, stop.clone().cancelled_owned());
        (address, stop, tokio::spawn(serving))
    }

    /// Longer than an idle connection stays open.
    async fn slow() -> &'static str {
        tokio::time::sleep(3 * BRISK.idle).await;
        "at last"
    }

    /// A reply whose second part takes longer than a client may.
    async fn quiet() -> Body {
        let parts = stream::iter(["at first ", "at last"]).then(async |part| {
            tokio::time::sleep(3 * BRISK.reply).await;
            Ok::<_, Infallible>(part)
        });
        Body::from_stream(parts)
    }

    fn http2_client() -> reqwest::Client {
        let client = fetch::client_builder().http2_prior_knowledge();
        client.build().unwrap()
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
    async fn all_addresses_are_those_of_ipv6_and_of_ipv4_which_is_called_by_its_name() {
        let (address, ..) = start_on("[::]:0").await;
        let request = "GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        for (to, from) in [("127.0.0.1", "\r\n127.0.0.1:"), ("::1", "\r\n[::1]:")] {
            let to = SocketAddr::new(to.parse().unwrap(), address.port());
            if to.is_ipv6() && address.is_ipv4() {
                // The machine knows no IPv6.
                continue;
            }
            let reply = exchange(to, request).await;
            assert!(reply.contains(from), "{to}: {reply}");
        }
    }

    #[test]
    fn where_there_is_no_ipv6_all_addresses_are_those_of_ipv4() {
        let open_by = |errno: i32| {
            move |address: SocketAddr| match address {
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(errno)),
                SocketAddr::V4(_) => Ok(address),
            }
        };
        let all = "[::]:8080".parse().unwrap();
        for missing in [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL] {
            let opened = bind_by(open_by(missing), all).unwrap();
            assert_eq!(opened, "0.0.0.0:8080".parse().unwrap());
            let one = bind_by(open_by(missing), "[::1]:8080".parse().unwrap());
            assert!(one.unwrap_err().to_string().contains("[::1]:8080"));
        }
        // Another server has it: half of the addresses would be a surprise.
        let taken = bind_by(open_by(libc::EADDRINUSE), all).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
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
    async fn a_reply_of_http2_that_nobody_reads_does_not_keep_its_place() {
        let (address, ..) = start().await;
        let mut unread = Vec::new();
        for _ in 0..BRISK.connections {
            let client = http2_client();
            // Its connection answers whether it is still there.
            let reply = client.get(format!("http://{address}/large")).send().await;
            unread.push((client, reply.unwrap()));
        }
        assert_served_soon(address).await;
    }

    #[tokio::test]
    async fn a_reply_whose_next_part_is_not_there_yet_goes_on() {
        let (address, ..) = start().await;
        let reply = http2_client().get(format!("http://{address}/quiet"));
        let reply = reply.send().await.unwrap().text().await;
        assert_eq!(reply.unwrap(), "at first at last");
    }

    #[tokio::test]
    async fn http2_connections_are_closed_when_they_are_idle_and_not_before() {
        let (address, ..) = start().await;
        let mut idle = Vec::new();
        for _ in 0..BRISK.connections {
            let client = http2_client();
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
