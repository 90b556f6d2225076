//! The runtime API of AWS Lambda, as far as a function needs it: an emulator of our own, as the real one runs at
//! Amazon only.
//!
//! It speaks what <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> says: the function asks for the next
//! event, and is answered when there is one, and posts its reply, or an error.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Path as Segment, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

use crate::{server::command, shared::shared};

/// Generous, as [`Server`](crate::Server)'s.
const LIMIT: Duration = Duration::from_secs(120);

/// A function in the emulator, `segmenter lambda`. Killed when dropped.
#[derive(Debug)]
pub struct Lambda {
    child: Child,
    runtime_api: JoinHandle<()>,
    events: mpsc::UnboundedSender<Event>,
    replies: mpsc::UnboundedReceiver<Reply>,
    started: Instant,
}

/// What the function is called with.
struct Event {
    payload: Value,
    /// How long the function may take.
    time: Duration,
}

/// What the function posts.
#[derive(Debug)]
struct Reply {
    value: Value,
    is_error: bool,
    /// Bytes of the JSON.
    size: usize,
}

#[derive(Clone)]
struct RuntimeApi {
    events: Arc<Mutex<mpsc::UnboundedReceiver<Event>>>,
    replies: mpsc::UnboundedSender<Reply>,
}

impl Lambda {
    /// Starts `segmenter lambda` with the weights of the shared folder, loopback allowed for fetching. `None` where
    /// there is no shared folder; this counts as the test of the name `test` being skipped.
    pub async fn start(test: &str) -> Option<Self> {
        let weights = shared(test)?.join("weights");
        Some(Self::spawn(&weights).await)
    }

    /// Starts `segmenter lambda` on the model directory `weights`.
    pub async fn spawn(weights: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the address that was bound");
        let (events, waiting) = mpsc::unbounded_channel();
        let (answered, replies) = mpsc::unbounded_channel();
        let runtime_api = RuntimeApi {
            events: Arc::new(Mutex::new(waiting)),
            replies: answered,
        };
        let runtime_api = tokio::spawn(async move {
            let served = axum::serve(listener, runtime_api.router()).await;
            served.expect("the runtime API is served");
        });
        let started = Instant::now();
        let child = function(weights, address).expect("segmenter runs");
        Self {
            child,
            runtime_api,
            events,
            replies,
            started,
        }
    }

    /// Since the function was started.
    pub fn running_for(&self) -> Duration {
        self.started.elapsed()
    }

    /// The function's reply to an event, and the size of its JSON in bytes; `time` is how long it may take.
    pub async fn call(&mut self, payload: Value, time: Duration) -> (Value, usize) {
        let sent = self.events.send(Event { payload, time });
        assert!(sent.is_ok(), "the runtime API has ended");
        let reply = timeout(LIMIT, self.replies.recv()).await;
        let reply = reply.expect("a reply in time").expect("a reply");
        assert!(!reply.is_error, "the function failed: {}", reply.value);
        (reply.value, reply.size)
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.runtime_api.abort();
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With what Lambda sets.
fn function(weights: &Path, runtime_api: SocketAddr) -> std::io::Result<Child> {
    command(&[])
        .arg("lambda")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "segmenter")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("SEGMENTER_MODEL_DIR", weights)
        .env("SEGMENTER_OFFLINE", "1")
        .env("SEGMENTER_FETCH_ALLOW", "127.0.0.0/8")
        .env("SEGMENTER_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .spawn()
}

impl RuntimeApi {
    fn router(self) -> Router {
        let invocation = "/2018-06-01/runtime/invocation";
        Router::new()
            .route(&format!("{invocation}/next"), get(next))
            .route(&format!("{invocation}/{{id}}/response"), post(response))
            .route(&format!("{invocation}/{{id}}/error"), post(error))
            .route("/2018-06-01/runtime/init/error", post(error))
            // The bound of replies is the caller's to check.
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self)
    }
}

async fn next(State(api): State<RuntimeApi>) -> Response {
    let Some(event) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + event.time;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH);
    let deadline = deadline.expect("after 1970").as_millis().to_string();
    let head = [
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        ("lambda-runtime-deadline-ms", &deadline),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:segmenter",
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        ),
    ];
    (head, Json(event.payload)).into_response()
}

async fn response(
    State(api): State<RuntimeApi>,
    Segment(_): Segment<String>,
    body: String,
) -> StatusCode {
    api.answered(&body, false)
}

async fn error(State(api): State<RuntimeApi>, body: String) -> StatusCode {
    api.answered(&body, true)
}

impl RuntimeApi {
    fn answered(&self, body: &str, is_error: bool) -> StatusCode {
        let reply = Reply {
            value: serde_json::from_str(body).unwrap_or_else(|_| body.into()),
            is_error,
            size: body.len(),
        };
        // Nobody waits any more where the test has failed.
        let _ = self.replies.send(reply);
        StatusCode::ACCEPTED
    }
}
