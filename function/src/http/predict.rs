//! `POST /predict` and `POST /v1/predict`.

use std::{convert::Infallible, fmt::Write, time::Duration};

use axum::{
    Json,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    docs::Refusal,
    parameters::{Fields, FullRequest, Parameters},
    picture::{self, PICTURE_FIELDS, PictureForm, PictureJson},
};
use crate::{
    encode::{self, Drawing},
    error::Error,
    metrics::Stage,
    observe::ErrorReply,
    service::{Arrival, Handling, Wish},
};

/// What is on the picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Objects {
    /// One class name for each object found, the most certain first; names repeat.
    #[schema(example = json!(["bird", "boat", "boat", "person"]))]
    objects: Vec<&'static str>,
}

/// Counts the calls of `POST /predict`, whatever becomes of them.
pub(super) struct Invocation;

impl FromRequestParts<App> for Invocation {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        app.metrics().http_inferences.inc();
        Ok(Self)
    }
}

/// Name the objects in a picture
///
/// The picture is sent as JSON with its URL or in base64, as a form, or as it is.
#[utoipa::path(
    post,
    path = "/predict",
    tag = "predictions",
    request_body(content(
        (PictureJson = "application/json"),
        (PictureForm = "multipart/form-data"),
        (String = "image/*"),
    )),
    responses((status = 200, body = Objects), Refusal)
)]
pub(super) async fn names(
    State(app): State<App>,
    _: Invocation,
    arrival: Arrival,
    request: Request,
) -> Result<Json<Objects>, Error> {
    let (ticket, sent) = picture::read(&app, arrival, request, PICTURE_FIELDS).await?;
    let query = app.query(&Wish::default())?;
    let answer = app
        .predict(&ticket, sent.source, query, Handling::default())
        .await?;
    let objects = encode::names(&answer);
    Ok(Json(Objects { objects }))
}

/// Find and outline the objects in a picture
///
/// The picture is sent as JSON with its URL or in base64, as a form, or as it is. Parameters may be in
/// the query, in the JSON or in the form.
#[utoipa::path(
    post,
    path = "/v1/predict",
    tag = "predictions",
    params(Fields),
    request_body(content(
        (FullRequest = "application/json"),
        (PictureForm = "multipart/form-data"),
        (String = "image/*"),
    )),
    responses(
        (
            status = 200,
            description = "What was found, as JSON or, where Accept asks for a picture, drawn on it",
            content(
                (encode::Reply = "application/json"),
                (String = "image/png"),
                (String = "image/jpeg"),
            ),
            headers(("Server-Timing" = String, description = "Milliseconds in each step")),
        ),
        (status = 404, description = "There is no such model", body = ErrorReply),
        Refusal
    )
)]
pub(super) async fn detections(
    State(app): State<App>,
    arrival: Arrival,
    request: Request,
) -> Result<Response, Error> {
    let drawing = wants_drawing(request.headers());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (ticket, sent) = picture::read(&app, arrival, request, PICTURE_FIELDS).await?;
    let parameters = Parameters::read(&query, sent.fields)?;
    let query = app.query(&parameters.wish)?;
    let handling = Handling {
        keep: drawing.is_some(),
        ..Handling::default()
    };
    let answer = app.predict(&ticket, sent.source, query, handling).await?;

    let masks = parameters.masks;
    let (limits, deadline) = (app.limits().picture, ticket.deadline);
    let ((kind, body), timings) = app
        .encode(&ticket, answer, move |answer| match drawing {
            Some(drawing) => Ok((drawing.media_type(), encode::draw(answer, drawing, limits)?)),
            None => Ok(("application/json", encode::json(answer, masks, deadline)?)),
        })
        .await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::VARY, HeaderValue::from_static("accept")),
        (SERVER_TIMING, server_timing(&timings)),
    ];
    Ok((headers, body).into_response())
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// <https://www.w3.org/TR/server-timing/>, in milliseconds.
fn server_timing(timings: &[(Stage, Duration)]) -> HeaderValue {
    let mut text = String::new();
    for (stage, took) in timings {
        let separator = if text.is_empty() { "" } else { ", " };
        let ms = took.as_secs_f64() * 1e3;
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{};dur={ms:.1}", stage.name());
    }
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The picture format that the caller would rather have than JSON, if any: the first listed counts.
fn wants_drawing(headers: &HeaderMap) -> Option<Drawing> {
    let accepted = headers.get(header::ACCEPT)?.to_str().ok()?;
    accepted
        .split(',')
        .filter_map(|range| range.split(';').next())
        .find_map(|kind| match kind.trim() {
            "image/png" | "image/*" => Some(Some(Drawing::Png)),
            "image/jpeg" => Some(Some(Drawing::Jpeg)),
            "application/json" | "application/*" | "*/*" => Some(None),
            _ => None,
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_made_only_for_those_who_prefer_one() {
        let wants = |accept: &'static str| {
            wants_drawing(&HeaderMap::from_iter([(
                header::ACCEPT,
                HeaderValue::from_static(accept),
            )]))
        };
        assert_eq!(wants("image/png"), Some(Drawing::Png));
        assert_eq!(
            wants("text/html, image/jpeg;q=0.9, */*"),
            Some(Drawing::Jpeg)
        );
        assert_eq!(wants("application/json, image/png"), None);
        assert_eq!(wants("*/*"), None);
    }

    #[test]
    fn timings_are_in_milliseconds() {
        let timings = [
            (Stage::Decode, Duration::from_micros(1250)),
            (Stage::Infer, Duration::from_millis(40)),
        ];
        assert_eq!(server_timing(&timings), "decode;dur=1.2, infer;dur=40.0");
    }
}
