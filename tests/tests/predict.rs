//! What comes in as a picture and goes out as its objects, over HTTP and gRPC.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{Rgb, RgbImage};
use reqwest::{
    header,
    multipart::{Form, Part},
};
use segmenter_tests::{
    PictureHost, Server,
    http::json,
    picture_host::jpegs,
    pictures,
    proto::{
        inference::{InstanceDetectorInput, instance_detector_client::InstanceDetectorClient},
        segmenter::{
            MaskFormat, ModelsRequest, PredictRequest, detection::Mask, predict_request::Source,
            segmenter_client::SegmenterClient,
        },
    },
    python, shared,
};
use serde_json::{Value, json};

/// A picture of the shared folder with several objects on it.
const PICTURE: &str = "000000001268.jpg";

/// The picture's bytes; the server has been started, so the shared folder is there.
fn picture(test: &str) -> Option<Vec<u8>> {
    let folder = shared(test)?.join("images/coco-val");
    let (_, bytes) = jpegs(&folder)
        .into_iter()
        .find(|(name, _)| name == PICTURE)?;
    Some(bytes)
}

#[tokio::test]
async fn every_form_of_a_picture_gets_the_same_objects() {
    let test = "every_form_of_a_picture_gets_the_same_objects";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let host = PictureHost::start([(PICTURE.to_owned(), picture.clone())]).await;
    let url = json!({ "url": host.picture(PICTURE) }).to_string();
    let base64 = BASE64_STANDARD.encode(&picture);
    let data_uri = format!("data:image/jpeg;base64,{base64}");
    let part = || Part::bytes(picture.clone()).file_name("picture.jpg");
    let post = || server.client().post(server.url("/predict"));
    let requests = [
        ("JSON with a URL, no content type", post().body(url.clone())),
        (
            "JSON with a URL",
            post()
                .header(header::CONTENT_TYPE, "application/json")
                .body(url.clone()),
        ),
        (
            "JSON with a URL, as curl -d sends it",
            post()
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(url),
        ),
        ("JSON with base64", post().json(&json!({ "image": base64 }))),
        (
            "JSON with a data URI",
            post().json(&json!({ "image": data_uri })),
        ),
        (
            "form, image",
            post().multipart(Form::new().part("image", part())),
        ),
        (
            "form, file",
            post().multipart(Form::new().part("file", part())),
        ),
        ("body, no content type", post().body(picture.clone())),
        (
            "body",
            post()
                .header(header::CONTENT_TYPE, "image/jpeg")
                .body(picture.clone()),
        ),
    ];
    let mut first: Option<Value> = None;
    for (form, request) in requests {
        let (status, reply) = json(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "{form}: {reply}");
        let objects = reply["objects"].as_array().unwrap();
        assert!(
            !objects.is_empty() && objects.iter().all(Value::is_string),
            "{form}: {reply}"
        );
        assert_eq!(reply.as_object().unwrap().len(), 1, "{form}: {reply}");
        assert_eq!(*first.get_or_insert_with(|| reply.clone()), reply, "{form}");
    }
    assert_eq!(host.requests(), 3);
}

