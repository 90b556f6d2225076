//! What clients of the web service "Segmenter" send and expect.
#![expect(
    clippy::unwrap_used,
    reason = "what fails beside a test fails it as well"
)]

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{Rgb, RgbImage, RgbaImage};
use reqwest::{
    Method, Response,
    header::{self, HeaderMap},
    multipart::{Form, Part},
};
use segmenter_tests::{PictureHost, Server, http::json, pictures, shared};
use serde_json::{Value, json};

/// People, a bird and a handbag, in a picture that is wider than high.
const PICTURE: &str = "000000001268.jpg";

fn data_uri(picture: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(picture))
}

fn picture(test: &str) -> Option<Vec<u8>> {
    let path = shared(test)?.join("images/coco-val").join(PICTURE);
    Some(std::fs::read(path).unwrap())
}

async fn run_model(server: &Server, body: Value) -> Response {
    let request = server.client().post(server.url("/api/run_model"));
    request.json(&body).send().await.unwrap()
}

/// The status, the headers and the text of a reply, which says that it is not to be kept.
async fn text(response: Response) -> (u16, HeaderMap, String) {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=0");
    assert_eq!(headers[header::PRAGMA], "no-cache");
    assert_eq!(headers[header::EXPIRES], "0");
    (status, headers, response.text().await.unwrap())
}

/// The picture in the reply to `/api/run_model`.
async fn cutout(response: Response) -> RgbaImage {
    let (status, headers, body) = text(response).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let encoded = body.strip_prefix("data:image/png;base64,").unwrap();
    let png = BASE64_STANDARD.decode(encoded).unwrap();
    let picture = image::load_from_memory_with_format(&png, image::ImageFormat::Png).unwrap();
    assert_eq!(picture.color(), image::ColorType::Rgba8);
    picture.into_rgba8()
}

#[tokio::test]
async fn what_is_found_is_opaque_and_all_else_half_transparent() {
    let test = "what_is_found_is_opaque_and_all_else_half_transparent";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let uri = data_uri(&picture);
    let cut = cutout(run_model(&server, json!({ "image": uri })).await).await;

    let original = image::load_from_memory(&picture).unwrap().into_rgb8();
    assert_eq!(cut.dimensions(), original.dimensions());
    // Our decoder equals libjpeg-turbo, this one is within rounding of it.
    for (cut, original) in cut.pixels().zip(original.pixels()) {
        let apart = (0..3).map(|channel| cut.0[channel].abs_diff(original.0[channel]));
        assert!(apart.max() <= Some(4), "{cut:?} {original:?}");
    }
    // The very pixels of the masks of the main API are opaque.
    let (_, reply) = json(server.post("/v1/predict?masks=png", picture.clone()).await).await;
    let mut expected = vec![127; cut.pixels().len()];
    for found in reply["detections"].as_array().unwrap() {
        let png = BASE64_STANDARD
            .decode(found["mask"]["png"].as_str().unwrap())
            .unwrap();
        let mask = image::load_from_memory(&png).unwrap().into_luma8();
        for (alpha, inside) in expected.iter_mut().zip(mask.pixels()) {
            if inside.0 == [255] {
                *alpha = 254;
            }
        }
    }
    assert!(expected.contains(&254) && expected.contains(&127));
    assert!(cut.pixels().map(|pixel| pixel.0[3]).eq(expected));

    // Whatever is before base64 does not count, and a URL does as well.
    let other = uri.replace("data:image/jpeg;", "whatever, ");
    let again = cutout(run_model(&server, json!({ "image": other, "more": 1 })).await).await;
    assert_eq!(again, cut);
    let host = PictureHost::start([(PICTURE.to_owned(), picture)]).await;
    let fetched = cutout(run_model(&server, json!({ "image": host.picture(PICTURE) })).await).await;
    assert_eq!(fetched, cut);
}

