//! What clients of TensorFlow Serving's REST API send and expect, those of wowboard-detector's among them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::RgbImage;
use segmenter_tests::{Server, http::json, pictures, shared};
use serde_json::{Value, json};

const DETECTOR: &str = "maskrcnn_fbnetv3a_c4";
const BUILT_IN: &str = "centermask_notes";
const SEMANTIC: &str = "deeplabv3_mnv2_pascal";

/// With people on it, 640 x 427.
fn picture(test: &str) -> Option<Vec<u8>> {
    let path = shared(test)?.join("images/coco-val/000000001268.jpg");
    Some(std::fs::read(path).unwrap())
}

async fn predict(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v1/models/{path}");
    let (status, reply) = json(server.post(&path, body.to_string()).await).await;
    (status.as_u16(), reply)
}

/// As clients send a picture that they have decoded.
fn samples(picture: &RgbImage) -> Value {
    let rows = picture.rows().map(|row| row.map(|pixel| pixel.0).collect());
    json!(rows.collect::<Vec<Vec<[u8; 3]>>>())
}

fn b64(picture: &[u8]) -> Value {
    json!({"b64": BASE64_STANDARD.encode(picture)})
}

#[tokio::test]
async fn a_model_tells_its_version_and_its_signature() {
    let test = "a_model_tells_its_version_and_its_signature";
    let more = ["--more-models", SEMANTIC];
    let Some(server) = Server::start(test, &more).await else {
        return;
    };
    let available = json!({"model_version_status": [{
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""}
    }]});
    for path in [
        "wowboard",
        "wowboard/versions/1",
        BUILT_IN,
        DETECTOR,
        SEMANTIC,
    ] {
        let (status, reply) = json(server.get(&format!("/v1/models/{path}")).await).await;
        assert_eq!((status.as_u16(), &reply), (200, &available), "{path}");
    }
    for (name, outputs) in [("wowboard", 4), (SEMANTIC, 1)] {
        for path in [
            format!("{name}/metadata"),
            format!("{name}/versions/1/metadata"),
        ] {
            let (status, reply) = json(server.get(&format!("/v1/models/{path}")).await).await;
            assert_eq!(status, 200);
            let spec = json!({"name": name, "signature_name": "", "version": "1"});
            assert_eq!(reply["model_spec"], spec);
            let signature = &reply["metadata"]["signature_def"]["signature_def"]["serving_default"];
            let input = &signature["inputs"]["input_tensor"];
            assert_eq!(input["dtype"], "DT_UINT8");
            assert_eq!(input["tensor_shape"]["dim"][3]["size"], "3");
            assert_eq!(signature["outputs"].as_object().unwrap().len(), outputs);
        }
    }
    for (path, error) in [
        (
            "nonesuch",
            "Servable not found for request: Latest(nonesuch)",
        ),
        (
            "wowboard/versions/2",
            "Servable not found for request: Specific(wowboard, 2)",
        ),
        (
            "wowboard/labels/stable",
            "Servable not found for request: Specific(wowboard, stable)",
        ),
    ] {
        let (status, reply) = json(server.get(&format!("/v1/models/{path}")).await).await;
        assert_eq!((status.as_u16(), reply), (404, json!({"error": error})));
    }
}

