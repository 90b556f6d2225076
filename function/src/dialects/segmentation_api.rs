//! Image-Segmentation-API: the scores of all classes for every pixel of a picture that was made a square.
//!
//! A reply can be a hundred megabytes of JSON. It is written while it is sent, so that it costs no more than the
//! scores as the network gives them.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use segmenter_models::{Outcome, semantic::Scores};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::{of_pixels, only};
use crate::{
    encode,
    error::{Error, Short},
    http::{App, compress::AsItIs, form, picture},
    observe::in_other_words,
    service::{Answer, Arrival, Handling, Source, Wish},
};

/// Its routes.
pub fn router() -> OpenApiRouter<App> {
    let mut router = OpenApiRouter::new()
        .routes(routes!(healthcheck).map(|routes| only("GET", detail, routes)))
        .routes(routes!(infer_url).map(|routes| only("POST", detail, routes)))
        .routes(routes!(infer_file).map(|routes| only("POST", detail, routes)));
    for (path, other) in [
        ("/healthcheck", "/healthcheck/"),
        ("/infer/url", "/infer/url/"),
        ("/infer/file", "/infer/file/"),
        ("/docs", "/redoc"),
    ] {
        let location = [(header::LOCATION, HeaderValue::from_static(path))];
        let moved = (StatusCode::TEMPORARY_REDIRECT, location);
        router = router.route(other, any(move || async move { moved }));
    }
    router
}

/// Pixels along each side of its maps, and of the picture as the network sees it.
const SIDE: u32 = 512;

/// That the server is there.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `live`.
    status: &'static str,
}

/// Whether the server is there
#[utoipa::path(get, path = "/healthcheck", tag = "segmentation-api", responses((status = 200, body = Health)))]
async fn healthcheck() -> Json<Health> {
    Json(Health { status: "live" })
}

/// A picture as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read field by field")]
struct FileForm {
    /// `torch` or `onnx`.
    infer_model_type: String,
    /// `logits`, `pixels_distribution` or `segmentation_map`, in a field each. Default: all of them.
    requested_results_types: Option<Vec<String>>,
    /// The encoded picture.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A picture's URL as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read field by field")]
struct UrlForm {
    /// `torch` or `onnx`.
    infer_model_type: String,
    /// `logits`, `pixels_distribution` or `segmentation_map`, in a field each. Default: all of them.
    requested_results_types: Option<Vec<String>>,
    /// Where to fetch it, http or https.
    url_image: String,
}

/// What was asked for.
#[derive(Serialize, ToSchema)]
struct Inferred {
    /// `OK`.
    #[serde(rename = "Status")]
    status: String,
    /// As it was asked for.
    infer_model_type: String,
    /// `url` or `file`.
    image_type: String,
    /// By name: `logits` and `pixels_distribution` `[21][512][512]`, numbers for each class of every pixel, rows from
    /// the top; `segmentation_map` `[512][512]`, the class of every pixel. What there is not is
    /// `result type not supported`.
    requested_results: HashMap<String, Value>,
}

/// Class scores of every pixel of a picture that is sent
///
/// The picture is made 512 x 512 before, whatever its shape; what its EXIF data says is not looked at. The header
/// X-Model names the model that answered.
#[utoipa::path(
    post,
    path = "/infer/file",
    tag = "segmentation-api",
    request_body(content = FileForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = Inferred),
        (status = 401, description = "There is no such model type", body = Detail),
        (status = 422, description = "A field is missing", body = Missing),
        (status = 500, description = "The picture cannot be read", body = Detail),
        (status = "default", description = "Why there is no result", body = Detail),
    )
)]
async fn infer_file(
    State(app): State<App>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Response, Refusal> {
    infer(&app, arrival?, request, Kind::File).await
}

/// Class scores of every pixel of a picture that is fetched
///
/// As /infer/file has them.
#[utoipa::path(
    post,
    path = "/infer/url",
    tag = "segmentation-api",
    request_body(content(
        (UrlForm = "application/x-www-form-urlencoded"),
        (UrlForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, body = Inferred),
        (status = 401, description = "There is no such model type", body = Detail),
        (status = 422, description = "A field is missing", body = Missing),
        (status = 500, description = "The picture cannot be fetched or read", body = Detail),
        (status = "default", description = "Why there is no result", body = Detail),
    )
)]
async fn infer_url(
    State(app): State<App>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Response, Refusal> {
    infer(&app, arrival?, request, Kind::Url).await
}

/// How the picture is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Url,
    File,
}

