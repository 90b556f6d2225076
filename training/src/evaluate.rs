//! How good a network is, as COCO measures it.

use anyhow::Context as _;
use hotcoco::{Annotation, COCO, COCOeval, Dataset, IouType, Segmentation};
use rayon::prelude::*;
use segmenter_imaging::Image;
use segmenter_models::{
    Detection, Device, Isa, Model, Outcome, Selection, networks::centermask::CenterMask,
    on_this_thread,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    coco,
    example::{Example, Object},
    parameters::{self, Tensors},
    source::Source,
};

/// How good it is at one class.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// The class.
    pub class: String,
    /// How many objects there are that [count](Object::counts).
    pub objects: usize,
    /// Average precision of the masks at intersections over unions of 0.50 to 0.95.
    pub ap: f64,
    /// The same at 0.50.
    pub ap50: f64,
    /// The same at 0.75.
    pub ap75: f64,
}

/// Everything that it finds.
pub const EVERYTHING: Selection = Selection {
    threshold: 0.05,
    max_detections: 300,
    classes: None,
    masks: true,
    map_size: None,
    scores: false,
};

/// A network on the processor's kernels, as it is served.
///
/// # Errors
/// Where tensors are missing.
pub fn model(tensors: &Tensors, classes: usize) -> anyhow::Result<CenterMask> {
    let device = Device::kernels(Isa::best());
    let network = parameters::network(tensors, classes, &device)?;
    Ok(CenterMask::new(network, classes, &device))
}

/// What it finds in a picture, the best first.
///
/// # Errors
/// Where it finds no objects at all, but classes of points.
pub fn detect(model: &CenterMask, example: &Example) -> anyhow::Result<Vec<Detection>> {
    let image = &example.image;
    let input = model.preprocess(image.into(), &EVERYTHING)?;
    let output = model.forward(vec![(input, &EVERYTHING)]).pop();
    let output = output.context("no output")?;
    let size = [image.width(), image.height()];
    match model.postprocess(output, size, &EVERYTHING).outcome {
        Outcome::Detections(found) => Ok(found),
        Outcome::ClassMap(_) => anyhow::bail!("not an instance detector"),
    }
}

/// An example and what was found in it.
pub type Judged = (Example, Vec<Detection>);

/// Runs it on examples, `count` of them, `size` large.
///
/// # Errors
/// As [`detect`].
pub fn run(
    model: &CenterMask,
    source: &dyn Source,
    count: u64,
    size: [u32; 2],
) -> anyhow::Result<Vec<Judged>> {
    (0..count)
        .into_par_iter()
        .map(|number| {
            let example = source.example(number, size)?;
            let found = on_this_thread(|| detect(model, &example))?;
            Ok((example, found))
        })
        .collect()
}

/// Whether an object of such a picture counts.
fn counts(object: &Object, image: &Image) -> bool {
    object.counts(CenterMask::scale([image.width(), image.height()]))
}

