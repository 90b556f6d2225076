//! What is too large, too slow, too much, broken or out of bounds gets its clear error, costs no memory
//! to speak of, and leaves the server well.

use std::{
    fs, io,
    io::Write as _,
    iter,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use segmenter_tests::{
    PictureHost, Server,
    http::{json, post_slowly, refusal, status_of},
    pictures,
    proto::segmenter::{
        PredictRequest, predict_request::Source, segmenter_client::SegmenterClient,
    },
    shared::{shared, skipped},
};
use serde_json::json;
use tonic::Code;

/// The most that refused requests, however large and many, may add to the server's memory, in bytes: a
/// few times the largest body that is read, a picture of 20 MiB in base64. The allocator keeps some freed
/// ones for a moment.
const FLAT: u64 = 128 << 20;

/// The most bytes of memory that `action` makes the server hold more than before.
async fn growth(server: &Server, action: impl Future<Output = ()>) -> u64 {
    // The first prediction makes the buffers that stay.
    assert_well(server).await;
    let before = server.peak_resident().max(server.resident());
    action.await;
    server.peak_resident().saturating_sub(before)
}

/// A good request is answered.
async fn assert_well(server: &Server) {
    let picture = pictures::jpeg(&pictures::scene(320, 240));
    let (status, reply) = json(server.post("/predict", picture).await).await;
    assert_eq!(status, 200, "{reply}");
}

#[tokio::test]
async fn a_body_of_a_gigabyte_is_refused_unread() {
    let Some(server) = Server::start("a_body_of_a_gigabyte_is_refused_unread", &[]).await else {
        return;
    };
    let grown = growth(&server, async {
        let plain = vec![0; 1_000_000];
        let chunk = [b"f4240\r\n", &*plain, b"\r\n"].concat();
        // Announced, and not: then it is refused when it passes the limit.
        let bodies = [
            ("Content-Length: 1000000000\r\n", plain),
            ("Transfer-Encoding: chunked\r\n", chunk),
        ];
        // Again and again, as memory that is not given back would add up.
        for (headers, chunk) in bodies.iter().cycle().take(20).cloned() {
            let chunks = iter::repeat_n(chunk, 1000);
            let address = server.http_address();
            let reply = post_slowly(address, "/predict", headers, chunks, Duration::ZERO)
                .await
                .unwrap_or_else(|| panic!("no answer, {headers}"));
            assert_eq!(status_of(&reply), 413, "{reply}");
            assert!(
                reply.contains("too_large") && reply.contains("--max-body"),
                "{reply}"
            );
        }
    })
    .await;
    assert!(grown < FLAT, "{grown} bytes more");
    assert_well(&server).await;
}

#[tokio::test]
async fn a_large_grpc_message_is_refused_with_the_name_of_the_limit() {
    let test = "a_large_grpc_message_is_refused_with_the_name_of_the_limit";
    let Some(server) = Server::start(test, &["--max-body", "1MiB"]).await else {
        return;
    };
    let mut client = SegmenterClient::new(server.channel().await);
    let request = |size| PredictRequest {
        source: Some(Source::Image(vec![0; size])),
        ..PredictRequest::default()
    };
    let status = client.predict(request(8 << 20)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains("--max-body"), "{status}");
    // Just within the limit, it is only no picture.
    let status = client.predict(request(1 << 20)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn the_limit_of_a_body_is_the_limit_of_the_picture_in_every_form() {
    let test = "the_limit_of_a_body_is_the_limit_of_the_picture_in_every_form";
    let Some(server) = Server::start(test, &["--max-body", "100kB"]).await else {
        return;
    };
    let base64 = |size| {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        json!({ "image": BASE64_STANDARD.encode(vec![0_u8; size]) }).to_string()
    };
    for (size, status) in [(100_000, 415), (100_001, 413)] {
        assert_eq!(
            refusal(server.post("/predict", vec![0; size]).await)
                .await
                .0,
            status
        );
        assert_eq!(
            refusal(server.post("/predict", base64(size)).await).await.0,
            status
        );
    }
}

#[tokio::test]
async fn a_small_file_of_a_huge_picture_is_refused_by_its_header() {
    let test = "a_small_file_of_a_huge_picture_is_refused_by_its_header";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let bomb = pictures::png_bomb(30_000);
    assert!(bomb.len() < 200_000);
    let host = PictureHost::start([("bomb.png".to_owned(), bomb.clone())]).await;
    let url = json!({ "url": host.picture("bomb.png") }).to_string();
    let grown = growth(&server, async {
        for body in [bomb, url.into_bytes()] {
            let begin = Instant::now();
            let refused = refusal(server.post("/predict", body).await).await;
            assert_eq!(refused, (413, "too_large".to_owned()));
            assert!(begin.elapsed() < Duration::from_secs(5));
        }
    })
    .await;
    assert!(grown < FLAT, "{grown} bytes more");
    assert_well(&server).await;
}

#[tokio::test]
async fn what_is_no_picture_is_told_apart() {
    let Some(server) = Server::start("what_is_no_picture_is_told_apart", &[]).await else {
        return;
    };
    let whole = pictures::jpeg(&pictures::scene(640, 480));
    let head = &whole[..whole.len() / 3];
    let host = PictureHost::start([
        ("truncated.jpg".to_owned(), head.to_vec()),
        ("page.html".to_owned(), b"<html>".to_vec()),
    ])
    .await;
    let url = |url: String| json!({ "url": url }).to_string().into_bytes();
    let cases = [
        ("truncated JPEG", head.to_vec(), (400, "bad_input")),
        (
            "truncated JPEG by URL",
            url(host.picture("truncated.jpg")),
            (400, "bad_input"),
        ),
        (
            "text",
            b"just some text".to_vec(),
            (415, "unsupported_media"),
        ),
        (
            "text by URL",
            url(host.url("text")),
            (415, "unsupported_media"),
        ),
        (
            "page by URL",
            url(host.picture("page.html")),
            (415, "unsupported_media"),
        ),
        ("nothing", Vec::new(), (400, "bad_input")),
        (
            "half of some JSON",
            b"{\"url\": ".to_vec(),
            (400, "bad_input"),
        ),
        ("JSON without a picture", b"{}".to_vec(), (400, "bad_input")),
        (
            "JSON with another type",
            b"{\"url\": 5}".to_vec(),
            (400, "bad_input"),
        ),
        (
            "not base64",
            b"{\"image\": \"***\"}".to_vec(),
            (400, "bad_input"),
        ),
        (
            "a file URL",
            url("file:///etc/passwd".to_owned()),
            (403, "fetch_refused"),
        ),
        (
            "no URL at all",
            url("nowhere".to_owned()),
            (400, "bad_input"),
        ),
        (
            "a missing picture",
            url(host.picture("missing.jpg")),
            (502, "fetch_failed"),
        ),
    ];
    let grown = growth(&server, async {
        for (name, body, (status, code)) in cases {
            let refused = refusal(server.post("/predict", body).await).await;
            assert_eq!(refused, (status, code.to_owned()), "{name}");
            assert_well(&server).await;
        }
    })
    .await;
    assert!(grown < FLAT, "{grown} bytes more");
}

#[tokio::test]
async fn a_client_that_sends_nothing_more_is_let_go() {
    let test = "a_client_that_sends_nothing_more_is_let_go";
    let Some(server) = Server::start(test, &["--deadline", "2s"]).await else {
        return;
    };
    let picture = pictures::jpeg(&pictures::scene(320, 240));
    let headers = format!("Content-Length: {}\r\n", picture.len());
    let stalled = vec![picture[..100].to_vec()];
    let drip: Vec<_> = picture.iter().map(|byte| vec![*byte]).collect();
    let begin = Instant::now();
    let address = server.http_address();
    let (stalled, dripping) = tokio::join!(
        post_slowly(
            address,
            "/predict",
            &headers,
            stalled.into_iter(),
            Duration::ZERO
        ),
        post_slowly(
            address,
            "/predict",
            &headers,
            drip.into_iter(),
            Duration::from_millis(100)
        ),
    );
    for reply in [stalled, dripping] {
        let reply = reply.expect("an answer");
        assert_eq!(status_of(&reply), 408, "{reply}");
        assert!(reply.contains("request_timeout"), "{reply}");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert_well(&server).await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() {
    let test = "a_host_that_does_not_answer_is_given_up";
    let Some(server) = Server::start(test, &["--fetch-timeout", "1s"]).await else {
        return;
    };
    let host = PictureHost::start([]).await;
    let grown = growth(&server, async {
        let requests = ["never", "drip", "endless"].map(|path| {
            let body = json!({ "url": host.url(path) }).to_string();
            let server = &server;
            async move {
                let begin = Instant::now();
                let refused = refusal(server.post("/predict", body).await).await;
                assert!(begin.elapsed() < Duration::from_secs(10), "{path}");
                (path, refused)
            }
        });
        for (path, (status, code)) in join_all(requests).await {
            match path {
                // Over the size limit before the time limit.
                "endless" => assert!(
                    (status, &*code) == (413, "too_large")
                        || (status, &*code) == (502, "fetch_failed"),
                    "{path}: {status} {code}"
                ),
                _ => assert!(
                    (status, &*code) == (504, "deadline")
                        || (status, &*code) == (502, "fetch_failed"),
                    "{path}: {status} {code}"
                ),
            }
        }
    })
    .await;
    assert!(grown < FLAT, "{grown} bytes more");
    assert_well(&server).await;
}

#[tokio::test]
async fn redirects_are_followed_where_they_may_lead() {
    let test = "redirects_are_followed_where_they_may_lead";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let scene = pictures::jpeg(&pictures::scene(160, 120));
    let host = PictureHost::start([("scene.jpg".to_owned(), scene)]).await;
    let post = async |url: String| {
        server
            .post("/predict", json!({ "url": url }).to_string())
            .await
    };

    assert_eq!(post(host.url("redirect/3/scene.jpg")).await.status(), 200);
    let refused = refusal(post(host.url("redirect/4/scene.jpg")).await).await;
    assert_eq!(refused, (502, "fetch_failed".to_owned()));
    for path in ["to-metadata", "to-file"] {
        let refused = refusal(post(host.url(path)).await).await;
        assert_eq!(refused, (403, "fetch_refused".to_owned()), "{path}");
    }
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://[::1]/",
        "http://0x0a000001/",
    ] {
        let refused = refusal(post(url.to_owned()).await).await;
        assert_eq!(refused, (403, "fetch_refused".to_owned()), "{url}");
    }
    assert_well(&server).await;
}

#[tokio::test]
async fn more_requests_than_the_queue_holds_are_turned_away_at_once() {
    let test = "more_requests_than_the_queue_holds_are_turned_away_at_once";
    let Some(server) = Server::start(test, &["--queue", "8"]).await else {
        return;
    };
    let picture = pictures::jpeg(&pictures::scene(640, 480));
    let grown = growth(&server, async {
        let requests = (0..500).map(|_| async {
            let response = server.post("/predict", picture.clone()).await;
            let retry_after = response.headers().get("retry-after").cloned();
            let (status, reply) = json(response).await;
            (status.as_u16(), retry_after, reply)
        });
        let mut answered = 0;
        for (status, retry_after, reply) in join_all(requests).await {
            match status {
                200 => answered += 1,
                429 => {
                    assert_eq!(reply["error"]["code"], "overloaded");
                    let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
                    assert!(seconds.is_some_and(|seconds: u64| seconds >= 1), "{reply}");
                }
                other => panic!("{other}: {reply}"),
            }
        }
        // Those that waited were not given up for the others.
        assert!((9..500).contains(&answered), "{answered} answered");
    })
    .await;
    assert!(grown < FLAT, "{grown} bytes more");
    let rejected = r#"segmenter_rejected_total{reason="overloaded"}"#;
    assert!(
        server
            .metric(rejected)
            .await
            .is_some_and(|count| count > 0.0)
    );
    assert_well(&server).await;
}

#[tokio::test]
async fn grpc_callers_are_turned_away_with_resource_exhausted() {
    let test = "grpc_callers_are_turned_away_with_resource_exhausted";
    let Some(server) = Server::start(test, &["--queue", "4"]).await else {
        return;
    };
    let picture = pictures::jpeg(&pictures::scene(640, 480));
    let channel = server.channel().await;
    let calls = (0..60).map(|_| {
        let mut client = SegmenterClient::new(channel.clone());
        let source = Some(Source::Image(picture.clone()));
        async move {
            let request = PredictRequest {
                source,
                ..PredictRequest::default()
            };
            client
                .predict(request)
                .await
                .map_or_else(|status| status.code(), |_| Code::Ok)
        }
    });
    let codes = join_all(calls).await;
    let count = |wanted| codes.iter().filter(|code| **code == wanted).count();
    assert!(count(Code::Ok) >= 5, "{codes:?}");
    assert!(count(Code::ResourceExhausted) > 0, "{codes:?}");
    assert_eq!(
        count(Code::Ok) + count(Code::ResourceExhausted),
        60,
        "{codes:?}"
    );
    assert_well(&server).await;
}

#[tokio::test]
async fn a_caller_s_own_deadline_is_kept() {
    let Some(server) = Server::start("a_caller_s_own_deadline_is_kept", &[]).await else {
        return;
    };
    let host = PictureHost::start([]).await;
    let mut client = SegmenterClient::new(server.channel().await);
    let mut request = tonic::Request::new(PredictRequest {
        source: Some(Source::Url(host.url("never"))),
        ..PredictRequest::default()
    });
    request.set_timeout(Duration::from_millis(300));
    let begin = Instant::now();
    let status = client.predict(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );

    let response = server
        .client()
        .post(server.url("/predict"))
        .header("x-request-timeout-ms", "300")
        .body(json!({ "url": host.url("never") }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(refusal(response).await, (504, "deadline".to_owned()));
}

/// A control group that gives its processes half a processor; away when dropped.
struct HalfAProcessor(PathBuf);

impl HalfAProcessor {
    /// Of the second version, or of the first; an error where there may be none.
    fn new() -> io::Result<Self> {
        Self::of("/sys/fs/cgroup", "cpu.max", "50000 100000")
            .or_else(|_| Self::of("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"))
    }

    fn of(root: &str, file: &str, quota: &str) -> io::Result<Self> {
        let folder = Path::new(root).join(format!("segmenter-tests-{}", process::id()));
        fs::create_dir(&folder)?;
        let group = Self(folder);
        // Where the file is not there, what was made is no group.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(group.0.join(file))?;
        file.write_all(quota.as_bytes())?;
        Ok(group)
    }
}

impl Drop for HalfAProcessor {
    fn drop(&mut self) {
        // Fails only while there are processes in it.
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_quota_of_processors_is_one_of_threads() {
    const NAME: &str = "a_quota_of_processors_is_one_of_threads";
    let Some(shared) = shared(NAME) else { return };
    if thread::available_parallelism().map_or(1, usize::from) == 1 {
        skipped(NAME, "there is one processor only");
        return;
    }
    let group = match HalfAProcessor::new() {
        Ok(group) => group,
        Err(error) => {
            skipped(NAME, &format!("no control group can be made: {error}"));
            return;
        }
    };
    let enter = format!(
        "echo $$ > {}/cgroup.procs && exec \"$@\"",
        group.0.display()
    );
    let server = Server::spawn(&shared.join("weights"), &[], &["sh", "-c", &enter, "sh"]);
    let Some(server) = server.wait_until_ready().await else {
        return;
    };
    let threads = server.threads();
    let of = |name: &str| threads.iter().filter(|of| of.starts_with(name)).count();
    assert_eq!([of("cpu-"), of("device-")], [1, 1], "{threads:?}");
}
