//! Port 8080 over real sockets, before a stand-in for a network.

use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Response, StatusCode, header};
use segmenter_imaging::rle::Rle;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::testing::{POISONOUS_WIDTH, Servers, class_names, picture_host, png};

/// The status and the body of an error, without the part that is never the same.
async fn refusal(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = response.json().await.unwrap();
    let error = &body["error"];
    assert_eq!(error["request_id"], id);
    assert_eq!(error.as_object().unwrap().len(), 3);
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

#[tokio::test]
async fn a_picture_is_taken_in_every_form() {
    let servers = Servers::start(&[]).await;
    let host = picture_host(png(8, 4)).await;
    let url = format!("http://{host}/picture.png");
    let base64 = BASE64_STANDARD.encode(png(8, 4));
    let form = |name: &'static str| {
        let part = reqwest::multipart::Part::bytes(png(8, 4)).file_name("a.png");
        reqwest::multipart::Form::new().part(name, part)
    };
    let predict = || servers.client.post(servers.url("/predict"));
    let requests = [
        predict().json(&json!({ "url": url })),
        predict().body(json!({ "url": url }).to_string()),
        predict()
            .header(header::CONTENT_TYPE, "text/plain")
            .body(format!("  {}", json!({ "url": url }))),
        predict().json(&json!({ "image": base64 })),
        predict().json(&json!({ "image": format!("data:image/png;base64,{base64}") })),
        predict().multipart(form("image")),
        predict().multipart(form("file")),
        predict().multipart(reqwest::multipart::Form::new().text("url", url.clone())),
        predict().body(png(8, 4)),
        predict()
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(png(8, 4)),
    ];
    let sent = requests.len();
    for (index, request) in requests.into_iter().enumerate() {
        let response = request.send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        let expected = json!({ "objects": class_names() });
        assert_eq!((status, body), (StatusCode::OK, expected), "form {index}");
    }
    assert_eq!(
        servers.metric("app_http_inference_count_total ").await,
        sent as f64
    );
}

