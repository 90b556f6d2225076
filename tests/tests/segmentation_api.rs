//! What clients of Image-Segmentation-API send and expect.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{path::Path, time::Duration};

use image::{Rgb, RgbImage};
use reqwest::{
    Response, StatusCode, header,
    multipart::{Form, Part},
};
use segmenter_tests::{PictureHost, Server, http::json, pictures, python, shared};
use serde_json::{Value, json};

const MODEL: [&str; 2] = ["--model", "deeplabv3_mnv2_pascal"];

const PERSON: u64 = 15;

const ALL: [&str; 3] = ["logits", "pixels_distribution", "segmentation_map"];

/// With people on it, 640 x 427.
fn picture(test: &str) -> Option<Vec<u8>> {
    let path = shared(test)?.join("images/coco-val/000000001268.jpg");
    Some(std::fs::read(path).unwrap())
}

async fn infer(server: &Server, model: &str, results: &[&str], picture: Vec<u8>) -> Response {
    let mut form = Form::new().text("infer_model_type", model.to_owned());
    for result in results {
        form = form.text("requested_results_types", (*result).to_owned());
    }
    let form = form.part("file", Part::bytes(picture).file_name("picture.jpg"));
    let request = server.client().post(server.url("/infer/file"));
    request.multipart(form).send().await.unwrap()
}

async fn infer_url(server: &Server, fields: &[(&str, &str)]) -> Response {
    let encoded = url_encoded(fields);
    let request = server
        .client()
        .post(server.url("/infer/url"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(encoded).send().await.unwrap()
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.replace('/', "%2F").replace(':', "%3A");
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)));
    fields.collect::<Vec<_>>().join("&")
}

/// `[classes][height][width]`.
fn volume(reply: &Value, name: &str) -> Vec<Vec<Vec<f32>>> {
    let volume: Vec<Vec<Vec<f32>>> = serde_json::from_value(reply[name].clone()).unwrap();
    assert_eq!(volume.len(), 21);
    for rows in &volume {
        assert!(rows.len() == 512 && rows.iter().all(|row| row.len() == 512));
    }
    volume
}

fn map(reply: &Value) -> Vec<Vec<u64>> {
    let map: Vec<Vec<u64>> = serde_json::from_value(reply["segmentation_map"].clone()).unwrap();
    assert!(map.len() == 512 && map.iter().all(|row| row.len() == 512));
    map
}

#[tokio::test]
async fn all_results_are_of_one_prediction_and_cost_little_memory() {
    let test = "all_results_are_of_one_prediction_and_cost_little_memory";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let response = infer(&server, "torch", &["segmentation_map"], picture.clone()).await;
    assert_eq!(response.headers()["x-model"], MODEL[1]);
    let (status, alone) = json(response).await;
    assert_eq!(status, 200);
    assert_eq!(
        (
            &alone["Status"],
            &alone["infer_model_type"],
            &alone["image_type"]
        ),
        (&json!("OK"), &json!("torch"), &json!("file"))
    );
    let before = server.peak_resident();

    // None asked for is all.
    let response = infer(&server, "onnx", &[], picture).await;
    let text = response.text().await.unwrap();
    println!("{} MB of JSON", text.len() / 1_000_000);
    assert!(text.len() > 60_000_000);
    let more = server.peak_resident().saturating_sub(before);
    println!("{} MB more memory", more / 1_000_000);
    assert!(more < 16 << 20, "{more}");

    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reply["infer_model_type"], "onnx");
    let results = &reply["requested_results"];
    let names: Vec<_> = results.as_object().unwrap().keys().collect();
    assert_eq!(names, ALL);
    let (logits, distribution) = (volume(results, ALL[0]), volume(results, ALL[1]));
    let map = map(results);
    assert_eq!(alone["requested_results"][ALL[2]], results[ALL[2]]);
    let mut people = 0;
    for (y, row) in map.iter().enumerate() {
        for (x, class) in row.iter().enumerate() {
            people += usize::from(*class == PERSON);
            let sum: f32 = distribution.iter().map(|rows| rows[y][x]).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum} at {x}, {y}");
            let most = logits
                .iter()
                .map(|rows| rows[y][x])
                .fold(f32::MIN, f32::max);
            // Up to rounding, for two classes can be almost as certain.
            assert!(most - logits[*class as usize][y][x] < 1e-4);
        }
    }
    assert!(people > 1000, "{people}");
}

#[tokio::test]
async fn whoever_stops_reading_stops_the_writing() {
    let test = "whoever_stops_reading_stops_the_writing";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    for _ in 0..20 {
        let mut response = infer(&server, "torch", &[], picture.clone()).await;
        assert!(response.chunk().await.unwrap().is_some());
    }
    // Nothing goes on that would keep it from answering.
    let (status, _) = json(infer(&server, "torch", &["segmentation_map"], picture).await).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn results_that_there_are_not_are_told_in_their_place() {
    let test = "results_that_there_are_not_are_told_in_their_place";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let unsupported = json!("result type not supported");
    for name in ["boxes", "logits,segmentation_map", ""] {
        let (status, reply) = json(infer(&server, "torch", &[name], picture.clone()).await).await;
        assert_eq!(status, 200);
        assert_eq!(reply["requested_results"], json!({name: unsupported}));
    }
    let names = ["segmentation_map", "boxes", "segmentation_map"];
    let (_, reply) = json(infer(&server, "torch", &names, picture).await).await;
    let results = reply["requested_results"].as_object().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results["boxes"], unsupported);
}

