//! The protocol over HTTP: JSON, with the elements of tensors in it or, in bytes, after it.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use bytes::Bytes;
use segmenter_models::catalogue::Entry;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::{
    Asked, InferParameters, ModelMetadata, SERVER, ServerMetadata, VERSION,
    outputs::Tensor,
    tensor::{Contents, Data, Datatype, Elements, Given, IMAGE},
};
use crate::{
    dialects::only,
    error::Error,
    http::{App, picture},
    observe::in_other_words,
    service::{Arrival, Served},
};

/// Its routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(server).map(only_get))
        .routes(routes!(live).map(only_get))
        .routes(routes!(ready).map(only_get))
        .routes(routes!(model).map(only_get))
        .routes(routes!(model_ready).map(only_get))
        .routes(routes!(infer).map(only_post))
        .route(
            "/v2/models/{model}/versions/{version}",
            only_get(get(model)),
        )
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            only_get(get(model_ready)),
        )
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            only_post(post(infer)),
        )
        .route("/v2/{*path}", any(nothing_here))
}

fn only_get(routes: MethodRouter<App>) -> MethodRouter<App> {
    only("GET, HEAD", refusal, routes)
}

fn only_post(routes: MethodRouter<App>) -> MethodRouter<App> {
    only("POST", refusal, routes)
}

/// How much of a body is JSON, in bytes; tensors follow.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Which server this is
#[utoipa::path(get, path = "/v2", tag = "open-inference", responses((status = 200, body = ServerMetadata)))]
async fn server() -> Json<ServerMetadata> {
    Json(SERVER)
}

/// Whether the server works.
#[derive(Serialize, ToSchema)]
struct Live {
    live: bool,
}

/// Whether requests may be sent.
#[derive(Serialize, ToSchema)]
struct Ready {
    ready: bool,
}

/// Whether requests to a model may be sent.
#[derive(Serialize, ToSchema)]
struct ModelReady {
    name: &'static str,
    ready: bool,
}

/// What those who ask about health look at.
fn status(is_well: bool) -> StatusCode {
    if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Whether the server works
#[utoipa::path(get, path = "/v2/health/live", tag = "open-inference", responses(
    (status = 200, description = "It answers and makes progress", body = Live),
    (status = 503, description = "A batch has been running for too long", body = Live),
))]
async fn live(State(app): State<App>) -> Response {
    let live = app.stalled().is_none();
    (status(live), Json(Live { live })).into_response()
}

/// Whether requests may be sent
#[utoipa::path(get, path = "/v2/health/ready", tag = "open-inference", responses(
    (status = 200, description = "They may", body = Ready),
    (status = 503, description = "Not yet, or no more", body = Ready),
))]
async fn ready(State(app): State<App>) -> Response {
    let ready = app.readiness().is_ready();
    (status(ready), Json(Ready { ready })).into_response()
}

/// Which model a path means.
#[derive(Deserialize)]
struct Named {
    model: String,
    version: Option<String>,
}

type NamedPath = Result<Path<Named>, PathRejection>;

fn served(app: &App, path: NamedPath) -> Result<&Served, Error> {
    // What is no text is no model's name.
    let Path(Named { model, version }) =
        path.map_err(|error| Error::NotFound(error.body_text()))?;
    super::served(app, &model, version.as_deref())
}

/// What a model takes and answers
///
/// GET /v1/models lists the models. Each has one version, 1, which may be in the path: /v2/models/{model}/versions/1.
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    tag = "open-inference",
    params(("model" = String, Path, description = "The model's name", example = "maskrcnn_fbnetv3a_c4")),
    responses(
        (status = 200, body = ModelMetadata),
        (status = 404, description = "There is no such model or version", body = OpenInferenceError),
    )
)]
async fn model(State(app): State<App>, path: NamedPath) -> Result<Json<ModelMetadata>, Refusal> {
    let entry = served(&app, path)?.entry;
    Ok(Json(ModelMetadata::new(entry)))
}

/// Whether requests to a model may be sent
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    tag = "open-inference",
    params(("model" = String, Path, description = "The model's name", example = "maskrcnn_fbnetv3a_c4")),
    responses(
        (status = 200, description = "They may", body = ModelReady),
        (status = 404, description = "There is no such model or version", body = OpenInferenceError),
        (status = 503, description = "Not yet", body = ModelReady),
    )
)]
async fn model_ready(State(app): State<App>, path: NamedPath) -> Result<Response, Refusal> {
    let served = served(&app, path)?;
    let (name, ready) = (served.entry.name, app.is_ready(served));
    Ok((status(ready), Json(ModelReady { name, ready })).into_response())
}

/// A picture, and what is asked about it.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "an object with inputs")]
struct InferRequest {
    /// Comes back in the reply.
    id: Option<String>,
    parameters: Option<InferParameters>,
    /// One, image.
    #[schema(value_type = Vec<InferInput>)]
    inputs: Few<InferInput>,
    /// Only these are computed. Default: all that the model has, but for mask_pixels.
    #[schema(value_type = Option<Vec<InferRequestedOutput>>)]
    outputs: Option<Few<InferRequestedOutput>>,
}