#[tokio::test]
async fn where_nothing_is_found_all_is_half_transparent() {
    let test = "where_nothing_is_found_all_is_half_transparent";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let grey = RgbImage::from_pixel(120, 80, Rgb([128, 128, 128]));
    let uri = data_uri(&pictures::png(&grey));
    let cut = cutout(run_model(&server, json!({ "image": uri })).await).await;
    assert_eq!(cut.dimensions(), (120, 80));
    assert!(cut.pixels().all(|pixel| pixel.0 == [128, 128, 128, 127]));
}

#[tokio::test]
async fn a_segmenter_of_whole_pictures_decides_for_each_pixel() {
    let test = "a_segmenter_of_whole_pictures_decides_for_each_pixel";
    let flags = ["--model", "deeplabv3_mnv2_pascal"];
    let (Some(server), Some(picture)) = (Server::start(test, &flags).await, picture(test)) else {
        return;
    };
    let cut = cutout(run_model(&server, json!({ "image": data_uri(&picture) })).await).await;
    let (status, rows) = json(
        server
            .post("/predictions/deeplabv3_resnet_101", picture)
            .await,
    )
    .await;
    assert_eq!(status, 200, "{rows}");
    // The rule of the client: enlarge to the nearest, then whichever of class and probability is greater.
    let (width, height) = cut.dimensions();
    let mut same = 0u32;
    for (x, y, pixel) in cut.enumerate_pixels() {
        let point = &rows[(y * 224 / height) as usize][(x * 224 / width) as usize];
        let is_found = point[0].as_f64().unwrap() >= point[1].as_f64().unwrap();
        assert!([127, 254].contains(&pixel.0[3]));
        same += u32::from((pixel.0[3] == 254) == is_found);
    }
    // But for pixels at edges, as the model's own map is finer.
    assert!(f64::from(same) > 0.97 * f64::from(width * height), "{same}");
    assert!(cut.pixels().any(|pixel| pixel.0[3] == 254));
}

#[tokio::test]
async fn every_request_that_cannot_be_is_refused_as_there() {
    let test = "every_request_that_cannot_be_is_refused_as_there";
    let Some(server) = Server::start(test, &["--max-body", "64KiB"]).await else {
        return;
    };
    let text_file = data_uri(b"this is no picture");
    let large = format!("base64,{}", "A".repeat(120_000));
    let page = |heading: &str| format!("<h1>{heading}</h1>");
    for (body, status, says) in [
        (json!({}), 400, "bad request".to_owned()),
        (json!({"image": 5}), 400, "bad request".to_owned()),
        (json!({"image": null}), 400, "bad request".to_owned()),
        (json!(["image"]), 500, page("Internal Server Error")),
        (
            json!({"image": "base64,?"}),
            500,
            page("Internal Server Error"),
        ),
        (
            json!({"image": "base64,"}),
            500,
            page("Internal Server Error"),
        ),
        (
            json!({"image": text_file}),
            500,
            page("Internal Server Error"),
        ),
        (
            json!({"image": "not <a> URL"}),
            500,
            page("Internal Server Error"),
        ),
        (
            json!({"image": "http://10.0.0.1/a.jpg"}),
            500,
            page("Internal Server Error"),
        ),
        (json!({"image": large}), 413, page("Payload Too Large")),
    ] {
        let (found, headers, reply) = text(run_model(&server, body.clone()).await).await;
        assert_eq!(found, status, "{body}: {reply}");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        if says == "bad request" {
            assert_eq!(reply, says, "{body}");
        } else {
            assert!(reply.contains(&says), "{body}: {reply}");
        }
        assert!(!reply.contains("<a>"), "{reply}");
    }
    let post = || server.client().post(server.url("/api/run_model"));
    for request in [
        post().body("{\"image\": "),
        post()
            .header(header::CONTENT_TYPE, "application/json")
            .body("{\"image\": "),
        post().body("{\"image\": \"base64,\"}"),
        post().header(header::CONTENT_TYPE, "text/plain").body("{}"),
    ] {
        let (status, _, reply) = text(request.send().await.unwrap()).await;
        assert_eq!(status, 400, "{reply}");
        assert!(reply.contains(&page("Bad Request")), "{reply}");
    }
    // They are counted and logged for what they are.
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let counted =
        "segmenter_requests_total{code=\"500\",protocol=\"http\",route=\"/api/run_model\"} 6";
    assert!(metrics.contains(counted), "{metrics}");
    server.logged("fetch_refused").await;
}

