//! What clients of the Open Inference Protocol send and expect, over HTTP and gRPC.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::{collections::HashMap, fs};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{RgbImage, imageops};
use reqwest::{Response, header};
use segmenter_tests::{
    Server,
    http::json,
    pictures,
    proto::inference::{
        InferParameter, InferTensorContents, ModelInferRequest, ModelMetadataRequest,
        ModelReadyRequest, ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
        infer_parameter::ParameterChoice,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
    python, shared,
};
use serde_json::{Value, json};
use tonic::{Code, transport::Channel};

const MODEL: &str = "maskrcnn_fbnetv3a_c4";
const INFER: &str = "/v2/models/maskrcnn_fbnetv3a_c4/infer";
const JSON_LENGTH: &str = "inference-header-content-length";

/// Its outputs but for mask_pixels, in their order.
const NAMES: [&str; 6] = [
    "boxes",
    "scores",
    "class_ids",
    "labels",
    "picture_size",
    "masks",
];

/// With several objects on it, 640 x 427. As samples, because decoders of JPEG differ by a little.
fn picture(test: &str) -> Option<RgbImage> {
    let path = shared(test)?.join("images/coco-val/000000001268.jpg");
    Some(image::open(path).unwrap().into_rgb8())
}

/// A tensor of a reply: its numbers, or its texts.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tensor {
    shape: Vec<i64>,
    numbers: Vec<f32>,
    texts: Vec<String>,
}

type Tensors = HashMap<String, Tensor>;

impl Tensor {
    fn from_raw(datatype: &str, shape: Vec<i64>, mut raw: &[u8]) -> Self {
        let mut tensor = Self {
            shape,
            ..Self::default()
        };
        match datatype {
            "UINT8" => tensor.numbers = raw.iter().map(|byte| f32::from(*byte)).collect(),
            "INT32" | "FP32" => {
                let (numbers, rest) = raw.as_chunks();
                assert!(rest.is_empty());
                let number = |bytes: &[u8; 4]| match datatype {
                    "FP32" => f32::from_le_bytes(*bytes),
                    _ => i32::from_le_bytes(*bytes) as f32,
                };
                tensor.numbers = numbers.iter().map(number).collect();
            }
            "BYTES" => {
                while let Some((length, rest)) = raw.split_first_chunk() {
                    let (text, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
                    tensor.texts.push(String::from_utf8(text.to_vec()).unwrap());
                    raw = rest;
                }
                assert!(raw.is_empty());
            }
            other => panic!("a tensor of {other}"),
        }
        tensor
    }

    fn from_json(output: &Value) -> Self {
        let data = output["data"].as_array().unwrap();
        let texts = data.iter().filter_map(Value::as_str);
        let numbers = data.iter().filter_map(Value::as_f64);
        let tensor = Self {
            shape: serde_json::from_value(output["shape"].clone()).unwrap(),
            numbers: numbers.map(|number| number as f32).collect(),
            texts: texts.map(str::to_owned).collect(),
        };
        assert_eq!(tensor.numbers.len() + tensor.texts.len(), data.len());
        tensor
    }
}

/// A good reply over HTTP.
struct Reply {
    json: Value,
    names: Vec<String>,
    tensors: Tensors,
}

async fn reply(response: Response) -> Reply {
    let status = response.status();
    let length = response.headers().get(JSON_LENGTH);
    let length: Option<usize> = length.map(|length| length.to_str().unwrap().parse().unwrap());
    let kind = response.headers()[header::CONTENT_TYPE].clone();
    let body = response.bytes().await.unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let expected = match length {
        Some(_) => "application/octet-stream",
        None => "application/json",
    };
    assert_eq!(kind, expected);
    let (json, mut behind) = body.split_at(length.unwrap_or(body.len()));
    let json: Value = serde_json::from_slice(json).unwrap();
    let mut names = Vec::new();
    let mut tensors = Tensors::new();
    for output in json["outputs"].as_array().unwrap() {
        let name = output["name"].as_str().unwrap();
        let tensor = if let Some(size) = output["parameters"]["binary_data_size"].as_u64() {
            let (raw, rest) = behind.split_at(size as usize);
            behind = rest;
            let shape = serde_json::from_value(output["shape"].clone()).unwrap();
            Tensor::from_raw(output["datatype"].as_str().unwrap(), shape, raw)
        } else {
            Tensor::from_json(output)
        };
        names.push(name.to_owned());
        tensors.insert(name.to_owned(), tensor);
    }
    assert!(behind.is_empty(), "{} bytes too many", behind.len());
    Reply {
        json,
        names,
        tensors,
    }
}

/// What `/v1/predict` answers, as tensors.
async fn expected(server: &Server, query: &str, picture: &RgbImage) -> Tensors {
    let path = format!("/v1/predict?{query}");
    let (status, reply) = json(server.post(&path, pictures::png(picture)).await).await;
    assert_eq!(status, 200, "{reply}");
    let found = reply["detections"].as_array().unwrap();
    assert!(found.len() > 1, "{reply}");
    let count = found.len() as i64;
    let numbers = |shape: &[i64], of: &dyn Fn(&Value) -> Vec<f64>| Tensor {
        shape: shape.to_vec(),
        numbers: found
            .iter()
            .flat_map(of)
            .map(|number| number as f32)
            .collect(),
        texts: Vec::new(),
    };
    let texts = |of: &dyn Fn(&Value) -> &str| Tensor {
        shape: vec![count],
        numbers: Vec::new(),
        texts: found.iter().map(|one| of(one).to_owned()).collect(),
    };
    let corners = ["x0", "y0", "x1", "y1"];
    let tensors = [
        (
            "boxes",
            numbers(&[count, 4], &|one| {
                corners
                    .map(|corner| one["box"][corner].as_f64().unwrap())
                    .to_vec()
            }),
        ),
        (
            "scores",
            numbers(&[count], &|one| vec![one["score"].as_f64().unwrap()]),
        ),
        (
            "class_ids",
            numbers(&[count], &|one| vec![one["class_id"].as_f64().unwrap()]),
        ),
        ("labels", texts(&|one| one["label"].as_str().unwrap())),
        (
            "masks",
            texts(&|one| one["mask"]["rle"]["counts"].as_str().unwrap()),
        ),
        (
            "picture_size",
            Tensor {
                shape: vec![2],
                numbers: vec![picture.height() as f32, picture.width() as f32],
                texts: Vec::new(),
            },
        ),
    ];
    tensors
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into()
}

/// JSON with what follows it.
async fn post(server: &Server, json: &Value, behind: &[u8]) -> Response {
    let json = json.to_string();
    let request = server.client().post(server.url(INFER));
    let request = request.header(JSON_LENGTH, json.len());
    let body = [json.as_bytes(), behind].concat();
    request.body(body).send().await.unwrap()
}

/// The only element of a tensor of BYTES.
fn element(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_le_bytes(), bytes].concat()
}

