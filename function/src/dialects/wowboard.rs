//! The API of "wowboard-detector": the boxes of what is certain, and, where there is an object store, the picture and
//! its objects as objects there.
//!
//! The model that is built in finds what theirs did, and answers whichever others there are.
//!
//! Objects are cut out of the picture as it is, where the original cut them out of one that it had squeezed into a
//! square. A reply says that something was stored only where all of it was.

use std::{path::Path, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use segmenter_imaging::decode::Format;
use segmenter_models::Detection;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};
use uuid::Uuid;

use super::{flask, of_boards};
use crate::{
    bucket::{Bucket, BucketError, Content, Task},
    encode::{self, Drawing},
    error::Error,
    http::{App, picture},
    observe::in_other_words,
    service::{Answer, Arrival, Handling, Ticket, Wish},
};

/// Its routes. What is uploaded is stored in the bucket, where there is one.
pub fn router(bucket: Option<Bucket>) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload).map(|routes| flask::only("POST, OPTIONS", flask::page, routes)))
        .layer(Extension(bucket))
}

/// What is certain has a higher score.
const CERTAIN: f64 = 0.65;

/// A picture as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read field by field")]
struct UploadForm {
    /// The encoded picture.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What became of an upload.
#[derive(Serialize, ToSchema)]
struct Uploaded {
    /// `success`.
    status: &'static str,
    /// A UUID, of which the names of all that is stored of the picture are made.
    task_id: String,
    #[serde(flatten)]
    #[schema(value_type = CertainObjects)]
    objects: Option<CertainObjects>,
}

/// Objects, the most certain first. Where nothing is certain, all of this is missing.
#[derive(Serialize, ToSchema)]
struct CertainObjects {
    /// How many there are.
    #[schema(required = false)]
    num_detections: usize,
    /// The confidence in each, 0.65 to 1.
    #[schema(required = false)]
    score: Vec<f64>,
    /// The box of each, `[ymin, xmin, ymax, xmax]` in parts of the picture's height and width, from its top left.
    #[schema(required = false)]
    boxes: Vec<[f64; 4]>,
    /// The address of the stored picture of each, where there is an object store.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<Vec<String>>,
}

/// The boxes of sticky notes and boards in a picture
///
/// Answers those with a score of more than 0.65. With --object-store, the picture is stored as
/// `TASK_ID/TASK_ID.EXTENSION`, and each object, cut out of it, as `TASK_ID/obj_0.png` and so on.
#[utoipa::path(
    post,
    path = "/upload",
    tag = "wowboard",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = Uploaded),
        (status = 400, description = "There is no picture in the form", body = String, content_type = "text/html"),
        (status = 408, description = "The picture came too slowly", body = String, content_type = "text/html"),
        (status = 413, description = "The picture is over a limit", body = String, content_type = "text/html"),
        (
            status = 500,
            description = "The model gave no answer, or it was not stored; a page where the picture cannot be read",
            body = UploadFailure,
        ),
    )
)]
async fn upload(
    State(app): State<App>,
    Extension(bucket): Extension<Option<Bucket>>,
    arrival: Result<Arrival, Error>,
    request: Request,
) -> Result<Json<Uploaded>, Refusal> {
    let arrival = arrival.map_err(Refusal::Request)?;
    let sent = picture::read(&app, arrival, request, &["file"]).await;
    let (ticket, sent) = sent.map_err(Refusal::Request)?;
    let wish = Wish {
        model: Some(of_boards(&app).entry.name.to_owned()),
        threshold: Some(CERTAIN as f32),
        ..Wish::default()
    };
    let query = app.query(&wish).map_err(Refusal::Request)?;
    let handling = Handling {
        keep: bucket.is_some(),
        ..Handling::default()
    };
    let answer = app.predict(&ticket, sent.source, query, handling);
    let answer = answer.await.map_err(|error| match error {
        // The original knew nothing but forms: without one, the field is missing.
        Error::BadInput(_) | Error::UnsupportedMedia(_) if !sent.in_form => Refusal::Request(error),
        error => Refusal::Picture(error),
    })?;
    let task_id = Uuid::new_v4().to_string();
    let objects = match bucket {
        Some(bucket) => store(&app, &ticket, &bucket, &task_id, sent.file_name, answer).await?,
        None => {
            let encoded = app.encode(&ticket, answer, |answer| {
                Ok(CertainObjects::of(answer, &certain(answer)))
            });
            encoded.await.map_err(Refusal::Picture)?.0
        }
    };
    Ok(Json(Uploaded {
        status: "success",
        task_id,
        objects: (objects.num_detections > 0).then_some(objects),
    }))
}

