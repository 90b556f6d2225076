//! `segmenter lambda`, called as Lambda calls it: with each kind of event, and at its limits.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{Rgb, RgbImage};
use segmenter_tests::{
    Lambda, PictureHost, picture_host::jpegs, pictures, server::command, shared,
};
use serde_json::{Value, json};

/// With six objects on it.
const PICTURE: &str = "000000001268.jpg";

/// What Lambda gives a function by default would do, but for machines that are busy with other tests.
const TIME: Duration = Duration::from_secs(60);

fn picture(test: &str) -> Option<Vec<u8>> {
    let folder = shared(test)?.join("images/coco-val");
    let mut pictures = jpegs(&folder).into_iter();
    Some(pictures.find(|(name, _)| name == PICTURE)?.1)
}

/// Every kind of event for a request of this path, query and body.
fn events(path: &str, query: &str, headers: &Value, body: &[u8]) -> [(&'static str, Value); 4] {
    let parameters: Value = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let text = str::from_utf8(body).map(str::to_owned);
    let is_base64 = text.is_err();
    let body = text.unwrap_or_else(|_| BASE64_STANDARD.encode(body));
    let version_2 = |domain: &str, stage: &str, path: String| {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "queryStringParameters": parameters,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "domainName": domain,
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "curl"
                },
                "requestId": "id",
                "routeKey": "$default",
                "stage": stage,
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64
            },
            "body": body,
            "isBase64Encoded": is_base64
        })
    };
    [
        (
            "API Gateway's REST API",
            json!({
                "resource": "/{proxy+}",
                "path": path,
                "httpMethod": "POST",
                "headers": headers,
                "multiValueHeaders": {},
                "queryStringParameters": parameters,
                "multiValueQueryStringParameters": {},
                "pathParameters": {"proxy": path},
                "stageVariables": null,
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": "api",
                    "domainName": "api.execute-api.eu-central-1.amazonaws.com",
                    "httpMethod": "POST",
                    "path": format!("/prod{path}"),
                    "protocol": "HTTP/1.1",
                    "requestId": "id",
                    "resourceId": "id",
                    "resourcePath": "/{proxy+}",
                    "stage": "prod",
                    "identity": {"sourceIp": "192.0.2.1"}
                },
                "body": body,
                "isBase64Encoded": is_base64
            }),
        ),
        (
            "API Gateway's HTTP API",
            version_2(
                "api.execute-api.eu-central-1.amazonaws.com",
                "prod",
                format!("/prod{path}"),
            ),
        ),
        (
            "a function URL",
            version_2(
                "api.lambda-url.eu-central-1.on.aws",
                "$default",
                path.to_owned(),
            ),
        ),
        (
            "an Application Load Balancer",
            json!({
                "requestContext": {"elb": {"targetGroupArn":
                    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/segmenter/1"}},
                "httpMethod": "POST",
                "path": path,
                "queryStringParameters": parameters,
                "headers": headers,
                "body": body,
                "isBase64Encoded": is_base64
            }),
        ),
    ]
}

/// The body of a reply.
fn body(reply: &Value) -> Vec<u8> {
    let body = reply["body"].as_str().unwrap();
    if reply["isBase64Encoded"] == true {
        BASE64_STANDARD.decode(body).unwrap()
    } else {
        body.as_bytes().to_vec()
    }
}

fn json_of(reply: &Value) -> Value {
    serde_json::from_slice(&body(reply)).unwrap()
}

#[tokio::test]
async fn every_kind_of_event_is_answered() {
    let test = "every_kind_of_event_is_answered";
    let (Some(mut lambda), Some(picture)) = (Lambda::start(test).await, picture(test)) else {
        return;
    };
    let host = PictureHost::start([(PICTURE.to_owned(), picture.clone())]).await;
    let url = json!({ "url": host.picture(PICTURE) }).to_string();
    let names = ["person", "person", "person", "person", "bird", "handbag"];
    let of_json = json!({"host": "example.com", "content-type": "application/json"});
    let of_jpeg = json!({"host": "example.com", "content-type": "image/jpeg"});

    for (kind, event) in events("/predict", "", &of_json, url.as_bytes()) {
        let (reply, _) = lambda.call(event, TIME).await;
        if kind == "API Gateway's REST API" {
            println!("exec to the first reply: {:?}", lambda.running_for());
        }
        assert_eq!(reply["statusCode"], 200, "{kind}: {reply}");
        assert_eq!(json_of(&reply), json!({ "objects": names }), "{kind}");
    }
    // Encoded bodies, and what comes in the query.
    for (kind, event) in events("/v1/predict", "threshold=0.9&masks=rle", &of_jpeg, &picture) {
        let (reply, _) = lambda.call(event, TIME).await;
        assert_eq!(reply["statusCode"], 200, "{kind}: {reply}");
        let found = json_of(&reply);
        let found = found["detections"].as_array().unwrap();
        assert!((1..names.len()).contains(&found.len()), "{kind}: {found:?}");
    }
    // Replies that are no text.
    let of_png =
        json!({"host": "example.com", "content-type": "image/jpeg", "accept": "image/png"});
    for (kind, event) in events("/v1/predict", "", &of_png, &picture) {
        let (reply, _) = lambda.call(event, TIME).await;
        assert_eq!(reply["isBase64Encoded"], true, "{kind}: {reply}");
        assert!(body(&reply).starts_with(b"\x89PNG"), "{kind}");
    }
    // Errors are those of the server.
    for (kind, event) in events("/nonesuch", "", &of_json, b"") {
        let (reply, _) = lambda.call(event, TIME).await;
        assert_eq!(reply["statusCode"], 404, "{kind}: {reply}");
        assert_eq!(json_of(&reply)["error"]["code"], "not_found", "{kind}");
    }
}

