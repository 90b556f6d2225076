//! The clients of other servers as those document them, in Python.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, path::Path};

use segmenter_tests::{PictureHost, Server, pictures, python, shared};
use serde_json::{Value, json};

const SEMANTIC: [&str; 2] = ["--model", "deeplabv3_mnv2_pascal"];

/// Runs a script of `tests/python/clients` and answers the JSON that it prints.
async fn run(interpreter: &Path, script: &str, arguments: &[&str]) -> Value {
    let interpreter = interpreter.to_owned();
    let script = format!("clients/{script}.py");
    let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
    // The host of pictures answers meanwhile.
    let printed = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        python::run(&interpreter, &script, &arguments)
    });
    serde_json::from_str(&printed.await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tests_of_service_deployment_pass() {
    let test = "the_tests_of_service_deployment_pass";
    let modules = ["grpc_tools", "requests", "prometheus_client"];
    let Some(interpreter) = python::python(test, &modules) else {
        return;
    };
    let (Some(server), Some(shared)) = (Server::start(test, &[]).await, shared(test)) else {
        return;
    };
    let folder = shared.join("images/coco-val");
    let evaluation = folder.join("eval.json");
    let names: Value = serde_json::from_slice(&fs::read(&evaluation).unwrap()).unwrap();
    let pictures = names.as_object().unwrap().keys();
    let pictures = pictures.map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()));
    let host = PictureHost::start(pictures.collect::<Vec<_>>()).await;

    let (base, grpc) = (server.url(""), server.grpc_address().to_string());
    let (url, evaluation) = (host.picture(""), evaluation.display().to_string());
    let found = run(
        &interpreter,
        "service_deployment",
        &[&base, &grpc, &url, &evaluation],
    )
    .await;
    println!("{found}");
    assert!(found["http"].as_f64().unwrap() > 0.5);
    assert_eq!(found["grpc"], found["http"]);
    assert_eq!(
        (&found["status"], &found["counted"]),
        (&json!(200), &json!(1))
    );
}

#[tokio::test]
async fn the_page_of_segmenter_gets_its_pictures() {
    let test = "the_page_of_segmenter_gets_its_pictures";
    let (Some(interpreter), Some(server)) = (
        python::python(test, &["requests", "PIL"]),
        Server::start(test, &[]).await,
    ) else {
        return;
    };
    let found = run(&interpreter, "segmenter_web", &[&server.url("")]).await;
    assert_eq!(found["head"], "data:image/png;base64");
    assert_eq!(found["mode"], "RGBA");
    assert_eq!(found["picture"], found["cut_out"]);
    let alphas = found["alphas"].as_array().unwrap();
    assert!(!alphas.is_empty() && alphas.iter().all(|alpha| *alpha == 127 || *alpha == 254));
    assert_eq!(found["served"], json!([224, 224, 2]));
}

#[tokio::test]
async fn the_backend_of_wowboard_finds_what_is_to_be_cropped() {
    let test = "the_backend_of_wowboard_finds_what_is_to_be_cropped";
    let (Some(interpreter), Some(server)) = (
        python::python(test, &["requests", "PIL", "numpy"]),
        Server::start(test, &[]).await,
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("board.jpg");
    fs::write(&picture, pictures::jpeg(&pictures::board())).unwrap();
    let picture = picture.display().to_string();
    let found = run(&interpreter, "wowboard", &[&server.url(""), &picture]).await;
    let certain = found["certain"].as_array().unwrap();
    assert!(!certain.is_empty(), "{found}");
    assert!(found["detections"].as_u64().unwrap() as usize >= certain.len());
    // Sticky notes are the first class.
    assert!(found["classes"].as_array().unwrap().contains(&json!(1.0)));
    for found in found["crops"].as_array().unwrap() {
        let [y0, x0, y1, x1]: [i64; 4] = serde_json::from_value(found.clone()).unwrap();
        assert!(
            0 <= y0 && y0 < y1 && y1 <= 1024 && 0 <= x0 && x0 < x1 && x1 <= 1024,
            "{found}"
        );
    }
    let upload = &found["upload"];
    assert_eq!(upload["status"], "success");
    let count = upload["num_detections"].as_u64().unwrap() as usize;
    assert_eq!(upload["score"].as_array().unwrap().len(), count);
    assert_eq!(upload["boxes"].as_array().unwrap().len(), count);
}

#[tokio::test]
async fn the_test_of_max_passes_and_its_notebook_works() {
    let test = "the_test_of_max_passes_and_its_notebook_works";
    let (Some(interpreter), Some(server), Some(shared)) = (
        python::python(test, &["requests", "pycurl", "numpy"]),
        Server::start(test, &SEMANTIC).await,
        shared(test),
    ) else {
        return;
    };
    let picture = shared.join("images/max/stc.jpg").display().to_string();
    let found = run(
        &interpreter,
        "max_image_segmenter",
        &[&server.url(""), &picture],
    )
    .await;
    let expected = json!({
        "code": 200,
        "status": "ok",
        "image_size": [513, 256],
        "rows": 256,
        "points": {"0,0": 0, "128,128": 15, "200,500": 20},
        "posted_alike": true,
        "label_3": {"id": 3, "name": "bird"},
        "title": "MAX Image Segmenter",
        "license": "Apache v2"
    });
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_segmentation_api_works() {
    let test = "the_example_of_segmentation_api_works";
    let (Some(interpreter), Some(server), Some(shared)) = (
        python::python(test, &["requests", "numpy"]),
        Server::start(test, &SEMANTIC).await,
        shared(test),
    ) else {
        return;
    };
    let path = shared.join("images/coco-val/000000001268.jpg");
    let picture = fs::read(&path).unwrap();
    let host = PictureHost::start([("people.jpg".to_owned(), picture)]).await;
    let (url, path) = (host.picture("people.jpg"), path.display().to_string());
    let found = run(
        &interpreter,
        "segmentation_api",
        &[&server.url(""), &url, &path],
    )
    .await;
    assert_eq!(found["url"], found["file"]);
    assert_eq!(found["url"]["shape"], json!([512, 512]));
    assert!(
        found["url"]["classes"]
            .as_array()
            .unwrap()
            .contains(&json!(15))
    );
    assert_eq!(found["redirected"], json!([307]));
}
