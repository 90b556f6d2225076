//! What every request gets, whatever its protocol: an id, a trace, a line in the log, its metrics.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{error::Error, service::Segmenter};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Which server the middleware stands before.
#[derive(Clone)]
pub struct Observer {
    /// Whose metrics are kept.
    pub segmenter: Arc<Segmenter>,
    /// What the server speaks.
    pub protocol: Protocol,
}

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON and pictures on port 8080.
    Http,
    /// Port 9090.
    Grpc,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The body of every error reply.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorReply {
    error: ErrorBody,
}

/// Why there is no prediction.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorBody {
    /// The kind of error, for programs.
    #[schema(example = "bad_input")]
    code: &'static str,
    /// What was wrong and what would be right, for people.
    message: String,
    /// The id of this request, also in the header X-Request-Id and in the log.
    request_id: String,
}

/// Runs a request with its id and its trace, counts it, logs it, and dresses its error.
pub async fn observe(
    State(Observer {
        segmenter,
        protocol,
    }): State<Observer>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let trace = Trace::of(request.headers());
    let is_http1 = request.version() <= Version::HTTP_11;
    let mut record = Record::start(segmenter, protocol, &request);
    let span = tracing::info_span!(
        "request",
        request_id = id,
        trace_id = trace.as_ref().map(|trace| trace.trace_id.as_str()),
        span_id = trace.as_ref().map(|trace| trace.span_id.as_str()),
    );
    async move {
        let mut response = next.run(request).await;
        let error = response.extensions_mut().remove::<Arc<Error>>();
        let in_other_words = response.extensions_mut().remove::<InOtherWords>();
        if let (Some(error), None) = (&error, in_other_words) {
            response = dress(response, error, &id);
        }
        // Both were validated, and are made of characters that a header may hold.
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(trace) = trace.and_then(|trace| HeaderValue::from_str(&trace.response()).ok()) {
            response.headers_mut().insert(TRACERESPONSE, trace);
        }
        if is_http1 && record.segmenter.readiness().is_draining() {
            // So that clients find another server before this one stops accepting.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        record.finish(&response, error.as_deref());
        response
    }
    .instrument(span)
    .await
}

/// Gives an error its body.
fn dress(response: Response, error: &Error, id: &str) -> Response {
    let reply = ErrorReply {
        error: ErrorBody {
            code: error.code(),
            message: error.to_string(),
            request_id: id.to_owned(),
        },
    };
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::CONTENT_TYPE);
    (head.status, head.headers, Json(reply)).into_response()
}

/// An error in place of a reply that [`observe`] let pass.
#[cfg(feature = "lambda")]
pub fn instead(reply: Response, error: &Error) -> Response {
    let (mut head, _) = reply.into_parts();
    head.status = error.status();
    head.headers.remove(header::CONTENT_ENCODING);
    let id = head.headers.get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let id = id.to_owned();
    dress(Response::from_parts(head, Body::empty()), error, &id)
}

/// The caller's id where it sent a decent one, a new one else.
fn request_id(headers: &HeaderMap) -> String {
    const LONGEST: usize = 128;
    let sent = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    sent.filter(|id| (1..=LONGEST).contains(&id.len()))
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=~@".contains(&byte))
        })
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// A place in a distributed trace: <https://www.w3.org/TR/trace-context/>.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    /// 32 hexadecimal digits, the caller's.
    trace_id: String,
    /// 16 hexadecimal digits, of our part.
    span_id: String,
    /// 2 hexadecimal digits, the caller's.
    flags: String,
}

