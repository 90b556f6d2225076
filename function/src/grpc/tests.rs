//! Port 9090 over real sockets, before a stand-in for a network.

use std::{convert::Infallible, time::Duration};

use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{
    v1::{self as reflection_v1, server_reflection_client::ServerReflectionClient},
    v1alpha as reflection_v1alpha,
};

use super::{
    inference::{
        InferParameter, InferTensorContents, InstanceDetectorInput, ModelInferRequest,
        ModelMetadataRequest, ServerReadyRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
        instance_detector_client::InstanceDetectorClient,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
    v1::{
        MaskFormat, ModelsRequest, PredictRequest, predict_request::Source,
        segmenter_client::SegmenterClient,
    },
};
use crate::{
    fetch,
    testing::{POISONOUS_WIDTH, Servers, class_names, entry, picture_host, png},
};

async fn channel(servers: &Servers) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", servers.grpc)).unwrap();
    endpoint.connect().await.unwrap()
}

fn bytes(image: Vec<u8>) -> PredictRequest {
    PredictRequest {
        source: Some(Source::Image(image)),
        masks: MaskFormat::None.into(),
        ..PredictRequest::default()
    }
}

#[tokio::test]
async fn a_url_gives_names_and_does_not_count_as_an_http_call() {
    let servers = Servers::start(&[]).await;
    let host = picture_host(png(8, 4)).await;
    let mut client = InstanceDetectorClient::new(channel(&servers).await);
    let url = format!("http://{host}/a.png");
    let reply = client.predict(InstanceDetectorInput { url }).await.unwrap();
    assert_eq!(reply.into_inner().objects, class_names());
    assert_eq!(servers.metric("app_http_inference_count_total ").await, 0.0);
    let series = "segmenter_requests_total{code=\"Ok\",protocol=\"grpc\",\
                  route=\"/inference.InstanceDetector/Predict\"}";
    assert_eq!(servers.metric(series).await, 1.0);
}

#[tokio::test]
async fn the_full_service_answers_what_was_selected() {
    let servers = Servers::start(&[]).await;
    let mut client = SegmenterClient::new(channel(&servers).await);
    let [first, second] = class_names();
    let reply = client.predict(bytes(png(8, 4))).await.unwrap().into_inner();
    assert_eq!(
        (reply.width, reply.height, &*reply.model),
        (8, 4, entry().name)
    );
    let labels = |reply: &super::v1::PredictReply| -> Vec<String> {
        reply
            .detections
            .iter()
            .map(|found| found.label.clone())
            .collect()
    };
    assert_eq!(labels(&reply), [first, second]);
    let selected = PredictRequest {
        threshold: Some(0.1),
        classes: vec![first.to_owned()],
        ..bytes(png(8, 4))
    };
    let reply = client.predict(selected).await.unwrap().into_inner();
    assert_eq!(labels(&reply), [first, first]);
    let models = client
        .models(ModelsRequest {})
        .await
        .unwrap()
        .into_inner()
        .models;
    assert_eq!(models[0].name, entry().name);
}

#[tokio::test]
async fn errors_have_their_codes_and_say_what_would_be_right() {
    let servers = Servers::start(&["--max-body=64kB"]).await;
    let mut client = SegmenterClient::new(channel(&servers).await);
    let requests = [
        ("no picture", PredictRequest::default()),
        ("text", bytes(b"hello, this is no picture".to_vec())),
        ("many bytes", bytes(vec![0xff; 200_000])),
        ("a panic", bytes(png(POISONOUS_WIDTH, 4))),
        (
            "a threshold",
            PredictRequest {
                threshold: Some(7.0),
                ..bytes(png(8, 4))
            },
        ),
        (
            "a mask format",
            PredictRequest {
                masks: 99,
                ..bytes(png(8, 4))
            },
        ),
    ];
    let mut refusals = Vec::new();
    for (what, request) in requests {
        let status = client.predict(request).await.unwrap_err();
        refusals.push(format!("{what}: {:?}: {}", status.code(), status.message()));
    }
    insta::assert_snapshot!(refusals.join("\n"));
    assert!(client.predict(bytes(png(8, 4))).await.is_ok());
}