/// How good that is, class by class.
///
/// # Errors
/// Where hotcoco refuses it.
pub fn qualities(judged: &[Judged], classes: &[String]) -> anyhow::Result<Vec<Quality>> {
    let quality = |(class, name): (usize, &String)| {
        let mut annotations = Vec::new();
        let mut results = Vec::new();
        let mut objects = 0;
        for (image, (example, found)) in (1_u64..).zip(judged) {
            let of_class = example
                .objects
                .iter()
                .filter(|object| object.class == class);
            for object in of_class {
                let counts = counts(object, &example.image);
                objects += usize::from(counts);
                let id = annotations.len() + 1;
                annotations.push(coco::annotation(id, image, object, counts));
            }
            for detection in found.iter().filter(|found| found.class as usize == class) {
                let Some(mask) = &detection.mask else {
                    continue;
                };
                results.push(Annotation {
                    image_id: image,
                    category_id: class as u64 + 1,
                    score: Some(detection.score.into()),
                    segmentation: Some(Segmentation::CompressedRle {
                        size: [mask.height(), mask.width()],
                        counts: mask.to_coco_string(),
                    }),
                    ..Annotation::default()
                });
            }
        }
        let images: Vec<_> = (1_u64..)
            .zip(judged)
            .map(|(id, (example, _))| {
                let image = &example.image;
                json!({ "id": id, "file_name": "", "width": image.width(), "height": image.height() })
            })
            .collect();
        let dataset: Dataset = serde_json::from_value(json!({
            "images": images,
            "annotations": annotations,
            "categories": [{ "id": class + 1, "name": name }],
        }))?;
        let truth = COCO::from_dataset(dataset);
        let [ap, ap50, ap75] = if results.is_empty() {
            [0.0; 3]
        } else {
            let results = truth.load_res_anns(results)?;
            let mut evaluation = COCOeval::new(truth, results, IouType::Segm);
            evaluation.params.max_dets = vec![1, 10, 300];
            evaluation.evaluate()?;
            evaluation.accumulate();
            evaluation.summarize_lines();
            let stats = evaluation.stats().context("no summary")?;
            [stats[0], stats[1], stats[2]]
        };
        Ok(Quality {
            class: name.clone(),
            objects,
            ap,
            ap50,
            ap75,
        })
    };
    classes.iter().enumerate().map(quality).collect()
}

/// How many of the objects of some height are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recall {
    /// The least height of these objects, in parts of the picture's; the next entry's is the first that is too high.
    pub from: f32,
    /// How many there are that [count](Object::counts).
    pub objects: usize,
    /// How many have a finding of their class, whatever its score, whose mask they share half with: an intersection
    /// over union of 0.50.
    pub found: usize,
}

/// The least heights of [`Recall`]s.
const HEIGHTS: [f32; 6] = [0.0, 0.03, 0.06, 0.12, 0.25, 0.5];

/// How many objects are found, the lowest first.
pub fn recalls(judged: &[Judged]) -> Vec<Recall> {
    let mut recalls = HEIGHTS.map(|from| Recall {
        from,
        objects: 0,
        found: 0,
    });
    for (example, found) in judged {
        let objects = example.objects.iter();
        for object in objects.filter(|object| counts(object, &example.image)) {
            let [_, y0, _, y1] = object.bbox;
            let height = (y1 - y0) / example.image.height() as f32;
            let fits = |found: &Detection| {
                let mask = found.mask.as_ref();
                found.class as usize == object.class
                    && mask.is_some_and(|mask| mask.iou(&object.mask) >= 0.5)
            };
            let is_found = found.iter().any(fits);
            if let Some(of) = recalls.iter_mut().rfind(|of| height >= of.from) {
                of.objects += 1;
                of.found += usize::from(is_found);
            }
        }
    }
    recalls.into()
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::rle::Rle;

    use super::*;

    const SIDE: u32 = 100;

    /// A mask of a square at the upper left.
    fn square(side: u32) -> Rle {
        let inside = |i: u32| i % SIDE < side && i / SIDE < side;
        let mask: Vec<_> = (0..SIDE * SIDE).map(inside).collect();
        Rle::from_bitmap(SIDE, SIDE, &mask).unwrap()
    }

    #[test]
    fn what_is_found_counts_at_its_height() {
        let image = Image::new(SIDE, SIDE, vec![0; (SIDE * SIDE * 3) as usize]).unwrap();
        let objects = [square(4), square(20)].map(|mask| Object::new(0, mask, 1.0).unwrap());
        let found = Detection {
            class: 0,
            score: 0.1,
            bbox: [0.0; 4],
            mask: Some(square(18)),
        };
        let example = Example {
            image,
            objects: objects.into(),
        };
        let recalls = recalls(&[(example, vec![found])]);
        let counts = recalls.iter().map(|of| (of.objects, of.found));
        let expected = [(0, 0), (1, 0), (0, 0), (1, 1), (0, 0), (0, 0)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
    }
}