impl Trace {
    /// Our part of the caller's trace, if it sent a `traceparent` that is one.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parts = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
        let [version, trace_id, parent_id, flags] = std::array::from_fn(|_| parts.next());
        let version = version.filter(|version| is_hex(version, 2) && *version != "ff")?;
        if version == "00" && parts.next().is_some() {
            return None;
        }
        let trace_id = trace_id.filter(|id| is_hex(id, 32) && !is_zero(id))?;
        parent_id.filter(|id| is_hex(id, 16) && !is_zero(id))?;
        let flags = flags.filter(|flags| is_hex(flags, 2))?;
        let (span_id, _) = Uuid::new_v4().as_u64_pair();
        Some(Self {
            trace_id: trace_id.to_owned(),
            span_id: format!("{span_id:016x}"),
            flags: flags.to_owned(),
        })
    }

    /// The `traceresponse` header: <https://www.w3.org/TR/trace-context-2/#traceresponse-header>.
    fn response(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

/// One request in the metrics and the log; also when its caller leaves and the future is dropped.
struct Record {
    segmenter: Arc<Segmenter>,
    protocol: Protocol,
    method: Method,
    path: String,
    route: String,
    peer: Option<SocketAddr>,
    started: Instant,
    finished: bool,
}

impl Record {
    fn start(segmenter: Arc<Segmenter>, protocol: Protocol, request: &Request) -> Self {
        segmenter.metrics().in_flight.inc();
        Self {
            segmenter,
            protocol,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: protocol.route(request),
            peer: request.extensions().get::<Peer>().map(|peer| peer.0),
            started: Instant::now(),
            finished: false,
        }
    }

    fn finish(&mut self, response: &Response, error: Option<&Error>) {
        self.finished = true;
        let code = self.protocol.code(response);
        let ms = milliseconds(self.note(&code));
        let (method, path) = (&self.method, &*self.path);
        let peer = self.peer.map(tracing::field::display);
        if let Some((error, reason)) = self.protocol.failure(response, error) {
            tracing::info!(%method, path, peer, code, ms, error, reason, "answered");
        } else if is_probe(path) {
            tracing::debug!(%method, path, peer, code, ms, "answered");
        } else {
            tracing::info!(%method, path, peer, code, ms, "answered");
        }
    }

    fn note(&self, code: &str) -> Duration {
        let took = self.started.elapsed();
        let (protocol, metrics) = (self.protocol.name(), self.segmenter.metrics());
        metrics.in_flight.dec();
        let requests = &metrics.requests;
        requests
            .with_label_values(&[protocol, &self.route, code])
            .inc();
        let seconds = &metrics.request_seconds;
        seconds
            .with_label_values(&[protocol, &self.route])
            .observe(took.as_secs_f64());
        took
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.finished {
            let ms = milliseconds(self.note("gone"));
            let (method, path) = (&self.method, &*self.path);
            let peer = self.peer.map(tracing::field::display);
            tracing::info!(%method, path, peer, ms, "the caller left before the answer");
        }
    }
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// The request's route as a label: never one of the caller's invention.
    fn route(self, request: &Request) -> String {
        const UNKNOWN: &str = "unknown";
        let path = request.uri().path();
        match self {
            Self::Http => request
                .extensions()
                .get::<MatchedPath>()
                .map_or(UNKNOWN, MatchedPath::as_str)
                .to_owned(),
            Self::Grpc => crate::grpc::METHODS
                .iter()
                .find(|method| **method == path)
                .copied()
                .unwrap_or(UNKNOWN)
                .to_owned(),
        }
    }

    /// The kind of an error and its message, for the log.
    fn failure(self, response: &Response, error: Option<&Error>) -> Option<(&'static str, String)> {
        match self {
            Self::Http => error.map(|error| (error.code(), error.to_string())),
            Self::Grpc => {
                let status = response.extensions().get::<tonic::Status>()?;
                Some((status.code().description(), status.message().to_owned()))
            }
        }
    }

    /// The reply's status as a label.
    fn code(self, response: &Response) -> String {
        match self {
            Self::Http => response.status().as_str().to_owned(),
            // An error has its status among the headers; all else is sent after a good answer.
            Self::Grpc => {
                let status = response.headers().get(GRPC_STATUS);
                let code = status.map_or(tonic::Code::Ok, |status| {
                    tonic::Code::from_bytes(status.as_bytes())
                });
                format!("{code:?}")
            }
        }
    }
}

/// For people: to a tenth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

/// Whether a machine asks this every few seconds.
fn is_probe(path: &str) -> bool {
    matches!(
        path,
        "/livez"
            | "/readyz"
            | "/startupz"
            | "/metrics"
            | "/ping"
            | "/v2/health/live"
            | "/v2/health/ready"
            | "/inference.GRPCInferenceService/ServerLive"
            | "/inference.GRPCInferenceService/ServerReady"
    ) || path.starts_with("/grpc.health.v1.Health/")
}

/// An error becomes its status at once and gets its body, with the request's id, from [`observe`].
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if let Self::Overloaded { retry_after, .. } = &self {
            headers.insert(header::RETRY_AFTER, whole_seconds(*retry_after));
        }
        if response.status() == StatusCode::REQUEST_TIMEOUT {
            // What is left of the request is not worth waiting for.
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Marks an error's reply that is not to be [dressed](dress).
#[derive(Clone, Copy)]
struct InOtherWords;

/// The reply to an error in other words and with another status than its own, for which it is logged and counted.
pub fn in_other_words(error: Error, reply: impl IntoResponse) -> Response {
    let (own, _) = error.into_response().into_parts();
    let mut reply = reply.into_response();
    for (name, value) in &own.headers {
        reply.headers_mut().entry(name).or_insert(value.clone());
    }
    reply.extensions_mut().extend(own.extensions);
    reply.extensions_mut().insert(InOtherWords);
    reply
}

fn whole_seconds(time: Duration) -> HeaderValue {
    HeaderValue::from(time.as_millis().div_ceil(1000).min(u128::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_decent_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(request_id(&headers(REQUEST_ID, "a-1:b/2")), "a-1:b/2");
        for bad in ["", "two words", "<script>"] {
            let made = request_id(&headers(REQUEST_ID, bad));
            assert!(Uuid::parse_str(&made).is_ok(), "{bad:?} gave {made:?}");
        }
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::of(&headers(TRACEPARENT, parent)).unwrap();
        assert_eq!(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(trace.span_id, "b7ad6b7169203331");
        let response = trace.response();
        assert!(response.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(response.ends_with("-01"));
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::of(&headers(TRACEPARENT, bad)), None, "{bad}");
        }
    }
}
