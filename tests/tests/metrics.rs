//! What `/metrics` counts.

use reqwest::header;
use segmenter_tests::{
    PictureHost, Server, pictures,
    proto::inference::{InstanceDetectorInput, instance_detector_client::InstanceDetectorClient},
    python,
};
use serde_json::json;

/// The series that clients of the main API read.
const COUNTER: &str = "app_http_inference_count_total";

#[tokio::test]
async fn calls_of_predict_over_http_are_counted_exactly() {
    let test = "calls_of_predict_over_http_are_counted_exactly";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    assert_eq!(server.metric(COUNTER).await, Some(0.0));

    let host = PictureHost::start([(
        "scene.jpg".to_owned(),
        pictures::jpeg(&pictures::scene(160, 120)),
    )])
    .await;
    let url = host.picture("scene.jpg");
    let mut detector = InstanceDetectorClient::new(server.channel().await);
    for _ in 0..7 {
        let reply = server
            .post("/predict", json!({ "url": url }).to_string())
            .await;
        assert_eq!(reply.status(), 200);
    }
    for _ in 0..4 {
        detector
            .predict(InstanceDetectorInput { url: url.clone() })
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let picture = pictures::jpeg(&pictures::scene(160, 120));
        assert_eq!(server.post("/v1/predict", picture).await.status(), 200);
    }
    assert_eq!(server.metric(COUNTER).await, Some(7.0));

    let text = server.get("/metrics").await.text().await.unwrap();
    let type_line = format!("# TYPE {COUNTER} counter");
    assert!(text.lines().any(|line| line == type_line), "{text}");

    // As the clients of the main API parse it: the family without its suffix.
    if let Some(interpreter) = python::python(test, &["prometheus_client"]) {
        let read = tokio::task::spawn_blocking(move || {
            python::run_with_input(
                &interpreter,
                "parse_metrics.py",
                &["app_http_inference_count"],
                &text,
            )
        });
        assert_eq!(read.await.unwrap(), "7");
    }
}

#[tokio::test]
async fn everything_an_operator_watches_is_there() {
    let Some(server) = Server::start("everything_an_operator_watches_is_there", &[]).await else {
        return;
    };
    let host = PictureHost::start([]).await;
    let text = json!({ "url": host.url("text") }).to_string();
    assert_eq!(server.post("/predict", text).await.status(), 415);
    assert_eq!(server.post("/predict", "no picture").await.status(), 415);

    let response = server.get("/metrics").await;
    let kind = response.headers()[header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text().await.unwrap();
    for name in [
        "segmenter_requests_total",
        "segmenter_request_duration_seconds_bucket",
        "segmenter_stage_duration_seconds_bucket",
        "segmenter_queue_depth",
        "segmenter_in_flight",
        "segmenter_batch_size_bucket",
        "segmenter_rejected_total",
        "segmenter_fetch_total",
        "segmenter_device_info",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(text.contains(&format!("\n{name}")), "no {name} in {text}");
    }
    assert_eq!(server.metric("segmenter_model_ready").await, Some(1.0));
    assert_eq!(
        server.metric("segmenter_in_flight").await,
        Some(1.0),
        "this very request"
    );
}