#[tokio::test]
async fn without_a_form_there_is_no_field_for_those_that_knew_nothing_else() {
    let servers = Servers::start(&[]).await;
    for body in ["hello", r#"{"image": "aGVsbG8="}"#] {
        let upload = servers.post("/upload", body).send().await.unwrap();
        assert_eq!(upload.status(), StatusCode::BAD_REQUEST, "{body}");
        let predict = servers.post("/model/predict", body).send().await.unwrap();
        assert_eq!(predict.status(), StatusCode::BAD_REQUEST, "{body}");
        let reply: Value = predict.json().await.unwrap();
        let missing = "Missing required parameter in an uploaded file";
        assert_eq!(reply["errors"]["image"], missing, "{body}");
    }
    // A picture that comes as it is goes on being answered.
    let upload = servers.post("/upload", png(8, 4)).send().await.unwrap();
    assert_eq!(upload.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_a_caller_writes_is_not_repeated_at_length() {
    let servers = Servers::start(&[]).await;
    let image = BASE64_STANDARD.encode(png(8, 4));
    let long = "x".repeat(4 << 20);
    let started = Instant::now();
    for (fields, part) in [
        (json!({"image": image, "classes": [long]}), "which"),
        (json!({"image": image, "model": long}), "expected"),
        (json!({"image": image, "masks": long}), "expected rle"),
        (json!({"image": image, (&*long): 1}), "expected model"),
        (json!({"url": [], "image": image}), "expected a string"),
        (
            json!({"image": image, "classes": vec!["x"; 129]}),
            "more than 128 classes",
        ),
    ] {
        let response = servers.post("/v1/predict", fields.to_string()).send();
        let (_, _, message) = refusal(response.await.unwrap()).await;
        assert!(message.len() <= 600, "{part}: {} bytes", message.len());
        assert!(message.contains(part), "{part}: {message}");
    }
    for (model_type, part) in [(&*long, "is not registered"), ("torch", "supported")] {
        let form = reqwest::multipart::Form::new()
            .text("infer_model_type", model_type.to_owned())
            .text("requested_results_types", long.clone())
            .part("file", reqwest::multipart::Part::bytes(png(8, 4)));
        let request = servers.client.post(servers.url("/infer/file"));
        let reply = request.multipart(form).send().await.unwrap();
        let reply = reply.text().await.unwrap();
        assert!(reply.len() <= 1000, "{part}: {} bytes", reply.len());
        assert!(reply.contains(part), "{part}: {reply}");
    }
    // A class of this length alone took as many seconds.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn every_error_says_what_was_wrong_and_what_would_be_right() {
    let servers = Servers::start(&["--max-body=64kB", "--max-pixels=1000"]).await;
    let predict = |body: Vec<u8>| servers.post("/predict", body);
    let full = |query: &str| servers.post(&format!("/v1/predict?{query}"), png(8, 4));
    let requests = [
        ("empty", predict(Vec::new())),
        ("text", predict(b"hello, this is no picture".to_vec())),
        ("cut short", predict(png(20, 20)[..60].to_vec())),
        ("many pixels", predict(png(100, 100))),
        ("many bytes", predict(vec![0xff; 70_000])),
        ("very many bytes", predict(vec![0xff; 1_000_000])),
        ("broken JSON", predict(b"{\"url\": ".to_vec())),
        ("JSON without a picture", predict(b"{}".to_vec())),
        ("bad base64", predict(b"{\"image\": \"!\"}".to_vec())),
        (
            "a URL of another scheme",
            predict(b"{\"url\": \"file:///etc/passwd\"}".to_vec()),
        ),
        ("a panic", predict(png(POISONOUS_WIDTH, 4))),
        ("a threshold", full("threshold=7")),
        ("a class", full("classes=persn")),
        ("a mask format", full("masks=svg")),
        ("too many detections", full("max_detections=1000")),
        ("an unknown parameter", full("limit=1")),
        (
            "a timeout",
            predict(png(8, 4)).header("x-request-timeout-ms", "soon"),
        ),
        ("a wrong path", servers.post("/v3/predict", "")),
        ("a wrong verb", servers.client.get(servers.url("/predict"))),
    ];
    let mut refusals = Vec::new();
    for (what, request) in requests {
        let (status, code, message) = refusal(request.send().await.unwrap()).await;
        refusals.push(format!("{what}: {status} {code}: {message}"));
    }
    insta::assert_snapshot!(refusals.join("\n"));
    let good = predict(png(8, 4)).send().await.unwrap();
    assert_eq!(good.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_verb_is_told_the_right_one() {
    let servers = Servers::start(&[]).await;
    let response = servers.client.get(servers.url("/predict")).send().await;
    assert_eq!(response.unwrap().headers()[header::ALLOW], "POST");
}

#[tokio::test]
async fn the_full_reply_has_everything() {
    let servers = Servers::start(&[]).await;
    let response = servers
        .post("/v1/predict?masks=none", png(8, 4))
        .send()
        .await
        .unwrap();
    let timing = response.headers()["server-timing"]
        .to_str()
        .unwrap()
        .to_owned();
    for stage in [
        "decode",
        "preprocess",
        "queue",
        "infer",
        "postprocess",
        "encode",
    ] {
        assert!(timing.contains(&format!("{stage};dur=")), "{timing}");
    }
    let mut reply: Value = response.json().await.unwrap();
    let [first, second] = class_names();
    assert_eq!(reply["detections"][0]["label"], first);
    assert_eq!(reply["detections"][1]["label"], second);
    for detection in reply["detections"].as_array_mut().unwrap() {
        detection["label"] = json!("[class]");
        detection["class_id"] = json!("[class]");
    }
    reply["model"] = json!("[model]");
    insta::assert_json_snapshot!(reply);
}

#[tokio::test]
async fn a_mask_comes_in_the_form_that_was_asked_for() {
    let servers = Servers::start(&[]).await;
    let mask = async |format: &str| {
        let path = format!("/v1/predict?max_detections=1&masks={format}");
        let reply = servers.post(&path, png(8, 4)).send().await.unwrap();
        reply.json::<Value>().await.unwrap()["detections"][0]["mask"].take()
    };
    // The left half: 16 pixels of foreground, then 16 of background.
    let rle = mask("rle").await;
    assert_eq!(rle["rle"]["size"], json!([4, 8]));
    let counts = rle["rle"]["counts"].as_str().unwrap();
    let decoded = Rle::from_coco_string(4, 8, counts).unwrap();
    assert_eq!(decoded.counts(), [0, 16, 16]);
    let polygon = mask("polygon").await["polygon"].take();
    let mut corners: Vec<[u32; 2]> =
        serde_json::from_value(polygon[0]["exterior"].clone()).unwrap();
    corners.sort_unstable();
    assert_eq!(corners, [[0, 0], [0, 4], [4, 0], [4, 4]]);
    assert_eq!(polygon[0]["holes"], json!([]));
    let encoded = mask("png").await["png"].take();
    let bytes = BASE64_STANDARD.decode(encoded.as_str().unwrap()).unwrap();
    let picture = image::load_from_memory(&bytes).unwrap().into_luma8();
    assert_eq!(picture.dimensions(), (8, 4));
    assert_eq!((picture[(3, 0)].0, picture[(4, 0)].0), ([255], [0]));
    assert_eq!(mask("none").await, Value::Null);
}

#[tokio::test]
async fn those_who_accept_pictures_get_one() {
    let servers = Servers::start(&[]).await;
    for kind in ["image/png", "image/jpeg"] {
        let request = servers.post("/v1/predict", png(64, 48));
        let response = request.header(header::ACCEPT, kind).send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
        let bytes = response.bytes().await.unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (64, 48));
        assert!(
            picture.pixels().any(|pixel| pixel.0 != [0, 0, 0]),
            "nothing is drawn"
        );
    }
}

#[tokio::test]
async fn the_selection_decides_what_is_answered() {
    let servers = Servers::start(&[]).await;
    let [first, second] = class_names();
    for (body, labels) in [
        (json!({"threshold": 0.1}), vec![first, second, first]),
        (json!({"threshold": 0.9}), vec![first]),
        (
            json!({"threshold": 0.1, "max_detections": 2}),
            vec![first, second],
        ),
        (json!({"classes": [second]}), vec![second]),
        (json!({"classes": second, "threshold": 0.9}), vec![]),
    ] {
        let mut body = body;
        body["image"] = json!(BASE64_STANDARD.encode(png(8, 4)));
        let response = servers
            .post("/v1/predict", body.to_string())
            .send()
            .await
            .unwrap();
        let reply: Value = response.json().await.unwrap();
        let found: Vec<_> = reply["detections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["label"].clone())
            .collect();
        assert_eq!(found, labels);
    }
}

#[tokio::test]
async fn classes_that_are_answered_by_default_give_way_to_those_asked_for() {
    let [first, second] = class_names();
    let servers = Servers::start(&["--classes", second]).await;
    let reply = servers.post("/predict", png(8, 4)).send().await.unwrap();
    let reply: Value = reply.json().await.unwrap();
    assert_eq!(reply, json!({"objects": [second]}));

    let image = BASE64_STANDARD.encode(png(8, 4));
    let body = json!({"image": image, "classes": [first], "threshold": 0.9});
    let reply = servers.post("/v1/predict", body.to_string()).send().await;
    let reply: Value = reply.unwrap().json().await.unwrap();
    assert_eq!(reply["detections"][0]["label"], first);
}

#[tokio::test]
async fn an_empty_result_is_an_empty_list() {
    let servers = Servers::start(&["--threshold=1"]).await;
    let reply = servers.post("/predict", png(8, 4)).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), r#"{"objects":[]}"#);
}

#[tokio::test]
async fn readiness_follows_the_latches() {
    let servers = Servers::start_unready(&[]).await;
    let get = async |path: &str| {
        let response = servers.client.get(servers.url(path)).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let latch = servers.segmenter.readiness().latch("model");
    let waiting = json!({"status": "not ready", "pending": ["model"]});
    assert_eq!(get("/readyz").await, (503, waiting));
    assert_eq!(get("/startupz").await.0, 503);
    assert_eq!(get("/livez").await, (200, json!({"status": "ok"})));
    let early = refusal(servers.post("/predict", png(8, 4)).send().await.unwrap()).await;
    assert_eq!((early.0, &*early.1), (503, "not_ready"));

    servers.install().await;
    latch.release();
    assert_eq!(get("/readyz").await, (200, json!({"status": "ok"})));
    assert_eq!(get("/startupz").await.0, 200);

    servers.segmenter.readiness().drain();
    assert_eq!(get("/readyz").await.0, 503);
    assert_eq!(get("/startupz").await.0, 200);
    let late = servers.post("/predict", png(8, 4)).send().await.unwrap();
    assert_eq!(late.status(), 200);
    assert_eq!(late.headers()[header::CONNECTION], "close");
}

#[tokio::test]
async fn a_device_that_fails_is_started_anew_and_nothing_is_ready_meanwhile() {
    let servers = Servers::start(&[]).await;
    let pending = async || {
        let response = servers.client.get(servers.url("/readyz")).send();
        let body = response.await.unwrap().json::<Value>().await.unwrap();
        body["pending"].clone()
    };
    assert_eq!(pending().await, Value::Null);
    servers.model.lose_device();
    let failed = refusal(servers.post("/predict", png(8, 4)).send().await.unwrap()).await;
    assert_eq!((failed.0, &*failed.1), (503, "not_ready"));
    while pending().await.is_null() {}
    assert_eq!(pending().await, json!(["device"]));
    assert!(servers.metric("segmenter_model_ready").await < 1.0);
    // The first attempt fails.
    while !pending().await.is_null() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answered = servers.post("/predict", png(8, 4)).send().await.unwrap();
    assert_eq!(answered.status(), 200);
    assert!(servers.metric("segmenter_model_ready").await > 0.0);
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once() {
    let servers = Servers::start(&["--queue=2"]).await;
    servers.model.close();
    let requests = (0..50).map(|_| servers.post("/predict", png(8, 4)).send());
    let requests = tokio::spawn(futures_util::future::join_all(requests));
    // 3 have places; the other 47 are answered while those wait.
    while servers
        .metric("segmenter_rejected_total{reason=\"overloaded\"}")
        .await
        < 47.0
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    servers.model.open();
    let (mut answered, mut refused) = (0, 0);
    for response in requests.await.unwrap() {
        let response = response.unwrap();
        match response.status().as_u16() {
            200 => answered += 1,
            429 => {
                assert_eq!(response.headers()[header::RETRY_AFTER], "1");
                let (_, code, message) = refusal(response).await;
                assert_eq!(code, "overloaded");
                assert!(message.contains("--queue"), "{message}");
                refused += 1;
            }
            other => panic!("status {other}"),
        }
    }
    assert_eq!((answered, refused), (3, 47));
    assert_eq!(servers.metric("segmenter_in_flight ").await, 1.0); // The scrape itself.
}

/// A client that has sent the head and so much of a body that is longer.
async fn begin_to_send(servers: &Servers, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(servers.http).await.unwrap();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        bytes + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![0xff; bytes]).await.unwrap();
    stream
}

#[tokio::test]
async fn who_still_sends_a_picture_takes_no_place_of_those_who_have() {
    // There are three places.
    let servers = Servers::start(&["--queue=2"]).await;
    let mut slow = Vec::new();
    for _ in 0..65 {
        slow.push(begin_to_send(&servers, 100).await);
    }
    servers.until_in_flight(65).await;
    let answered = servers.post("/predict", png(8, 4)).send().await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);

    // Who has waits, and who has not is told so before the picture is sent.
    servers.model.close();
    let waiting = [(); 3].map(|()| tokio::spawn(servers.post("/predict", png(8, 4)).send()));
    servers.model.until_held().await;
    while servers.metric("segmenter_queue_depth ").await < 2.0 {}
    let mut refused = begin_to_send(&servers, 100).await;
    let mut reply = [0; 12];
    refused.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 429");
    servers.model.open();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn bodies_that_are_being_read_have_only_so_much_memory() {
    // Of two bodies of 84 kB and an envelope of 64 KiB.
    let servers = Servers::start(&["--queue=1", "--max-body=64kB"]).await;
    let slow = (0..3).map(|_| {
        let begun = begin_to_send(&servers, 120_000);
        Box::pin(async {
            let mut reply = vec![0; 4096];
            let length = begun.await.read(&mut reply).await.unwrap();
            String::from_utf8_lossy(&reply[..length]).into_owned()
        })
    });
    let (refusal, _, others) = futures_util::future::select_all(slow).await;
    assert!(refusal.starts_with("HTTP/1.1 429 "), "{refusal}");
    assert!(refusal.contains("retry-after: 1"), "{refusal}");
    assert!(refusal.contains("--max-body"), "{refusal}");
    drop(others);
    let answered = async || {
        let response = servers.post("/predict", png(8, 4)).send().await;
        response.unwrap().status().is_success()
    };
    while !answered().await {}
}

#[tokio::test]
async fn a_dialect_refuses_in_its_own_words() {
    let servers = Servers::start(&["--queue=1"]).await;
    servers.model.close();
    let held = [(); 2].map(|()| tokio::spawn(servers.post("/predict", png(8, 4)).send()));
    // Those two have all places, sooner or later.
    let refused = loop {
        let request = servers.client.post(servers.url("/api/run_model"));
        let request = request.header("x-request-timeout-ms", "20");
        let body = json!({"image": format!("base64,{}", BASE64_STANDARD.encode(png(8, 4)))});
        let response = request.json(&body).send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            break response;
        }
    };
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert!(refused.headers().contains_key("x-request-id"));
    assert_eq!(refused.text().await.unwrap(), "Serving error");
    servers.model.open();
    for held in held {
        assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    let refusals =
        "segmenter_requests_total{code=\"429\",protocol=\"http\",route=\"/api/run_model\"}";
    assert_eq!(servers.metric(refusals).await, 1.0);
}

#[tokio::test]
async fn a_request_whose_time_is_up_is_told_so() {
    let servers = Servers::start(&[]).await;
    servers.model.close();
    let late = servers
        .post("/predict", png(8, 4))
        .header("x-request-timeout-ms", "50");
    let (status, code, _) = refusal(late.send().await.unwrap()).await;
    assert_eq!((status, &*code), (504, "deadline"));
    servers.model.open();
    assert!(
        servers
            .post("/predict", png(8, 4))
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
}

#[tokio::test]
async fn work_for_callers_who_left_is_dropped() {
    let servers = Servers::start(&["--queue=8"]).await;
    servers.model.close();
    let stays = tokio::spawn(servers.post("/predict", png(8, 4)).send());
    // It is in the queue no longer.
    servers.model.until_held().await;
    let leaves = tokio::spawn(servers.post("/predict", png(8, 4)).send());
    while servers.metric("segmenter_queue_depth ").await < 1.0 {}
    leaves.abort();
    servers.until_in_flight(1).await;
    servers.model.open();
    assert!(stays.await.unwrap().unwrap().status().is_success());
    while servers
        .metric("segmenter_rejected_total{reason=\"abandoned\"}")
        .await
        < 1.0
    {}
    // The warm-up ran one batch, the one who stayed another.
    assert_eq!(servers.metric("segmenter_batch_size_count ").await, 2.0);
}

#[tokio::test]
async fn stopping_answers_everything_accepted_and_nothing_more() {
    let servers = Servers::start(&["--queue=16"]).await;
    servers.model.close();
    let accepted = (0..10).map(|_| servers.post("/predict", png(8, 4)).send());
    let accepted = tokio::spawn(futures_util::future::join_all(accepted));
    servers.until_in_flight(10).await;
    servers.segmenter.readiness().drain();
    servers.stop.cancel();
    while TcpStream::connect(servers.http).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    servers.model.open();
    for response in accepted.await.unwrap() {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    servers.serving.await.unwrap();
    tokio::task::spawn_blocking(move || servers.segmenter.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_and_the_refusal_arrives() {
    const ANNOUNCED: usize = 100 << 20;
    let servers = Servers::start(&["--max-body=1MiB"]).await;
    let stream = TcpStream::connect(servers.http).await.unwrap();
    let (mut receive, mut send) = stream.into_split();
    let head = format!("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {ANNOUNCED}\r\n\r\n");
    send.write_all(head.as_bytes()).await.unwrap();
    // A client that sends everything before it looks at the reply.
    let chunk = vec![0; 1 << 20];
    for _ in 0..ANNOUNCED / chunk.len() {
        send.write_all(&chunk).await.unwrap();
    }
    let mut reply = String::new();
    while !reply.contains("(--max-body)") {
        let mut part = [0; 4096];
        let read = receive.read(&mut part).await.unwrap();
        assert_ne!(read, 0, "{reply}");
        reply.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_client_that_dawdles_does_not_hold_its_place_for_long() {
    let servers = Servers::start(&["--deadline=200ms"]).await;
    let mut stream = TcpStream::connect(servers.http).await.unwrap();
    let head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nab";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
}

#[tokio::test]
async fn ids_and_traces_come_back() {
    let servers = Servers::start(&[]).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let response = servers
        .post("/predict", png(8, 4))
        .header("x-request-id", "mine-1")
        .header("traceparent", parent)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    let trace = response.headers()["traceresponse"].to_str().unwrap();
    assert!(
        trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
        "{trace}"
    );
}

#[tokio::test]
async fn replies_are_compressed_where_that_is_understood() {
    let servers = Servers::start(&[]).await;
    let metrics = servers.client.get(servers.url("/metrics"));
    let response = metrics
        .header(header::ACCEPT_ENCODING, "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_where_that_was_asked_for() {
    let origin = |servers: &Servers| {
        let request = servers.client.get(servers.url("/livez"));
        request.header(header::ORIGIN, "https://example.com").send()
    };
    let closed = Servers::start(&[]).await;
    let header = header::ACCESS_CONTROL_ALLOW_ORIGIN;
    assert!(
        !origin(&closed)
            .await
            .unwrap()
            .headers()
            .contains_key(&header)
    );
    let open = Servers::start(&["--cors=https://example.com"]).await;
    let response = origin(&open).await.unwrap();
    assert_eq!(response.headers()[header], "https://example.com");
}

#[tokio::test]
async fn the_documentation_is_there_and_complete() {
    let servers = Servers::start(&[]).await;
    let get = async |path: &str| {
        let response = servers.client.get(servers.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response
    };
    let mut api: Value = get("/openapi.json").await.json().await.unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    api["info"]["version"] = json!("[version]");
    insta::assert_json_snapshot!(api);
    let page = get("/docs/").await.text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    get("/docs/swagger-ui-bundle.js").await;
    assert!(!page.contains("https://"), "{page}");
}
