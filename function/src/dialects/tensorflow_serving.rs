//! TensorFlow Serving's REST API.
//!
//! Every model is version 1 and has one signature: detectors that of TensorFlow's Object Detection API, semantic
//! segmenters that of its exported DeepLab. A picture is a tensor of samples, or encoded where a string would be.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use segmenter_imaging::Image;
use segmenter_models::{
    Outcome,
    catalogue::{Entry, Task},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::of_boards;
use crate::{
    encode,
    error::Error,
    http::{App, picture},
    observe::in_other_words,
    service::{Answer, Arrival, Handling, Segmenter, Served, Source, Wish},
};

/// Its routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(of_model, predict).map(|routes| routes.fallback(malformed)))
        .route(
            "/v1/models/{model}/{*rest}",
            get(of_version).post(predict_version).fallback(malformed),
        )
}

/// What clients of wowboard-detector call its model.
const WOWBOARD: &str = "wowboard";

/// The one version.
const VERSION: &str = "1";

/// The one signature, and its one input.
const SIGNATURE: &str = "serving_default";
const INPUT: &str = "input_tensor";

/// The most pictures of a request, so that one place among the requests is not worth very many.
const MOST_PICTURES: usize = 32;

/// Pictures of a request that are on their way at a time.
const AT_A_TIME: usize = 4;

/// What is asked of a model, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call<'a> {
    model: &'a str,
    /// The version, if one is named.
    version: Option<&'a str>,
    metadata: bool,
    /// What is called, as in `:predict`.
    method: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// Of a path behind `/v1/models/`: `NAME[/versions/VERSION][/metadata]`, a method behind a colon at the end.
    fn of(path: &'a str) -> Option<Self> {
        let (path, method) = match path.rsplit_once(':') {
            Some((path, method)) if !method.contains('/') => (path, Some(method)),
            _ => (path, None),
        };
        let mut parts = path.split('/');
        let model = parts.next().filter(|name| !name.is_empty())?;
        let (mut version, mut metadata) = (None, false);
        while let Some(part) = parts.next() {
            match part {
                "versions" | "labels" if version.is_none() && !metadata => {
                    version = Some(parts.next()?);
                }
                "metadata" if !metadata && method.is_none() => metadata = true,
                _ => return None,
            }
        }
        Some(Self {
            model,
            version,
            metadata,
            method,
        })
    }

    /// The model, which must be there.
    fn served(self, app: &Segmenter) -> Result<&Served, Error> {
        let served = match app.model(self.model) {
            Err(_) if self.model == WOWBOARD => Ok(of_boards(app)),
            found => found,
        };
        let version = self.version.unwrap_or(VERSION);
        served.ok().filter(|_| version == VERSION).ok_or_else(|| {
            let request = match self.version {
                Some(version) => format!("Specific({}, {version})", self.model),
                None => format!("Latest({})", self.model),
            };
            Error::NotFound(format!("Servable not found for request: {request}"))
        })
    }
}

/// Whether a model answers, as TensorFlow Serving tells it
///
/// With `/metadata` behind the name, its signature; with `/versions/1` behind the name, the same. `wowboard` is the
/// model that is built in, centermask_notes.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "tensorflow-serving",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The versions of the model and their states", body = Value),
        (status = 404, description = "There is no such model", body = TensorFlowServingError),
        (status = "default", description = "Why there is no answer", body = TensorFlowServingError),
    )
)]
async fn of_model(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &text(path)?)
}

async fn of_version(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &joined(path)?)
}

fn describe(app: &Segmenter, path: &str) -> Result<Json<Value>, Refusal> {
    let call = Call::of(path).filter(|call| call.method.is_none());
    let call = call.ok_or_else(|| malformed_path(&Method::GET, path))?;
    let served = call.served(app)?;
    Ok(Json(if call.metadata {
        metadata(call.model, served.entry)
    } else {
        let state = if app.is_ready(served) {
            "AVAILABLE"
        } else {
            "LOADING"
        };
        json!({"model_version_status": [{
            "version": VERSION,
            "state": state,
            "status": {"error_code": "OK", "error_message": ""}
        }]})
    }))
}

