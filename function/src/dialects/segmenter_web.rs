//! The API of "Segmenter", a web service that answers a picture with all but its objects half transparent.
//!
//! Where it stretched the mask of the picture's middle over the whole picture, the mask lies here where the
//! objects are; and pictures are turned as their EXIF data says.

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::{flask, of_pixels};
use crate::{
    encode,
    error::Error,
    http::{
        App,
        picture::{self, Shallow},
    },
    observe::in_other_words,
    samples::Samples,
    service::{Arrival, Handling, Source, Ticket, Wish},
};

/// Its routes.
pub fn router(samples: Samples) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(run_model).map(|routes| flask::only("POST, OPTIONS", flask::page, routes)))
        .routes(
            routes!(random_image)
                .map(|routes| flask::only("GET, HEAD, OPTIONS", flask::page, routes)),
        )
        .layer(Extension(samples))
        .layer(middleware::map_response(uncached))
}

/// What alpha is where something is, and where nothing is.
const ALPHA: [u8; 2] = [254, 127];

/// A picture to be cut out.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the JSON, which is read leniently")]
struct RunModel {
    /// A data URI, or the URL of a picture.
    image: String,
}

/// Make all but the objects in a picture half transparent
///
/// Answers a data URI with a PNG as large as the picture, whose alpha is 254 on objects and 127 elsewhere.
#[utoipa::path(
    post,
    path = "/api/run_model",
    tag = "segmenter-web",
    request_body = RunModel,
    responses(
        (status = 200, description = "`data:image/png;base64,...`", body = String, content_type = "text/html"),
        (status = 400, description = "Not JSON, or no picture in it", body = String, content_type = "text/html"),
        (status = 413, description = "The picture is over a limit", body = String, content_type = "text/html"),
        (status = 500, description = "The picture cannot be read or fetched", body = String, content_type = "text/html"),
        (status = 501, description = "There is no model yet", body = String, content_type = "text/html"),
        (
            status = "default",
            description = "`Serving error`, with the status that a prediction would have",
            body = String,
            content_type = "text/html",
        ),
    )
)]
async fn run_model(
    State(app): State<App>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Html<String>, Refusal> {
    let (ticket, source) = read(&app, arrival?, request).await?;
    let query = app.query(&Wish {
        model: Some(of_pixels(&app).entry.name.to_owned()),
        masks: true,
        ..Wish::default()
    })?;
    let answer = app.predict(&ticket, source, query, Handling::KEPT).await?;
    let limits = app.limits().picture;
    let (uri, _) = app
        .encode(&ticket, answer, move |answer| {
            let png = encode::cutout(answer, ALPHA, limits)?;
            Ok(format!(
                "data:image/png;base64,{}",
                BASE64_STANDARD.encode(png)
            ))
        })
        .await?;
    Ok(Html(uri))
}

async fn read(app: &App, arrival: Arrival, request: Request) -> Result<(Ticket, Source), Refusal> {
    let is_json = is_json(request.headers());
    let (ticket, _, body) = picture::read_body(app, arrival, request).await?;
    if !is_json {
        let expected = "the content type is not application/json".to_owned();
        return Err(Refusal::NotJson(Error::BadInput(expected)));
    }
    let source = app.cpu(move || match serde_json::from_slice(&body) {
        Ok(Shallow(Value::Object(json))) => match json.get("image") {
            Some(Value::String(image)) => match image.split_once("base64,") {
                Some((_, encoded)) => Ok(Source::Bytes(picture::from_base64(encoded)?)),
                None => Ok(Source::Url(image.clone())),
            },
            _ => Err(Refusal::NoPicture),
        },
        Ok(_) => Err(Error::BadInput("the JSON is not an object".to_owned()).into()),
        Err(error) => Err(Refusal::NotJson(Error::BadInput(format!(
            "the JSON cannot be read: {error}"
        )))),
    });
    Ok((ticket, picture::within_limit(app, source.await??)?))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.strip_prefix("application/")
        .is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// A picture to try it with, another each time
///
/// One of `--sample-dir`, or one of a few that come with the server.
#[utoipa::path(get, path = "/api/random_image", tag = "segmenter-web", responses(
    (
        status = 200,
        description = "The picture; Content-Disposition has its name",
        body = String,
        content_type = "image/jpeg",
    ),
    (status = 501, description = "There is none", body = String, content_type = "text/html"),
))]
async fn random_image(State(app): State<App>, Extension(samples): Extension<Samples>) -> Response {
    let sample = app.cpu(move || samples.any()).await;
    let sample = sample.and_then(|sample| {
        sample.map_err(|error| {
            tracing::error!(%error, "cannot read a picture of --sample-dir");
            Error::internal()
        })
    });
    match sample {
        Ok(Some(sample)) => {
            let name = format!("inline; filename{}", parameter(&sample.name));
            let name = HeaderValue::from_str(&name);
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
                (
                    header::CONTENT_DISPOSITION,
                    name.unwrap_or_else(|_| HeaderValue::from_static("inline")),
                ),
            ];
            (headers, sample.bytes).into_response()
        }
        Ok(None) => {
            let error = Error::NotFound("there are no pictures in --sample-dir".to_owned());
            in_other_words(error, (StatusCode::NOT_IMPLEMENTED, Html("No images")))
        }
        Err(error) => flask::page(error.status(), error),
    }
}

/// A value after its name, as it is where that can be and percent-encoded where not
/// (<https://www.rfc-editor.org/rfc/rfc8187>).
fn parameter(value: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(byte);
    if value.bytes().all(|byte| plain(&byte)) {
        return format!("={value}");
    }
    let mut encoded = "*=UTF-8''".to_owned();
    for byte in value.bytes() {
        if plain(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Every reply, be it an error, says that it is not worth keeping.
async fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "public, max-age=0"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "0"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why there is no picture in the reply.
enum Refusal {
    NotJson(Error),
    NoPicture,
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = match self {
            Self::NotJson(error) => return flask::page(StatusCode::BAD_REQUEST, error),
            Self::NoPicture => {
                let error = Error::BadInput("the JSON has no text in image".to_owned());
                return in_other_words(error, (StatusCode::BAD_REQUEST, Html("bad request")));
            }
            Self::Other(error) => error,
        };
        let status = error.status();
        match error {
            // There the network ran in a server of its own, which was not there yet or did not answer well.
            Error::NotReady(_) => {
                in_other_words(error, (StatusCode::NOT_IMPLEMENTED, Html("Serving error")))
            }
            Error::Overloaded { .. } | Error::Deadline(_) | Error::Internal(_) => {
                in_other_words(error, (status, Html("Serving error")))
            }
            // There nobody looked at the picture before the network did.
            Error::BadInput(_)
            | Error::UnsupportedMedia(_)
            | Error::FetchRefused(_)
            | Error::FetchFailed(_) => flask::page(StatusCode::INTERNAL_SERVER_ERROR, error),
            Error::NotFound(_)
            | Error::MethodNotAllowed(_)
            | Error::RequestTimeout(_)
            | Error::TooLarge(_) => flask::page(status, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_written_so_that_headers_can_hold_it() {
        assert_eq!(parameter("people3.jpg"), "=people3.jpg");
        assert_eq!(
            parameter("zwei Äpfel.jpg"),
            "*=UTF-8''zwei%20%C3%84pfel.jpg"
        );
        assert_eq!(parameter("a\"\r\n.jpg"), "*=UTF-8''a%22%0D%0A.jpg");
    }
}
