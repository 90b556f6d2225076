//! Health, for machines that ask every few seconds, and metrics.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::{error::Error, readiness::Readiness};

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or what is the matter.
    #[schema(example = "ok")]
    status: &'static str,
    /// What the server waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<&'static str>,
}

impl Health {
    fn ok() -> Response {
        Self::reply(StatusCode::OK, "ok", Vec::new())
    }

    fn reply(code: StatusCode, status: &'static str, pending: Vec<&'static str>) -> Response {
        (code, Json(Self { status, pending })).into_response()
    }
}

/// Whether the process works: it answers, and its device threads make progress.
#[utoipa::path(get, path = "/livez", tag = "health", responses(
    (status = 200, description = "It answers and makes progress", body = Health),
    (status = 503, description = "A batch has been running for too long", body = Health),
))]
pub(super) async fn livez(State(app): State<App>) -> Response {
    match app.stalled() {
        None => Health::ok(),
        Some(_) => Health::reply(
            StatusCode::SERVICE_UNAVAILABLE,
            "stuck",
            vec!["a batch to finish"],
        ),
    }
}

/// Whether requests may be sent.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "They may", body = Health),
    (status = 503, description = "What is pending", body = Health),
))]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let pending = app.readiness().pending();
    if pending.is_empty() {
        Health::ok()
    } else {
        Health::reply(StatusCode::SERVICE_UNAVAILABLE, "not ready", pending)
    }
}

/// Whether the start is over; from then on the other two tell.
#[utoipa::path(get, path = "/startupz", tag = "health", responses(
    (status = 200, description = "It is", body = Health),
    (status = 503, description = "What is pending", body = Health),
))]
pub(super) async fn startupz(State(app): State<App>) -> Response {
    let mut pending = app.readiness().pending();
    pending.retain(|reason| *reason != Readiness::DRAINING);
    if pending.is_empty() {
        Health::ok()
    } else {
        Health::reply(StatusCode::SERVICE_UNAVAILABLE, "starting", pending)
    }
}

/// Every series in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Every series", body = String, content_type = "text/plain"),
))]
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Error> {
    let text = app.metrics().render().map_err(|error| {
        tracing::error!(%error, "cannot render the metrics");
        Error::internal()
    })?;
    let kind = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    Ok((kind, text))
}
