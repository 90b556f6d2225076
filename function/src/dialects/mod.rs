//! What clients of other servers send and expect, so that they can call this one instead.
//!
//! One file a server, or a folder. Each has a `router`, whose handlers take a request apart, call the
//! [service](crate::service) and encode its answer in the words of that server. Its errors are the words that
//! [`Error`]s have there, told with [`observe::in_other_words`](crate::observe::in_other_words),
//! so that they are logged and counted like all others.

mod flask;
pub mod max;
pub mod open_inference;
pub mod segmentation_api;
pub mod segmenter_web;
pub mod tensorflow_serving;
pub mod torchserve;
pub mod wowboard;

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use segmenter_models::catalogue::{BUILT_IN, Task};

use crate::{
    error::Error,
    http::App,
    service::{Segmenter, Served},
};

/// Adds a `reply` for all verbs but those in `allow`, which `routes` answers.
fn only(
    allow: &'static str,
    reply: fn(StatusCode, Error) -> Response,
    routes: MethodRouter<App>,
) -> MethodRouter<App> {
    let allow = [(header::ALLOW, HeaderValue::from_static(allow))];
    routes.fallback(move |method: Method| async move {
        let error = Error::MethodNotAllowed(format!("{method} does nothing here"));
        (allow, reply(StatusCode::METHOD_NOT_ALLOWED, error)).into_response()
    })
}

/// The model for clients that expect a class for every pixel: the first that answers that, else the default one, whose
/// masks make a class map, too.
fn of_pixels(segmenter: &Segmenter) -> &Served {
    let mut models = segmenter.models().iter();
    models
        .find(|model| model.entry.task == Task::SemanticSegmentation)
        .unwrap_or_else(|| segmenter.default_model())
}

/// The model for clients of wowboard-detector: the one that is built in, whichever answers all others.
fn of_boards(segmenter: &Segmenter) -> &Served {
    let model = segmenter.model(BUILT_IN.name);
    model.unwrap_or_else(|_| segmenter.default_model())
}
