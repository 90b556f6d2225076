//! Pictures from URLs.
//!
//! `http` and `https` and nothing else, no proxies, few redirects, each checked like the first URL, a
//! cap on bytes and on time, and only to addresses that the [`FetchPolicy`] allows. What comes back is
//! bytes: whether it is a picture is seen by decoding it, not by what its header claims.

mod error;
mod policy;
mod resolve;

use std::{
    error::Error as StdError,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response,
    header::{ACCEPT, HeaderMap, HeaderValue, LOCATION},
    redirect,
};
use url::{Host, Url};

pub use self::error::FetchError;
pub use self::policy::{Allow, FetchPolicy, NotAllowable, Refused};
use self::resolve::PolicyResolver;

/// Redirects that are followed: from `http` to `https`, to a canonical name, to a store.
const MAX_REDIRECTS: usize = 3;

/// How long making a connection may take. A host that is there answers in a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a host may say nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How much one fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Bytes of the answer, which `--max-body` sets.
    pub max_bytes: usize,
    /// Time for all of it, redirects included, which `--fetch-timeout` sets.
    pub timeout: Duration,
}

/// Fetches pictures from URLs.
pub struct Fetcher {
    policy: Arc<FetchPolicy>,
    limits: FetchLimits,
    /// Made when first needed. The one for `http` knows no certificate authorities, so that neither the
    /// start nor plain fetching pays for reading the system's, or fails where there are none.
    http: OnceLock<Client>,
    https: OnceLock<Client>,
}

impl Fetcher {
    /// A fetcher that goes where `policy` allows, within `limits`.
    pub fn new(policy: FetchPolicy, limits: FetchLimits) -> Self {
        Self {
            policy: Arc::new(policy),
            limits,
            http: OnceLock::new(),
            https: OnceLock::new(),
        }
    }

