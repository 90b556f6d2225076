//! What Flask answers by itself, for dialects of applications that were written with it.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, Response},
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

/// [Adds](super::only) OPTIONS, and a `reply` for all verbs but those in `allow`.
pub(super) fn only(
    allow: &'static str,
    reply: fn(StatusCode, Error) -> Response,
    routes: MethodRouter<App>,
) -> MethodRouter<App> {
    let options = [(header::ALLOW, HeaderValue::from_static(allow))];
    super::only(allow, reply, routes.options(move || async move { options }))
}

/// Messages repeat what a caller sent.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