impl Kind {
    /// As replies have it.
    fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::File => "file",
        }
    }

    /// The field with the picture.
    fn field(self) -> &'static str {
        match self {
            Self::Url => "url_image",
            Self::File => "file",
        }
    }
}

async fn infer(
    app: &App,
    arrival: Arrival,
    request: Request,
    kind: Kind,
) -> Result<Response, Refusal> {
    let (ticket, parts, body) = picture::read_body(app, arrival, request).await?;
    let Form {
        model_type,
        results,
        source,
    } = Form::read(form::read(parts, body).await?, kind)?;
    if !["torch", "onnx"].contains(&&*model_type) {
        return Err(Refusal::ModelType(model_type));
    }
    let source = picture::within_limit(app, source)?;

    let model = app
        .model(&model_type)
        .unwrap_or_else(|_| of_pixels(app))
        .entry
        .name;
    let query = app.query(&Wish {
        model: Some(model.to_owned()),
        masks: true,
        map_size: Some([SIDE; 2]),
        scores: true,
        ..Wish::default()
    })?;
    let answer = app.predict(&ticket, source, query, Handling::UNTURNED);
    let answer = answer
        .await
        .map_err(|error| Refusal::of_the_picture(error, kind))?;
    let (reply, _) = app
        .encode(&ticket, answer, move |answer| {
            Ok(Reply::new(answer, &model_type, kind, results))
        })
        .await?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (MODEL, HeaderValue::from_static(model)),
    ];
    let mut response = (headers, reply.into_body(Arc::clone(app))).into_response();
    response.extensions_mut().insert(AsItIs);
    Ok(response)
}

const MODEL: HeaderName = HeaderName::from_static("x-model");

/// A form, read.
struct Form {
    model_type: String,
    results: Vec<String>,
    source: Source,
}

impl Form {
    fn read(fields: Vec<form::Field>, kind: Kind) -> Result<Self, Refusal> {
        let (mut model_type, mut results, mut picture) = (None, Vec::new(), None);
        for field in fields {
            match &*field.name {
                "infer_model_type" => model_type = Some(field.text()?.to_owned()),
                "requested_results_types" => results.push(field.text()?.to_owned()),
                name if name == kind.field() => picture = Some(field),
                _ => {}
            }
        }
        let (Some(model_type), Some(picture)) = (&model_type, &picture) else {
            let missing = [
                ("infer_model_type", model_type.is_none()),
                (kind.field(), picture.is_none()),
            ];
            let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
            return Err(Refusal::Missing(missing.map(|(name, _)| name).collect()));
        };
        let source = match kind {
            Kind::Url => Source::Url(picture.text()?.to_owned()),
            Kind::File => Source::Bytes(picture.content.clone()),
        };
        if results.is_empty() {
            results = ["logits", "pixels_distribution", "segmentation_map"]
                .map(str::to_owned)
                .to_vec();
        }
        Ok(Self {
            model_type: model_type.clone(),
            results,
            source,
        })
    }
}

/// A reply that is written piece by piece.
struct Reply {
    /// What stands before the next piece.
    head: String,
    /// By name, in the order in which they are written.
    results: Vec<(String, Content)>,
    /// The result, and the row of it, that the next piece begins with.
    next: [usize; 2],
}

/// A result that was asked for.
enum Content {
    /// `[classes, height, width]`.
    Logits(Arc<Scores>),
    /// The same, and what the exponentials of a pixel's logits have to be divided by, as logarithms.
    Distribution(Arc<Scores>, Vec<f32>),
    /// Class ids, `[height, width]`.
    Map(Vec<u8>),
    Unsupported,
}

/// Pieces have a few more bytes than this.
const PIECE: usize = 64 << 10;