#[tokio::test]
async fn a_picture_is_fetched_and_no_file_is_read() {
    let test = "a_picture_is_fetched_and_no_file_is_read";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let host = PictureHost::start([("people.jpg".to_owned(), picture)]).await;
    let fields = |url| {
        [
            ("infer_model_type", "torch"),
            ("requested_results_types", "segmentation_map"),
            ("url_image", url),
        ]
    };
    let url = host.picture("people.jpg");
    let (status, reply) = json(infer_url(&server, &fields(&url)).await).await;
    assert_eq!(
        (status, &reply["image_type"]),
        (StatusCode::OK, &json!("url")),
        "{reply}"
    );
    let found = map(&reply["requested_results"]);
    assert!(found.iter().flatten().any(|class| *class == PERSON));

    // The same as a form of parts.
    let form = Form::new()
        .text("infer_model_type", "torch")
        .text("requested_results_types", "segmentation_map")
        .text("url_image", url.clone());
    let request = server.client().post(server.url("/infer/url"));
    let (status, parts) = json(request.multipart(form).send().await.unwrap()).await;
    assert_eq!((status, parts), (StatusCode::OK, reply));

    let missing = host.picture("nothing.jpg");
    for url in [&*missing, "/etc/passwd", "file:///etc/passwd", "Cargo.toml"] {
        let (status, reply) = json(infer_url(&server, &fields(url)).await).await;
        assert_eq!(status, 500, "{url}: {reply}");
        let detail = reply["detail"].as_str().unwrap();
        let begin = "Fail! Error: Error loading image from path or URL: ";
        assert!(detail.starts_with(begin), "{detail}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused_as_there() {
    let test = "requests_that_cannot_be_are_refused_as_there";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let (status, reply) = json(infer(&server, "tf", &[], picture.clone()).await).await;
    let expected = json!({"detail": "Fail! Value error: Model type 'tf' is not registered."});
    assert_eq!((status, reply), (StatusCode::UNAUTHORIZED, expected));

    let (status, reply) = json(infer(&server, "torch", &[], b"no picture".to_vec()).await).await;
    assert_eq!(status, 500);
    let detail = reply["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("Fail! Error: Error loading image from bytes: "),
        "{detail}"
    );

    let missing = |name: &str| json!({"type": "missing", "loc": ["body", name], "msg": "Field required", "input": null});
    let (status, reply) = json(infer_url(&server, &[("url_image", "http://a/b.jpg")]).await).await;
    let expected = json!({"detail": [missing("infer_model_type")]});
    assert_eq!(
        (status, reply),
        (StatusCode::UNPROCESSABLE_ENTITY, expected)
    );
    let form = Form::new().text("infer_model_type", "torch");
    let request = server.client().post(server.url("/infer/file"));
    let (status, reply) = json(request.multipart(form).send().await.unwrap()).await;
    assert_eq!(
        (status.as_u16(), reply),
        (422, json!({"detail": [missing("file")]}))
    );
    let request = server.client().post(server.url("/infer/url"));
    let body = json!({"infer_model_type": "torch", "url_image": "http://a/b.jpg"});
    let (status, reply) = json(request.json(&body).send().await.unwrap()).await;
    let expected = json!({"detail": [missing("infer_model_type"), missing("url_image")]});
    assert_eq!((status.as_u16(), reply), (422, expected));

    for (path, allow) in [("/infer/url", "POST"), ("/infer/file", "POST")] {
        let response = server.get(path).await;
        assert_eq!(response.headers()[header::ALLOW], allow);
        let (status, reply) = json(response).await;
        assert_eq!(
            (status.as_u16(), reply),
            (405, json!({"detail": "Method Not Allowed"}))
        );
        let response = server.post(&format!("{path}/"), "").await;
        assert_eq!(response.status(), 307);
        assert_eq!(response.headers()[header::LOCATION], path);
    }
    let response = server.get("/redoc").await;
    assert_eq!(response.headers()[header::LOCATION], "/docs");
    let (status, reply) = json(server.get("/healthcheck").await).await;
    assert_eq!((status.as_u16(), reply), (200, json!({"status": "live"})));
}

#[tokio::test]
async fn of_several_models_the_one_that_sees_pixels_answers() {
    let test = "of_several_models_the_one_that_sees_pixels_answers";
    let more = ["--more-models", MODEL[1]];
    let (Some(server), Some(picture)) = (Server::start(test, &more).await, picture(test)) else {
        return;
    };
    let results = ["segmentation_map"];
    let response = infer(&server, "torch", &results, picture.clone()).await;
    assert_eq!(response.headers()["x-model"], MODEL[1]);
    let (_, reply) = json(response).await;
    assert!(
        map(&reply["requested_results"])
            .iter()
            .flatten()
            .any(|class| *class == PERSON)
    );

    let (_, models) = json(server.get("/v1/models").await).await;
    let names: Vec<_> = models["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["name"])
        .collect();
    // The last is built in, and loaded when it is asked for.
    assert_eq!(
        names,
        ["maskrcnn_fbnetv3a_c4", MODEL[1], "centermask_notes"]
    );
    for (query, model) in [
        ("", "maskrcnn_fbnetv3a_c4"),
        ("?model=deeplabv3_mnv2_pascal", MODEL[1]),
    ] {
        let path = format!("/v1/predict{query}");
        let (status, reply) = json(server.post(&path, picture.clone()).await).await;
        assert_eq!((status.as_u16(), &reply["model"]), (200, &json!(model)));
        assert!(
            reply["detections"]
                .as_array()
                .unwrap()
                .iter()
                .any(|found| found["label"] == "person")
        );
    }
    let (status, reply) = json(server.post("/v1/predict?model=nonesuch", picture).await).await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert_eq!(status, 404);
    assert!(
        message.contains("maskrcnn_fbnetv3a_c4 or deeplabv3_mnv2_pascal"),
        "{message}"
    );
}

/// A file with a network that looks at single pixels, of so many classes.
fn onnx(interpreter: &Path, folder: &Path, classes: &str) -> String {
    let path = folder.join(format!("{classes}.onnx")).display().to_string();
    python::run(interpreter, "make_onnx.py", &[&path, classes]);
    path
}

#[tokio::test]
async fn an_onnx_file_answers_those_who_ask_for_one() {
    let test = "an_onnx_file_answers_those_who_ask_for_one";
    let Some(interpreter) = python::python(test, &["onnx"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = onnx(&interpreter, folder.path(), "21");
    let more = ["--more-models", MODEL[1], "--onnx", &path];
    let Some(server) = Server::start(test, &more).await else {
        return;
    };
    let colour = [200_u8, 100, 50];
    let picture = pictures::png(&RgbImage::from_pixel(30, 20, Rgb(colour)));
    let response = infer(&server, "torch", &["segmentation_map"], picture.clone()).await;
    assert_eq!(response.headers()["x-model"], MODEL[1]);
    let response = infer(&server, "onnx", &[], picture).await;
    assert_eq!(response.headers()["x-model"], "onnx");
    let (_, reply) = json(response).await;
    let results = &reply["requested_results"];
    let (logits, distribution) = (volume(results, ALL[0]), volume(results, ALL[1]));
    // ImageNet's.
    let [red, green, blue] = std::array::from_fn(|i| {
        let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        (f32::from(colour[i]) / 255.0 - mean[i]) / deviation[i]
    });
    let slope = 1.0 + red + 2.0 * green - blue;
    assert!(slope > 0.5);
    for (class, (logits, probabilities)) in logits.iter().zip(&distribution).enumerate() {
        let expected = class as f32 * slope;
        assert!(
            logits
                .iter()
                .flatten()
                .all(|logit| (logit - expected).abs() < 1e-3)
        );
        let first = probabilities[0][0];
        assert!(
            probabilities
                .iter()
                .flatten()
                .all(|other| (other - first).abs() < 1e-5)
        );
    }
    assert!(map(results).iter().flatten().all(|class| *class == 20));
}

#[tokio::test]
async fn a_file_that_is_no_such_network_ends_the_start() {
    let test = "a_file_that_is_no_such_network_ends_the_start";
    let (Some(interpreter), Some(shared)) = (python::python(test, &["onnx"]), shared(test)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.onnx");
    std::fs::write(&text, "no network").unwrap();
    let others = onnx(&interpreter, folder.path(), "3");
    for (path, part) in [
        (text.display().to_string(), "cannot be read as ONNX"),
        (others, "the network has an output [3, 512, 512]"),
        ("/nonesuch.onnx".to_owned(), "/nonesuch.onnx"),
    ] {
        let mut server = Server::spawn(&shared.join("weights"), &["--onnx", &path], &[]);
        let status = server.wait_for_exit(Duration::from_secs(30)).await;
        assert!(!status.success());
        server.logged(part).await;
    }
}

/// Which has masks and no scores of classes.
#[tokio::test]
async fn a_detector_answers_with_a_map_alone() {
    let test = "a_detector_answers_with_a_map_alone";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let picture = pictures::png(&pictures::scene(64, 48));
    let (status, reply) = json(infer(&server, "torch", &[], picture).await).await;
    assert_eq!(status, 200);
    let results = &reply["requested_results"];
    map(results);
    for name in &ALL[..2] {
        assert_eq!(results[*name], "result type not supported");
    }
}