#[tokio::test]
async fn what_is_built_in_answers_where_there_is_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut lambda = Lambda::spawn(folder.path()).await;
    let headers = json!({"host": "example.com", "content-type": "image/png"});
    let board = pictures::png(&pictures::board());
    for (kind, event) in events("/predict", "", &headers, &board) {
        let (reply, _) = lambda.call(event, TIME).await;
        let names = json_of(&reply);
        let names = names["objects"].as_array().unwrap();
        assert!(names.contains(&json!("stickynote")), "{kind}: {names:?}");
    }
}

#[tokio::test]
async fn what_is_not_carried_is_told_with_advice() {
    let test = "what_is_not_carried_is_told_with_advice";
    let Some(mut lambda) = Lambda::start(test).await else {
        return;
    };
    // Noise does not compress: 3 bytes a pixel come back as PNG, of which base64 makes 4.
    let noise = RgbImage::from_fn(1000, 800, |x, y| {
        let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
        let [a, b, c, _] = (noise ^ (noise >> 15))
            .wrapping_mul(2_246_822_519)
            .to_be_bytes();
        Rgb([a, b, c])
    });
    let of_png = json!({"host": "example.com", "content-type": "image/png", "accept": "image/png"});
    for (kind, event) in events("/v1/predict", "", &of_png, &pictures::png(&noise)) {
        let (reply, size) = lambda.call(event, TIME).await;
        let limit = if kind == "an Application Load Balancer" {
            assert_eq!(reply["statusCode"], 413, "{kind}");
            let message = json_of(&reply)["error"]["message"].to_string();
            assert!(message.contains("image/jpeg"), "{message}");
            1 << 20
        } else {
            assert_eq!(reply["statusCode"], 200, "{kind}");
            assert!(size > 1 << 20, "{kind}: {size}");
            6 << 20
        };
        assert!(size <= limit, "{kind}: {size}");
    }
    // With more noise than 6 MB hold, every kind.
    let noise = image::imageops::resize(&noise, 2000, 1600, image::imageops::FilterType::Nearest);
    let noise = RgbImage::from_fn(2000, 1600, |x, y| {
        let Rgb([a, b, c]) = *noise.get_pixel(x, y);
        Rgb([a ^ (x * 31) as u8, b ^ (y * 17) as u8, c ^ (x * y) as u8])
    });
    let host = PictureHost::start([("noise.png".to_owned(), pictures::png(&noise))]).await;
    let url = json!({ "url": host.picture("noise.png") }).to_string();
    let of_json = json!({"host": "example.com", "accept": "image/png"});
    for (kind, event) in events("/v1/predict", "", &of_json, url.as_bytes()) {
        let (reply, _) = lambda.call(event, TIME).await;
        assert_eq!(reply["statusCode"], 413, "{kind}");
        assert_eq!(json_of(&reply)["error"]["code"], "too_large", "{kind}");
    }
}

#[tokio::test]
async fn a_request_takes_no_longer_than_the_function_may() {
    let test = "a_request_takes_no_longer_than_the_function_may";
    let Some(mut lambda) = Lambda::start(test).await else {
        return;
    };
    let host = PictureHost::start([]).await;
    let url = json!({ "url": host.url("never") }).to_string();
    let [(_, event), ..] = events(
        "/predict",
        "",
        &json!({"host": "example.com"}),
        url.as_bytes(),
    );
    let (reply, _) = lambda.call(event, Duration::from_secs(2)).await;
    assert_eq!(reply["statusCode"], 504, "{reply}");
}

#[test]
fn outside_of_lambda_it_says_so() {
    let ended = command(&[]).arg("lambda").output().unwrap();
    assert_eq!(ended.status.code(), Some(64));
    let message = String::from_utf8(ended.stderr).unwrap();
    assert!(message.contains("AWS_LAMBDA_RUNTIME_API"), "{message}");
    assert!(message.contains("segmenter serve"), "{message}");
}
