//! Files for browsers, which are in the binary.

use std::{borrow::Cow, io::Read};

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

/// One of them.
pub(super) struct File {
    /// Its path from the root of the server.
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) content: Content,
    /// What a page may do, as a Content-Security-Policy.
    pub(super) policy: &'static str,
}

/// What is in it.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Plain(&'static str),
    /// Packed by gzip.
    Packed(&'static [u8]),
}

/// The routes of files.
pub(super) fn router<S: Clone + Send + Sync + 'static>(files: &'static [File]) -> Router<S> {
    files.iter().fold(Router::new(), |router, file| {
        let part = get(move |headers: HeaderMap| async move { serve(file, &headers) });
        router.route(file.path, part)
    })
}

/// The file, unless the browser has it already.
pub(super) fn serve(file: &'static File, sent: &HeaderMap) -> Response {
    let bytes = match file.content {
        Content::Plain(text) => text.as_bytes(),
        Content::Packed(bytes) => bytes,
    };
    let tag = format!("\"{}\"", BASE64_STANDARD.encode(Sha256::digest(bytes)));
    let kept = sent.get(header::IF_NONE_MATCH);
    let is_kept = kept.is_some_and(|kept| kept.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, file.media_type),
        // Kept, but not shown without asking: a new version may be here.
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &tag),
        (header::CONTENT_SECURITY_POLICY, file.policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers = headers.map(|(name, value): (HeaderName, &str)| (name, value.to_owned()));
    if is_kept {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    match file.content {
        Content::Packed(bytes) if accepts(sent, &header::ACCEPT_ENCODING, "gzip") => {
            let mut response = (headers, bytes).into_response();
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
            response
        }
        content => (headers, content.unpacked()).into_response(),
    }
}

impl Content {
    fn unpacked(self) -> Cow<'static, [u8]> {
        match self {
            Self::Plain(text) => text.as_bytes().into(),
            Self::Packed(bytes) => {
                let mut unpacked = Vec::new();
                // What the build has packed is whole; else it ends early.
                let _ = GzDecoder::new(bytes).read_to_end(&mut unpacked);
                unpacked.into()
            }
        }
    }
}

/// Whether a header that lists what is accepted names it.
pub(super) fn accepts(sent: &HeaderMap, header: &HeaderName, wanted: &str) -> bool {
    sent.get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|accepted| accepted.split(';').next())
        .any(|accepted| accepted.trim() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_found_among_others() {
        let accepts = |value: &'static str, wanted: &str| {
            let headers = [(header::ACCEPT, HeaderValue::from_static(value))];
            accepts(&HeaderMap::from_iter(headers), &header::ACCEPT, wanted)
        };
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert!(accepts(browser, "text/html"));
        assert!(accepts("application/json, text/html;q=0.5", "text/html"));
        assert!(!accepts("*/*", "text/html"));
        assert!(!accepts("application/json", "text/html"));
        assert!(!super::accepts(
            &HeaderMap::new(),
            &header::ACCEPT,
            "text/html"
        ));
    }
}