#[tokio::test]
async fn a_message_of_many_small_fields_is_refused_before_it_is_decoded() {
    let servers = Servers::start(&[]).await;
    let channel = channel(&servers).await;
    let mut infer = GrpcInferenceServiceClient::new(channel.clone());
    let parameters = |how_many: usize| {
        let names = (0..how_many).map(|index| index.to_string());
        names
            .map(|name| (name, InferParameter::default()))
            .collect()
    };
    let input = InferInputTensor::default();
    let of_one = |input| ModelInferRequest {
        inputs: vec![input],
        ..ModelInferRequest::default()
    };
    let contents = InferTensorContents {
        bytes_contents: vec![Vec::new(); 33],
        ..InferTensorContents::default()
    };
    let numbers = [
        (
            "bool_contents",
            InferTensorContents {
                bool_contents: vec![true; 1000],
                ..InferTensorContents::default()
            },
        ),
        (
            "int_contents",
            InferTensorContents {
                int_contents: vec![1; 1000],
                ..InferTensorContents::default()
            },
        ),
        (
            "int64_contents",
            InferTensorContents {
                int64_contents: vec![1; 1000],
                ..InferTensorContents::default()
            },
        ),
        (
            "uint64_contents",
            InferTensorContents {
                uint64_contents: vec![1; 1000],
                ..InferTensorContents::default()
            },
        ),
        (
            "fp32_contents",
            InferTensorContents {
                fp32_contents: vec![1.0; 1000],
                ..InferTensorContents::default()
            },
        ),
        (
            "fp64_contents",
            InferTensorContents {
                fp64_contents: vec![1.0; 1000],
                ..InferTensorContents::default()
            },
        ),
    ];
    for (part, contents) in numbers {
        let message = of_one(InferInputTensor {
            contents: Some(contents),
            ..input.clone()
        });
        let refusal = infer.model_infer(message).await.unwrap_err();
        let expected = format!("more than 32 {part} of inputs");
        assert!(refusal.message().contains(&expected), "{part}: {refusal}");
    }
    let messages = [
        (
            "more than 32 inputs",
            ModelInferRequest {
                inputs: vec![input.clone(); 33],
                ..ModelInferRequest::default()
            },
        ),
        (
            "more than 32 outputs",
            ModelInferRequest {
                outputs: vec![InferRequestedOutputTensor::default(); 33],
                ..ModelInferRequest::default()
            },
        ),
        (
            "more than 32 raw_input_contents",
            ModelInferRequest {
                raw_input_contents: vec![Vec::new(); 33],
                ..ModelInferRequest::default()
            },
        ),
        (
            "more than 32 parameters,",
            ModelInferRequest {
                parameters: parameters(33),
                ..ModelInferRequest::default()
            },
        ),
        (
            "more than 32 parameters of inputs",
            of_one(InferInputTensor {
                parameters: parameters(33),
                ..input.clone()
            }),
        ),
        (
            "more than 32 sides in shapes of inputs",
            of_one(InferInputTensor {
                shape: vec![1; 1000],
                ..input.clone()
            }),
        ),
        (
            "more than 32 bytes_contents of inputs",
            of_one(InferInputTensor {
                contents: Some(contents),
                ..input
            }),
        ),
    ];
    for (part, message) in messages {
        let refusal = infer.model_infer(message).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().contains(part), "{part}: {refusal}");
    }

    let mut client = SegmenterClient::new(channel);
    let classes = |how_many| PredictRequest {
        classes: vec![class_names()[0].to_owned(); how_many],
        ..bytes(png(8, 4))
    };
    client.predict(classes(128)).await.unwrap();
    let refusal = client.predict(classes(129)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
    assert!(
        refusal.message().contains("more than 128 classes"),
        "{refusal}"
    );
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once() {
    let servers = Servers::start(&["--queue=2"]).await;
    servers.model.close();
    let channel = channel(&servers).await;
    let requests = (0..20).map(|_| {
        let mut client = SegmenterClient::new(channel.clone());
        async move { client.predict(bytes(png(8, 4))).await }
    });
    let requests = tokio::spawn(futures_util::future::join_all(requests));
    while servers
        .metric("segmenter_rejected_total{reason=\"overloaded\"}")
        .await
        < 17.0
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    servers.model.open();
    let (answered, refused): (Vec<_>, Vec<_>) =
        requests.await.unwrap().into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (3, 17));
    for refusal in refused {
        let status = refusal.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "1000"
        );
    }
}

#[tokio::test]
async fn inference_takes_a_place_and_questions_about_the_server_take_none() {
    let servers = Servers::start(&["--queue=1"]).await;
    servers.model.close();
    let channel = channel(&servers).await;
    let held = [(); 2].map(|()| {
        let mut client = SegmenterClient::new(channel.clone());
        tokio::spawn(async move { client.predict(bytes(png(8, 4))).await })
    });
    let mut client = GrpcInferenceServiceClient::new(channel);
    // All places there are.
    servers.model.until_held().await;
    while servers.metric("segmenter_queue_depth ").await < 1.0 {}
    let infer = client.model_infer(ModelInferRequest::default()).await;
    assert_eq!(infer.unwrap_err().code(), Code::ResourceExhausted);
    let ready = client.server_ready(ServerReadyRequest {}).await;
    assert!(ready.unwrap().into_inner().ready);
    let request = ModelMetadataRequest {
        name: entry().name.to_owned(),
        version: String::new(),
    };
    let metadata = client.model_metadata(request).await.unwrap();
    assert_eq!(metadata.into_inner().name, entry().name);
    servers.model.open();
    for held in held {
        held.await.unwrap().unwrap();
    }
}

