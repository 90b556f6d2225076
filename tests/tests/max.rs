//! What clients of MAX Image Segmenter send and expect.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use image::RgbImage;
use reqwest::{
    StatusCode, header,
    multipart::{Form, Part},
};
use segmenter_tests::{Server, http::json, pictures, shared};
use serde_json::{Value, json};

/// The network that it ran.
const MODEL: [&str; 2] = ["--model", "deeplabv3_mnv2_pascal"];

/// Class ids.
const PERSON: u64 = 15;

/// With people on it, 640 x 427.
fn picture(test: &str) -> Option<Vec<u8>> {
    let path = shared(test)?.join("images/coco-val/000000001268.jpg");
    Some(std::fs::read(path).unwrap())
}

async fn predict(server: &Server, field: &str, picture: Vec<u8>) -> (StatusCode, Value) {
    let part = Part::bytes(picture).file_name("picture.jpg");
    let form = Form::new().part(field.to_owned(), part);
    let request = server.client().post(server.url("/model/predict"));
    json(request.multipart(form).send().await.unwrap()).await
}

/// Of a good reply, the size and the class ids, after a look at whether they fit together.
async fn segmented(server: &Server, picture: Vec<u8>) -> ([u64; 2], Vec<Vec<u64>>) {
    let (status, reply) = predict(server, "image", picture).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["status"], "ok");
    let size: [u64; 2] = serde_json::from_value(reply["image_size"].clone()).unwrap();
    let map: Vec<Vec<u64>> = serde_json::from_value(reply["seg_map"].clone()).unwrap();
    assert_eq!(map.len() as u64, size[1]);
    assert!(map.iter().all(|row| row.len() as u64 == size[0]));
    (size, map)
}

fn has(map: &[Vec<u64>], class: u64) -> bool {
    map.iter().flatten().any(|id| *id == class)
}

#[tokio::test]
async fn a_form_is_answered_with_a_small_class_map() {
    let test = "a_form_is_answered_with_a_small_class_map";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let (size, map) = segmented(&server, picture.clone()).await;
    assert_eq!(size, [513, 342]);
    assert!(has(&map, PERSON));
    assert_eq!(map[0][0], 0);
    assert!(map.iter().flatten().all(|id| *id <= 20));

    // The same as PNG, and with what the original made of 1200 x 600.
    let decoded = image::load_from_memory(&picture).unwrap().into_rgb8();
    let (_, of_png) = segmented(&server, pictures::png(&decoded)).await;
    let pairs = of_png.iter().flatten().zip(map.iter().flatten());
    let other = pairs.filter(|(png, jpeg)| png != jpeg).count();
    // Decoders of JPEG differ by a little.
    assert!(other * 100 < 513 * 342, "{other}");
    let (size, _) = segmented(&server, pictures::jpeg(&RgbImage::new(1200, 600))).await;
    assert_eq!(size, [513, 256]);

    // EXIF data is not looked at.
    let turned = pictures::jpeg_with_orientation(&decoded, 6);
    let (size, _) = segmented(&server, turned).await;
    assert_eq!(size, [513, 342]);
}

#[tokio::test]
async fn a_detector_of_other_classes_answers_with_those_of_voc() {
    let test = "a_detector_of_other_classes_answers_with_those_of_voc";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let (size, map) = segmented(&server, picture).await;
    assert_eq!(size, [513, 342]);
    // The bird is one, too; the handbag is not.
    let mut ids: Vec<u64> = map.into_iter().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, [0, 3, PERSON]);
}