#[tokio::test]
async fn a_wrong_verb_is_told_the_right_ones() {
    let test = "a_wrong_verb_is_told_the_right_ones";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    for (verb, path, allowed) in [
        (Method::GET, "/api/run_model", "POST, OPTIONS"),
        (Method::PUT, "/api/run_model", "POST, OPTIONS"),
        (Method::POST, "/api/random_image", "GET, HEAD, OPTIONS"),
    ] {
        let ask = async |verb| {
            let request = server.client().request(verb, server.url(path));
            text(request.send().await.unwrap()).await
        };
        let (status, headers, reply) = ask(verb).await;
        assert_eq!(
            (status, &headers[header::ALLOW]),
            (405, &allowed.parse().unwrap())
        );
        assert!(reply.contains("<h1>Method Not Allowed</h1>"), "{reply}");
        let (status, headers, reply) = ask(Method::OPTIONS).await;
        assert_eq!(
            (status, &headers[header::ALLOW]),
            (200, &allowed.parse().unwrap())
        );
        assert_eq!(reply, "");
    }
}

#[tokio::test]
async fn a_model_that_does_not_answer_is_a_serving_error() {
    let test = "a_model_that_does_not_answer_is_a_serving_error";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let ask = async |server: &Server| {
        let request = server.client().post(server.url("/api/run_model"));
        let request = request.header("x-request-timeout-ms", "1");
        let request = request.json(&json!({ "image": data_uri(&picture) }));
        text(request.send().await.unwrap()).await
    };
    let (status, _, reply) = ask(&server).await;
    assert_eq!((status, &*reply), (504, "Serving error"));

    // Before the model is there.
    let weights = shared(test).unwrap().join("weights");
    let server = Server::spawn(&weights, &[], &[]);
    let early = loop {
        let request = server.client().post(server.url("/api/run_model"));
        if let Ok(response) = request.json(&json!({})).send().await {
            break text(response).await;
        }
    };
    assert_eq!((early.0, &*early.2), (501, "Serving error"));
}

#[tokio::test]
async fn random_pictures_are_those_of_the_folder() {
    let test = "random_pictures_are_those_of_the_folder";
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--sample-dir={}", folder.path().display());
    let Some(server) = Server::start(test, &[&flag]).await else {
        return;
    };
    let (status, headers, reply) = text(server.get("/api/random_image").await).await;
    assert_eq!((status, &*reply), (501, "No images"));
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");

    // Read again while there are none.
    for name in ["people1.jpg", "people 2.jpg", "notes.txt"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let (status, headers, content) = text(server.get("/api/random_image").await).await;
        assert_eq!(
            (status, &headers[header::CONTENT_TYPE]),
            (200, &"image/jpeg".parse().unwrap())
        );
        let name = headers[header::CONTENT_DISPOSITION]
            .to_str()
            .unwrap()
            .to_owned();
        seen.insert((name, content));
    }
    let expected = [
        ("inline; filename*=UTF-8''people%202.jpg", "people 2.jpg"),
        ("inline; filename=people1.jpg", "people1.jpg"),
    ];
    assert_eq!(
        seen,
        expected
            .map(|(name, content)| (name.to_owned(), content.to_owned()))
            .into()
    );
}

