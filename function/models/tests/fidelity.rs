//! Whether the default model finds what its reference finds, with its real weights on real pictures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use segmenter_imaging::{
    Image,
    decode::{Options, decode},
};
use segmenter_models::{Detection, Model, Outcome, Output, Selection, catalogue, detection::iou};
use serde_json::Value;

/// The folder of files that tests may use and that are not in the repository.
fn shared() -> PathBuf {
    std::env::var_os("SEGMENTER_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    )
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn read_picture(path: &Path) -> Image {
    decode(&std::fs::read(path).unwrap(), &Options::default()).unwrap()
}

fn forward(model: &dyn Model, image: &Image, selection: &Selection) -> Output {
    let input = model.preprocess(image.into(), &EVERYTHING).unwrap();
    model.forward(vec![(input, selection)]).remove(0)
}

fn detections(model: &dyn Model, output: Output, image: &Image) -> Vec<Detection> {
    let picture = [image.width(), image.height()];
    match model.postprocess(output, picture, &EVERYTHING).outcome {
        Outcome::Detections(detections) => detections,
        Outcome::ClassMap(_) => panic!("not an instance detector"),
    }
}

const EVERYTHING: Selection = Selection {
    threshold: 0.0,
    max_detections: usize::MAX,
    classes: None,
    masks: false,
    map_size: None,
    scores: false,
};

/// The same samples give the same detections, up to rounding at the edge of a threshold.
const REQUIRED: f64 = 0.99;

/// Nearly all of the reference's detections with a score of 0.3 and more are found with the same label,
/// an IoU of 0.95 and more, a score that differs by 0.03 at most, and a mask that on average differs by less
/// than a hundredth.
#[test]
fn finds_what_the_reference_finds() {
    let entry = &catalogue::CATALOGUE[0];
    let weights = shared()
        .join("weights")
        .join(entry.download().unwrap().file_name);
    let expected = shared().join("reference/d2go_mask_rcnn_detections.json");
    if !weights.exists() || !expected.exists() {
        println!(
            "skipped: finds_what_the_reference_finds: {} is not there",
            shared().display()
        );
        return;
    }
    let model = segmenter_models::load(
        entry,
        &weights,
        &segmenter_models::Device::kernels(segmenter_models::Isa::best()),
    )
    .unwrap();
    let with_masks = Selection {
        threshold: 0.25,
        masks: true,
        ..EVERYTHING
    };
    let (mut wanted, mut found) = (0, 0);
    for (picture, expected) in read_json(&expected).as_object().unwrap() {
        let image = read_picture(&shared().join("images/coco-val").join(picture));
        let output = forward(&*model, &image, &with_masks);
        let Output::Instances {
            masks: Some((masks, side)),
            ..
        } = output.clone()
        else {
            panic!("no masks");
        };
        let actual = detections(&*model, output, &image);
        let masks = masks.chunks_exact(side * side);
        for expected in expected["float"].as_array().unwrap() {
            let score = expected["score"].as_f64().unwrap() as f32;
            if score < 0.3 {
                continue;
            }
            let bbox = std::array::from_fn(|i| expected["box"][i].as_f64().unwrap() as f32);
            let mask_sum = expected["mask28_sum"].as_f64().unwrap() as f32;
            let same = |(d, mask): &(&Detection, &[f32])| {
                entry.classes[d.class as usize] == expected["label"]
                    && iou(d.bbox, bbox) >= 0.95
                    && (d.score - score).abs() <= 0.03
                    && (mask.iter().sum::<f32>() - mask_sum).abs() < 0.01 * mask.len() as f32
            };
            wanted += 1;
            match actual.iter().zip(masks.clone()).find(same) {
                Some(_) => found += 1,
                None => println!("{picture}: no {expected}"),
            }
        }
    }
    println!("{found} of {wanted} detections of the reference are found");
    assert!(wanted > 100);
    assert!(f64::from(found) >= REQUIRED * f64::from(wanted));
}

/// A small picture through the whole network, on the first GPU of this machine or on what computes as one does.
#[cfg(feature = "gpu")]
#[test]
fn a_gpu_finds_what_the_processor_finds() {
    use segmenter_imaging::resample::{Filter, resize};
    use segmenter_models::{Device, Isa};

    let skipped = |why: &str| println!("skipped: a_gpu_finds_what_the_processor_finds: {why}");
    let adapters = segmenter_gpu::adapters();
    let Some(adapter) = adapters.first() else {
        return skipped("no GPU and no driver that computes as one");
    };
    let entry = &catalogue::CATALOGUE[0];
    let weights = shared()
        .join("weights")
        .join(entry.download().unwrap().file_name);
    if !weights.exists() {
        return skipped(&format!("{} is not there", weights.display()));
    }
    let picture = read_picture(&shared().join("images/coco-val/000000001268.jpg"));
    let [width, height] = [320, 224];
    let picture = resize(&picture, width, height, Filter::Bilinear).unwrap();
    let [expected, actual] = [
        Device::kernels(Isa::best()),
        Device::gpu(adapter.open(&Default::default()).unwrap()),
    ]
    .map(|device| {
        let model = segmenter_models::load(entry, &weights, &device).unwrap();
        let with_masks = Selection {
            threshold: 0.05,
            masks: true,
            ..EVERYTHING
        };
        let Output::Instances {
            boxes,
            classes,
            scores,
            masks: Some((masks, _)),
        } = forward(&*model, &picture, &with_masks)
        else {
            panic!("no instances with masks");
        };
        (boxes.as_flattened().to_vec(), classes, scores, masks)
    });
    println!("{} detections on {}", actual.1.len(), adapter.name);
    assert!(actual.1.len() > 5);
    assert_eq!(actual.1, expected.1);
    for (what, tolerance, actual, expected) in [
        ("box", 0.01, &actual.0, &expected.0),
        ("score", 1e-4, &actual.2, &expected.2),
        ("mask", 1e-3, &actual.3, &expected.3),
    ] {
        assert_eq!(actual.len(), expected.len(), "{what}");
        for (a, b) in actual.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance, "{what}: {a} instead of {b}");
        }
    }
}

