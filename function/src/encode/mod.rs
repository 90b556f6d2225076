//! From findings to replies: names, JSON, drawn and cut out pictures, classes of points.

mod crops;
mod drawing;
mod json;
mod raster;

use std::{borrow::Cow, time::Instant};

use segmenter_imaging::{encode, rle::Rle};
use segmenter_models::{
    Detection, Outcome,
    catalogue::{Entry, Task},
    semantic::regions,
};

pub use self::{
    crops::{covered, crop},
    drawing::{Drawing, draw, draw_on},
    json::{MaskFormat, PngBudget, Reply, json, json_within},
    raster::{cutout, raster, voc_raster},
};
use crate::{error::Error, service::Answer};

/// One class name for each object, the most certain first.
pub fn names(answer: &Answer) -> Vec<&'static str> {
    detections(answer)
        .iter()
        .map(|detection| label(answer.entry, detection.class))
        .collect()
}

/// Objects with their boxes and outlines; of a semantic segmenter the connected [`regions`] of each class.
pub fn detections(answer: &Answer) -> Cow<'_, [Detection]> {
    let prediction = &answer.prediction;
    match &prediction.outcome {
        Outcome::Detections(detections) => Cow::Borrowed(detections),
        Outcome::ClassMap(map) => {
            let picture_size = [prediction.width, prediction.height];
            Cow::Owned(regions(map, picture_size, &answer.selection))
        }
    }
}

/// A box as `[ymin, xmin, ymax, xmax]` in parts of the picture's sides.
pub fn normalised(answer: &Answer, [x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
    let [width, height] =
        [answer.prediction.width, answer.prediction.height].map(|side| side as f32);
    [y0 / height, x0 / width, y1 / height, x1 / width]
}

/// The name of a class.
pub fn label(entry: &'static Entry, class: u32) -> &'static str {
    entry.classes.get(class as usize).copied().unwrap_or("")
}

/// The classes that a model can answer with.
pub fn class_names(entry: &'static Entry) -> impl Iterator<Item = &'static str> {
    let names = entry.classes.iter().copied();
    names.filter(|name| !name.is_empty())
}

/// The name of a task in replies.
pub fn task_name(task: Task) -> &'static str {
    match task {
        Task::Detection => "detection",
        Task::InstanceSegmentation => "instance-segmentation",
        Task::SemanticSegmentation => "semantic-segmentation",
    }
}

/// Ends what goes on for long though its caller has left.
pub fn in_time(deadline: Instant) -> Result<(), Error> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(Error::Deadline(
        "no reply could be made within the deadline".to_owned(),
    ))
}

/// Writing what was computed does not fail but for reasons that no caller can do anything about.
fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error, "cannot write the reply");
    Error::internal()
}

/// The mask as a grey PNG, 255 inside.
pub fn mask_png(mask: &Rle) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode::mask_png(mask, &mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}
