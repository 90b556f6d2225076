//! What port 8080 says of itself: OpenAPI at `/openapi.json`, a page to try it on at `/docs`.

use axum::Router;
use utoipa::{IntoResponses, OpenApi, openapi};
use utoipa_swagger_ui::{Config, SwaggerUi};

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

/// The routes of the documentation itself. Everything they need is in the binary.
pub(super) fn router<S: Clone + Send + Sync + 'static>(api: openapi::OpenApi) -> Router<S> {
    // The page would else have the description checked by a server on the internet.
    let config = Config::default().validator_url("none");
    SwaggerUi::new("/docs")
        .url("/openapi.json", api)
        .config(config)
        .into()
}