/// A tensor's name, its type and its sides, -1 where they vary.
type Signature = (&'static str, &'static str, &'static [i32]);

/// What detectors answer, of every picture as many as are answered at the most.
const DETECTIONS: &[Signature] = &[
    ("num_detections", "DT_FLOAT", &[-1]),
    ("detection_boxes", "DT_FLOAT", &[-1, -1, 4]),
    ("detection_scores", "DT_FLOAT", &[-1, -1]),
    ("detection_classes", "DT_FLOAT", &[-1, -1]),
];

const CLASS_MAP: &[Signature] = &[("SemanticPredictions", "DT_INT64", &[-1, -1, -1])];

fn metadata(name: &str, entry: &Entry) -> Value {
    let tensor = |(name, dtype, sides): &Signature| {
        let sides = sides
            .iter()
            .map(|side| json!({"size": side.to_string(), "name": ""}));
        let sides: Vec<_> = sides.collect();
        let tensor = json!({
            "dtype": dtype,
            "tensor_shape": {"dim": sides, "unknown_rank": false},
            "name": format!("{name}:0")
        });
        ((*name).to_owned(), tensor)
    };
    let outputs = match entry.task {
        Task::Detection | Task::InstanceSegmentation => DETECTIONS,
        Task::SemanticSegmentation => CLASS_MAP,
    };
    let input: Signature = (INPUT, "DT_UINT8", &[-1, -1, -1, 3]);
    let inputs: serde_json::Map<_, _> = [tensor(&input)].into_iter().collect();
    let outputs: serde_json::Map<_, _> = outputs.iter().map(tensor).collect();
    json!({
        "model_spec": {"name": name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: {
            "inputs": inputs,
            "outputs": outputs,
            "method_name": "tensorflow/serving/predict"
        }}}}
    })
}

/// What is asked of a model. Exactly one of `instances` and `inputs`.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "an object with instances or inputs")]
struct Predict {
    /// `serving_default`.
    signature_name: Option<String>,
    /// Pictures, one after the other: samples `[height][width][3]` of 0 to 255, or `{"b64": ...}` with an encoded
    /// picture, also as `{"input_tensor": ...}`.
    #[schema(value_type = Option<Vec<Value>>)]
    instances: Option<Pictures>,
    /// The same as one tensor `[pictures][height][width][3]`, also as `{"input_tensor": ...}`.
    #[schema(value_type = Option<Value>)]
    inputs: Option<Pictures>,
}

/// Find the objects in pictures, as TensorFlow Serving answers
///
/// `:predict` follows the name, or the name and `/versions/1`. Detectors answer `num_detections`, and, the most certain first and filled up to
/// --max-detections, `detection_boxes` (`[ymin, xmin, ymax, xmax]` in parts of the picture), `detection_scores` and
/// `detection_classes`, which begin with 1. Semantic segmenters answer the class of every pixel of their map.
/// `instances` are answered with `predictions`, one for each; `inputs` with `outputs`, one tensor for all.
#[utoipa::path(
    post,
    path = "/v1/models/{model}",
    tag = "tensorflow-serving",
    params(("model" = String, Path, description = "The model's name and `:predict`", example = "wowboard:predict")),
    request_body = Predict,
    responses(
        (status = 200, description = "`predictions` or `outputs`", body = Value),
        (status = 400, description = "There are no pictures, or it is not `:predict`", body = TensorFlowServingError),
        (status = 404, description = "There is no such model", body = TensorFlowServingError),
        (status = "default", description = "Why there is no prediction", body = TensorFlowServingError),
    )
)]
async fn predict(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    answer(&app, &text(path)?, arrival, request).await
}

async fn predict_version(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    answer(&app, &joined(path)?, arrival, request).await
}

