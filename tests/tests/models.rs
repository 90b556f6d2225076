//! Models beside the default one, through the server.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use image::{Rgb, RgbImage, imageops};
use segmenter_models::{
    Device,
    networks::centermask::Network,
    weights::{Storage, Tensor, Trained, Weights},
};
use segmenter_tests::{Server, http::json, pictures, server, shared};
use serde_json::{Value, json};

#[tokio::test]
async fn a_semantic_segmenter_answers_regions_with_outlines() {
    let test = "a_semantic_segmenter_answers_regions_with_outlines";
    let Some(shared) = shared(test) else {
        return;
    };
    let Some(server) = Server::start(test, &["--model", "deeplabv3_mnv2_pascal"]).await else {
        return;
    };
    let (_, models) = json(server.get("/v1/models").await).await;
    assert_eq!(models["models"][0]["name"], "deeplabv3_mnv2_pascal");
    assert_eq!(models["models"][0]["task"], "semantic-segmentation");

    let picture = std::fs::read(shared.join("images/max/stc.jpg")).unwrap();
    let (status, reply) = json(server.post("/v1/predict", picture.clone()).await).await;
    assert_eq!(status, 200, "{reply}");
    let regions = reply["detections"].as_array().unwrap();
    assert!(!regions.is_empty(), "{reply}");
    let (width, height) = (
        reply["width"].as_u64().unwrap(),
        reply["height"].as_u64().unwrap(),
    );
    for region in regions {
        let rle = &region["mask"]["rle"];
        assert_eq!(rle["size"], serde_json::json!([height, width]), "{region}");
        let [height, width] = [height, width].map(|side| u32::try_from(side).unwrap());
        let counts = rle["counts"].as_str().unwrap();
        assert!(hotcoco::mask::area_from_string(counts, height, width).unwrap() > 0);
    }

    let (_, names) = json(server.post("/predict", picture).await).await;
    let labels: Vec<&Value> = regions.iter().map(|region| &region["label"]).collect();
    assert_eq!(names["objects"], serde_json::json!(labels));
}

#[tokio::test]
async fn what_is_built_in_answers_where_there_is_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::spawn(folder.path(), &[], &[]);
    let server = server.wait_until_ready().await.unwrap();
    let (_, models) = json(server.get("/v1/models").await).await;
    let [model] = models["models"].as_array().unwrap().as_slice() else {
        panic!("{models}");
    };
    assert_eq!(model["name"], "centermask_notes");
    assert_eq!(
        model["classes"],
        json!(["stickynote", "wowboard-front", "wowboard-back"])
    );
    assert_eq!(model["licence"], "Apache-2.0");
    assert_eq!(model["loaded"], true);
    assert_eq!([&model["device"], &model["precision"]], ["cpu", "f32"]);
    server.logged("ready in").await;
    let told = server.log().into_iter();
    let told = told.filter(|line| line.contains("segmenter pull maskrcnn_fbnetv3a_c4"));
    assert_eq!(told.count(), 1);

    let board = pictures::jpeg(&pictures::board());
    let (status, reply) = json(server.post("/v1/predict", board).await).await;
    assert_eq!(status, 200, "{reply}");
    let found = reply["detections"].as_array().unwrap();
    let notes = found.iter().filter(|found| found["label"] == "stickynote");
    assert!(notes.count() > 3, "{reply}");
    assert!(found.iter().all(|found| found["mask"].is_object()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Of a board far away, whose notes have ten pixels when the whole picture is looked at.
#[tokio::test]
async fn what_is_small_is_looked_at_closer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::spawn(folder.path(), &[], &[]);
    let server = server.wait_until_ready().await.unwrap();
    let notes = async |picture: &RgbImage| {
        let path = "/v1/predict?threshold=0.3";
        let (status, reply) = json(server.post(path, pictures::jpeg(picture)).await).await;
        assert_eq!(status, 200, "{reply}");
        let found = reply["detections"].as_array().unwrap().iter();
        let notes = found.filter(|found| found["label"] == "stickynote");
        let sides = notes.map(|note| {
            let side = |axis: &str, far: &str| {
                note["box"][far].as_f64().unwrap() - note["box"][axis].as_f64().unwrap()
            };
            side("x0", "x1").max(side("y0", "y1"))
        });
        sides.collect::<Vec<_>>()
    };
    let board = pictures::board();
    let near = notes(&board).await;
    let mut wall = RgbImage::from_pixel(1280, 960, Rgb([203, 200, 192]));
    let board = imageops::resize(&board, 240, 180, imageops::FilterType::Triangle);
    imageops::overlay(&mut wall, &board, 600, 300);
    let far = notes(&wall).await;
    let small = far.iter().filter(|&&side| side < 40.0).count();
    assert!(4 * small >= 3 * near.len(), "{far:?} instead of {near:?}");
}

#[tokio::test]
async fn what_is_built_in_answers_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cups.safetensors");
    cups(&path);
    let file = path.to_str().unwrap();
    let server = Server::spawn(folder.path(), &["--model", file], &[]);
    let server = server.wait_until_ready().await.unwrap();
    let ready = json!({"name": "centermask_notes", "ready": true});
    let (_, reply) = json(server.get("/v2/models/centermask_notes/ready").await).await;
    assert_eq!(reply, ready);
    let board = pictures::jpeg(&pictures::board());
    let path = "/v1/predict?model=centermask_notes";
    let (status, reply) = json(server.post(path, board).await).await;
    assert_eq!(
        (status.as_u16(), &reply["model"]),
        (200, &json!("centermask_notes"))
    );
    assert!(!reply["detections"].as_array().unwrap().is_empty());

    // Named, it is loaded at the start, like any other.
    let server = Server::spawn(folder.path(), &["--model", "centermask_notes"], &[]);
    let server = server.wait_until_ready().await.unwrap();
    assert!(
        !server
            .log()
            .iter()
            .any(|line| line.contains("segmenter pull"))
    );
}