#[tokio::test]
async fn every_form_of_a_picture_gets_what_predict_answers_over_http() {
    let test = "every_form_of_a_picture_gets_what_predict_answers_over_http";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let expected = expected(&server, "", &picture).await;
    let png = pictures::png(&picture);
    let samples = picture.as_raw();
    let base64 = BASE64_STANDARD.encode(&png);
    let (width, height) = picture.dimensions();
    let rows: Vec<Vec<&[u8]>> = samples
        .chunks(width as usize * 3)
        .map(|row| row.chunks(3).collect())
        .collect();
    let request = |datatype: &str, shape: Value, rest: (&str, Value)| {
        let mut input = json!({"name": "image", "datatype": datatype, "shape": shape});
        input[rest.0] = rest.1;
        json!({"inputs": [input], "parameters": {"binary_data_output": false}})
    };
    let size = |bytes: usize| ("parameters", json!({ "binary_data_size": bytes }));
    let element = element(&png);
    let answers = [
        (
            "base64",
            server
                .post(
                    INFER,
                    request("BYTES", json!([1]), ("data", json!([base64]))).to_string(),
                )
                .await,
        ),
        (
            "base64, and the length of the JSON",
            post(
                &server,
                &request("BYTES", json!([1, 1]), ("data", json!([[base64]]))),
                &[],
            )
            .await,
        ),
        (
            "bytes",
            post(
                &server,
                &request("BYTES", json!([1, 1]), size(element.len())),
                &element,
            )
            .await,
        ),
        (
            "bytes without their size, as OpenVINO's clients send them",
            post(
                &server,
                &request("BYTES", json!([1]), ("parameters", Value::Null)),
                &element,
            )
            .await,
        ),
        (
            "samples in bytes",
            post(
                &server,
                &request("UINT8", json!([height, width, 3]), size(samples.len())),
                samples,
            )
            .await,
        ),
        (
            "samples in JSON",
            post(
                &server,
                &request(
                    "UINT8",
                    json!([1, height, width, 3]),
                    ("data", json!([rows])),
                ),
                &[],
            )
            .await,
        ),
        (
            "nothing but a picture",
            server
                .client()
                .post(server.url(&INFER.replace("/infer", "/versions/1/infer")))
                .header(JSON_LENGTH, 0)
                .body(png.clone())
                .send()
                .await
                .unwrap(),
        ),
    ];
    for (form, response) in answers {
        let reply = reply(response).await;
        assert_eq!(reply.tensors, expected, "{form}");
        assert_eq!(reply.names, NAMES, "{form}");
        assert_eq!(reply.json["model_name"], MODEL, "{form}");
        assert_eq!(reply.json["model_version"], "1", "{form}");
        assert_eq!(reply.json.get("id"), None, "{form}");
    }
}

