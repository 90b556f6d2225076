//! `segmenter check`: whether `segmenter serve` with the same settings would work, and on what.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use segmenter_imaging::{Image, encode};

use super::{
    BadConfiguration,
    start::{self, Starting},
};
use crate::{
    config, listen,
    service::{Handling, Source, Wish},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter check
  segmenter check --model-dir /models --offline && segmenter serve --model-dir /models --offline";

/// The settings of `segmenter serve`.
#[derive(Args, Clone, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    serve: config::Serve,
}

/// Goes through everything that a server needs, a line each, and ends at the first that is missing.
pub(super) fn run(Check { mut serve }: Check) -> anyhow::Result<()> {
    serve.model.fall_back();
    // That it was parsed is all that there is to check about it.
    line("configuration", "every setting can work")?;
    for model in serve.models().iter().chain(&serve.on_demand()) {
        let entry = model.entry();
        line("model", &format!("{}: {}", entry.name, entry.summary))?;
        line("device", &device(model)?)?;
    }

    let bucket = serve.bucket();
    let bucket = bucket.map_err(|error| BadConfiguration(error.to_string()))?;
    if let (Some(address), Some(_)) = (&serve.dialects.object_store, bucket) {
        line("object store", &address.to_string())?;
    }

    for (name, address) in [("http", serve.listen.http), ("grpc", serve.listen.grpc)] {
        listen::bind(address).with_context(|| format!("--{name} cannot be had"))?;
        line(name, &format!("{address} is free"))?;
    }

    let runtime = start::runtime(&serve.model)?;
    runtime.block_on(async {
        let started = Instant::now();
        let segmenter = start::service(&serve)?;
        Starting::begin(&segmenter, &serve)
            .finish(&segmenter)
            .await?;
        line(
            "weights",
            &format!("verified, loaded and warm in {}", ms(started.elapsed())),
        )?;

        let picture = Bytes::from(picture()?);
        for model in segmenter.models() {
            let name = model.entry.name;
            let wish = Wish {
                model: Some(name.to_owned()),
                masks: true,
                ..Wish::default()
            };
            let started = Instant::now();
            let ticket = segmenter.enter(segmenter.admit(None)?)?;
            let query = segmenter.query(&wish)?;
            let source = Source::Bytes(picture.clone());
            segmenter
                .predict(&ticket, source, query, Handling::default())
                .await?;
            let took = ms(started.elapsed());
            line(
                "prediction",
                &format!("{took} for a picture of 640 x 480, by {name}"),
            )?;
        }
        anyhow::Ok(())
    })?;

    super::print("\nsegmenter serve would work with these settings.\n")
}

fn line(subject: &str, finding: &str) -> anyhow::Result<()> {
    super::print(&format!("{subject:<14} ok  {finding}\n"))
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Where the network runs, and on how much of it.
fn device(model: &config::Model) -> anyhow::Result<String> {
    let threads = model.threads();
    let unit = if threads == 1 { "thread" } else { "threads" };
    Ok(format!("{}, {threads} {unit}", super::device(model)?))
}

/// Any picture does: what is on it makes no difference to whether it works.
pub(super) fn picture() -> anyhow::Result<Vec<u8>> {
    let (width, height) = (640, 480);
    let samples = (0..width * height * 3)
        .map(|i| (i / 7 % 256) as u8)
        .collect();
    let image = Image::new(width, height, samples).context("the picture has all its samples")?;
    let mut bytes = Vec::new();
    encode::png(&image, &mut bytes)?;
    Ok(bytes)
}