/// Weights that nobody trained, and that find cups everywhere.
fn cups(path: &Path) {
    let tensors = Arc::new(Mutex::new(BTreeMap::new()));
    let made = Arc::clone(&tensors);
    let mut weights = Weights::generated(move |name, shape| {
        let count: usize = shape.iter().product();
        let values: Vec<_> = match name {
            "scores.weight" => vec![0.0; count],
            "scores.bias" => vec![3.0, -9.0],
            _ => (0..count).map(|i| (i % 7) as f32 * 0.001).collect(),
        };
        let tensor = Tensor {
            shape: shape.to_vec(),
            values: values.clone(),
        };
        made.lock().unwrap().insert(name.to_owned(), tensor);
        values
    });
    Network::load(&mut weights, 2, &Device::stock()).unwrap();
    let trained = Trained {
        classes: ["cup", "saucer"].map(str::to_owned).into(),
        tensors: tensors.lock().unwrap().clone(),
    };
    std::fs::write(path, trained.write(Storage::Int8).unwrap()).unwrap();
}

#[tokio::test]
async fn a_file_of_trained_weights_answers_with_its_own_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cups.safetensors");
    cups(&path);
    let file = path.to_str().unwrap();
    let server = Server::spawn(folder.path(), &["--model", file], &[]);
    let server = server.wait_until_ready().await.unwrap();
    let (_, models) = json(server.get("/v1/models").await).await;
    assert_eq!(models["models"][0]["name"], "cups");
    assert_eq!(models["models"][0]["classes"], json!(["cup", "saucer"]));
    let picture = pictures::jpeg(&pictures::scene(200, 150));
    let (status, reply) = json(server.post("/predict", picture).await).await;
    assert_eq!(status, 200, "{reply}");
    let objects = reply["objects"].as_array().unwrap();
    assert!(
        !objects.is_empty() && objects.iter().all(|name| name == "cup"),
        "{reply}"
    );
}

#[test]
fn files_that_training_did_not_write_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    let refusal = |file: &Path| {
        let mut command = server::command(&[]);
        let output = command
            .arg("serve")
            .arg("--model")
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = refusal(&other);
    assert!(
        missing.contains("cannot open") && missing.contains("other.safetensors"),
        "{missing}"
    );
    std::fs::write(&other, "not safetensors").unwrap();
    let damaged = refusal(&other);
    assert!(
        damaged.contains("damaged or not a trained safetensors file"),
        "{damaged}"
    );
    let unknown = refusal(Path::new("nonesuch"));
    assert!(unknown.contains("NAME.safetensors"), "{unknown}");
}
