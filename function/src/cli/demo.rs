//! `segmenter demo`: a picture that is drawn on the spot, and what the model that is built in finds on it.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Context;
use clap::Args;
use segmenter_imaging::Picture;
use segmenter_models::{Device, Isa, Selection, catalogue::BUILT_IN, load_built_in};
use segmenter_scenes::{Family, Settings};

use super::predict;
use crate::{
    encode::{self, Drawing},
    service::Answer,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter demo
  segmenter demo --out /tmp/found.png --seed 7";

/// `[width, height]` of the picture.
const SIZE: [u32; 2] = [960, 720];

/// More than there are notes on any board.
const MOST: usize = 200;

/// Which picture, and where it goes.
#[derive(Args, Clone, Debug)]
pub(super) struct Demo {
    /// The PNG file that gets the picture, with what was found drawn on it
    #[arg(
        long,
        env = "SEGMENTER_OUT",
        value_name = "FILE",
        default_value = "demo.png"
    )]
    out: PathBuf,
    /// Draw the scene of this number, of a kind that the model was not trained with [default: a tidy board]
    #[arg(long, env = "SEGMENTER_SEED", value_name = "N")]
    seed: Option<u64>,
}

/// Draws, finds, and writes what was found.
pub(super) fn run(demo: &Demo) -> anyhow::Result<()> {
    let begin = Instant::now();
    let scene = match demo.seed {
        None => segmenter_scenes::demo(SIZE),
        Some(seed) => segmenter_scenes::scene(
            seed,
            &Settings {
                size: SIZE,
                family: Family::HeldOut,
            },
        ),
    };
    let drawn = begin.elapsed();

    let model = load_built_in(&Device::kernels(Isa::best()))?;
    let selection = Selection {
        threshold: BUILT_IN.threshold,
        max_detections: MOST,
        classes: None,
        masks: true,
        map_size: None,
        scores: false,
    };
    let started = Instant::now();
    let input = model.preprocess(Picture::from(&scene.image), &selection)?;
    let outputs = model.forward(vec![(input, &selection)]);
    let output = outputs.into_iter().next();
    let output = output.context("the network gave no answer")?;
    let answer = Answer {
        entry: BUILT_IN,
        prediction: model.postprocess(output, SIZE, &selection),
        selection,
        picture: None,
        timings: Vec::new(),
    };
    let found = predict::objects("a drawing", &answer, started.elapsed());

    let picture = encode::draw_on(scene.image, &answer, Drawing::Png)?;
    fs::write(&demo.out, picture)
        .with_context(|| format!("cannot write {}", demo.out.display()))?;
    super::print(&format!(
        "{found}  drawn: {}\n  all of it took {} ms, drawing the board {} ms of that\n",
        demo.out.display(),
        begin.elapsed().as_millis(),
        drawn.as_millis()
    ))
}
