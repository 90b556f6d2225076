//! MAX Image Segmenter, IBM's: the class of every pixel of a picture that was made small.
//!
//! Its network knows Pascal VOC's classes, which are all that is told here: other classes of the server's own model are
//! background. A picture that is cut short is refused, where the original failed, and others are read by their URL, too.

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use segmenter_models::{classes::VOC, semantic::InputRule};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::{flask, of_pixels};
use crate::{
    encode,
    error::Error,
    http::{App, picture},
    observe::in_other_words,
    service::{Arrival, Handling, Wish},
};

/// Its routes. The longer side of its class maps is `image_size` pixels.
pub fn router(image_size: u32) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(predict).map(|routes| flask::only("POST, OPTIONS", message, routes)))
        .routes(routes!(metadata).map(|routes| flask::only("GET, HEAD, OPTIONS", message, routes)))
        .routes(routes!(labels).map(|routes| flask::only("GET, HEAD, OPTIONS", message, routes)))
        .route("/swagger.json", get(swagger))
        .layer(Extension(ImageSize(image_size)))
}

#[derive(Clone, Copy)]
struct ImageSize(u32);

/// What is seen where.
#[derive(Serialize, ToSchema)]
struct Segmented {
    /// `ok`.
    status: &'static str,
    /// Of the class map, `[width, height]`: that of the picture, made as small as IMAGE_SIZE says.
    image_size: [u32; 2],
    /// Rows of class ids, the first on top; /model/labels names them.
    seg_map: Vec<Vec<u8>>,
}

/// A picture as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read field by field")]
struct Form {
    /// The encoded picture.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
}

/// The class of every pixel of a picture
///
/// The picture is made small before, its longer side --image-size pixels; what its EXIF data says is not looked at.
#[utoipa::path(
    post,
    path = "/model/predict",
    tag = "max",
    request_body(content = Form, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = Segmented),
        (status = 400, description = "There is no picture in the form, or what is there is none", body = Failure),
        (status = "default", description = "Why there is no class map", body = Failure),
    )
)]
async fn predict(
    State(app): State<App>,
    Extension(ImageSize(longer_side)): Extension<ImageSize>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Segmented>, Refusal> {
    let arrival = arrival.map_err(Refusal::Other)?;
    let sent = picture::read(&app, arrival, request, &["image"]);
    let (ticket, sent) = sent.await.map_err(Refusal::of_the_form)?;
    let wish = Wish {
        model: Some(of_pixels(&app).entry.name.to_owned()),
        masks: true,
        ..Wish::default()
    };
    let query = app.query(&wish).map_err(Refusal::Other)?;
    let answer = app.predict(&ticket, sent.source, query, Handling::UNTURNED);
    let answer = answer.await.map_err(|error| match error {
        // The original knew nothing but forms: without one, the field is missing.
        error if !sent.in_form => Refusal::of_the_form(error),
        error => Refusal::of_the_picture(error),
    })?;
    let encoded = app.encode(&ticket, answer, move |answer| {
        let rule = InputRule::Stretched { longer_side };
        let size = rule.map_size([answer.prediction.width, answer.prediction.height]);
        let map = encode::voc_raster(answer, size);
        Ok(Segmented {
            status: "ok",
            image_size: size,
            seg_map: map.chunks(size[0] as usize).map(<[_]>::to_vec).collect(),
        })
    });
    let (segmented, _) = encoded.await.map_err(Refusal::Other)?;
    Ok(Json(segmented))
}

/// What the original says of its network.
#[derive(Serialize, ToSchema)]
struct Metadata {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    license: &'static str,
}

/// What clients expect to be told of the model
///
/// GET /v1/models tells which one answers.
#[utoipa::path(get, path = "/model/metadata", tag = "max", responses((status = 200, body = Metadata)))]
async fn metadata() -> Json<Metadata> {
    Json(Metadata {
        id: "deeplab-tf",
        name: "deeplab TensorFlow Model",
        description: "deeplab TensorFlow model trained on VOCO 2012",
        license: "Apache v2",
    })
}

/// A class.
#[derive(Serialize, ToSchema)]
struct Label {
    /// As in class maps.
    id: usize,
    name: &'static str,
}

/// The classes, by the ids in class maps
#[utoipa::path(get, path = "/model/labels", tag = "max", responses((status = 200, body = Vec<Label>)))]
async fn labels() -> Json<Vec<Label>> {
    let labels = VOC.into_iter().enumerate();
    Json(labels.map(|(id, name)| Label { id, name }).collect())
}

/// The description of these routes that its clients are generated from, in the version of that time.
async fn swagger() -> Json<Value> {
    let answers = |model: &str| {
        json!({"200": {
            "description": "Success",
            "schema": {"$ref": format!("#/definitions/{model}")}
        }})
    };
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    Json(json!({
        "swagger": "2.0",
        "basePath": "/",
        "info": {
            "title": "MAX Image Segmenter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The class of every pixel of a picture"
        },
        "produces": ["application/json"],
        "consumes": ["application/json"],
        "paths": {
            "/model/labels": {"get": {"operationId": "get_labels", "tags": ["model"], "responses": {"200": {
                "description": "Success",
                "schema": {"type": "array", "items": {"$ref": "#/definitions/Label"}}
            }}}},
            "/model/metadata": {"get": {
                "operationId": "get_metadata",
                "tags": ["model"],
                "responses": answers("Metadata")
            }},
            "/model/predict": {"post": {
                "operationId": "predict",
                "tags": ["model"],
                "consumes": ["multipart/form-data"],
                "parameters": [{
                    "name": "image",
                    "in": "formData",
                    "type": "file",
                    "required": true,
                    "description": "An image file"
                }],
                "responses": answers("Segmented")
            }}
        },
        "definitions": {
            "Label": {"type": "object", "properties": {"id": number, "name": text}},
            "Metadata": {
                "type": "object",
                "required": ["id", "name", "description", "license"],
                "properties": {"id": text, "name": text, "description": text, "license": text}
            },
            "Segmented": {
                "type": "object",
                "required": ["status", "image_size", "seg_map"],
                "properties": {
                    "status": text,
                    "image_size": {"type": "array", "items": number},
                    "seg_map": {"type": "array", "items": {"type": "array", "items": number}}
                }
            }
        }
    }))
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct Failure {
    /// What was wrong, for people.
    message: String,
}

/// An error as it is told here.
fn message(status: StatusCode, error: Error) -> Response {
    let message = match &error {
        Error::MethodNotAllowed(_) => "The method is not allowed for the requested URL.".to_owned(),
        error => error.to_string(),
    };
    in_other_words(error, (status, Json(Failure { message })))
}

/// Why there is no class map.
enum Refusal {
    NoPicture(Error),
    NotAPicture(Error),
    Other(Error),
}

impl Refusal {
    fn of_the_form(error: Error) -> Self {
        match error {
            Error::BadInput(_) | Error::UnsupportedMedia(_) => Self::NoPicture(error),
            error => Self::Other(error),
        }
    }

    fn of_the_picture(error: Error) -> Self {
        match error {
            Error::BadInput(_) | Error::UnsupportedMedia(_) => Self::NotAPicture(error),
            error => Self::Other(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::NoPicture(error) => {
                let body = json!({
                    "errors": {"image": "Missing required parameter in an uploaded file"},
                    "message": "Input payload validation failed"
                });
                in_other_words(error, (BAD, Json(body)))
            }
            Self::NotAPicture(error) => {
                let body = json!({"message": "The provided input is not a valid image."});
                in_other_words(error, (BAD, Json(body)))
            }
            Self::Other(error) => message(error.status(), error),
        }
    }
}
