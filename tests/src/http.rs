//! HTTP as the tests speak it.

use std::{net::SocketAddr, sync::Once, time::Duration};

use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

/// A client without proxies, without redirects and with no time limit shorter than a test's patience.
pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only when one is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(120))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without TLS settings can always be built")
}

/// The status and the JSON of a response.
pub async fn json(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.expect("a whole response");
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{status} without JSON: {error}: {text}"));
    (status, json)
}

/// The status and the stable code of an error response, which must also have a message and the
/// request's id.
pub async fn refusal(response: Response) -> (u16, String) {
    let id = response.headers().get("x-request-id").cloned();
    let (status, json) = json(response).await;
    assert!(!status.is_success(), "{status} {json}");
    let error = &json["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "no message in {json}"
    );
    let id = id.unwrap_or_else(|| panic!("no request id in the headers of {json}"));
    assert_eq!(error["request_id"].as_str(), id.to_str().ok(), "{json}");
    let code = error["code"]
        .as_str()
        .unwrap_or_else(|| panic!("no code in {json}"));
    (status.as_u16(), code.to_owned())
}

/// Posts to `path` with these header lines and a body of `chunks`, `pause` apart, and reads the answer
/// meanwhile: clients with a large body do so, and a server may answer before it has read everything.
/// Answers the whole response as text, or `None` where the connection ended without one.
pub async fn post_slowly(
    address: SocketAddr,
    path: &str,
    headers: &str,
    chunks: impl Iterator<Item = Vec<u8>> + Send + 'static,
    pause: Duration,
) -> Option<String> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the port takes connections");
    let (mut read, mut write) = stream.into_split();
    let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    let writer = tokio::spawn(async move {
        // An error here is the server having heard enough.
        if write.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for chunk in chunks {
            if write.write_all(&chunk).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
        // Keeps the connection open in this direction: what is missing may still come.
        std::future::pending::<()>().await;
    });
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = read.read(&mut buffer).await
        && length > 0
    {
        response.extend_from_slice(&buffer[..length]);
        if is_whole(&response) {
            break;
        }
    }
    writer.abort();
    (!response.is_empty()).then(|| String::from_utf8_lossy(&response).into_owned())
}

/// Whether a response with a `Content-Length` has all of its body.
fn is_whole(response: &[u8]) -> bool {
    let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length:")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    length.is_some_and(|length| response.len() >= end + 4 + length)
}

/// The status of a response in text.
pub fn status_of(response: &str) -> u16 {
    response
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status in {response:?}"))
}