/// In integers a layer answers the original's bytes, but the smallest difference of a picture grows from layer to
/// layer, and these detections are of a processor on which PyTorch's sums saturate. On one with VNNI, PyTorch
/// itself finds 0.80 of them.
const REQUIRED_INT8: f64 = 0.80;

/// In 8-bit integers, most of what the original finds in those is found: detections with a score of 0.3 and more
/// with the same label, an IoU of 0.9 and more, and a score that differs by 0.05 at most.
#[test]
fn finds_in_integers_what_the_original_finds() {
    let entry = &catalogue::CATALOGUE[0];
    let weights = shared()
        .join("weights")
        .join(entry.download().unwrap().file_name);
    let expected = shared().join("reference/d2go_mask_rcnn_detections.json");
    if !weights.exists() || !expected.exists() {
        println!(
            "skipped: finds_in_integers_what_the_original_finds: {} is not there",
            shared().display()
        );
        return;
    }
    let model = segmenter_models::load(
        entry,
        &weights,
        &segmenter_models::Device::integers(segmenter_models::Isa::best()),
    )
    .unwrap();
    let (mut wanted, mut found) = (0, 0);
    for (picture, expected) in read_json(&expected).as_object().unwrap() {
        let image = read_picture(&shared().join("images/coco-val").join(picture));
        let actual = detections(&*model, forward(&*model, &image, &EVERYTHING), &image);
        for expected in expected["int8"].as_array().unwrap() {
            let score = expected["score"].as_f64().unwrap() as f32;
            if score < 0.3 {
                continue;
            }
            let bbox = std::array::from_fn(|i| expected["box"][i].as_f64().unwrap() as f32);
            let same = |d: &Detection| {
                entry.classes[d.class as usize] == expected["label"]
                    && iou(d.bbox, bbox) >= 0.9
                    && (d.score - score).abs() <= 0.05
            };
            wanted += 1;
            if actual.iter().any(same) {
                found += 1;
            } else {
                println!("{picture}: no {expected}");
            }
        }
    }
    println!("{found} of {wanted} detections of the original are found");
    assert!(wanted > 100);
    assert!(f64::from(found) >= REQUIRED_INT8 * f64::from(wanted));
}

/// Sørensen's and Dice's coefficient of two lists of names: twice what they share over their lengths.
fn dice(actual: &[&str], expected: &[&str]) -> f64 {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    expected
        .iter()
        .for_each(|&name| *left.entry(name).or_default() += 1);
    let shared = actual
        .iter()
        .filter(|&name| match left.get_mut(name) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .count();
    2.0 * shared as f64 / (actual.len() + expected.len()) as f64
}

/// The names that a caller gets with the default threshold are those that people see, on average by more
/// than 0.60, and no other threshold would be better by more than 0.01.
#[test]
fn names_what_people_name() {
    let entry = &catalogue::CATALOGUE[0];
    let weights = shared()
        .join("weights")
        .join(entry.download().unwrap().file_name);
    let pictures = shared().join("images/coco-val");
    if !weights.exists() || !pictures.exists() {
        println!(
            "skipped: names_what_people_name: {} is not there",
            shared().display()
        );
        return;
    }
    let model = segmenter_models::load(
        entry,
        &weights,
        &segmenter_models::Device::kernels(segmenter_models::Isa::best()),
    )
    .unwrap();
    let labels = read_json(&pictures.join("eval.json"));
    let results: Vec<(Vec<&str>, Vec<Detection>)> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(picture, names)| {
            let names = names.as_array().unwrap();
            let names = names.iter().map(|name| name.as_str().unwrap()).collect();
            let image = read_picture(&pictures.join(picture));
            let output = forward(&*model, &image, &EVERYTHING);
            (names, detections(&*model, output, &image))
        })
        .collect();
    let mean_dice = |threshold: f32| {
        let scores = results.iter().map(|(expected, found)| {
            let wanted = found.iter().filter(|d| d.score >= threshold);
            let names: Vec<&str> = wanted.map(|d| entry.classes[d.class as usize]).collect();
            dice(&names, expected)
        });
        scores.sum::<f64>() / results.len() as f64
    };
    let curve: Vec<(f32, f64)> = (10..90)
        .step_by(2)
        .map(|percent| percent as f32 / 100.0)
        .map(|threshold| (threshold, mean_dice(threshold)))
        .collect();
    for (threshold, dice) in &curve {
        println!("threshold {threshold:.2}: mean Dice {dice:.4}");
    }
    let best = curve.iter().map(|&(_, dice)| dice).fold(0.0, f64::max);
    let default = mean_dice(entry.threshold);
    println!(
        "threshold {:.2} (the default): mean Dice {default:.4}",
        entry.threshold
    );
    assert!(default > 0.60);
    assert!(default >= best - 0.01);
}
