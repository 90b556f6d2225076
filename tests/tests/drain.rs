//! The end of a server: what was accepted is answered.
#![expect(clippy::panic, reason = "callers that get no answer fail the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use segmenter_tests::{
    Server, pictures,
    proto::segmenter::{
        PredictRequest, predict_request::Source, segmenter_client::SegmenterClient,
    },
};
use tokio::time::sleep;
use tonic::{Code, transport::Channel};

/// Longer than the grace period of any test here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again over HTTP until told to stop; answers how often it was served. Anything but an
/// answer fails the test.
async fn ask_over_http(url: String, picture: Vec<u8>, stop: Arc<AtomicBool>) -> usize {
    let client = segmenter_tests::client();
    let mut served = 0;
    while !stop.load(Ordering::SeqCst) {
        let response = client.post(&url).body(picture.clone()).send().await;
        let response = response.unwrap_or_else(|error| panic!("no answer over HTTP: {error:?}"));
        match response.status().as_u16() {
            200 => served += 1,
            429 => sleep(Duration::from_millis(20)).await,
            other => panic!("{other} over HTTP"),
        }
        assert!(response.bytes().await.is_ok(), "half an answer over HTTP");
    }
    served
}

/// The same over gRPC.
async fn ask_over_grpc(channel: Channel, picture: Vec<u8>, stop: Arc<AtomicBool>) -> usize {
    let mut client = SegmenterClient::new(channel);
    let mut served = 0;
    while !stop.load(Ordering::SeqCst) {
        match client.predict(request(&picture)).await {
            Ok(_) => served += 1,
            Err(status) if status.code() == Code::ResourceExhausted => {
                sleep(Duration::from_millis(20)).await;
            }
            Err(status) => panic!("{status}"),
        }
    }
    served
}

fn request(picture: &[u8]) -> PredictRequest {
    PredictRequest {
        source: Some(Source::Image(picture.to_vec())),
        ..PredictRequest::default()
    }
}

#[tokio::test]
async fn nobody_notices_while_load_balancers_learn_of_the_end() {
    let test = "nobody_notices_while_load_balancers_learn_of_the_end";
    let Some(mut server) = Server::start(test, &["--drain-delay", "3s"]).await else {
        return;
    };
    let picture = pictures::jpeg(&pictures::scene(640, 480));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(tokio::spawn(ask_over_http(
            server.url("/v1/predict"),
            picture.clone(),
            Arc::clone(&stop),
        )));
        clients.push(tokio::spawn(ask_over_grpc(
            server.channel().await,
            picture.clone(),
            Arc::clone(&stop),
        )));
    }
    sleep(Duration::from_secs(1)).await;
    server.terminate();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(
        server.get("/readyz").await.status(),
        503,
        "load balancers are told"
    );
    assert_eq!(server.get("/livez").await.status(), 200);
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::SeqCst);
    let served = join_all(clients).await;
    let served: Vec<usize> = served.into_iter().map(|count| count.unwrap()).collect();
    assert!(served.iter().all(|count| *count > 0), "{served:?}");
    assert!(server.wait_for_exit(PATIENCE).await.success());
}

#[tokio::test]
async fn all_that_was_accepted_is_answered() {
    let test = "all_that_was_accepted_is_answered";
    let Some(mut server) = Server::start(test, &["--drain-delay", "0s", "--queue", "64"]).await
    else {
        return;
    };
    let picture = pictures::jpeg(&pictures::scene(640, 480));
    let over_http = (0..20).map(|_| {
        let request = server
            .client()
            .post(server.url("/v1/predict"))
            .body(picture.clone());
        tokio::spawn(async move {
            let response = request
                .send()
                .await
                .unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(response.status(), 200);
            assert!(response.bytes().await.is_ok(), "half an answer");
        })
    });
    let channel = server.channel().await;
    let over_grpc = (0..20).map(|_| {
        let (mut client, request) = (SegmenterClient::new(channel.clone()), request(&picture));
        tokio::spawn(async move {
            client.predict(request).await.unwrap();
        })
    });
    let callers: Vec<_> = over_http.chain(over_grpc).collect();
    // All have been accepted when so many are in flight, this request for the number being one more.
    while server.metric("segmenter_in_flight").await < Some(41.0) {
        assert!(
            !callers.iter().any(tokio::task::JoinHandle::is_finished),
            "too fast for this test"
        );
        sleep(Duration::from_millis(1)).await;
    }
    server.terminate();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(server.wait_for_exit(PATIENCE).await.success());
}

#[tokio::test]
async fn the_end_comes_at_any_time() {
    let Some(mut idle) = Server::start("the_end_comes_at_any_time", &["--drain-delay", "0s"]).await
    else {
        return;
    };
    // With an idle connection of each kind open.
    let _channel = idle.channel().await;
    assert_eq!(idle.get("/livez").await.status(), 200);
    idle.terminate();
    assert!(idle.wait_for_exit(PATIENCE).await.success());
}