    /// What the URL leads to.
    pub async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        let fetch = async {
            let response = self.follow(parse(url)?).await?;
            self.body(response).await
        };
        tokio::time::timeout(self.limits.timeout, fetch)
            .await
            .unwrap_or(Err(FetchError::Timeout {
                limit: self.limits.timeout,
            }))
    }

    /// The answer at the end of the redirects.
    async fn follow(&self, mut url: Url) -> Result<Response, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&url).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = response.headers().get(LOCATION).filter(|_| redirect) else {
                return Err(FetchError::Status { status });
            };
            url = location
                .to_str()
                .ok()
                .and_then(|location| url.join(location).ok())
                .ok_or(FetchError::Redirect)?;
        }
        Err(FetchError::Redirects)
    }

    /// The answer to one request, if its host may be reached.
    async fn get(&self, url: &Url) -> Result<Response, FetchError> {
        let client = self.client(url)?;
        // Addresses in the URL are not resolved, so the resolver does not see them.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(FetchError::Url(url::ParseError::EmptyHost)),
        };
        if let Some(address) = address {
            self.policy.check(&address.to_string(), [address])?;
        }
        client
            .get(url.clone())
            .send()
            .await
            .map_err(|error| self.failed(error))
    }

    /// The answer's body, read as it comes and no further than the limit.
    async fn body(&self, mut response: Response) -> Result<Bytes, FetchError> {
        let limit = self.limits.max_bytes;
        let too_large = FetchError::TooLarge { limit };
        let announced = response.content_length().unwrap_or(0);
        let Some(announced) = usize::try_from(announced).ok().filter(|&n| n <= limit) else {
            return Err(too_large);
        };
        let mut body = BytesMut::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(e))? {
            if chunk.len() > limit - body.len() {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The client for the URL's scheme.
    fn client(&self, url: &Url) -> Result<&Client, FetchError> {
        let (slot, secure) = match url.scheme() {
            "http" => (&self.http, false),
            "https" => (&self.https, true),
            scheme => {
                return Err(FetchError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        // Two first requests at a time may both make one; either will do.
        let client = self.make_client(secure).map_err(FetchError::Client)?;
        Ok(slot.get_or_init(|| client))
    }

    fn make_client(&self, secure: bool) -> reqwest::Result<Client> {
        let timeout = self.limits.timeout;
        let builder = client_builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .read_timeout(READ_TIMEOUT.min(timeout))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .default_headers(HeaderMap::from_iter([(
                ACCEPT,
                HeaderValue::from_static("image/*, */*;q=0.5"),
            )]))
            .dns_resolver(PolicyResolver {
                policy: Arc::clone(&self.policy),
            });
        if secure {
            builder.build()
        } else {
            builder.tls_certs_only([]).build()
        }
    }

    /// What a failed request means.
    fn failed(&self, error: reqwest::Error) -> FetchError {
        if let Some(refused) = cause::<Refused>(&error) {
            return refused.clone().into();
        }
        if error.is_timeout() {
            return FetchError::Timeout {
                limit: self.limits.timeout,
            };
        }
        // The URL may have a password in it.
        FetchError::Http(error.without_url())
    }
}

/// A client as all of this program's are: with its name, and with the one cryptography it is built with.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    choose_cryptography();
    Client::builder().user_agent(concat!("segmenter/", env!("CARGO_PKG_VERSION")))
}

/// Has all clients of this process use the one cryptography that it is built with.
pub(crate) fn choose_cryptography() {
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn parse(url: &str) -> Result<Url, FetchError> {
    Url::parse(url.trim()).map_err(FetchError::Url)
}

/// The first error of this type among the error and its causes.
fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::error::Error;

    const LIMITS: FetchLimits = FetchLimits {
        max_bytes: 100_000,
        timeout: Duration::from_millis(500),
    };

    fn fetcher(rules: &[&str]) -> Fetcher {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Fetcher::new(FetchPolicy::new(rules), LIMITS)
    }

    /// Answers every connection's first request with what `answer` writes; the URL of it.
    async fn serve<A>(answer: impl Fn(String, TcpStream) -> A + Send + 'static) -> String
    where
        A: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                request.truncate(length);
                // Clients that hang up are part of the tests.
                tokio::spawn(answer(String::from_utf8(request).unwrap(), stream));
            }
        });
        format!("http://127.0.0.1:{port}")
    }

    /// Always answers these bytes.
    async fn serve_bytes(answer: &'static str) -> String {
        serve(move |_, mut stream| async move { stream.write_all(answer.as_bytes()).await }).await
    }

    async fn serve_redirect_to(target: &str) -> String {
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        serve_bytes(answer.leak()).await
    }

    /// The error of fetching with loopback allowed, as the edge has it.
    async fn fails(url: &str) -> (&'static str, String) {
        let error = fetcher(&["127.0.0.0/8"]).fetch(url).await.unwrap_err();
        let error = Error::from(error);
        (error.code(), error.to_string())
    }

    #[tokio::test]
    async fn a_picture_is_fetched_through_redirects() {
        let picture = serve_bytes("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await;
        let once = serve_redirect_to(&picture).await;
        let twice = serve_redirect_to(&once).await;
        let thrice = serve_redirect_to(&twice).await;
        let fetcher = fetcher(&["127.0.0.1"]);
        assert_eq!(fetcher.fetch(&thrice).await.unwrap(), "abc");
        let too_often = serve_redirect_to(&thrice).await;
        let error = Error::from(fetcher.fetch(&too_often).await.unwrap_err());
        assert_eq!(error.to_string(), "the URL redirects more than 3 times");
    }

    #[tokio::test]
    async fn a_relative_redirect_stays_with_its_host() {
        let host = serve(|request, mut stream| async move {
            let answer = if request.starts_with("GET /a/b ") {
                "HTTP/1.1 301 Moved\r\nLocation: ../c?d\r\nContent-Length: 0\r\n\r\n"
            } else {
                assert!(request.starts_with("GET /c?d "), "{request}");
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n"
            };
            stream.write_all(answer.as_bytes()).await
        })
        .await;
        let body = fetcher(&["127.0.0.1"]).fetch(&format!("{host}/a/b")).await;
        assert_eq!(body.unwrap(), "xy");
    }

    #[tokio::test]
    async fn addresses_inside_are_refused_however_they_are_written() {
        let fetcher = fetcher(&[]);
        for url in [
            "http://127.0.0.1:1/",
            "http://localhost:1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "https://169.254.169.254/latest/meta-data/",
            "http://\u{ff11}27.0.0.1/",
        ] {
            let error = Error::from(fetcher.fetch(url).await.unwrap_err());
            assert_eq!(error.code(), "fetch_refused", "{url}: {error}");
            assert!(error.to_string().contains("--fetch-allow"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_url() {
        let metadata = serve_redirect_to("http://169.254.169.254/latest/meta-data/").await;
        let (code, message) = fails(&metadata).await;
        assert_eq!(code, "fetch_refused");
        assert!(message.contains("a cloud metadata address"), "{message}");

        let local = serve_redirect_to("http://localhost:1/").await;
        // ::1, where the system has it, is outside of the network that is allowed.
        let (code, message) = fails(&local).await;
        assert!(
            ["fetch_refused", "fetch_failed"].contains(&code),
            "{message}"
        );

        let (code, message) = fails(&serve_redirect_to("file:///etc/passwd").await).await;
        assert_eq!(
            (code, message.contains("scheme is file")),
            ("fetch_refused", true)
        );
    }

    #[tokio::test]
    async fn a_loop_of_redirects_ends() {
        let (code, message) = fails(&serve_redirect_to("/").await).await;
        assert_eq!(code, "fetch_failed");
        assert!(message.contains("more than 3 times"), "{message}");
    }

    #[tokio::test]
    async fn what_is_not_http_is_refused() {
        for url in ["file:///etc/passwd", "ftp://1.1.1.1/", "data:,x"] {
            assert_eq!(fails(url).await.0, "fetch_refused", "{url}");
        }
        for url in ["/etc/passwd", "", "http://"] {
            assert_eq!(fails(url).await.0, "bad_input", "{url}");
        }
    }

    #[tokio::test]
    async fn other_answers_than_success_are_named() {
        let missing = serve_bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let expected = "the URL's host answered 404 Not Found".to_owned();
        assert_eq!(fails(&missing).await, ("fetch_failed", expected));
        let nowhere = serve_bytes("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await;
        assert!(fails(&nowhere).await.1.contains("302"));
        assert_eq!(fails(&serve_bytes("hello").await).await.0, "fetch_failed");
        assert_eq!(fails("http://127.0.0.1:1/").await.0, "fetch_failed");
        assert_eq!(
            fails("http://no-such-host.invalid/").await.0,
            "fetch_failed"
        );
        assert_eq!(fails("https://127.0.0.1:1/").await.0, "fetch_failed");
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_not_read() {
        let announced = serve_bytes("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n").await;
        let (code, message) = fails(&announced).await;
        assert_eq!(code, "too_large");
        assert!(
            message.contains("100000 bytes") && message.contains("--max-body"),
            "{message}"
        );

        let endless = serve(|_, mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 1000]).await?;
            }
        })
        .await;
        assert_eq!(fails(&endless).await.0, "too_large");

        let length = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n";
        assert_eq!(fails(&serve_bytes(length).await).await.0, "too_large");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_a_failure() {
        let cut = serve_bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
        assert_eq!(fails(&cut).await.0, "fetch_failed");
    }

    #[tokio::test]
    async fn slow_hosts_are_given_up() {
        let silent = serve(|_, stream| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(stream);
            Ok(())
        })
        .await;
        let dripping = serve(|_, mut stream| async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        for url in [silent, dripping] {
            let started = Instant::now();
            let (code, message) = fails(&url).await;
            assert_eq!(code, "fetch_failed");
            assert!(message.contains("--fetch-timeout"), "{message}");
            assert!(started.elapsed() < Duration::from_secs(5), "{url}");
        }
    }

    #[tokio::test]
    async fn passwords_in_urls_do_not_show() {
        let (_, message) = fails("http://user:secret@127.0.0.1:1/").await;
        assert!(!message.contains("secret"), "{message}");
        let error = fetcher(&["127.0.0.1"])
            .fetch("http://user:secret@127.0.0.1:1/")
            .await
            .unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
