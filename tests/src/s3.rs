//! An object store that speaks S3 as far as one is needed, in a thread of its own: an emulator of ours, as the real one
//! cannot be killed.
//!
//! It speaks what <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html> says of PutObject and
//! DeleteObjects, slowly, and does not look at signatures. What it has survives when it is killed; what it was being
//! sent does not.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{post, put},
    serve::ListenerExt as _,
};
use futures_util::StreamExt as _;
use tokio::{
    runtime::{self, Runtime},
    sync::watch,
    time::sleep,
};

/// The bucket that there is.
pub const BUCKET: &str = "uploads";

/// Between the parts of an object that come, so that there is a middle in which it can be killed.
const PAUSE: Duration = Duration::from_millis(3);

/// A running store. It ends when this is dropped.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    shelves: Shelves,
    manner: watch::Sender<Manner>,
    /// `None` while it is killed.
    runtime: Mutex<Option<Runtime>>,
}

/// An object, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// As it was told.
    pub media_type: String,
    /// All of it.
    pub bytes: Bytes,
}

/// How it treats what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Storing,
    /// It denies access to objects whose names end like this.
    Denying(&'static str),
    /// It does not answer for objects whose names end like this, until it is told to store.
    Holding(&'static str),
}

#[derive(Clone, Debug, Default)]
struct Shelves {
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
    coming: Arc<AtomicUsize>,
}

impl S3 {
    /// Starts it, without objects.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let store = Self {
            address: listener
                .local_addr()
                .expect("a bound socket has an address"),
            shelves: Shelves::default(),
            manner: watch::Sender::new(Manner::Storing),
            runtime: Mutex::default(),
        };
        store.serve(listener);
        store
    }

    /// Variables for `env`, by which a server finds it.
    pub fn variables(&self) -> [String; 6] {
        [
            "env".to_owned(),
            format!("AWS_ENDPOINT_URL=http://{}", self.address),
            "AWS_ALLOW_HTTP=true".to_owned(),
            "AWS_ACCESS_KEY_ID=key".to_owned(),
            "AWS_SECRET_ACCESS_KEY=secret".to_owned(),
            "NO_PROXY=127.0.0.1".to_owned(),
        ]
    }

    /// What it has, by names.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        locked(&self.shelves.objects).clone()
    }

    /// How many objects are coming just now.
    pub fn coming(&self) -> usize {
        self.shelves.coming.load(Ordering::SeqCst)
    }

    /// From now on it treats what is sent like this.
    pub fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Ends it at once: connections are reset, and what was coming is lost.
    pub fn kill(&self) {
        if let Some(runtime) = locked(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again after it was killed, at the same address and with what it had.
    pub fn revive(&self) {
        // Not before the one that was killed has let go of it.
        let listener =
            std::iter::repeat_with(|| TcpListener::bind(self.address)).find_map(Result::ok);
        self.serve(listener.expect("one of endless attempts succeeds"));
    }

    fn serve(&self, listener: TcpListener) {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let router = Router::new()
            .route(&format!("/{BUCKET}"), post(delete))
            .route(&format!("/{BUCKET}/{{*name}}"), put(store))
            .with_state((self.shelves.clone(), self.manner.subscribe()));
        listener.set_nonblocking(true).expect("an open socket");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("an open socket");
            let listener = listener.tap_io(|stream| {
                stream.set_zero_linger().expect("an open socket");
            });
            // Ends with the runtime.
            let _ = axum::serve(listener, router).await;
        });
        *locked(&self.runtime) = Some(runtime);
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One more object that is coming, for as long as it lives.
struct Coming(Arc<AtomicUsize>);

impl Coming {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Served = State<(Shelves, watch::Receiver<Manner>)>;

/// Takes an object in, once all of it has come.
async fn store(
    State((shelves, mut manner)): Served,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let _coming = Coming::new(&shelves.coming);
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        bytes.extend_from_slice(&chunk);
        sleep(PAUSE).await;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if announced != Some(bytes.len()) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let let_go =
        manner.wait_for(|manner| !matches!(manner, Manner::Holding(end) if name.ends_with(end)));
    match let_go.await.map(|manner| *manner) {
        Ok(Manner::Denying(end)) if name.ends_with(end) => {
            let reply = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            return (StatusCode::FORBIDDEN, reply).into_response();
        }
        _ => {}
    }
    let object = Object {
        media_type: text(header::CONTENT_TYPE).unwrap_or_default().to_owned(),
        bytes: bytes.into(),
    };
    locked(&shelves.objects).insert(name, object);
    [(header::ETAG, "\"etag\"")].into_response()
}

/// Deletes the objects that the body lists.
async fn delete(State((shelves, _)): Served, body: String) -> Response {
    let keys = body.split("<Key>").skip(1);
    let keys = keys.filter_map(|rest| rest.split_once("</Key>"));
    let mut reply =
        String::from("<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (key, _) in keys {
        locked(&shelves.objects).remove(key);
        reply += &format!("<Deleted><Key>{key}</Key></Deleted>");
    }
    reply += "</DeleteResult>";
    ([(header::CONTENT_TYPE, "application/xml")], reply).into_response()
}
