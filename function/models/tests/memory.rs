//! What the default model asks of the allocator for a picture once it has seen one of that size: memory for what
//! it finds and for what the host works with on the way. All maps lie in memory that is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::PathBuf;

use segmenter_allocator::Counting;
use segmenter_imaging::decode::{Options, decode};
use segmenter_models::{
    Device, Isa, Output, Selection, catalogue::CATALOGUE, load, on_this_thread,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All that there is to find, with masks.
const EVERYTHING: Selection = Selection {
    threshold: 0.0,
    max_detections: 100,
    classes: None,
    masks: true,
    map_size: None,
    scores: false,
};

/// Bytes of the greatest piece. The masks of a hundred findings are 300 KB and are gathered in a list that grows. The
/// largest map is 2 MB.
const LARGEST: usize = 512 << 10;

/// Bytes of all pieces together.
const TOGETHER: usize = 2 << 20;

#[test]
fn floats_lie_in_memory_that_is_there() {
    check(
        "floats_lie_in_memory_that_is_there",
        &Device::kernels(Isa::best()),
    );
}

#[test]
fn integers_lie_in_memory_that_is_there() {
    check(
        "integers_lie_in_memory_that_is_there",
        &Device::integers(Isa::best()),
    );
}

fn check(test: &str, device: &Device) {
    let shared = std::env::var_os("SEGMENTER_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let entry = &CATALOGUE[0];
    let weights = shared
        .join("weights")
        .join(entry.download().unwrap().file_name);
    let picture = shared.join("images/coco-val/000000000139.jpg");
    if !weights.exists() || !picture.exists() {
        println!("skipped: {test}: {} is not there", shared.display());
        return;
    }
    let model = load(entry, &weights, device).unwrap();
    let image = decode(&std::fs::read(picture).unwrap(), &Options::default()).unwrap();
    let input = model.preprocess((&image).into(), &EVERYTHING).unwrap();
    on_this_thread(|| {
        let run = || {
            let batch = vec![(input.clone(), &EVERYTHING)];
            Counting::during(|| model.forward(batch).remove(0))
        };
        let (_, first) = run();
        let (output, later) = run();
        let Output::Instances { boxes, .. } = output else {
            panic!("not an instance detector");
        };
        println!(
            "{} findings: at first {first:?}, later {later:?}",
            boxes.len()
        );
        assert!(boxes.len() > 10);
        assert!(later.largest <= LARGEST, "{later:?}");
        assert!(later.bytes <= TOGETHER, "{later:?}");
        assert_eq!(run().1, later);
    });
}