#[tokio::test]
async fn the_size_is_that_of_its_variable() {
    let test = "the_size_is_that_of_its_variable";
    let Some(weights) = shared(test).map(|shared| shared.join("weights")) else {
        return;
    };
    let wide = pictures::jpeg(&RgbImage::new(1200, 600));
    // The ratio of 55 to 1200 times 1200 is a little less than 55.
    for (variable, flags, size) in [
        ("IMAGE_SIZE=333", &MODEL[..], [333, 166]),
        ("IMAGE_SIZE=55", &MODEL, [54, 27]),
        ("IMAGE_SIZE=15", &MODEL, [513, 256]),
        ("IMAGE_SIZE=large", &MODEL, [513, 256]),
        (
            "IMAGE_SIZE=333",
            &[MODEL[0], MODEL[1], "--image-size", "64"],
            [64, 32],
        ),
    ] {
        let server = Server::spawn(&weights, flags, &["env", variable]);
        let server = server.wait_until_ready().await.unwrap();
        let (found, _) = segmented(&server, wide.clone()).await;
        assert_eq!(found, size, "{variable} {flags:?}");
        if size == [513, 256] {
            server.logged("IMAGE_SIZE").await;
        } else {
            let warned = server.log().iter().any(|line| line.contains("IMAGE_SIZE"));
            assert!(!warned, "{variable}");
        }
    }
}

#[tokio::test]
async fn a_model_type_that_there_is_not_is_warned_of() {
    let test = "a_model_type_that_there_is_not_is_warned_of";
    let Some(weights) = shared(test).map(|shared| shared.join("weights")) else {
        return;
    };
    for (variable, warning) in [
        ("MODEL_TYPE=mobile", None),
        ("MODEL_TYPE=full", Some("Xception-65, is not here")),
        ("MODEL_TYPE=large", Some("expected mobile or full")),
    ] {
        let server = Server::spawn(&weights, &MODEL, &["env", variable]);
        let server = server.wait_until_ready().await.unwrap();
        match warning {
            Some(warning) => server.logged(warning).await,
            None => assert!(!server.log().join("\n").contains("MODEL_TYPE")),
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_its_words() {
    let test = "what_is_wrong_is_told_in_its_words";
    let (Some(server), Some(picture)) = (Server::start(test, &MODEL).await, picture(test)) else {
        return;
    };
    let missing = json!({
        "errors": {"image": "Missing required parameter in an uploaded file"},
        "message": "Input payload validation failed"
    });
    let invalid = json!({"message": "The provided input is not a valid image."});
    let cut = picture[..picture.len() / 2].to_vec();
    for (field, bytes, expected) in [
        ("file_", picture.clone(), &missing),
        ("image", b"this is no picture".to_vec(), &invalid),
        // Where the original failed.
        ("image", cut, &invalid),
    ] {
        let (status, reply) = predict(&server, field, bytes).await;
        assert_eq!((status.as_u16(), &reply), (400, expected), "{field}");
    }
    // Without a form there is no field, whatever is sent.
    for body in ["", "hello", r#"{"image": "aGVsbG8="}"#] {
        let (status, reply) = json(server.post("/model/predict", body).await).await;
        assert_eq!((status.as_u16(), &reply), (400, &missing), "{body}");
    }

    let response = server.get("/model/predict").await;
    assert_eq!(response.headers()[header::ALLOW], "POST, OPTIONS");
    let (status, reply) = json(response).await;
    let message = "The method is not allowed for the requested URL.";
    assert_eq!(
        (status.as_u16(), reply),
        (405, json!({ "message": message }))
    );
    assert_eq!(server.get("/model/nonesuch").await.status(), 404);
}

#[tokio::test]
async fn it_tells_of_itself_what_clients_expect() {
    let test = "it_tells_of_itself_what_clients_expect";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let get = async |path| json(server.get(path).await).await;
    let (_, metadata) = get("/model/metadata").await;
    let expected = json!({
        "id": "deeplab-tf",
        "name": "deeplab TensorFlow Model",
        "description": "deeplab TensorFlow model trained on VOCO 2012",
        "license": "Apache v2"
    });
    assert_eq!(metadata, expected);

    let (_, labels) = get("/model/labels").await;
    assert_eq!(labels.as_array().unwrap().len(), 21);
    assert_eq!(labels[3], json!({"id": 3, "name": "bird"}));
    assert_eq!(labels[20], json!({"id": 20, "name": "tv"}));

    let (_, swagger) = get("/swagger.json").await;
    assert_eq!(swagger["swagger"], "2.0");
    assert_eq!(swagger["basePath"], "/");
    assert_eq!(swagger["info"]["title"], "MAX Image Segmenter");
    for path in ["/model/metadata", "/model/predict"] {
        assert!(swagger["paths"][path].is_object(), "{path}");
    }
}