/// Stores the picture and what is certain on it.
async fn store(
    app: &App,
    ticket: &Ticket,
    bucket: &Bucket,
    task_id: &str,
    file_name: Option<String>,
    answer: Answer,
) -> Result<CertainObjects, Refusal> {
    let place = bucket
        .place(ticket.deadline)
        .await
        .map_err(Refusal::storage)?;
    let limits = app.limits().picture;
    let encoded = app.encode(ticket, answer, move |answer| {
        let found = certain(answer);
        let objects = CertainObjects::of(answer, &found);
        Ok((objects, found, answer.image(limits)?, answer.encoded()?))
    });
    let ((mut objects, found, image, picture), _) = encoded.await.map_err(Refusal::Picture)?;

    let image = Arc::new(image);
    let parts = found.into_iter().enumerate().map(|(index, detection)| {
        let (app, image) = (Arc::clone(app), Arc::clone(&image));
        let part = async move {
            let png = app.cpu(move || encode::crop(&image, detection.bbox, Drawing::Png));
            Ok(Content {
                bytes: png.await??.into(),
                media_type: Drawing::Png.media_type(),
            })
        };
        (format!("obj_{index}.png"), part)
    });
    let format = Format::of(&picture);
    let format = format.ok_or_else(|| Refusal::Picture(Error::internal()))?;
    let original = Content {
        bytes: picture,
        media_type: format.media_type(),
    };
    let task = Task {
        name: task_id.to_owned(),
        parts: parts.collect(),
        original: (
            original_name(task_id, file_name.as_deref(), format),
            original,
        ),
    };
    let stored = bucket.store(task, place, ticket.deadline).await;
    objects.object_id = Some(stored.map_err(Refusal::storage)?);
    Ok(objects)
}

/// Ends as the file of the picture does, or as files of its format do.
fn original_name(task_id: &str, file_name: Option<&str>, format: Format) -> String {
    const LONGEST: usize = 16;
    let extension = file_name.and_then(|name| Path::new(name).extension()?.to_str());
    let extension = extension
        .filter(|text| {
            text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        .unwrap_or(format.extension());
    format!("{task_id}.{extension}")
}

fn certain(answer: &Answer) -> Vec<Detection> {
    let detections = encode::detections(answer);
    let certain = detections
        .iter()
        .filter(|detection| f64::from(detection.score) > CERTAIN);
    certain.cloned().collect()
}

impl CertainObjects {
    fn of(answer: &Answer, found: &[Detection]) -> Self {
        let boxes = found
            .iter()
            .map(|object| encode::normalised(answer, object.bbox).map(f64::from));
        Self {
            num_detections: found.len(),
            score: found.iter().map(|object| object.score.into()).collect(),
            boxes: boxes.collect(),
            object_id: None,
        }
    }
}

/// Why nothing came of an upload.
enum Refusal {
    /// The request itself.
    Request(Error),
    /// What was done with its picture.
    Picture(Error),
    /// The store.
    Storage(Error),
}

impl Refusal {
    fn storage(error: BucketError) -> Self {
        Self::Storage(error.into())
    }
}

/// The body of an error.
#[derive(Serialize, ToSchema)]
struct UploadFailure {
    /// `detection failed` or `storage failed`.
    #[serde(rename = "Error")]
    error: &'static str,
    /// The first 50 characters of what was wrong.
    traceback: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (of_bad_input, error) = match self {
            Self::Request(error) => (StatusCode::BAD_REQUEST, error),
            Self::Picture(error) => (StatusCode::INTERNAL_SERVER_ERROR, error),
            Self::Storage(error) => return failed("storage failed", error),
        };
        let status = error.status();
        match error {
            // There the network ran in a server of its own, which was not there yet or did not answer well.
            Error::Overloaded { .. }
            | Error::Deadline(_)
            | Error::NotReady(_)
            | Error::Internal(_) => failed("detection failed", error),
            Error::BadInput(_)
            | Error::UnsupportedMedia(_)
            | Error::FetchRefused(_)
            | Error::FetchFailed(_) => flask::page(of_bad_input, error),
            Error::NotFound(_)
            | Error::MethodNotAllowed(_)
            | Error::RequestTimeout(_)
            | Error::TooLarge(_) => flask::page(status, error),
        }
    }
}

fn failed(what: &'static str, error: Error) -> Response {
    const LONGEST: usize = 50;
    let reply = UploadFailure {
        error: what,
        traceback: error.to_string().chars().take(LONGEST).collect(),
    };
    in_other_words(error, (StatusCode::INTERNAL_SERVER_ERROR, Json(reply)))
}

#[cfg(test)]
mod tests {
    use segmenter_models::Outcome;

    use super::*;
    use crate::testing::{answer, detection, entry};

    #[test]
    fn only_what_is_certain_is_told_with_all_digits_of_its_floats() {
        let detections = vec![
            detection(0, 0.97, [2.0, 2.0, 6.0, 10.0], None),
            detection(0, 0.66, [0.0, 0.0, 10.0, 20.0], None),
            detection(0, 0.65, [0.0, 0.0, 1.0, 1.0], None),
        ];
        let answer = answer(entry(), [10, 20], Outcome::Detections(detections));
        let told = CertainObjects::of(&answer, &certain(&answer));
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            r#"{"num_detections":2,"score":[0.9700000286102295,0.6600000262260437],"#.to_owned()
                + r#""boxes":[[0.10000000149011612,0.20000000298023224,0.5,0.6000000238418579],"#
                + "[0.0,0.0,1.0,1.0]]}"
        );
    }

    #[test]
    fn the_original_keeps_what_its_name_ended_in() {
        let name = |file_name| original_name("id", file_name, Format::Jpeg);
        assert_eq!(name(Some("photo.of.me.JPEG")), "id.JPEG");
        assert_eq!(name(Some(r"C:\pictures\a.png")), "id.png");
        for none in [
            None,
            Some(""),
            Some("photo"),
            Some(".jpeg"),
            Some("a.b/../../c"),
        ] {
            assert_eq!(name(none), "id.jpg", "{none:?}");
        }
        assert_eq!(name(Some("a.j pg")), "id.jpg");
        assert_eq!(name(Some("a.zwölf")), "id.jpg");
    }
}
