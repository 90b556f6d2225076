//! `GET /v1/models`.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::encode::{class_names, task_name};

/// The models that this server answers with; the first where none is asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Models {
    models: Vec<ModelInfo>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelInfo {
    name: &'static str,
    /// `detection`, `instance-segmentation` or `semantic-segmentation`.
    task: &'static str,
    /// What it is for, in one line.
    summary: &'static str,
    /// The class names that it answers with.
    classes: Vec<&'static str>,
    /// Detections with a lower score are left out unless a request says otherwise.
    threshold: f32,
    /// SPDX identifier of the weights' licence.
    licence: &'static str,
    /// Whether it is loaded. One that is not yet is loaded for the first request that is for it, which waits for that.
    loaded: bool,
    /// What it runs on, `cpu` or `gpu`; null until it is loaded.
    device: Option<String>,
    /// What it calculates with there: `f32`, `f16` or `int8`; null until it is loaded.
    precision: Option<String>,
}

/// Lists the models that this server answers with.
#[utoipa::path(get, path = "/v1/models", tag = "predictions", responses((status = 200, body = Models)))]
pub(super) async fn list(State(app): State<App>) -> Json<Models> {
    let models = app.models().iter().map(|model| {
        let entry = model.entry;
        ModelInfo {
            name: entry.name,
            task: task_name(entry.task),
            summary: entry.summary,
            classes: class_names(entry).collect(),
            threshold: model.threshold,
            licence: entry.licence,
            loaded: model.is_loaded(),
            device: model.device().map(|device| device.to_string()),
            precision: model.precision().map(|precision| precision.to_string()),
        }
    });
    Json(Models {
        models: models.collect(),
    })
}
