//! Average precision as COCO computes it.

use std::{collections::HashMap, path::Path};

use hotcoco::{Annotation, COCO, COCOeval, IouType, Segmentation};

use super::{Detection, Detections, Mask};

/// The annotated objects of a set of pictures.
pub(super) struct GroundTruth {
    coco: COCO,
    picture_ids: HashMap<String, u64>,
    category_ids: HashMap<String, u64>,
}

impl GroundTruth {
    /// Reads a file in COCO's format.
    pub(super) fn read(path: &Path) -> Self {
        let coco = COCO::new(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            picture_ids: coco
                .dataset
                .images
                .iter()
                .map(|image| (image.file_name.clone(), image.id))
                .collect(),
            category_ids: coco
                .dataset
                .categories
                .iter()
                .map(|category| (category.name.clone(), category.id))
                .collect(),
            coco,
        }
    }

    /// AP at IoU 0.50 to 0.95 of the boxes, 0 to 1.
    pub(super) fn box_precision(&self, detections: &Detections) -> f64 {
        self.precision(detections, IouType::Bbox, |_| None)
    }

    /// AP at IoU 0.50 to 0.95 of the masks, 0 to 1.
    pub(super) fn mask_precision(&self, detections: &Detections) -> f64 {
        self.precision(detections, IouType::Segm, |detection| {
            let Mask { size, counts } = detection
                .mask
                .clone()
                .unwrap_or_else(|| panic!("a {} without a mask", detection.label));
            Some(Segmentation::CompressedRle { size, counts })
        })
    }

    fn precision(
        &self,
        detections: &Detections,
        kind: IouType,
        segmentation: impl Fn(&Detection) -> Option<Segmentation>,
    ) -> f64 {
        // Ties in score are broken by order, so that has to be the same in every run.
        let mut names: Vec<&String> = detections.keys().collect();
        names.sort();
        let mut annotations = Vec::new();
        for name in names {
            for detection in &detections[name] {
                let [x0, y0, x1, y1] = detection.bbox;
                let segmentation = segmentation(detection);
                annotations.push(Annotation {
                    image_id: self.picture_ids[name],
                    category_id: self.category_ids[&detection.label],
                    score: Some(detection.score),
                    // With both, the box would count.
                    bbox: segmentation.is_none().then_some([x0, y0, x1 - x0, y1 - y0]),
                    segmentation,
                    ..Annotation::default()
                });
            }
        }
        let results = self
            .coco
            .load_res_anns(annotations)
            .unwrap_or_else(|error| panic!("detections that do not fit the pictures: {error}"));
        let mut evaluation = COCOeval::new(self.coco.clone(), results, kind);
        evaluation
            .evaluate()
            .unwrap_or_else(|error| panic!("the evaluation failed: {error}"));
        evaluation.accumulate();
        evaluation.summarize_lines();
        evaluation.stats().expect("a summary was made")[0]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Detection, GroundTruth};

    /// One cat of 10 x 10 pixels.
    const TRUTH: &str = r#"{
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 20}],
        "categories": [{"id": 17, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 17, "iscrowd": 0, "area": 100,
                         "bbox": [0, 0, 10, 10], "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]}]
    }"#;

    fn precision(bbox: [f64; 4]) -> f64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        std::fs::write(&path, TRUTH).unwrap();
        let detection = Detection {
            label: "cat".to_owned(),
            score: 0.9,
            bbox,
            mask: None,
        };
        GroundTruth::read(&path)
            .box_precision(&HashMap::from([("a.jpg".to_owned(), vec![detection])]))
    }

    #[test]
    fn an_exact_box_is_right_at_every_overlap() {
        assert!((precision([0.0, 0.0, 10.0, 10.0]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_narrower_box_is_right_at_some() {
        // IoU 0.8: right at 0.50, 0.55, ... 0.80, which is 7 of 10.
        assert!((precision([0.0, 0.0, 8.0, 10.0]) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn a_box_elsewhere_is_wrong() {
        assert!(precision([12.0, 12.0, 20.0, 20.0]).abs() < 1e-9);
    }
}