async fn answer(
    app: &App,
    path: &str,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let call = Call::of(path).filter(|call| call.method == Some("predict"));
    let call = call.ok_or_else(|| malformed_path(&Method::POST, path))?;
    let model = call.served(app)?.entry.name;
    let (ticket, _, body) = picture::read_body(app, arrival?, request).await?;
    let (sources, by_row) = app.cpu(move || read(&body)).await??;

    let wish = Wish {
        model: Some(model.to_owned()),
        // There everything is answered, and callers choose.
        threshold: Some(0.0),
        ..Wish::default()
    };
    let slots = app.query(&wish)?.most();
    let one = |source| {
        let (ticket, wish) = (&ticket, &wish);
        async move {
            let source = picture::within_limit(app, source)?;
            let query = app.query(wish)?;
            let answer = app
                .predict(ticket, source, query, Handling::UNTURNED)
                .await?;
            let (outputs, _) = app
                .encode(ticket, answer, move |answer| Ok(outputs(answer, slots)))
                .await?;
            Ok::<_, Error>(outputs)
        }
    };
    let pictures: Vec<_> = stream::iter(sources)
        .map(one)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    Ok(Json(if by_row {
        json!({"predictions": pictures.into_iter().map(row).collect::<Vec<_>>()})
    } else {
        json!({"outputs": columns(pictures)})
    }))
}