#[tokio::test]
async fn nothing_found_is_an_empty_list() {
    let Some(server) = Server::start("nothing_found_is_an_empty_list", &[]).await else {
        return;
    };
    let grey = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    let response = server.post("/predict", pictures::png(&grey)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(response.text().await.unwrap(), r#"{"objects":[]}"#);
}

#[tokio::test]
async fn the_full_reply_says_where_and_how_sure() {
    let test = "the_full_reply_says_where_and_how_sure";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let size = image::load_from_memory(&picture)
        .unwrap()
        .to_rgb8()
        .dimensions();
    let detect = async |query: &str| {
        let response = server
            .post(&format!("/v1/predict?{query}"), picture.clone())
            .await;
        let (status, reply) = json(response).await;
        assert_eq!(status, 200, "{query}: {reply}");
        assert_eq!(
            (reply["width"].as_u64(), reply["height"].as_u64()),
            (Some(size.0.into()), Some(size.1.into()))
        );
        assert_eq!(reply["model"], "maskrcnn_fbnetv3a_c4");
        reply["detections"].as_array().unwrap().clone()
    };

    let all = detect("threshold=0.05").await;
    assert!(all.len() > 3);
    let scores: Vec<f64> = all
        .iter()
        .map(|found| found["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(
        scores.iter().all(|score| (0.05..=1.0).contains(score)),
        "{scores:?}"
    );
    for found in &all {
        let corner = |name: &str| found["box"][name].as_f64().unwrap();
        assert!(
            0.0 <= corner("x0") && corner("x0") < corner("x1"),
            "{found}"
        );
        assert!(
            0.0 <= corner("y0") && corner("y0") < corner("y1"),
            "{found}"
        );
        assert!(
            corner("x1") <= size.0.into() && corner("y1") <= size.1.into(),
            "{found}"
        );
        assert!(found["class_id"].is_u64());
    }

    let sure = detect("threshold=0.5&masks=none").await;
    assert_eq!(
        sure.len(),
        scores.iter().filter(|score| **score >= 0.5).count()
    );
    assert!(sure.iter().all(|found| found.get("mask").is_none()));

    let best = detect("threshold=0.05&max_detections=2&masks=none").await;
    assert_eq!(best.len(), 2);
    assert_eq!(best[0]["label"], all[0]["label"]);

    let people = detect("threshold=0.05&classes=person&masks=none").await;
    assert!(people.iter().all(|found| found["label"] == "person"));
    let expected = all
        .iter()
        .filter(|found| found["label"] == "person")
        .count();
    assert_eq!(people.len(), expected);
}

#[tokio::test]
async fn masks_come_in_every_format_and_agree() {
    let test = "masks_come_in_every_format_and_agree";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let masks = async |format: &str| {
        let path = format!("/v1/predict?threshold=0.3&masks={format}");
        let (status, reply) = json(server.post(&path, picture.clone()).await).await;
        assert_eq!(status, 200, "{reply}");
        let found = reply["detections"].as_array().unwrap().clone();
        assert!(!found.is_empty());
        (reply, found)
    };
    let (reply, rles) = masks("rle").await;
    let (_, pngs) = masks("png").await;
    let (_, polygons) = masks("polygon").await;
    let size = [
        reply["height"].as_u64().unwrap(),
        reply["width"].as_u64().unwrap(),
    ];
    assert_eq!((rles.len(), rles.len()), (pngs.len(), polygons.len()));
    for ((rle, png), polygon) in rles.iter().zip(&pngs).zip(&polygons) {
        let rle = &rle["mask"]["rle"];
        assert_eq!(rle["size"], json!(size));
        let counts = rle["counts"].as_str().unwrap();
        let [height, width] = size.map(|side| u32::try_from(side).unwrap());
        let area = hotcoco::mask::area_from_string(counts, height, width).unwrap();
        assert!(area > 0, "an empty mask");

        let png = BASE64_STANDARD
            .decode(png["mask"]["png"].as_str().unwrap())
            .unwrap();
        let png = image::load_from_memory(&png).unwrap().to_luma8();
        assert_eq!(png.dimensions(), (width, height));
        assert!(png.pixels().all(|pixel| pixel.0 == [0] || pixel.0 == [255]));
        let inside = png.pixels().filter(|pixel| pixel.0 == [255]).count();
        assert_eq!(inside as u64, area);

        let polygons = polygon["mask"]["polygon"].as_array().unwrap();
        assert!(!polygons.is_empty());
    }
}

#[tokio::test]
async fn the_picture_comes_back_drawn_on_to_those_who_accept_one() {
    let test = "the_picture_comes_back_drawn_on_to_those_who_accept_one";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let original = image::load_from_memory(&picture).unwrap().to_rgb8();
    for (kind, format) in [
        ("image/png", image::ImageFormat::Png),
        ("image/jpeg", image::ImageFormat::Jpeg),
    ] {
        let response = server
            .client()
            .post(server.url("/v1/predict"))
            .header(header::ACCEPT, kind)
            .body(picture.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
        let bytes = response.bytes().await.unwrap();
        let drawn = image::load_from_memory_with_format(&bytes, format)
            .unwrap()
            .to_rgb8();
        assert_eq!(drawn.dimensions(), original.dimensions());
        let changed = drawn
            .pixels()
            .zip(original.pixels())
            .filter(|(a, b)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 40));
        assert!(changed.count() > 100, "nothing is drawn");
    }
}

#[tokio::test]
async fn a_turned_photo_is_answered_as_it_is_seen() {
    let Some(server) = Server::start("a_turned_photo_is_answered_as_it_is_seen", &[]).await else {
        return;
    };
    for (orientation, size) in [(1, (64, 48)), (3, (64, 48)), (6, (48, 64)), (8, (48, 64))] {
        let photo = pictures::jpeg_with_orientation(&pictures::scene(64, 48), orientation);
        let (_, reply) = json(server.post("/v1/predict", photo).await).await;
        assert_eq!(
            (&reply["width"], &reply["height"]),
            (&json!(size.0), &json!(size.1))
        );
    }
}

#[tokio::test]
async fn grpc_answers_what_http_answers() {
    let test = "grpc_answers_what_http_answers";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let host = PictureHost::start([(PICTURE.to_owned(), picture.clone())]).await;
    let url = host.picture(PICTURE);

    let mut detector = InstanceDetectorClient::new(server.channel().await);
    let names = detector
        .predict(InstanceDetectorInput { url: url.clone() })
        .await
        .unwrap();
    let (_, reply) = json(
        server
            .post("/predict", json!({ "url": url }).to_string())
            .await,
    )
    .await;
    assert_eq!(json!(names.into_inner().objects), reply["objects"]);

    let (_, reply) = json(
        server
            .post("/v1/predict?threshold=0.3", picture.clone())
            .await,
    )
    .await;
    let expected = reply["detections"].as_array().unwrap();
    let mut segmenter = SegmenterClient::new(server.channel().await);
    for source in [Source::Image(picture), Source::Url(url)] {
        let request = PredictRequest {
            source: Some(source),
            threshold: Some(0.3),
            masks: MaskFormat::Rle.into(),
            ..PredictRequest::default()
        };
        let found = segmenter.predict(request).await.unwrap().into_inner();
        assert_eq!(json!(found.model), reply["model"]);
        assert_eq!(
            json!([found.width, found.height]),
            json!([reply["width"], reply["height"]])
        );
        assert_eq!(found.detections.len(), expected.len());
        for (found, expected) in found.detections.iter().zip(expected) {
            assert_eq!(found.label, expected["label"]);
            assert_eq!(found.class_id, expected["class_id"]);
            assert!((f64::from(found.score) - expected["score"].as_f64().unwrap()).abs() < 1e-6);
            let Some(Mask::Rle(rle)) = &found.mask else {
                panic!("no run lengths: {found:?}");
            };
            assert_eq!(rle.counts, expected["mask"]["rle"]["counts"]);
            assert_eq!(
                json!([rle.height, rle.width]),
                expected["mask"]["rle"]["size"]
            );
        }
    }

    let models = segmenter
        .models(ModelsRequest {})
        .await
        .unwrap()
        .into_inner()
        .models;
    assert_eq!(models[0].name, found_model(&reply));
    assert_eq!(models[0].classes.len(), 80);
}

fn found_model(reply: &Value) -> &str {
    reply["model"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn grpc_tells_its_health_and_what_it_offers() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let Some(server) = Server::start("grpc_tells_its_health_and_what_it_offers", &[]).await else {
        return;
    };
    let mut health = HealthClient::new(server.channel().await);
    for service in [
        "",
        "inference.GRPCInferenceService",
        "inference.InstanceDetector",
        "segmenter.v1.Segmenter",
    ] {
        let service = service.to_owned();
        let reply = health.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(reply.into_inner().status().as_str_name(), "SERVING");
    }

    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut replies = reflection
        .server_reflection_info(futures_util::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let reply = replies
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(services) = reply else {
        panic!("not a list of services: {reply:?}");
    };
    let names: Vec<&str> = services
        .service
        .iter()
        .map(|service| &*service.name)
        .collect();
    assert!(
        names.contains(&"inference.GRPCInferenceService"),
        "{names:?}"
    );
    assert!(names.contains(&"inference.InstanceDetector"), "{names:?}");
    assert!(names.contains(&"segmenter.v1.Segmenter"), "{names:?}");
}

#[tokio::test]
async fn a_python_client_of_the_main_api_is_answered() {
    let test = "a_python_client_of_the_main_api_is_answered";
    let (Some(interpreter), Some(picture)) =
        (python::python(test, &["grpc", "grpc_tools"]), picture(test))
    else {
        return;
    };
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let host = PictureHost::start([(PICTURE.to_owned(), picture.clone())]).await;
    let url = host.picture(PICTURE);
    let grpc = server.grpc_address().to_string();
    let answer = tokio::task::spawn_blocking(move || {
        python::run(&interpreter, "grpc_predict.py", &[&grpc, &url])
    });
    let names: Value = serde_json::from_str(&answer.await.unwrap()).unwrap();
    let (_, reply) = json(server.post("/predict", picture).await).await;
    assert_eq!(names, reply["objects"]);
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let Some(server) = Server::start("a_request_keeps_its_id", &[]).await else {
        return;
    };
    let response = server
        .client()
        .get(server.url("/v1/models"))
        .header("x-request-id", "test-4711")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "test-4711");
    let other = server.get("/v1/models").await;
    assert!(!other.headers()["x-request-id"].is_empty());
}
