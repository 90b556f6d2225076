//! `GET /`: a page for people, which calls the API, and a word for all others.

use axum::{
    Json, Router,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::file::{self, Content, File, accepts, serve};

macro_rules! part {
    ($name:literal, $media_type:literal) => {
        File {
            path: concat!("/page/", $name),
            media_type: $media_type,
            content: Content::Plain(include_str!(concat!("page/", $name))),
            policy: POLICY,
        }
    };
}

static INDEX: File = part!("index.html", "text/html; charset=utf-8");

/// What the page is made of. Nothing else is loaded, from here or from elsewhere.
static PARTS: [File; 6] = [
    part!("style.css", "text/css; charset=utf-8"),
    part!("script.js", "text/javascript; charset=utf-8"),
    part!("api.js", "text/javascript; charset=utf-8"),
    part!("overlay.js", "text/javascript; charset=utf-8"),
    part!("snippets.js", "text/javascript; charset=utf-8"),
    part!("icon.svg", "image/svg+xml"),
];

/// What the page may do: run and show what comes from this server, and show the user's own pictures.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The state of the server in a word.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    #[schema(example = "healthy")]
    status: &'static str,
}

/// A page to try the server on
///
/// Whoever does not accept HTML is told that the server is there.
#[utoipa::path(get, path = "/", tag = "page", responses(
    (
        status = 200,
        description = "The page, or that the server is there",
        content((String = "text/html"), (Status = "application/json")),
    ),
))]
pub(super) async fn root(headers: HeaderMap) -> Response {
    let mut response = if accepts(&headers, &header::ACCEPT, "text/html") {
        serve(&INDEX, &headers)
    } else {
        Json(Status { status: "healthy" }).into_response()
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// The routes of the page's parts.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    file::router(&PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_all_its_parts_and_nothing_from_elsewhere() {
        let texts = [&INDEX].into_iter().chain(&PARTS);
        let all: String = texts
            .map(|file| match file.content {
                Content::Plain(text) => text,
                Content::Packed(_) => panic!("{} is packed", file.path),
            })
            .collect();
        for part in &PARTS {
            let name = part.path.rsplit('/').next().unwrap();
            assert!(all.contains(name), "nothing loads {name}");
        }
        for foreign in [
            "src=\"http",
            "href=\"http",
            "url(http",
            "from \"http",
            "style=\"",
            "onclick",
        ] {
            assert!(!all.contains(foreign), "{foreign}");
        }
    }
}
