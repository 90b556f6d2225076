//! What can be asked of a model, and the tensors that an answer is made into.

use std::cell::LazyCell;

use bytesize::ByteSize;
use segmenter_imaging::rle::Rle;
use segmenter_models::{ClassMap, Outcome, catalogue::Task};

use super::tensor::{Datatype, Elements};
use crate::{
    encode::{self, label},
    error::Error,
    service::Answer,
};

/// A tensor that a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// `[detections, 4]`: `x0, y0, x1, y1` in pixels of the picture.
    Boxes,
    /// `[detections]`, 0 to 1, the highest first.
    Scores,
    /// `[detections]`.
    ClassIds,
    /// `[detections]`, the names of the classes.
    Labels,
    /// `[2]`: height and width of the picture in pixels.
    PictureSize,
    /// `[detections]`, COCO's compressed run lengths.
    Masks,
    /// `[detections, height, width]`, 1 inside.
    MaskPixels,
    /// `[rows, columns]`: the class of every pixel that the network saw.
    ClassMap,
    /// `[rows, columns]`: how certain that is, 0 to 1.
    Confidence,
}

/// An output with what was found.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) output: Output,
    pub(super) shape: Vec<usize>,
    pub(super) elements: Elements,
}

/// More pixels of masks than this are not answered.
const MOST_MASK_PIXELS: u64 = 64 << 20;

impl Output {
    /// Those of a model for this task.
    pub(super) fn all(task: Task) -> &'static [Self] {
        use Output::{
            Boxes, ClassIds, ClassMap, Confidence, Labels, MaskPixels, Masks, PictureSize, Scores,
        };
        match task {
            Task::Detection => &[Boxes, Scores, ClassIds, Labels, PictureSize],
            Task::InstanceSegmentation => &[
                Boxes,
                Scores,
                ClassIds,
                Labels,
                PictureSize,
                Masks,
                MaskPixels,
            ],
            Task::SemanticSegmentation => &[
                Boxes,
                Scores,
                ClassIds,
                Labels,
                PictureSize,
                Masks,
                MaskPixels,
                ClassMap,
                Confidence,
            ],
        }
    }

    /// Those that a request names; all where it names none, but for the one that is large and that
    /// [`Masks`](Self::Masks) say as well.
    ///
    /// # Errors
    /// Where there is none of a name, or it is there twice.
    pub(super) fn named<'a>(
        task: Task,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, Error> {
        let all = Self::all(task);
        let mut outputs = Vec::new();
        for name in names {
            let Some(output) = all.iter().find(|output| output.name() == name) else {
                let names: Vec<_> = all.iter().map(|output| output.name()).collect();
                return Err(Error::BadInput(format!(
                    "there is no output {name:?}, expected some of {}",
                    names.join(", ")
                )));
            };
            if outputs.contains(output) {
                return Err(Error::BadInput(format!(
                    "the output {name} is asked for twice"
                )));
            }
            outputs.push(*output);
        }
        if outputs.is_empty() {
            outputs.extend(all.iter().filter(|output| **output != Self::MaskPixels));
        }
        Ok(outputs)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Boxes => "boxes",
            Self::Scores => "scores",
            Self::ClassIds => "class_ids",
            Self::Labels => "labels",
            Self::PictureSize => "picture_size",
            Self::Masks => "masks",
            Self::MaskPixels => "mask_pixels",
            Self::ClassMap => "class_map",
            Self::Confidence => "confidence",
        }
    }

    pub(super) fn datatype(self) -> Datatype {
        match self {
            Self::Boxes | Self::Scores | Self::Confidence => Datatype::Fp32,
            Self::ClassIds | Self::PictureSize => Datatype::Int32,
            Self::Labels | Self::Masks => Datatype::Bytes,
            Self::MaskPixels | Self::ClassMap => Datatype::Uint8,
        }
    }

    /// Its sides, -1 where they differ from picture to picture.
    pub(super) fn shape(self) -> &'static [i64] {
        match self {
            Self::Boxes => &[-1, 4],
            Self::Scores | Self::ClassIds | Self::Labels | Self::Masks => &[-1],
            Self::PictureSize => &[2],
            Self::MaskPixels => &[-1, -1, -1],
            Self::ClassMap | Self::Confidence => &[-1, -1],
        }
    }

    /// Whether it is made of masks.
    pub(super) fn is_of_masks(self) -> bool {
        matches!(self, Self::Masks | Self::MaskPixels)
    }
}