impl Reply {
    fn new(answer: &Answer, model_type: &str, kind: Kind, names: Vec<String>) -> Self {
        let scores = match &answer.prediction.outcome {
            Outcome::ClassMap(map) => map.scores.clone(),
            // Which has none.
            Outcome::Detections(_) => None,
        };
        let mut results: Vec<(String, Content)> = Vec::with_capacity(names.len());
        for name in names {
            if results.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let content = match (&*name, &scores) {
                ("logits", Some(scores)) => Content::Logits(Arc::clone(scores)),
                ("pixels_distribution", Some(scores)) => {
                    Content::Distribution(Arc::clone(scores), scores.normalisers())
                }
                ("segmentation_map", _) => Content::Map(encode::voc_raster(answer, [SIDE; 2])),
                _ => Content::Unsupported,
            };
            results.push((name, content));
        }
        let (model_type, kind) = (Value::from(model_type), kind.name());
        Self {
            head: format!(
                r#"{{"Status":"OK","infer_model_type":{model_type},"image_type":"{kind}","requested_results":{{"#
            ),
            results,
            next: [0, 0],
        }
    }

    /// The pieces are made one after another, each when the one before is on its way.
    fn into_body(self, app: App) -> Body {
        Body::from_stream(stream::try_unfold(Some(self), move |reply| {
            let app = Arc::clone(&app);
            async move {
                let Some(reply) = reply else {
                    return Ok(None);
                };
                app.cpu(|| reply.piece()).await.map(Some)
            }
        }))
    }

    /// The next piece, and what comes after it.
    fn piece(mut self) -> (Bytes, Option<Self>) {
        let mut piece = BytesMut::with_capacity(PIECE + (PIECE >> 2));
        piece.put(std::mem::take(&mut self.head).as_bytes());
        while let Some((name, content)) = self.results.get(self.next[0]) {
            if self.next[1] == 0 {
                let comma = if self.next[0] == 0 { "" } else { "," };
                let name = Value::from(Short(name).to_string());
                piece.put(format!("{comma}{name}:").as_bytes());
            }
            match content.write_row(self.next[1], &mut piece) {
                ControlFlow::Continue(()) => self.next[1] += 1,
                ControlFlow::Break(()) => self.next = [self.next[0] + 1, 0],
            }
            if piece.len() >= PIECE {
                return (piece.freeze(), Some(self));
            }
        }
        piece.put("}}".as_bytes());
        (piece.freeze(), None)
    }
}