/// The picture.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "a tensor: an object with name, datatype, shape and data")]
struct InferInput {
    #[schema(example = "image")]
    name: String,
    /// BYTES for an encoded picture, UINT8 for its samples.
    #[schema(example = "BYTES")]
    datatype: String,
    /// `[1]` of BYTES; `[height, width, 3]` of UINT8, in red, green and blue. There may be another 1 before either.
    #[schema(value_type = Vec<i64>, example = json!([1]))]
    shape: Few<i64>,
    parameters: Option<TensorParameters>,
    /// An encoded picture in base64, or samples, row by row, also in lists of lists.
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Data>,
}

/// An output that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "an object with name")]
struct InferRequestedOutput {
    #[schema(example = "boxes")]
    name: String,
    parameters: Option<TensorParameters>,
}

/// How a tensor comes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(expecting = "an object of parameters")]
struct TensorParameters {
    /// Of an input: so many bytes after the JSON are its elements.
    binary_data_size: Option<u64>,
    /// Of an output: whether its elements are bytes after the reply's JSON.
    binary_data: Option<bool>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
struct InferReply {
    model_name: &'static str,
    model_version: &'static str,
    /// The request's.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Those that were asked for, in that order.
    outputs: Vec<InferOutput>,
}

/// A part of what was found.
#[derive(Serialize, ToSchema)]
struct InferOutput {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryData>,
    /// Its elements, row by row, where they are not after the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Elements>,
}

/// Of an output whose elements are after the JSON.
#[derive(Serialize, ToSchema)]
struct BinaryData {
    /// How many bytes of them there are.
    binary_data_size: usize,
}

/// Find and outline the objects in a picture
///
/// The picture is the tensor image, in JSON or after it. A body that is nothing but an encoded picture is taken with
/// Inference-Header-Content-Length: 0.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    tag = "open-inference",
    params(
        ("model" = String, Path, description = "The model's name", example = "maskrcnn_fbnetv3a_c4"),
        (
            "Inference-Header-Content-Length" = Option<usize>,
            Header,
            description = "How many bytes of the body are JSON, where tensors follow it"
        ),
    ),
    request_body(content((InferRequest = "application/json"), (String = "application/octet-stream"))),
    responses(
        (
            status = 200,
            description = "What was found, as JSON, where bytes were asked for with these after it",
            content((InferReply = "application/json"), (String = "application/octet-stream")),
            headers(("Inference-Header-Content-Length" = usize, description = "How many bytes are JSON")),
        ),
        (status = 400, description = "The request says something that cannot be", body = OpenInferenceError),
        (status = 404, description = "There is no such model or version", body = OpenInferenceError),
        (status = "default", description = "Why nothing was found", body = OpenInferenceError),
    )
)]
async fn infer(
    State(app): State<App>,
    path: NamedPath,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Response, Refusal> {
    let entry = served(&app, path)?.entry;
    let arrival = arrival?;
    refuse_compressed(request.headers())?;
    let json_length = json_length(request.headers())?;
    let (ticket, _, body) = picture::read_body(&app, arrival, request).await?;
    let read = app.cpu(move || read(entry, json_length, body));
    let (asked, form) = read.await??;
    let reply = super::infer(&app, &ticket, asked, move |tensors| {
        form.reply(entry, tensors)
    });
    Ok(reply.await?)
}

fn refuse_compressed(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Error::UnsupportedMedia(format!(
            "the body is compressed, {encoding:?}, which is not read here: send it as it is"
        ))),
        _ => Ok(()),
    }
}

/// How many bytes of the body are JSON; all where that is not said.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Error> {
    let Some(length) = headers.get(JSON_LENGTH) else {
        return Ok(None);
    };
    let number = length.to_str().ok().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| {
        Error::BadInput(format!(
            "Inference-Header-Content-Length is {length:?}, expected a number of bytes"
        ))
    });
    number.map(Some)
}

/// How the reply is to be.
struct Form {
    id: Option<String>,
    /// Whether each output is in bytes.
    is_binary: Vec<bool>,
}

