//! TorchServe, with a segmenter of whole pictures behind it: a class and a probability for each of 224 x 224 points.
//!
//! The points are spread over the whole picture, where those of the original cover its middle.

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::of_pixels;
use crate::{
    encode,
    error::Error,
    http::{App, picture},
    observe::in_other_words,
    service::{Arrival, Handling, Source, Wish},
};

/// Its routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(predictions))
        .routes(routes!(ping))
}

/// What clients of "Segmenter" call its model.
const SEGMENTER_WEB: &str = "deeplabv3_resnet_101";

/// Points along each side.
const SIDE: u32 = 224;

/// A class and its probability, row by row; 0 is the background, and the first class of a detector is 1.
type Points = Vec<Vec<[f32; 2]>>;

/// The class of 224 x 224 points of a picture
///
/// The model is one of the server's, also by the name `deeplabv3_resnet_101`. The picture is sent as it is, in base64, or
/// in the field `data` or `body` of a form. The reply is `[224][224][2]`: rows of points, each with the number of its
/// class, 0 where there is nothing, and how certain that is.
#[utoipa::path(
    post,
    path = "/predictions/{model}",
    tag = "torchserve",
    params(("model" = String, Path, description = "The model's name")),
    request_body(content = String, content_type = "image/*"),
    responses(
        (status = 200, description = "Rows of points", body = Vec<Vec<Vec<f32>>>),
        (status = 400, description = "There is no picture", body = TorchServeError),
        (status = 404, description = "There is no such model", body = TorchServeError),
        (status = "default", description = "Why there is no prediction", body = TorchServeError),
    )
)]
async fn predictions(
    State(app): State<App>,
    model: Result<Path<String>, PathRejection>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Points>, Refusal> {
    // What is no text is no model's name.
    let model = model.map_or_else(|_| "?".to_owned(), |Path(model)| model);
    let served = match &*model {
        SEGMENTER_WEB => of_pixels(&app),
        name => app
            .model(name)
            .map_err(|_| Error::NotFound(format!("Model not found: {model}")))?,
    };
    let (ticket, sent) = picture::read(&app, arrival?, request, &["data", "body"]).await?;
    let source = match sent.source {
        Source::Bytes(bytes) => Source::Bytes(app.cpu(move || from_text(bytes)).await?),
        other => other,
    };
    let query = app.query(&Wish {
        model: Some(served.entry.name.to_owned()),
        masks: true,
        ..Wish::default()
    })?;
    let answer = app
        .predict(&ticket, source, query, Handling::default())
        .await?;
    let (points, _) = app
        .encode(&ticket, answer, |answer| {
            let points = encode::raster(answer, [SIDE; 2], |class, score| [class as f32, score]);
            Ok(points.chunks(SIDE as usize).map(<[_]>::to_vec).collect())
        })
        .await?;
    Ok(Json(points))
}

/// Some clients send text. No picture is all base64.
fn from_text(bytes: Bytes) -> Bytes {
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| picture::from_base64(text).ok())
        .unwrap_or(bytes)
}

/// The state of the server.
#[derive(Serialize, ToSchema)]
struct Ping {
    /// `Healthy` or `Unhealthy`.
    status: &'static str,
}

/// Whether requests may be sent
#[utoipa::path(get, path = "/ping", tag = "torchserve", responses(
    (status = 200, description = "They may", body = Ping),
    (status = 500, description = "Not yet, or no more", body = Ping),
))]
async fn ping(State(app): State<App>) -> Response {
    let (code, status) = if app.readiness().is_ready() {
        (StatusCode::OK, "Healthy")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "Unhealthy")
    };
    (code, Json(Ping { status })).into_response()
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct TorchServeError {
    /// The status.
    code: u16,
    /// The kind of error, for programs.
    r#type: &'static str,
    /// What was wrong, for people.
    message: String,
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
        let status = error.status();
        let kind = match &error {
            Error::NotFound(_) => "ModelNotFoundException",
            Error::BadInput(_)
            | Error::UnsupportedMedia(_)
            | Error::TooLarge(_)
            | Error::FetchRefused(_)
            | Error::FetchFailed(_) => "BadRequestException",
            Error::MethodNotAllowed(_) => "MethodNotAllowedException",
            Error::RequestTimeout(_) | Error::Deadline(_) => "RequestTimeoutException",
            Error::Overloaded { .. } | Error::NotReady(_) => "ServiceUnavailableException",
            Error::Internal(_) => "InternalServerException",
        };
        let reply = TorchServeError {
            code: status.as_u16(),
            r#type: kind,
            message: error.to_string(),
        };
        in_other_words(error, (status, Json(reply)))
    }
}