impl Content {
    /// Writes a row of all planes, with the brackets and commas around it; breaks after the last.
    fn write_row(&self, row: usize, piece: &mut BytesMut) -> ControlFlow<()> {
        let side = SIDE as usize;
        let (scores, normalisers) = match self {
            Self::Unsupported => {
                piece.put(r#""result type not supported""#.as_bytes());
                return ControlFlow::Break(());
            }
            Self::Map(map) => {
                piece.put_u8(if row == 0 { b'[' } else { b',' });
                write_list(piece, map.iter().skip(row * side).take(side));
                if (row + 1) * side < map.len() {
                    return ControlFlow::Continue(());
                }
                piece.put_u8(b']');
                return ControlFlow::Break(());
            }
            Self::Logits(scores) => (scores, None),
            Self::Distribution(scores, normalisers) => (scores, Some(normalisers)),
        };
        let [classes, height, width] = scores.shape();
        let (class, y) = (row / height, row % height);
        piece.put(match (class, y) {
            (0, 0) => "[[".as_bytes(),
            (_, 0) => "],[".as_bytes(),
            _ => ",".as_bytes(),
        });
        let logits = scores.logits(class, y);
        match normalisers {
            None => write_list(piece, logits),
            Some(normalisers) => {
                let normalisers = &normalisers[y * width..][..width];
                let pixels = logits.zip(normalisers);
                write_list(
                    piece,
                    pixels.map(|(logit, normaliser)| (logit - normaliser).exp()),
                );
            }
        }
        if row + 1 < classes * height {
            return ControlFlow::Continue(());
        }
        piece.put("]]".as_bytes());
        ControlFlow::Break(())
    }
}

fn write_list<T: Serialize>(piece: &mut BytesMut, values: impl Iterator<Item = T>) {
    let mut before = b'[';
    let mut writer = piece.writer();
    for value in values {
        writer.get_mut().put_u8(before);
        // Numbers can be written, and memory takes them.
        let _ = serde_json::to_writer(&mut writer, &value);
        before = b',';
    }
    writer.get_mut().put_u8(b']');
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct Detail {
    /// What was wrong, for people.
    detail: String,
}

/// The body of an error about the form.
#[derive(Serialize, ToSchema)]
struct Missing {
    detail: Vec<MissingField>,
}

/// A field that is not there.
#[derive(Serialize, ToSchema)]
struct MissingField {
    /// `missing`.
    r#type: &'static str,
    /// `body` and the field's name.
    loc: [&'static str; 2],
    /// What was wrong, for people.
    msg: &'static str,
    /// `null`.
    input: Option<Value>,
}

/// An error as it is told here.
fn detail(status: StatusCode, error: Error) -> Response {
    let detail = match &error {
        Error::MethodNotAllowed(_) => "Method Not Allowed".to_owned(),
        error => format!("Fail! Error: {error}"),
    };
    in_other_words(error, (status, Json(Detail { detail })))
}

/// Why there is no result.
enum Refusal {
    /// These fields are not there.
    Missing(Vec<&'static str>),
    /// There is no such model type.
    ModelType(String),
    /// The picture is none, or was not to be had.
    Picture(Kind, Error),
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Refusal {
    fn of_the_picture(error: Error, kind: Kind) -> Self {
        match error {
            Error::BadInput(_)
            | Error::UnsupportedMedia(_)
            | Error::FetchRefused(_)
            | Error::FetchFailed(_) => Self::Picture(kind, error),
            error => Self::Other(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Missing(fields) => {
                let names = fields.join(" and ");
                let error = Error::BadInput(format!("the form has no {names}"));
                let fields = fields.into_iter().map(|name| MissingField {
                    r#type: "missing",
                    loc: ["body", name],
                    msg: "Field required",
                    input: None,
                });
                let body = Missing {
                    detail: fields.collect(),
                };
                in_other_words(error, (StatusCode::UNPROCESSABLE_ENTITY, Json(body)))
            }
            Self::ModelType(name) => {
                let detail = format!("Fail! Value error: Model type '{name}' is not registered.");
                let detail = Short(&detail).to_string();
                let error =
                    Error::BadInput("infer_model_type is neither torch nor onnx".to_owned());
                in_other_words(error, (StatusCode::UNAUTHORIZED, Json(Detail { detail })))
            }
            Self::Picture(kind, error) => {
                let from = match kind {
                    Kind::Url => "path or URL",
                    Kind::File => "bytes",
                };
                let detail = format!("Fail! Error: Error loading image from {from}: {error}");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                in_other_words(error, (status, Json(Detail { detail })))
            }
            Self::Other(error) => detail(error.status(), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_make_one_json() {
        let map = || Content::Map((0..SIDE * SIDE).map(|pixel| (pixel % 21) as u8).collect());
        let mut reply = Some(Reply {
            head: r#"{"requested_results":{"#.to_owned(),
            results: vec![
                ("a \"quoted\" name".to_owned(), Content::Unsupported),
                ("segmentation_map".to_owned(), map()),
                (String::new(), Content::Unsupported),
            ],
            next: [0, 0],
        });
        let mut text = Vec::new();
        let mut pieces = 0;
        while let Some(rest) = reply {
            let (piece, rest) = rest.piece();
            text.extend_from_slice(&piece);
            (reply, pieces) = (rest, pieces + 1);
        }
        assert!(pieces > 5, "{pieces}");
        let json: Value = serde_json::from_slice(&text).unwrap();
        let results = &json["requested_results"];
        let none = json!("result type not supported");
        assert_eq!(
            (&results["a \"quoted\" name"], &results[""]),
            (&none, &none)
        );
        let rows = results["segmentation_map"].as_array().unwrap();
        assert_eq!(rows.len(), 512);
        assert_eq!(rows[1].as_array().unwrap().len(), 512);
        assert_eq!(rows[1][0], json!(512 % 21));
    }
}