/// Takes a body apart.
fn read(
    entry: &'static Entry,
    json_length: Option<usize>,
    body: Bytes,
) -> Result<(Asked, Form), Error> {
    if json_length == Some(0) {
        // Where there is no JSON, neither the request's tensor nor those of the reply are in one.
        let image = Given {
            name: IMAGE.to_owned(),
            datatype: Datatype::Bytes.name().to_owned(),
            shape: vec![1],
            contents: Contents::Element(body),
        };
        let asked = Asked::new(entry, image, &InferParameters::default(), [])?;
        let is_binary = vec![true; asked.outputs.len()];
        return Ok((
            asked,
            Form {
                id: None,
                is_binary,
            },
        ));
    }
    let json_length = json_length.unwrap_or(body.len());
    if json_length > body.len() {
        return Err(Error::BadInput(format!(
            "Inference-Header-Content-Length is {json_length}, but the body has {} bytes",
            body.len()
        )));
    }
    let request: InferRequest = serde_json::from_slice(&body[..json_length])
        .map_err(|error| Error::BadInput(format!("the JSON cannot be read: {error}")))?;
    let Few(inputs) = request.inputs;
    let image = super::only_input(inputs)?.given(body.slice(json_length..))?;
    let parameters = request.parameters.unwrap_or_default();
    let binary_by_default = parameters.binary_data_output.unwrap_or_default();

    let outputs = request
        .outputs
        .map_or_else(Vec::new, |Few(outputs)| outputs);
    let names = outputs.iter().map(|output| &*output.name);
    let asked = Asked::new(entry, image, &parameters, names)?;
    let is_binary = |index: usize| {
        let parameters = outputs.get(index)?.parameters.as_ref()?;
        parameters.binary_data
    };
    let is_binary = (0..asked.outputs.len())
        .map(|index| is_binary(index).unwrap_or(binary_by_default))
        .collect();
    let id = request.id;
    Ok((asked, Form { id, is_binary }))
}

impl InferInput {
    /// With its elements, which may be among those bytes that follow the JSON.
    fn given(self, behind: Bytes) -> Result<Given, Error> {
        let size = self.parameters.unwrap_or_default().binary_data_size;
        let contents = match (self.data, size) {
            (Some(data), None) if behind.is_empty() => data.contents()?,
            (Some(_), _) => {
                return Err(Error::BadInput(format!(
                    "the input {:?} has elements in the JSON, and bytes are to follow it: expected one of the two",
                    self.name
                )));
            }
            (None, Some(size)) if size != behind.len() as u64 => {
                return Err(Error::BadInput(format!(
                    "binary_data_size is {size}, but {} bytes follow the JSON \
                     (Inference-Header-Content-Length says how long that is)",
                    behind.len()
                )));
            }
            (None, None) if behind.is_empty() => {
                return Err(Error::BadInput(format!(
                    "the input {:?} has no elements: expected data in the JSON, or binary_data_size and bytes after it",
                    self.name
                )));
            }
            // There is only one input, whose all bytes are.
            (None, _) => Contents::Raw(behind),
        };
        let Few(shape) = self.shape;
        Ok(Given {
            name: self.name,
            datatype: self.datatype,
            shape,
            contents,
        })
    }
}

impl Form {
    fn reply(self, entry: &'static Entry, tensors: Vec<Tensor>) -> Result<Response, Error> {
        let mut behind = Vec::new();
        let outputs = tensors.into_iter().zip(&self.is_binary);
        let outputs = outputs.map(|(tensor, is_binary)| {
            let mut output = InferOutput {
                name: tensor.output.name(),
                datatype: tensor.elements.datatype().name(),
                shape: tensor.shape,
                parameters: None,
                data: None,
            };
            if *is_binary {
                let raw = tensor.elements.into_raw();
                let binary_data_size = raw.len();
                output.parameters = Some(BinaryData { binary_data_size });
                behind.push(raw);
            } else {
                output.data = Some(tensor.elements);
            }
            output
        });
        let reply = InferReply {
            model_name: entry.name,
            model_version: VERSION,
            id: self.id,
            outputs: outputs.collect(),
        };
        let mut body = serde_json::to_vec(&reply).map_err(|error| {
            tracing::error!(%error, "cannot write the reply");
            Error::internal()
        })?;
        if behind.is_empty() {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            return Ok((kind, body).into_response());
        }
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            ),
            (JSON_LENGTH, HeaderValue::from(body.len())),
        ];
        body.extend(behind.into_iter().flatten());
        Ok((headers, body).into_response())
    }
}

/// More tensors, and sides of one, than any request has use for. A long list would take more memory than its JSON.
const MOST: usize = 32;

/// A list of no more than [`MOST`].
struct Few<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Few<T>, A::Error> {
                let mut few = Vec::new();
                while let Some(one) = seq.next_element()? {
                    if few.len() == MOST {
                        return Err(A::Error::custom(format!("a list of more than {MOST}")));
                    }
                    few.push(one);
                }
                Ok(Few(few))
            }
        }

        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

async fn nothing_here() -> Refusal {
    Refusal(Error::NotFound(
        "there is nothing at this path; /docs lists what there is under open-inference".to_owned(),
    ))
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct OpenInferenceError {
    /// What was wrong and what would be right, for people.
    error: String,
}

/// An error as it is told here.
fn refusal(status: StatusCode, error: Error) -> Response {
    let reply = OpenInferenceError {
        error: error.to_string(),
    };
    in_other_words(error, (status, Json(reply)))
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
        refusal(error.status(), error)
    }
}