/// The tensors of one picture by their names.
type Outputs = Vec<(&'static str, Value)>;

/// Of one picture. Detections fill `slots` places.
fn outputs(answer: &Answer, slots: usize) -> Outputs {
    let prediction = &answer.prediction;
    let detections = match &prediction.outcome {
        Outcome::ClassMap(map) => {
            let rows: Vec<_> = map.classes.chunks(map.width as usize).collect();
            return vec![(CLASS_MAP[0].0, json!(rows))];
        }
        Outcome::Detections(detections) => detections,
    };
    // Numbers of classes begin with 1 there, as they do in some models.
    let first = u32::from(
        answer
            .entry
            .classes
            .first()
            .is_some_and(|name| !name.is_empty()),
    );
    let mut boxes: Vec<_> = detections
        .iter()
        .map(|detection| encode::normalised(answer, detection.bbox).map(f64::from))
        .collect();
    let scores = detections
        .iter()
        .map(|detection| f64::from(detection.score));
    let classes = detections
        .iter()
        .map(|detection| f64::from(detection.class + first));
    let (mut scores, mut classes): (Vec<_>, Vec<_>) = (scores.collect(), classes.collect());
    boxes.resize(slots, [0.0; 4]);
    scores.resize(slots, 0.0);
    classes.resize(slots, 1.0);
    vec![
        (DETECTIONS[0].0, json!(detections.len() as f64)),
        (DETECTIONS[1].0, json!(boxes)),
        (DETECTIONS[2].0, json!(scores)),
        (DETECTIONS[3].0, json!(classes)),
    ]
}

/// An output that is alone goes without its name.
fn row(mut outputs: Outputs) -> Value {
    if outputs.len() == 1 {
        return outputs.remove(0).1;
    }
    let outputs = outputs.into_iter();
    Value::Object(
        outputs
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Of each output the values of all pictures.
fn columns(pictures: Vec<Outputs>) -> Value {
    let mut columns: Vec<(&str, Vec<Value>)> = Vec::new();
    for (name, value) in pictures.into_iter().flatten() {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => columns.push((name, vec![value])),
        }
    }
    let columns = columns.into_iter();
    row(columns
        .map(|(name, values)| (name, Value::Array(values)))
        .collect())
}

/// The pictures of a body, and whether they are rows.
fn read(body: &[u8]) -> Result<(Vec<Source>, bool), Error> {
    let request: Predict = serde_json::from_slice(body)
        .map_err(|error| Error::BadInput(format!("JSON Parse error: {error}")))?;
    if let Some(name) = request.signature_name.filter(|name| name != SIGNATURE) {
        return Err(Error::BadInput(format!(
            "Serving signature name: {name:?} not found in signature def, expected {SIGNATURE:?}"
        )));
    }
    let (pictures, by_row) = match (request.instances, request.inputs) {
        (Some(pictures), None) => (pictures, true),
        (None, Some(pictures)) => (pictures, false),
        (Some(_), Some(_)) => return Err(one_of("both")),
        (None, None) => return Err(one_of("neither")),
    };
    let sources = pictures.into_sources()?;
    if sources.is_empty() || sources.len() > MOST_PICTURES {
        return Err(Error::BadInput(format!(
            "there are {} pictures, expected 1 to {MOST_PICTURES}",
            sources.len()
        )));
    }
    Ok((sources, by_row))
}

fn one_of(found: &str) -> Error {
    Error::BadInput(format!(
        "there are {found} of \"instances\" and \"inputs\", expected one"
    ))
}

/// Pictures as a list of lists: of samples, or of encoded pictures.
#[derive(Debug, Default, PartialEq)]
struct Pictures {
    /// The length of the lists of each depth, as far as it is known.
    shape: Vec<Option<usize>>,
    samples: Vec<u8>,
    encoded: Vec<Bytes>,
}

impl Pictures {
    /// Nobody has pictures in lists of more.
    const DEEPEST: usize = 4;

    fn into_sources(self) -> Result<Vec<Source>, Error> {
        let shape: Vec<_> = self.shape.iter().map(|side| side.unwrap_or(0)).collect();
        if !self.encoded.is_empty() {
            return Ok(self.encoded.into_iter().map(Source::Bytes).collect());
        }
        let &[count, height, width, 3] = shape.as_slice() else {
            return Err(Error::BadInput(match shape.as_slice() {
                [_, _, _, channels] => format!("input has {channels} channels, expected 3"),
                shape => format!("input must be 4-dimensional{shape:?}"),
            }));
        };
        let size = height * width * 3;
        let mut pictures = Vec::with_capacity(count.min(MOST_PICTURES));
        for samples in self
            .samples
            .chunks_exact(size.max(1))
            .take(MOST_PICTURES + 1)
        {
            let sides = (u32::try_from(width), u32::try_from(height));
            let (Ok(width), Ok(height)) = sides else {
                return Err(Error::TooLarge(format!(
                    "{width} x {height} pixels are too many"
                )));
            };
            let image = Image::new(width, height, samples.to_vec());
            let image =
                image.ok_or_else(|| Error::BadInput("a picture without pixels".to_owned()))?;
            pictures.push(Source::Image(Arc::new(image)));
        }
        Ok(pictures)
    }

    /// Takes down that a list of this depth has this length, which all of its depth must have.
    fn list<E: de::Error>(&mut self, depth: usize, length: usize) -> Result<(), E> {
        match self.shape[depth] {
            Some(known) if known != length => Err(E::custom(format_args!(
                "lists of {known} and of {length} in one tensor"
            ))),
            _ => {
                self.shape[depth] = Some(length);
                Ok(())
            }
        }
    }

    /// Takes down that what is no list stands at this depth, as all must.
    fn leaf<E: de::Error>(&self, depth: usize) -> Result<(), E> {
        if self.shape.len() == depth {
            Ok(())
        } else {
            Err(E::custom("lists of different depths in one tensor"))
        }
    }
}

impl<'de> Deserialize<'de> for Pictures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pictures = Self::default();
        let element = Element {
            pictures: &mut pictures,
            depth: 0,
        };
        element.deserialize(deserializer)?;
        Ok(pictures)
    }
}

/// Something in lists of this depth.
struct Element<'a> {
    pictures: &'a mut Pictures,
    depth: usize,
}

