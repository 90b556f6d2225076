//! What a caller asks of a model, and what it answers.

use std::sync::Arc;

use segmenter_imaging::rle::Rle;

use crate::semantic::Scores;

/// Which findings a caller wants. Only what is asked for is computed: without `masks` no mask head
/// runs, and masks are made only for the detections that are returned. What does not go with a model's task is not
/// looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Detections with a lower score are left out; 0..=1.
    pub threshold: f32,
    /// At most this many detections, the best first.
    pub max_detections: usize,
    /// Only these class ids; `None` for all.
    pub classes: Option<Vec<u32>>,
    /// Whether detections carry their masks.
    pub masks: bool,
    /// `[width, height]` of class maps, and of the picture as networks see it that take any size; `None` for what the
    /// model was trained with. Both at least 1.
    pub map_size: Option<[u32; 2]>,
    /// Whether class maps carry the [`Scores`] of all classes.
    pub scores: bool,
}

impl Selection {
    /// Whether detections of this class are wanted.
    pub fn wants(&self, class: u32) -> bool {
        self.classes
            .as_ref()
            .is_none_or(|classes| classes.contains(&class))
    }
}

/// The one result type: every reply of every interface is an encoding of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Width in pixels of the picture as it was decoded (orientation applied).
    pub width: u32,
    /// Height in pixels of the picture as it was decoded (orientation applied).
    pub height: u32,
    /// What was found.
    pub outcome: Outcome,
}

/// What a model finds, by its task.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of an instance detector: one entry per object, best score first.
    Detections(Vec<Detection>),
    /// Of a semantic segmenter: the class of every pixel.
    ClassMap(ClassMap),
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Index into the model's [`classes`](crate::catalogue::Entry::classes).
    pub class: u32,
    /// Confidence, 0..=1.
    pub score: f32,
    /// `[x0, y0, x1, y1]` in pixels of the picture, clipped to it.
    pub bbox: [f32; 4],
    /// The object's outline on the whole picture, where asked for and the model has masks.
    pub mask: Option<Rle>,
}

/// The most probable class of every pixel, at the resolution the network saw or that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMap {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Class ids, `[height, width]`, rows from the top. 0 is background.
    pub classes: Vec<u8>,
    /// The softmax probability of that class, `[height, width]`, 0..=1.
    pub confidence: Vec<f32>,
    /// Those of all classes, where asked for.
    pub scores: Option<Arc<Scores>>,
}
