//! What Flask answers by itself, for dialects of applications that were written with it.

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::MethodRouter,
};

use crate::{error::Error, http::App, observe::in_other_words};

/// An error as Flask shows it: a page with the status as its heading.
pub(super) fn page(status: StatusCode, error: Error) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    let message = escape(&error.to_string());
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<title>{} {reason}</title>\n<h1>{reason}</h1>\n<p>{message}</p>\n",
        status.as_u16()
    );
    in_other_words(error, (status, Html(page)))
}

/// Adds OPTIONS, and a `reply` for all verbs but those in `allow`.
pub(super) fn only(
    allow: &'static str,
    reply: fn(StatusCode, Error) -> Response,
    routes: MethodRouter<App>,
) -> MethodRouter<App> {
    let allow = [(header::ALLOW, HeaderValue::from_static(allow))];
    let options = allow.clone();
    routes
        .options(move || async move { options })
        .fallback(move |method: Method| async move {
            let error = Error::MethodNotAllowed(format!("{method} does nothing here"));
            (allow, reply(StatusCode::METHOD_NOT_ALLOWED, error)).into_response()
        })
}

/// Messages repeat what a caller sent.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