/// What was found, as these outputs, in this order.
pub(super) fn tensors(answer: &Answer, outputs: &[Output]) -> Result<Vec<Tensor>, Error> {
    let prediction = &answer.prediction;
    // Those of a class map take a while to find, and may not be asked for.
    let found = LazyCell::new(|| encode::detections(answer));
    let tensor = |&output: &Output| {
        let (shape, elements) = match output {
            Output::Boxes => {
                let boxes = found.iter().flat_map(|detection| detection.bbox);
                (vec![found.len(), 4], Elements::Fp32(boxes.collect()))
            }
            Output::Scores => {
                let scores = found.iter().map(|detection| detection.score);
                (vec![found.len()], Elements::Fp32(scores.collect()))
            }
            Output::ClassIds => {
                let classes = found.iter().map(|detection| detection.class as i32);
                (vec![found.len()], Elements::Int32(classes.collect()))
            }
            Output::Labels => {
                let labels = found.iter().map(|detection| detection.class);
                let labels = labels.map(|class| label(answer.entry, class).to_owned());
                (vec![found.len()], Elements::Bytes(labels.collect()))
            }
            Output::PictureSize => {
                let size = [prediction.height, prediction.width];
                (
                    vec![2],
                    Elements::Int32(size.map(|side| side as i32).to_vec()),
                )
            }
            Output::Masks => {
                let masks = found.iter().map(|detection| detection.mask.as_ref());
                let masks = masks.map(|mask| mask.map(Rle::to_coco_string).unwrap_or_default());
                (vec![found.len()], Elements::Bytes(masks.collect()))
            }
            Output::MaskPixels => {
                let masks = found.iter().map(|detection| detection.mask.as_ref());
                let size = [prediction.height, prediction.width];
                let pixels = mask_pixels(masks, size)?;
                let [height, width] = size.map(|side| side as usize);
                (vec![found.len(), height, width], Elements::Uint8(pixels))
            }
            Output::ClassMap => {
                let map = class_map(answer)?;
                (sides(map), Elements::Uint8(map.classes.clone()))
            }
            Output::Confidence => {
                let map = class_map(answer)?;
                (sides(map), Elements::Fp32(map.confidence.clone()))
            }
        };
        Ok(Tensor {
            output,
            shape,
            elements,
        })
    };
    outputs.iter().map(tensor).collect()
}

/// The masks on a picture of `[height, width]`, one after the other, each row by row.
fn mask_pixels<'a>(
    masks: impl ExactSizeIterator<Item = Option<&'a Rle>>,
    [height, width]: [u32; 2],
) -> Result<Vec<u8>, Error> {
    let of_one = u64::from(height) * u64::from(width);
    let of_all = of_one.saturating_mul(masks.len() as u64);
    if of_all > MOST_MASK_PIXELS {
        let [found, most] =
            [of_all, MOST_MASK_PIXELS].map(|bytes| ByteSize::b(bytes).display().iec());
        return Err(Error::TooLarge(format!(
            "mask_pixels of {} objects on {width} x {height} pixels take {found}, more than {most}: ask for masks, \
             which are run lengths, or for fewer max_detections",
            masks.len()
        )));
    }
    let mut pixels = Vec::with_capacity(of_all as usize);
    for (mask, behind) in masks.zip(1..) {
        pixels.extend(mask.into_iter().flat_map(Rle::to_bitmap).map(u8::from));
        // A detection without a mask has none of the pixels.
        pixels.resize(of_one as usize * behind, 0);
    }
    Ok(pixels)
}

fn class_map(answer: &Answer) -> Result<&ClassMap, Error> {
    match &answer.prediction.outcome {
        Outcome::ClassMap(map) => Ok(map),
        Outcome::Detections(_) => {
            tracing::error!("a semantic segmenter answered without a class map");
            Err(Error::internal())
        }
    }
}

fn sides(map: &ClassMap) -> Vec<usize> {
    vec![map.height as usize, map.width as usize]
}

#[cfg(test)]
mod tests {
    use segmenter_models::catalogue::{CATALOGUE, Entry};

    use super::*;
    use crate::testing::{self, two_objects};

