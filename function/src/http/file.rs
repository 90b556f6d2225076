//! Files for browsers, which are in the binary.

use std::io::Read;

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
    let sum = Sha256::digest(file.content.bytes());
    let tag = format!("\"{}\"", BASE64_STANDARD.encode(sum));
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
        Content::Plain(text) => (headers, text).into_response(),
        Content::Packed(bytes) => {
            let is_accepted = accepts(sent, &header::ACCEPT_ENCODING, "gzip");
            let mut response = if is_accepted {
                let gzip = [(header::CONTENT_ENCODING, "gzip")];
                (headers, gzip, bytes).into_response()
            } else {
                (headers, unpacked(bytes)).into_response()
            };
            let vary = HeaderValue::from_static("accept-encoding");
            response.headers_mut().insert(header::VARY, vary);
            response
        }
    }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    // What the build has packed is whole; else it ends early.
    let _ = GzDecoder::new(bytes).read_to_end(&mut unpacked);
    unpacked
}

impl Content {
    /// As they are kept.
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Plain(text) => text.as_bytes(),
            Self::Packed(bytes) => bytes,
        }
    }
}

/// Whether a header that lists what is accepted names it.
pub(super) fn accepts(sent: &HeaderMap, header: &HeaderName, wanted: &str) -> bool {
    sent.get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|accepted| {
            let mut parts = accepted.split(';').map(str::trim);
            let is_named = parts.next() == Some(wanted);
            // A weight of zero is a no (RFC 9110, section 12.4.2).
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            is_named && weight != Some(0.0)
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::to_bytes;
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[tokio::test]
    async fn packed_files_are_unpacked_for_who_does_not_accept_them() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(b"body {}").unwrap();
        let packed: &[u8] = Vec::leak(packed.finish().unwrap());
        let file: &File = Box::leak(Box::new(File {
            path: "/style.css",
            media_type: "text/css",
            content: Content::Packed(packed),
            policy: "default-src 'none'",
        }));
        let gzip = (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("br, gzip"),
        );
        for (sent, encoding, expected) in [
            (HeaderMap::new(), None, &b"body {}"[..]),
            (HeaderMap::from_iter([gzip]), Some("gzip"), packed),
        ] {
            let response = serve(file, &sent);
            let headers = response.headers();
            assert_eq!(headers[header::VARY], "accept-encoding");
            let encoded = headers.get(header::CONTENT_ENCODING);
            assert_eq!(encoded.map(|value| value.to_str().unwrap()), encoding);
            let body = to_bytes(response.into_body(), 1000).await.unwrap();
            assert_eq!(body, expected);
        }
    }

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
        assert!(!accepts("*/*, text/html; q=0.0", "text/html"));
        assert!(!accepts("application/json", "text/html"));
        assert!(!super::accepts(
            &HeaderMap::new(),
            &header::ACCEPT,
            "text/html"
        ));
    }
}