#[tokio::test]
async fn the_pictures_that_come_with_it_show_what_is_found() {
    let test = "the_pictures_that_come_with_it_show_what_is_found";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let mut missing = BTreeSet::from([
        "clock",
        "stop sign",
        "traffic light",
        "kite",
        "orange",
        "vase",
    ]);
    for _ in 0..60 {
        let response = server.get("/api/random_image").await;
        let picture = response.bytes().await.unwrap();
        let (_, found) = json(server.post("/predict", picture).await).await;
        let objects = found["objects"].as_array().unwrap();
        assert!(!objects.is_empty());
        missing.retain(|name| !objects.iter().any(|object| object == name));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn torchserve_answers_a_class_and_a_probability_for_each_point() {
    let test = "torchserve_answers_a_class_and_a_probability_for_each_point";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let post = || {
        server
            .client()
            .post(server.url("/predictions/deeplabv3_resnet_101"))
    };
    let form = |name: &'static str| Form::new().part(name, Part::bytes(picture.clone()));
    let (status, first) = json(post().body(picture.clone()).send().await.unwrap()).await;
    assert_eq!(status, 200, "{first}");
    let rows = first.as_array().unwrap();
    assert_eq!(rows.len(), 224);
    let mut classes = BTreeSet::new();
    for point in rows.iter().flat_map(|row| {
        let row = row.as_array().unwrap();
        assert_eq!(row.len(), 224);
        row
    }) {
        let [class, score] = [&point[0], &point[1]].map(|number| number.as_f64().unwrap());
        assert_eq!(point.as_array().unwrap().len(), 2);
        assert!(
            class.fract() == 0.0 && 0.0 < score && score <= 1.0,
            "{point}"
        );
        classes.insert(class as u32);
    }
    // The background and people: a detector's classes are one more than their numbers.
    assert!(classes.is_superset(&BTreeSet::from([0, 1])), "{classes:?}");

    for request in [
        post().multipart(form("data")),
        post().multipart(form("body")),
        post()
            .header(header::CONTENT_TYPE, "image/jpeg")
            .body(picture.clone()),
        post().body(BASE64_STANDARD.encode(&picture)),
        server
            .client()
            .post(server.url("/predictions/maskrcnn_fbnetv3a_c4"))
            .body(picture.clone()),
    ] {
        let (status, reply) = json(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "{reply}");
        assert!(reply == first);
    }
}

#[tokio::test]
async fn torchserve_fails_in_its_own_words() {
    let test = "torchserve_fails_in_its_own_words";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let (status, reply) = json(server.post("/predictions/nonesuch", "").await).await;
    let expected = json!({
        "code": 404, "type": "ModelNotFoundException", "message": "Model not found: nonesuch",
    });
    assert_eq!((status.as_u16(), reply), (404, expected));
    let (status, reply) = json(server.post("/predictions/%ff", "").await).await;
    assert_eq!((status.as_u16(), &reply["code"]), (404, &json!(404)));
    let path = "/predictions/deeplabv3_resnet_101";
    let (status, reply) = json(server.post(path, "this is no picture").await).await;
    assert_eq!(status, 415, "{reply}");
    assert_eq!(
        (&reply["code"], &reply["type"]),
        (&json!(415), &json!("BadRequestException"))
    );

    let ping = server.get("/ping").await;
    assert_eq!(ping.status(), 200);
    assert_eq!(ping.text().await.unwrap(), r#"{"status":"Healthy"}"#);
}

#[tokio::test]
async fn the_root_is_a_page_for_browsers_and_a_word_for_others() {
    let test = "the_root_is_a_page_for_browsers_and_a_word_for_others";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    for accept in [None, Some("*/*"), Some("application/json")] {
        let mut request = server.client().get(server.url("/"));
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::VARY], "accept");
        assert_eq!(response.text().await.unwrap(), r#"{"status":"healthy"}"#);
    }
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let get = async |kept: &str| {
        let request = server.client().get(server.url("/"));
        let request = request.header(header::ACCEPT, browser);
        let request = request.header(header::IF_NONE_MATCH, kept);
        request.send().await.unwrap()
    };
    let page = get("").await;
    assert_eq!(
        page.headers()[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
    ] {
        assert!(policy.split("; ").any(|found| found == part), "{policy}");
    }
    let tag = page.headers()[header::ETAG].to_str().unwrap().to_owned();
    let html = page.text().await.unwrap();
    for name in [
        "<h1>Segmenter</h1>",
        ">Input<",
        ">Result<",
        ">Load<",
        ">Random<",
        ">Compute<",
    ] {
        assert!(html.contains(name), "{name}");
    }
    let again = get(&tag).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.text().await.unwrap(), "");
}