/// Begins to call the full service with a message of a picture, and sends so many bytes of that.
fn begin_to_send(
    servers: &Servers,
    bytes: usize,
) -> JoinHandle<reqwest::Result<reqwest::Response>> {
    let client = fetch::client_builder().http2_prior_knowledge();
    let length = u32::try_from(bytes + 1).unwrap().to_be_bytes();
    let sent = [&[0][..], &length, &vec![0xff; bytes]].concat();
    let body = tokio_stream::once(Ok::<_, Infallible>(sent)).chain(tokio_stream::pending());
    let url = format!("http://{}/segmenter.v1.Segmenter/Predict", servers.grpc);
    let request = client.build().unwrap().post(url);
    let request = request.header("content-type", "application/grpc");
    tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send())
}

#[tokio::test]
async fn who_still_sends_a_message_takes_no_place_of_those_who_have() {
    // There are three places.
    let servers = Servers::start(&["--queue=2"]).await;
    let slow: Vec<_> = (0..10).map(|_| begin_to_send(&servers, 100)).collect();
    servers.until_in_flight(10).await;
    let mut client = SegmenterClient::new(channel(&servers).await);
    client.predict(bytes(png(8, 4))).await.unwrap();
    slow.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn messages_that_are_being_read_have_only_so_much_memory() {
    // Of two bodies of 84 kB and an envelope of 64 KiB.
    let servers = Servers::start(&["--queue=1", "--max-body=64kB"]).await;
    let slow = (0..3).map(|_| begin_to_send(&servers, 120_000));
    let (refusal, _, others) = futures_util::future::select_all(slow).await;
    let refusal = refusal.unwrap().unwrap();
    let header = |name: &str| refusal.headers()[name].to_str().unwrap();
    assert_eq!(header("grpc-status"), "8", "{refusal:?}");
    assert_eq!(header("grpc-retry-pushback-ms"), "1000", "{refusal:?}");
    assert!(header("grpc-message").contains("--max-body"), "{refusal:?}");
    others.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn the_deadline_is_kept() {
    let servers = Servers::start(&["--deadline=50ms"]).await;
    servers.model.close();
    let mut client = SegmenterClient::new(channel(&servers).await);
    let late: Status = client.predict(bytes(png(8, 4))).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(late.message().contains("--deadline"), "{late}");
    servers.model.open();
}

#[tokio::test]
async fn the_callers_own_deadline_is_kept() {
    let servers = Servers::start(&[]).await;
    servers.model.close();
    let mut request = Request::new(bytes(png(8, 4)));
    request.set_timeout(Duration::from_millis(50));
    let mut client = SegmenterClient::new(channel(&servers).await);
    assert!(client.predict(request).await.is_err());
    servers.until_in_flight(0).await;
    servers.model.open();
}

#[tokio::test]
async fn health_follows_readiness_and_watchers_do_not_keep_the_server() {
    let servers = Servers::start(&[]).await;
    let mut client = HealthClient::new(channel(&servers).await);
    for service in [
        "",
        "inference.GRPCInferenceService",
        "inference.InstanceDetector",
        "segmenter.v1.Segmenter",
    ] {
        let service = service.to_owned();
        let reply = client.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(reply.into_inner().status(), ServingStatus::Serving);
    }
    let everything = HealthCheckRequest::default();
    let mut watch = client.watch(everything.clone()).await.unwrap().into_inner();
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    servers.segmenter.readiness().drain();
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    servers.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), servers.serving);
    stopped.await.expect("a watcher keeps the server").unwrap();
}

#[tokio::test]
async fn both_reflections_list_the_services() {
    let servers = Servers::start(&[]).await;
    let expected = [
        "grpc.health.v1.Health",
        "inference.GRPCInferenceService",
        "inference.InstanceDetector",
        "segmenter.v1.Segmenter",
    ];
    let listed = {
        use reflection_v1::{
            ServerReflectionRequest, server_reflection_request::MessageRequest,
            server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new(channel(&servers).await);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let replies = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let reply = replies.unwrap().into_inner().next().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
            panic!("{reply:?}");
        };
        list.service
            .into_iter()
            .map(|service| service.name)
            .collect::<Vec<_>>()
    };
    let listed_alpha = {
        use reflection_v1alpha::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new(channel(&servers).await);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let replies = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let reply = replies.unwrap().into_inner().next().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
            panic!("{reply:?}");
        };
        list.service
            .into_iter()
            .map(|service| service.name)
            .collect::<Vec<_>>()
    };
    for mut listed in [listed, listed_alpha] {
        listed.sort();
        for service in expected {
            assert!(listed.iter().any(|name| name == service), "{listed:?}");
        }
    }
}
