//! Port 8080: predictions, models, health, metrics, their documentation, a page for people, and the
//! [dialects](crate::dialects).
//!
//! Handlers are thin: they take a request apart, call the [service](crate::service) and encode its
//! answer. Errors are returned as they are and dressed in one place ([`crate::observe`]).

mod body;
pub(crate) mod compress;
mod docs;
mod file;
pub(crate) mod form;
mod linger;
mod models;
mod page;
mod parameters;
pub(crate) mod picture;
mod predict;
mod probes;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::{HeaderName, Method, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    bucket::Bucket,
    config,
    dialects::{
        max, open_inference, segmentation_api, segmenter_web, tensorflow_serving, torchserve,
        wowboard,
    },
    error::Error,
    observe::{Observer, Protocol, observe},
    service::{Arrival, Segmenter},
};

/// What handlers work with.
pub(crate) type App = Arc<Segmenter>;

/// For how many milliseconds a caller waits.
pub(crate) const PATIENCE: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// All routes of port 8080. What is uploaded goes to the `bucket`.
pub fn router(segmenter: &App, serve: &config::Serve, bucket: Option<Bucket>) -> Router {
    let observer = Observer {
        segmenter: Arc::clone(segmenter),
        protocol: Protocol::Http,
    };
    let (routes, api) = OpenApiRouter::with_openapi(docs::Documentation::openapi())
        .routes(routes!(predict::names))
        .routes(routes!(predict::detections))
        .routes(routes!(models::list))
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::startupz))
        .routes(routes!(probes::metrics))
        .routes(routes!(page::root))
        .merge(segmenter_web::router(serve.page.samples()))
        .merge(torchserve::router())
        .merge(max::router(serve.dialects.image_size()))
        .merge(open_inference::router())
        .merge(segmentation_api::router())
        .merge(tensorflow_serving::router())
        .merge(wowboard::router(bucket))
        .split_for_parts();
    let routes = routes
        .merge(docs::router(api))
        .merge(page::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        // The reader of bodies has its own limits, which follow --max-body.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::map_request(linger::linger))
        .layer(CatchPanicLayer::custom(|_| caught()))
        .layer(middleware::from_fn_with_state(observer, observe))
        // Which leaves pictures as they are.
        .layer(CompressionLayer::new().compress_when(compress::worth_it()))
        .with_state(Arc::clone(segmenter));
    if serve.listen.cors.is_empty() {
        routes
    } else {
        routes.layer(cors(&serve.listen.cors))
    }
}

fn cors(origins: &[axum::http::HeaderValue]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::ACCEPT])
}

async fn nothing_here() -> Error {
    Error::NotFound(
        "there is nothing at this path; /docs lists what there is, POST /predict is the start"
            .to_owned(),
    )
}

async fn wrong_method(method: Method) -> Error {
    Error::MethodNotAllowed(format!(
        "{method} does nothing here; the header Allow lists what does"
    ))
}

fn caught() -> Response {
    Error::internal().into_response()
}

/// The first thing a handler takes: without one, a request's body is not even read.
impl FromRequestParts<App> for Arrival {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let patience = parts
            .headers
            .get(PATIENCE)
            .map(|value| {
                let time = value.to_str().ok().and_then(|text| text.parse().ok());
                time.map(std::time::Duration::from_millis).ok_or_else(|| {
                    Error::BadInput(
                        "X-Request-Timeout-Ms is not a whole number of milliseconds".to_owned(),
                    )
                })
            })
            .transpose()?;
        app.admit(patience)
    }
}

#[cfg(test)]
mod tests;