    fn entry(task: Task) -> &'static Entry {
        CATALOGUE.iter().find(|entry| entry.task == task).unwrap()
    }

    /// On a picture of 4 x 2 pixels.
    fn answer(task: Task, outcome: Outcome) -> Answer {
        testing::answer(entry(task), [4, 2], outcome)
    }

    #[test]
    fn tensors_have_what_was_found_in_the_order_that_was_asked_for() {
        let names = [
            "mask_pixels",
            "boxes",
            "labels",
            "class_ids",
            "scores",
            "picture_size",
            "masks",
        ];
        let outputs = Output::named(Task::InstanceSegmentation, names).unwrap();
        let tensors = tensors(&two_objects(), &outputs).unwrap();
        let found: Vec<_> = tensors.iter().map(|tensor| tensor.output.name()).collect();
        assert_eq!(found, names);
        let texts = |texts: [&str; 2]| Elements::Bytes(texts.map(str::to_owned).to_vec());
        let expected = [
            (
                vec![2, 2, 4],
                Elements::Uint8([[0, 0, 0, 1, 0, 0, 0, 1], [0; 8]].concat()),
            ),
            (
                vec![2, 4],
                Elements::Fp32(vec![3.0, 0.0, 4.0, 2.0, 1.5, 0.5, 4.0, 1.0]),
            ),
            (vec![2], texts(["person", "train"])),
            (vec![2], Elements::Int32(vec![0, 6])),
            (vec![2], Elements::Fp32(vec![0.75, 0.5])),
            (vec![2], Elements::Int32(vec![2, 4])),
            (vec![2], texts(["62", ""])),
        ];
        for (tensor, (shape, elements)) in tensors.iter().zip(&expected) {
            assert_eq!((&tensor.shape, &tensor.elements), (shape, elements));
        }
    }

    #[test]
    fn a_class_map_is_told_as_it_is_and_as_its_regions() {
        let mut classes = vec![0; 64];
        classes[32..].fill(7);
        let map = ClassMap {
            width: 8,
            height: 8,
            classes: classes.clone(),
            confidence: vec![0.5; 64],
            scores: None,
        };
        let answer = answer(Task::SemanticSegmentation, Outcome::ClassMap(map));
        let outputs = Output::named(
            Task::SemanticSegmentation,
            ["class_map", "confidence", "boxes"],
        );
        let tensors = tensors(&answer, &outputs.unwrap()).unwrap();
        assert_eq!(tensors[0].shape, [8, 8]);
        assert_eq!(tensors[0].elements, Elements::Uint8(classes));
        assert_eq!(tensors[1].elements, Elements::Fp32(vec![0.5; 64]));
        assert_eq!(
            tensors[2].elements,
            Elements::Fp32(vec![0.0, 1.0, 4.0, 2.0])
        );
    }

    #[test]
    fn tensors_are_what_the_metadata_says() {
        let map = ClassMap {
            width: 3,
            height: 1,
            classes: vec![0; 3],
            confidence: vec![1.0; 3],
            scores: None,
        };
        for answer in [
            two_objects(),
            answer(Task::Detection, Outcome::Detections(Vec::new())),
            answer(Task::SemanticSegmentation, Outcome::ClassMap(map)),
        ] {
            let outputs = Output::all(answer.entry.task);
            for tensor in tensors(&answer, outputs).unwrap() {
                let name = tensor.output.name();
                assert_eq!(
                    tensor.elements.datatype(),
                    tensor.output.datatype(),
                    "{name}"
                );
                let sides = tensor.output.shape();
                assert_eq!(tensor.shape.len(), sides.len(), "{name}");
                for (found, said) in tensor.shape.iter().zip(sides) {
                    assert!(*said == -1 || *said == *found as i64, "{name}");
                }
            }
        }
    }

    #[test]
    fn names_choose_what_is_computed() {
        let named = |names: &[&str]| {
            Output::named(Task::InstanceSegmentation, names.iter().copied())
                .map_err(|error| error.to_string())
        };
        let all = named(&[]).unwrap();
        assert!(all.contains(&Output::Masks) && !all.contains(&Output::MaskPixels));
        assert_eq!(named(&["mask_pixels"]).unwrap(), [Output::MaskPixels]);
        assert_eq!(
            named(&["boxes", "class_map"]).unwrap_err(),
            "there is no output \"class_map\", expected some of boxes, scores, class_ids, labels, picture_size, \
             masks, mask_pixels"
        );
        assert_eq!(
            named(&["boxes", "boxes"]).unwrap_err(),
            "the output boxes is asked for twice"
        );
    }

    #[test]
    fn more_mask_pixels_than_a_reply_may_have_are_refused_with_advice() {
        let side = 8 << 10;
        let masks = |count| std::iter::repeat_n(None, count);
        assert_eq!(mask_pixels(masks(1), [side; 2]).unwrap().len(), 64 << 20);
        let error = mask_pixels(masks(2), [side; 2]).unwrap_err();
        assert!(matches!(error, Error::TooLarge(_)));
        let message = error.to_string();
        assert!(
            message.contains("128.0 MiB, more than 64.0 MiB: ask for masks"),
            "{message}"
        );
    }
}