#[tokio::test]
async fn detections_come_in_rows_and_in_columns() {
    let test = "detections_come_in_rows_and_in_columns";
    let (Some(server), Some(jpeg)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
    let picture = samples(&decoded);
    let body = json!({"signature_name": "serving_default", "instances": [picture]});
    let (status, reply) = predict(&server, &format!("{DETECTOR}:predict"), &body).await;
    assert_eq!(status, 200, "{reply}");
    let [row] = reply["predictions"].as_array().unwrap().as_slice() else {
        panic!("{reply}");
    };
    let scores: Vec<f32> = serde_json::from_value(row["detection_scores"].clone()).unwrap();
    let boxes: Vec<[f32; 4]> = serde_json::from_value(row["detection_boxes"].clone()).unwrap();
    let classes: Vec<f32> = serde_json::from_value(row["detection_classes"].clone()).unwrap();
    assert_eq!((scores.len(), boxes.len(), classes.len()), (100, 100, 100));
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let found = row["num_detections"].as_f64().unwrap() as usize;
    assert!(scores[..found].iter().all(|score| *score > 0.0));
    assert!(scores[found..].iter().all(|score| *score == 0.0));

    // As the main API has them, in its own order and unit.
    let png = pictures::png(&decoded);
    let (_, expected) = json(server.post("/v1/predict?masks=none", png.clone()).await).await;
    let expected = expected["detections"].as_array().unwrap();
    assert!(expected.len() > 3);
    for (i, detection) in expected.iter().enumerate() {
        let number = |value: &Value| value.as_f64().unwrap() as f32;
        let corners = &detection["box"];
        let [x0, y0, x1, y1] = ["x0", "y0", "x1", "y1"].map(|side| number(&corners[side]));
        let [width, height] = [640.0, 427.0];
        let expected = [y0 / height, x0 / width, y1 / height, x1 / width];
        assert!(
            boxes[i]
                .iter()
                .zip(expected)
                .all(|(found, expected)| (found - expected).abs() < 1e-6)
        );
        assert_eq!(scores[i], number(&detection["score"]));
        assert_eq!(classes[i], number(&detection["class_id"]) + 1.0);
    }

    // The same in every form, of two pictures at once.
    let other = pictures::png(&pictures::scene(640, 427));
    for body in [
        json!({"instances": [b64(&png), b64(&other)]}),
        json!({"instances": [{"input_tensor": b64(&png)}, {"input_tensor": b64(&other)}]}),
    ] {
        let (status, reply) =
            predict(&server, &format!("{DETECTOR}/versions/1:predict"), &body).await;
        assert_eq!(status, 200, "{reply}");
        let rows = reply["predictions"].as_array().unwrap();
        assert_eq!((rows.len(), &rows[0]), (2, row));
    }
    for body in [
        json!({"inputs": [picture]}),
        json!({"inputs": {"input_tensor": [b64(&png)]}}),
    ] {
        let (status, reply) = predict(&server, &format!("{DETECTOR}:predict"), &body).await;
        assert_eq!(status, 200, "{reply}");
        let outputs = reply["outputs"].as_object().unwrap();
        assert_eq!(outputs.len(), 4);
        for (name, values) in outputs {
            assert_eq!(values, &json!([row[name]]), "{name}");
        }
    }
}

#[tokio::test]
async fn wowboard_is_the_model_that_is_built_in() {
    let test = "wowboard_is_the_model_that_is_built_in";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let picture = pictures::png(&pictures::board());
    let body = json!({"instances": [b64(&picture)]});
    let (status, reply) = predict(&server, "wowboard:predict", &body).await;
    assert_eq!(status, 200, "{reply}");
    let row = &reply["predictions"][0];
    let scores: Vec<f32> = serde_json::from_value(row["detection_scores"].clone()).unwrap();
    let classes: Vec<f32> = serde_json::from_value(row["detection_classes"].clone()).unwrap();

    let path = format!("/v1/predict?masks=none&model={BUILT_IN}");
    let (_, expected) = json(server.post(&path, picture).await).await;
    let expected = expected["detections"].as_array().unwrap();
    assert!(expected.len() > 3);
    // stickynote is 1, wowboard-front 2, wowboard-back 3.
    let number = |label: &Value| match label.as_str().unwrap() {
        "stickynote" => 1.0,
        "wowboard-front" => 2.0,
        "wowboard-back" => 3.0,
        other => panic!("{other}"),
    };
    for (i, detection) in expected.iter().enumerate() {
        assert_eq!(scores[i], detection["score"].as_f64().unwrap() as f32);
        assert_eq!(classes[i], number(&detection["label"]));
    }
    let (_, same) = predict(&server, &format!("{BUILT_IN}:predict"), &body).await;
    assert_eq!(same, reply);
}

#[tokio::test]
async fn a_semantic_segmenter_answers_with_its_class_map() {
    let test = "a_semantic_segmenter_answers_with_its_class_map";
    let model = ["--model", SEMANTIC];
    let (Some(server), Some(picture)) = (Server::start(test, &model).await, picture(test)) else {
        return;
    };
    let body = json!({"instances": [b64(&picture)]});
    let (status, reply) = predict(&server, &format!("{SEMANTIC}:predict"), &body).await;
    assert_eq!(status, 200);
    // The only output goes without its name.
    let map: Vec<Vec<u8>> = serde_json::from_value(reply["predictions"][0].clone()).unwrap();
    assert_eq!((map.len(), map[0].len()), (342, 513));
    assert!(map.iter().flatten().any(|class| *class == 15));
    let body = json!({"inputs": [b64(&picture)]});
    let (_, columns) = predict(&server, &format!("{SEMANTIC}:predict"), &body).await;
    assert_eq!(columns["outputs"], reply["predictions"]);
}

#[tokio::test]
async fn errors_are_one_sentence() {
    let test = "errors_are_one_sentence";
    let Some(server) = Server::start(test, &["--max-pixels=1000"]).await else {
        return;
    };
    let large = samples(&RgbImage::new(100, 11));
    for (path, body, expected, part) in [
        (
            "wowboard:predict",
            json!({"instances": [[[1, 2, 3]]]}),
            400,
            "input must be 4-dimensional[1, 1, 3]",
        ),
        (
            "wowboard:predict",
            json!({"instances": [1], "inputs": [1]}),
            400,
            "both",
        ),
        (
            "wowboard:predict",
            json!({"instances": [large]}),
            413,
            "--max-pixels",
        ),
        (
            "wowboard:predict",
            json!({"instances": [{"b64": "bm8gcGljdHVyZQ=="}]}),
            415,
            "picture",
        ),
        (
            "wowboard:classify",
            json!({"instances": [1]}),
            400,
            "Malformed request: POST /v1/models/wowboard:classify",
        ),
        ("wowboard", json!({}), 400, "Malformed request"),
        (
            "wowboard/metadata:predict",
            json!({}),
            400,
            "Malformed request",
        ),
        (
            "nonesuch:predict",
            json!({}),
            404,
            "Servable not found for request: Latest(nonesuch)",
        ),
        (
            "wowboard/versions/7:predict",
            json!({}),
            404,
            "Specific(wowboard, 7)",
        ),
    ] {
        let (status, reply) = predict(&server, path, &body).await;
        let error = reply["error"].as_str().unwrap_or_default();
        assert_eq!(status, expected, "{path}: {reply}");
        assert!(error.contains(part), "{error}");
        assert_eq!(reply.as_object().unwrap().len(), 1);
    }
    let (status, reply) = json(server.post("/v1/models/wowboard:predict", "not JSON").await).await;
    assert_eq!(status, 400);
    assert!(
        reply["error"]
            .as_str()
            .unwrap()
            .starts_with("JSON Parse error")
    );
    let request = server.client().delete(server.url("/v1/models/wowboard"));
    let (status, reply) = json(request.send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert_eq!(
        reply["error"],
        "Malformed request: DELETE /v1/models/wowboard"
    );
}
