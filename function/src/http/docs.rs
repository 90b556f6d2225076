//! What port 8080 says of itself: OpenAPI at `/openapi.json`, a page to try it on at `/docs`.

use std::sync::Arc;

use axum::{
    Json, Router,
    response::{IntoResponse, Redirect},
    routing::get,
};
use utoipa::{IntoResponses, OpenApi, openapi};

use super::file::{self, Content, File};
use crate::observe::ErrorReply;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "segmenter",
        description = "Finds and outlines the objects in a picture.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Which the derivation of responses refers to and does not collect.
    components(schemas(ErrorReply)),
    tags(
        (name = "predictions", description = "A picture in, its objects out"),
        (name = "health", description = "For machines that watch the server"),
        (name = "page", description = "For people with a browser"),
        (name = "segmenter-web", description = "For clients of the web service Segmenter"),
        (name = "max", description = "For clients of IBM's MAX Image Segmenter"),
        (name = "wowboard", description = "For clients of wowboard-detector"),
        (name = "segmentation-api", description = "For clients of Image-Segmentation-API"),
        (name = "tensorflow-serving", description = "For clients of TensorFlow Serving, wowboard-detector's backend among them"),
        (name = "open-inference", description = "For clients of KServe, Triton and others with its protocol"),
        (name = "torchserve", description = "For clients of its model in TorchServe"),
    )
)]
pub(super) struct Documentation;

/// The replies of a prediction that there is none of.
#[derive(IntoResponses)]
#[expect(
    dead_code,
    reason = "describes replies, which are made of the error itself"
)]
pub(super) enum Refusal {
    /// The request says something that cannot be.
    #[response(status = 400)]
    BadInput(ErrorReply),
    /// The URL leads where this server does not go.
    #[response(status = 403)]
    FetchRefused(ErrorReply),
    /// The request came too slowly.
    #[response(status = 408)]
    RequestTimeout(ErrorReply),
    /// The picture is over a limit, which the message names.
    #[response(status = 413)]
    TooLarge(ErrorReply),
    /// Not a picture format that is read here; the message lists those.
    #[response(status = 415)]
    UnsupportedMedia(ErrorReply),
    /// As many requests wait as may. Retry-After says when to try again.
    #[response(status = 429)]
    Overloaded(ErrorReply),
    /// Our fault.
    #[response(status = 500)]
    Internal(ErrorReply),
    /// The URL's host gave no picture.
    #[response(status = 502)]
    FetchFailed(ErrorReply),
    /// Starting or stopping.
    #[response(status = 503)]
    NotReady(ErrorReply),
    /// No answer within the deadline.
    #[response(status = 504)]
    Deadline(ErrorReply),
}

/// What the page does: Swagger UI styles what it makes where it makes it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' blob: data:; font-src data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

macro_rules! packed {
    ($name:literal, $media_type:literal) => {
        File {
            path: concat!("/docs/", $name),
            media_type: $media_type,
            content: Content::Packed(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))),
            policy: POLICY,
        }
    };
}

/// Everything that the page needs. Of Swagger UI there is what draws the page, not its bar to load other descriptions.
static PARTS: [File; 4] = [
    File {
        path: "/docs/",
        media_type: "text/html; charset=utf-8",
        content: Content::Plain(include_str!("docs/index.html")),
        policy: POLICY,
    },
    File {
        path: "/docs/script.js",
        media_type: "text/javascript; charset=utf-8",
        content: Content::Plain(include_str!("docs/script.js")),
        policy: POLICY,
    },
    packed!("swagger-ui.css", "text/css; charset=utf-8"),
    packed!("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
];

/// The routes of the documentation itself.
pub(super) fn router<S: Clone + Send + Sync + 'static>(api: openapi::OpenApi) -> Router<S> {
    // Every connection gets a copy of all routes.
    let api = Arc::new(api);
    let description = async move || Json(&*api).into_response();
    file::router(&PARTS)
        // What the page is made of lies beside it.
        .route("/docs", get(async || Redirect::permanent("docs/")))
        .route("/openapi.json", get(description))
}
