//! `GET /`: a page for people, which calls the API, and a word for all others.

use axum::{
    Json, Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// A file of the page.
struct File {
    /// Its path from the root of the server.
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

macro_rules! part {
    ($name:literal, $media_type:literal) => {
        File {
            path: concat!("/page/", $name),
            media_type: $media_type,
            content: include_str!(concat!("page/", $name)),
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
    let mut response = if accepts_html(&headers) {
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
    PARTS.iter().fold(Router::new(), |router, file| {
        let part = get(move |headers: HeaderMap| async move { serve(file, &headers) });
        router.route(file.path, part)
    })
}

/// The file, unless the browser has it already.
fn serve(file: &'static File, sent: &HeaderMap) -> Response {
    let tag = format!(
        "\"{}\"",
        BASE64_STANDARD.encode(Sha256::digest(file.content))
    );
    let kept = sent.get(header::IF_NONE_MATCH);
    let is_kept = kept.is_some_and(|kept| kept.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, file.media_type),
        // Kept, but not shown without asking: a new version may be here.
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &tag),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers = headers.map(|(name, value): (HeaderName, &str)| (name, value.to_owned()));
    if is_kept {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, file.content).into_response()
    }
}

/// Whether it is a browser that asks.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let ranges = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next());
    ranges.into_iter().any(|kind| kind.trim() == "text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_all_its_parts_and_nothing_from_elsewhere() {
        let texts = [&INDEX].into_iter().chain(&PARTS);
        let all: String = texts.map(|file| file.content).collect();
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

    #[test]
    fn browsers_accept_html_and_programs_do_not() {
        let accepts = |value: &'static str| {
            let headers = [(header::ACCEPT, HeaderValue::from_static(value))];
            accepts_html(&HeaderMap::from_iter(headers))
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(accepts("application/json, text/html;q=0.5"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts_html(&HeaderMap::new()));
    }
}