/// A call with a picture in a tensor of this datatype and shape.
fn call(datatype: &str, shape: &[i64]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: vec![InferInputTensor {
            name: "image".to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

fn raw(datatype: &str, shape: &[i64], raw: &[u8]) -> ModelInferRequest {
    ModelInferRequest {
        raw_input_contents: vec![raw.to_vec()],
        ..call(datatype, shape)
    }
}

fn typed(datatype: &str, shape: &[i64], contents: InferTensorContents) -> ModelInferRequest {
    let mut call = call(datatype, shape);
    call.inputs[0].contents = Some(contents);
    call
}

async fn client(server: &Server) -> GrpcInferenceServiceClient<Channel> {
    GrpcInferenceServiceClient::new(server.channel().await).max_decoding_message_size(256 << 20)
}

/// A good reply over gRPC: the names of its tensors, in their order, and they themselves.
async fn infer(
    client: &mut GrpcInferenceServiceClient<Channel>,
    request: ModelInferRequest,
) -> (Vec<String>, Tensors) {
    let id = request.id.clone();
    let reply = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!((&*reply.model_name, &*reply.model_version), (MODEL, "1"));
    assert_eq!(reply.id, id);
    assert_eq!(reply.outputs.len(), reply.raw_output_contents.len());
    let names = reply.outputs.iter().map(|output| output.name.clone());
    let names = names.collect();
    let outputs = reply.outputs.into_iter().zip(&reply.raw_output_contents);
    let tensors = outputs.map(|(output, raw)| {
        let tensor = Tensor::from_raw(&output.datatype, output.shape, raw);
        (output.name, tensor)
    });
    (names, tensors.collect())
}

#[tokio::test]
async fn every_form_of_a_picture_gets_what_predict_answers_over_grpc() {
    let test = "every_form_of_a_picture_gets_what_predict_answers_over_grpc";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let expected = expected(&server, "", &picture).await;
    let mut client = client(&server).await;
    let png = pictures::png(&picture);
    let samples = picture.as_raw();
    let (width, height) = picture.dimensions();
    let [width, height] = [width, height].map(i64::from);
    let in_fields = InferTensorContents {
        bytes_contents: vec![png.clone()],
        ..InferTensorContents::default()
    };
    let samples_in_fields = InferTensorContents {
        uint_contents: samples.iter().map(|sample| u32::from(*sample)).collect(),
        ..InferTensorContents::default()
    };
    for (form, request) in [
        ("raw", raw("BYTES", &[1], &element(&png))),
        ("typed", typed("BYTES", &[1, 1], in_fields)),
        ("raw samples", raw("UINT8", &[height, width, 3], samples)),
        (
            "typed samples",
            typed("UINT8", &[1, height, width, 3], samples_in_fields),
        ),
        (
            "a version",
            ModelInferRequest {
                model_version: "1".to_owned(),
                id: "mine".to_owned(),
                ..raw("BYTES", &[1], &element(&png))
            },
        ),
    ] {
        let (names, tensors) = infer(&mut client, request).await;
        assert_eq!(tensors, expected, "{form}");
        assert_eq!(names, NAMES, "{form}");
    }
    let text = server.get("/metrics").await.text().await.unwrap();
    let series = "segmenter_requests_total{code=\"Ok\",protocol=\"grpc\",\
                  route=\"/inference.GRPCInferenceService/ModelInfer\"} 5";
    assert!(text.contains(series), "{text}");
}

#[tokio::test]
async fn outputs_and_parameters_choose_what_is_answered() {
    let test = "outputs_and_parameters_choose_what_is_answered";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let query = "threshold=0.25&max_detections=3&classes=person,bird";
    let expected = expected(&server, query, &picture).await;
    let names = ["mask_pixels", "labels", "masks", "scores"];
    let png = pictures::png(&picture);
    let outputs: Vec<_> = names
        .iter()
        .map(|name| json!({"name": name, "parameters": {"binary_data": *name == "mask_pixels"}}))
        .collect();
    let request = json!({
        "id": "mine",
        "parameters": {
            "threshold": 0.25,
            "max_detections": 3,
            "classes": "person, bird",
            "binary_data_output": true,
            // Of no meaning here, but part of what clients may send.
            "sequence_id": 7,
            "priority": 1,
        },
        "inputs": [{
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [BASE64_STANDARD.encode(&png)],
        }],
        "outputs": outputs,
    });
    let over_http = reply(server.post(INFER, request.to_string()).await).await;
    assert_eq!(over_http.names, names);
    assert_eq!(over_http.json["id"], "mine");
    let is_in_json = |output: &Value| output.get("data").is_some();
    let in_json: Vec<_> = over_http.json["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(is_in_json)
        .collect();
    assert_eq!(in_json, [false, true, true, true]);

    let parameter = |choice| InferParameter {
        parameter_choice: Some(choice),
    };
    let request = ModelInferRequest {
        parameters: HashMap::from([
            (
                "threshold".to_owned(),
                parameter(ParameterChoice::DoubleParam(0.25)),
            ),
            (
                "max_detections".to_owned(),
                parameter(ParameterChoice::Int64Param(3)),
            ),
            (
                "classes".to_owned(),
                parameter(ParameterChoice::StringParam("person,bird".to_owned())),
            ),
        ]),
        outputs: names
            .iter()
            .map(|name| InferRequestedOutputTensor {
                name: (*name).to_owned(),
                ..InferRequestedOutputTensor::default()
            })
            .collect(),
        ..raw("BYTES", &[1], &element(&png))
    };
    let (names_over_grpc, over_grpc) = infer(&mut client(&server).await, request).await;
    assert_eq!(names_over_grpc, names);
    assert_eq!(over_grpc, over_http.tensors);

    for name in ["labels", "masks", "scores"] {
        assert_eq!(over_http.tensors[name], expected[name], "{name}");
    }
    let pixels = &over_http.tensors["mask_pixels"];
    let (width, height) = picture.dimensions();
    assert_eq!(pixels.shape, [3, i64::from(height), i64::from(width)]);
    let of_one = (width * height) as usize;
    for (mask, pixels) in expected["masks"]
        .texts
        .iter()
        .zip(pixels.numbers.chunks(of_one))
    {
        let bitmap = hotcoco::mask::area_from_string(mask, height, width).unwrap();
        assert_eq!(pixels.iter().sum::<f32>(), bitmap as f32);
        assert!(pixels.iter().all(|pixel| [0.0, 1.0].contains(pixel)));
    }
}

#[tokio::test]
async fn a_semantic_segmenter_tells_its_class_map() {
    let test = "a_semantic_segmenter_tells_its_class_map";
    // Beside another model, which is the default one.
    let flags = ["--more-models", "deeplabv3_mnv2_pascal"];
    let (Some(server), Some(picture)) = (Server::start(test, &flags).await, picture(test)) else {
        return;
    };
    let path = "/v2/models/deeplabv3_mnv2_pascal";
    let (_, metadata) = json(server.get(path).await).await;
    let outputs = metadata["outputs"].as_array().unwrap();
    let named: Vec<_> = outputs.iter().map(|output| &output["name"]).collect();
    let expected = [&NAMES[..], &["mask_pixels", "class_map", "confidence"]].concat();
    assert_eq!(json!(named), json!(expected));

    let request = server.client().post(server.url(&format!("{path}/infer")));
    let request = request.header(JSON_LENGTH, 0).body(pictures::png(&picture));
    let reply = reply(request.send().await.unwrap()).await;
    assert_eq!(reply.json["model_name"], "deeplabv3_mnv2_pascal");
    let [map, confidence] = ["class_map", "confidence"].map(|name| &reply.tensors[name]);
    assert_eq!(map.shape, confidence.shape);
    assert_eq!(map.numbers.len() as i64, map.shape.iter().product::<i64>());
    assert_eq!(confidence.numbers.len(), map.numbers.len());
    // A person of Pascal VOC.
    assert!(map.numbers.contains(&15.0));
    assert!(
        confidence
            .numbers
            .iter()
            .all(|share| (0.0..=1.0).contains(share))
    );
    assert!(reply.tensors["labels"].texts.contains(&"person".to_owned()));
}

#[tokio::test]
async fn it_tells_of_itself_over_both() {
    let test = "it_tells_of_itself_over_both";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let get = async |path: &str| json(server.get(path).await).await;
    let mut client = client(&server).await;
    assert_eq!(
        get("/v2/health/live").await,
        (200.try_into().unwrap(), json!({"live": true}))
    );
    assert!(
        client
            .server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    assert_eq!(
        get("/v2/health/ready").await,
        (200.try_into().unwrap(), json!({"ready": true}))
    );
    assert!(
        client
            .server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );

    let (_, metadata) = get("/v2").await;
    assert_eq!(metadata["name"], "segmenter");
    assert_eq!(metadata["extensions"], json!(["binary_tensor_data"]));
    let reply = client.server_metadata(ServerMetadataRequest {}).await;
    let reply = reply.unwrap().into_inner();
    assert_eq!(
        metadata,
        json!({"name": reply.name, "version": reply.version, "extensions": reply.extensions})
    );

    for version in ["", "/versions/1"] {
        let path = format!("/v2/models/{MODEL}{version}");
        let (_, ready) = get(&format!("{path}/ready")).await;
        assert_eq!(ready, json!({"name": MODEL, "ready": true}));
        let named = (MODEL.to_owned(), version.replace("/versions/", ""));
        let request = ModelReadyRequest {
            name: named.0.clone(),
            version: named.1.clone(),
        };
        let reply = client.model_ready(request).await;
        assert!(reply.unwrap().into_inner().ready);

        let (_, metadata) = get(&path).await;
        assert_eq!(
            metadata["inputs"],
            json!([{"name": "image", "datatype": "BYTES", "shape": [1]}])
        );
        let outputs = metadata["outputs"].as_array().unwrap();
        assert_eq!(
            outputs[0],
            json!({"name": "boxes", "datatype": "FP32", "shape": [-1, 4]})
        );
        let request = ModelMetadataRequest {
            name: named.0,
            version: named.1,
        };
        let reply = client.model_metadata(request).await.unwrap().into_inner();
        assert_eq!(json!(reply.versions), metadata["versions"]);
        let tensor = |tensor: &segmenter_tests::proto::inference::model_metadata_response::TensorMetadata| {
            json!({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape})
        };
        let tensors: Vec<_> = reply.outputs.iter().map(tensor).collect();
        assert_eq!(json!(tensors), metadata["outputs"]);
    }
}

#[tokio::test]
async fn what_is_wrong_over_http_is_told_in_its_words() {
    let test = "what_is_wrong_over_http_is_told_in_its_words";
    let Some(server) = Server::start(test, &["--max-body=64kB", "--max-pixels=20000"]).await else {
        return;
    };
    let png = pictures::png(&pictures::scene(64, 48));
    let element = element(&png);
    let image = |changed: Value| {
        let mut image = json!({"name": "image", "datatype": "BYTES", "shape": [1]});
        for (name, value) in changed.as_object().unwrap() {
            image[name] = value.clone();
        }
        json!({"inputs": [image]})
    };
    let with = |name: &str, value: Value| {
        let mut request = image(json!({"data": [BASE64_STANDARD.encode(&png)]}));
        request[name] = value;
        request
    };
    let plain = |path: &str, body: Vec<u8>| server.client().post(server.url(path)).body(body);
    let in_json = |request: Value| plain(INFER, request.to_string().into_bytes());
    let behind = |request: Value, behind: &[u8]| {
        let json = request.to_string();
        let body = [json.as_bytes(), behind].concat();
        plain(INFER, body).header(JSON_LENGTH, json.len())
    };
    let size = |size: usize| image(json!({"parameters": {"binary_data_size": size}}));
    let samples = |side: u32, size: usize| {
        image(json!({
            "datatype": "UINT8",
            "shape": [side, side, 3],
            "parameters": {"binary_data_size": size},
        }))
    };
    for (request, status, part) in [
        (
            in_json(json!({"inputs": []})),
            400,
            "there are 0 inputs, expected one, image",
        ),
        (in_json(json!({})), 400, "missing field `inputs`"),
        (
            plain(INFER, b"{\"inputs\"".to_vec()),
            400,
            "the JSON cannot be read",
        ),
        (plain(INFER, Vec::new()), 400, "the JSON cannot be read"),
        (
            in_json(json!({"inputs": vec![0; 33]})),
            400,
            "expected a tensor",
        ),
        (
            in_json(image(json!({}))),
            400,
            "the input \"image\" has no elements",
        ),
        (
            in_json(image(json!({"name": "input", "data": ["aGk="]}))),
            400,
            "no input \"input\"",
        ),
        (
            in_json(image(json!({"datatype": "FP32", "data": [1]}))),
            400,
            "expected BYTES",
        ),
        (
            in_json(image(json!({"shape": [2], "data": ["aGk="]}))),
            400,
            "expected [1]",
        ),
        (
            in_json(image(json!({"shape": vec![1; 33], "data": ["aGk="]}))),
            400,
            "more than 32",
        ),
        (in_json(image(json!({"data": ["!"]}))), 400, "not base64"),
        (
            in_json(image(json!({"data": ["aGk="]}))),
            415,
            "expected a picture",
        ),
        (
            in_json(image(
                json!({"data": [BASE64_STANDARD.encode(vec![0; 70_000])]}),
            )),
            413,
            "--max-body",
        ),
        (
            behind(samples(142, 60_492), &[0; 60_492]),
            413,
            "--max-pixels",
        ),
        (
            behind(samples(150, 67_500), &[0; 67_500]),
            413,
            "--max-body",
        ),
        (plain(INFER, vec![b' '; 1_000_000]), 413, "--max-body"),
        (
            in_json(with("outputs", json!([{"name": "box"}]))),
            400,
            "expected some of boxes, scores, class_ids, labels, picture_size, masks, mask_pixels",
        ),
        (
            in_json(with(
                "outputs",
                json!([{"name": "boxes"}, {"name": "boxes"}]),
            )),
            400,
            "asked for twice",
        ),
        (
            in_json(with("parameters", json!({"treshold": 0.5}))),
            400,
            "unknown field `treshold`, expected one of `threshold`",
        ),
        (
            in_json(with("parameters", json!({"threshold": 2}))),
            400,
            "expected 0 to 1",
        ),
        (
            in_json(with("parameters", json!({"max_detections": -1}))),
            400,
            "max_detections is -1",
        ),
        (
            in_json(with("parameters", json!({"classes": "persn"}))),
            400,
            "nearest are person",
        ),
        (behind(size(7), &element), 400, "binary_data_size is 7, but"),
        (
            behind(size(3), &element[..3]),
            400,
            "ends within the length",
        ),
        (
            behind(with("id", json!("a")), &element),
            400,
            "expected one of the two",
        ),
        (
            plain(INFER, element.clone()).header(JSON_LENGTH, 1_000_000),
            400,
            "Inference-Header-Content-Length is 1000000, but the body has",
        ),
        (
            plain(INFER, element.clone()).header(JSON_LENGTH, "-1"),
            400,
            "expected a number of bytes",
        ),
        (
            plain(INFER, Vec::new()).header(JSON_LENGTH, 0),
            400,
            "0 bytes",
        ),
        (
            plain(INFER, png.clone()).header(header::CONTENT_ENCODING, "gzip"),
            415,
            "send it as it is",
        ),
        (plain("/v2/models/nonesuch/infer", Vec::new()), 404, MODEL),
        (
            plain(&INFER.replace("infer", "versions/2/infer"), Vec::new()),
            404,
            "only 1",
        ),
        (plain("/v2/models/%ff/infer", Vec::new()), 404, ""),
        (
            plain("/v2/repository/index", Vec::new()),
            404,
            "nothing at this path",
        ),
        (
            plain("/v2/health/live", Vec::new()),
            405,
            "POST does nothing here",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let (found, reply) = json(response).await;
        assert_eq!(found, status, "{part:?}: {reply}");
        let message = reply["error"].as_str().unwrap();
        assert!(message.contains(part), "{part:?}: {message}");
        assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}");
    }
    let well = server.client().post(server.url(INFER));
    let well = well.header(JSON_LENGTH, 0).body(png).send().await.unwrap();
    assert_eq!(well.status(), 200);
}

#[tokio::test]
async fn what_is_wrong_over_grpc_has_its_code() {
    let test = "what_is_wrong_over_grpc_has_its_code";
    let Some(server) = Server::start(test, &["--max-body=64kB", "--max-pixels=20000"]).await else {
        return;
    };
    let png = pictures::png(&pictures::scene(64, 48));
    let well = || raw("BYTES", &[1], &element(&png));
    let contents = InferTensorContents::default;
    let parameter = |name: &str, choice| ModelInferRequest {
        parameters: HashMap::from([(
            name.to_owned(),
            InferParameter {
                parameter_choice: Some(choice),
            },
        )]),
        ..well()
    };
    let output = InferRequestedOutputTensor {
        name: "class_map".to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    let mut client = client(&server).await;
    for (request, code, part) in [
        (ModelInferRequest::default(), Code::NotFound, MODEL),
        (
            ModelInferRequest {
                model_version: "2".to_owned(),
                ..well()
            },
            Code::NotFound,
            "only 1",
        ),
        (
            ModelInferRequest {
                inputs: Vec::new(),
                ..well()
            },
            Code::InvalidArgument,
            "there are 0 inputs",
        ),
        (
            call("BYTES", &[1]),
            Code::InvalidArgument,
            "has 0 raw_input_contents",
        ),
        (
            ModelInferRequest {
                raw_input_contents: vec![Vec::new(); 2],
                ..well()
            },
            Code::InvalidArgument,
            "has 2 raw_input_contents",
        ),
        (
            raw("BYTES", &[1], b"\x09\0\0\0hi"),
            Code::InvalidArgument,
            "but 2 bytes follow",
        ),
        (
            raw("FP32", &[1], &[0; 4]),
            Code::InvalidArgument,
            "expected BYTES",
        ),
        (
            raw("UINT8", &[1, 1, 4], &[0; 4]),
            Code::InvalidArgument,
            "[height, width, 3]",
        ),
        (
            raw("UINT8", &[142, 142, 3], &[0; 60_492]),
            Code::OutOfRange,
            "--max-pixels",
        ),
        (
            raw("UINT8", &[150, 150, 3], &[0; 67_500]),
            Code::OutOfRange,
            "--max-body",
        ),
        (
            raw("BYTES", &[1], &vec![0; 200_000]),
            Code::OutOfRange,
            "--max-body",
        ),
        (
            typed(
                "UINT8",
                &[1, 1, 3],
                InferTensorContents {
                    uint_contents: vec![0, 256, 0],
                    ..contents()
                },
            ),
            Code::InvalidArgument,
            "uint_contents has 256",
        ),
        (
            typed(
                "BYTES",
                &[1],
                InferTensorContents {
                    bytes_contents: vec![png.clone(); 2],
                    ..contents()
                },
            ),
            Code::InvalidArgument,
            "2 bytes_contents, expected one picture",
        ),
        (
            ModelInferRequest {
                outputs: vec![output],
                ..well()
            },
            Code::InvalidArgument,
            "expected some of boxes",
        ),
        (
            parameter("threshold", ParameterChoice::DoubleParam(f64::NAN)),
            Code::InvalidArgument,
            "threshold is NaN",
        ),
        (
            parameter("threshold", ParameterChoice::BoolParam(true)),
            Code::InvalidArgument,
            "the parameters cannot be read",
        ),
        (
            parameter("treshold", ParameterChoice::DoubleParam(0.5)),
            Code::InvalidArgument,
            "unknown field `treshold`",
        ),
    ] {
        let status = client.model_infer(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{part:?}: {status:?}");
        assert!(
            status.message().contains(part),
            "{part:?}: {}",
            status.message()
        );
    }
    let request = ModelReadyRequest {
        name: "nonesuch".to_owned(),
        ..ModelReadyRequest::default()
    };
    let status = client.model_ready(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    client.model_infer(well()).await.unwrap();
}

#[tokio::test]
async fn mask_pixels_of_a_large_picture_are_refused_with_advice() {
    let test = "mask_pixels_of_a_large_picture_are_refused_with_advice";
    let (Some(server), Some(picture)) = (Server::start(test, &[]).await, picture(test)) else {
        return;
    };
    let large = imageops::resize(&picture, 5120, 3416, imageops::FilterType::Triangle);
    let request = json!({
        "inputs": [{
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [BASE64_STANDARD.encode(pictures::jpeg(&large))],
        }],
        "outputs": [{"name": "mask_pixels"}],
        "parameters": {"threshold": 0.05},
    });
    let (status, reply) = json(server.post(INFER, request.to_string()).await).await;
    assert_eq!(status, 413, "{reply}");
    let message = reply["error"].as_str().unwrap();
    assert!(message.contains("ask for masks"), "{message}");
}

#[tokio::test]
async fn tritons_python_clients_are_answered() {
    let test = "tritons_python_clients_are_answered";
    let modules = ["numpy", "tritonclient.grpc", "tritonclient.http"];
    let (Some(interpreter), Some(picture)) = (python::python(test, &modules), picture(test)) else {
        return;
    };
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [encoded, samples] = ["picture.png", "samples"].map(|name| folder.path().join(name));
    fs::write(&encoded, pictures::png(&picture)).unwrap();
    fs::write(&samples, picture.as_raw()).unwrap();
    let (width, height) = picture.dimensions();
    let arguments = [
        server.http_address().to_string(),
        server.grpc_address().to_string(),
        MODEL.to_owned(),
        encoded.display().to_string(),
        samples.display().to_string(),
        height.to_string(),
        width.to_string(),
    ];
    let answers = tokio::task::spawn_blocking(move || {
        let arguments = arguments.each_ref().map(String::as_str);
        python::run(&interpreter, "open_inference.py", &arguments)
    });
    let answers: Value = serde_json::from_str(&answers.await.unwrap()).unwrap();

    let all = expected(&server, "", &picture).await;
    let some = "threshold=0.5&max_detections=3&classes=person,bird";
    let some = expected(&server, some, &picture).await;
    let assert_found = |found: &Value, expected: &Tensors, names: &[&str]| {
        for name in names {
            let found = Tensor::from_json(&json!({
                "shape": expected[*name].shape,
                "data": found[name],
            }));
            assert_eq!(found, expected[*name], "{name}");
        }
        assert_eq!(found.as_object().unwrap().len(), names.len());
    };
    for (protocol, forms) in [("http", 7), ("grpc", 3)] {
        let answers = &answers[protocol];
        for is in ["live", "ready", "model_ready"] {
            assert_eq!(answers[is], true, "{protocol}: {is}");
        }
        assert_eq!(answers["server"]["name"], "segmenter", "{protocol}");
        assert_eq!(answers["model"]["inputs"][0]["name"], "image", "{protocol}");
        let found = answers["found"].as_array().unwrap();
        assert_eq!(found.len(), forms);
        for found in found {
            assert_found(found, &all, &NAMES);
        }
        assert_found(&answers["some"], &some, &["labels", "scores"]);
        assert_eq!(answers["names"], json!(["labels", "scores"]));
        assert_eq!(answers["id"], "mine");
        let refusal = &answers["refusal"];
        let message = refusal["message"].as_str().unwrap();
        assert!(message.contains(MODEL), "{protocol}: {refusal}");
    }
    assert_eq!(answers["http"]["refusal"]["status"], "404");
    assert_eq!(answers["grpc"]["refusal"]["status"], "StatusCode.NOT_FOUND");
}