impl Element<'_> {
    fn sample<E: de::Error>(self, value: f64) -> Result<(), E> {
        if !(0.0..=255.0).contains(&value) || value.fract() != 0.0 {
            return Err(E::custom(format_args!("{value} is no sample of 0 to 255")));
        }
        if !self.pictures.encoded.is_empty() {
            return Err(E::custom("samples among encoded pictures"));
        }
        self.pictures.leaf(self.depth)?;
        self.pictures.samples.push(value as u8);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("lists of samples, or {\"b64\": ...}")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.sample(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.sample(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.sample(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { pictures, depth } = self;
        if depth == Pictures::DEEPEST {
            return Err(de::Error::custom("input must be 4-dimensional"));
        }
        if pictures.shape.len() == depth {
            // Unless something else stood at this depth before.
            if !pictures.samples.is_empty() || !pictures.encoded.is_empty() {
                return Err(de::Error::custom("lists of different depths in one tensor"));
            }
            pictures.shape.push(None);
        }
        let mut length = 0;
        loop {
            let element = Element {
                pictures: &mut *pictures,
                depth: depth + 1,
            };
            if list.next_element_seed(element)?.is_none() {
                return pictures.list(depth, length);
            }
            length += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { pictures, depth } = self;
        match map.next_key::<String>()?.as_deref() {
            Some("b64") => {
                let encoded = picture::from_base64(&map.next_value::<String>()?);
                pictures.leaf(depth)?;
                if !pictures.samples.is_empty() {
                    return Err(de::Error::custom("encoded pictures among samples"));
                }
                pictures.encoded.push(encoded.map_err(de::Error::custom)?);
            }
            Some(INPUT) => map.next_value_seed(Element { pictures, depth })?,
            Some(name) => {
                return Err(de::Error::custom(format_args!(
                    "input tensor alias not found in signature: {name}. Inputs expected to be in the set {{{INPUT}}}"
                )));
            }
            None => return Err(de::Error::custom("an object with nothing in it")),
        }
        match map.next_key::<String>()? {
            None => Ok(()),
            Some(name) => Err(de::Error::custom(format_args!(
                "{name:?} is one input too many"
            ))),
        }
    }
}

fn text(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let Path(path) = path.map_err(|error| Error::BadInput(error.body_text()))?;
    Ok(path)
}

fn joined(path: Result<Path<(String, String)>, PathRejection>) -> Result<String, Refusal> {
    let Path((model, rest)) = path.map_err(|error| Error::BadInput(error.body_text()))?;
    Ok(format!("{model}/{rest}"))
}

async fn malformed(method: Method, uri: Uri) -> Refusal {
    let path = uri.path().trim_start_matches("/v1/models/");
    Refusal(malformed_path(&method, path))
}

fn malformed_path(method: &Method, path: &str) -> Error {
    Error::BadInput(format!("Malformed request: {method} /v1/models/{path}"))
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct TensorFlowServingError {
    /// What was wrong, for people.
    error: String,
}

struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status: StatusCode = error.status();
        let failure = TensorFlowServingError {
            error: error.to_string(),
        };
        in_other_words(error, (status, Json(failure)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_model_a_version_and_what_is_called() {
        let call = |path| {
            Call::of(path).map(|call| (call.model, call.version, call.metadata, call.method))
        };
        assert_eq!(call("a"), Some(("a", None, false, None)));
        assert_eq!(call("a:predict"), Some(("a", None, false, Some("predict"))));
        assert_eq!(call("a/metadata"), Some(("a", None, true, None)));
        assert_eq!(
            call("a/versions/2/metadata"),
            Some(("a", Some("2"), true, None))
        );
        assert_eq!(
            call("a/labels/stable:predict"),
            Some(("a", Some("stable"), false, Some("predict")))
        );
        for path in [
            "",
            ":predict",
            "a/",
            "a/versions",
            "a/metadata:predict",
            "a/metadata/metadata",
            "a/b",
        ] {
            assert_eq!(call(path), None, "{path}");
        }
    }

    fn sources(json: &str) -> Result<Vec<Source>, String> {
        let read = read(json.as_bytes());
        read.map(|(sources, _)| sources)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pictures_are_samples_or_encoded_in_rows_or_columns() {
        let image = |samples: &[u8]| {
            let image = Image::new(2, 1, samples.to_vec()).unwrap();
            Source::Image(Arc::new(image))
        };
        let two = [image(&[1, 2, 3, 4, 5, 6]), image(&[7, 8, 9, 10, 11, 12])];
        for json in [
            r#"{"instances": [[[[1,2,3],[4,5,6]]], [[[7,8,9],[10,11,12.0]]]]}"#,
            r#"{"inputs": [[[[1,2,3],[4,5,6]]], [[[7,8,9],[10,11,12]]]], "signature_name": "serving_default"}"#,
            r#"{"inputs": {"input_tensor": [[[[1,2,3],[4,5,6]]], [[[7,8,9],[10,11,12]]]]}}"#,
            r#"{"instances": [{"input_tensor": [[[1,2,3],[4,5,6]]]}, {"input_tensor": [[[7,8,9],[10,11,12]]]}]}"#,
        ] {
            assert_eq!(sources(json).unwrap(), two, "{json}");
        }
        let two = ["hi", "ho"].map(|text| Source::Bytes(text.into()));
        for json in [
            r#"{"instances": [{"b64": "aGk="}, {"b64": "aG8="}]}"#,
            r#"{"instances": [{"input_tensor": {"b64": "aGk="}}, {"input_tensor": {"b64": "aG8="}}]}"#,
            r#"{"inputs": {"input_tensor": [{"b64": "aGk="}, {"b64": "aG8="}]}}"#,
        ] {
            assert_eq!(sources(json).unwrap(), two, "{json}");
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_with_what_was_found() {
        for (json, part) in [
            ("", "EOF"),
            ("[]", "instances or inputs"),
            ("{}", "neither"),
            (r#"{"instances": [], "inputs": []}"#, "both"),
            (r#"{"instances": []}"#, "4-dimensional[0]"),
            (r#"{"instances": [[[1,2,3]]]}"#, "4-dimensional[1, 1, 3]"),
            (r#"{"instances": [[[[[1]]]]]}"#, "4-dimensional"),
            (r#"{"instances": [[[[1,2]]]]}"#, "2 channels"),
            (r#"{"instances": [[[]]]}"#, "4-dimensional[1, 1, 0]"),
            (r#"{"instances": [[[[]]]]}"#, "0 channels"),
            (
                r#"{"instances": [[[[1,2,3],[1,2]]]]}"#,
                "lists of 3 and of 2",
            ),
            (
                r#"{"instances": [[[[1,2,3]]],[[1,2,3]]]}"#,
                "different depths",
            ),
            (r#"{"instances": [1,[2]]}"#, "different depths"),
            (r#"{"instances": [[[[1,2,256]]]]}"#, "256 is no sample"),
            (r#"{"instances": [[[[1,2,-1]]]]}"#, "-1 is no sample"),
            (r#"{"instances": [[[[1,2,0.5]]]]}"#, "0.5 is no sample"),
            (r#"{"instances": [[[["1",2,3]]]]}"#, "lists of samples"),
            (r#"{"instances": [{"b64": "?"}]}"#, "not base64"),
            (
                r#"{"instances": [{"b64": "aGk="}, [1]]}"#,
                "different depths",
            ),
            (r#"{"instances": [{"b64": "aGk="}, 1]}"#, "samples among"),
            (
                r#"{"instances": [1, {"b64": "aGk="}]}"#,
                "encoded pictures among",
            ),
            (r#"{"instances": [{"image": [1]}]}"#, "set {input_tensor}"),
            (r#"{"instances": [{"b64": "aGk=", "b": 1}]}"#, "too many"),
            (r#"{"instances": [{}]}"#, "nothing in it"),
            (r#"{"signature_name": "x", "instances": [1]}"#, "not found"),
        ] {
            let error = sources(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
        let many = vec![r#"{"b64": "aGk="}"#; MOST_PICTURES + 1].join(",");
        let error = sources(&format!(r#"{{"instances": [{many}]}}"#)).unwrap_err();
        assert!(error.contains("expected 1 to 32"), "{error}");
    }
}
