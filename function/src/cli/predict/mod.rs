//! `segmenter predict`: finds the objects in pictures, without a server.

mod outputs;

use std::{
    ffi::OsStr,
    fmt::Write,
    fs, io,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, builder::FalseyValueParser};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::outputs::{CutOut, CutOuts, Drawings};
use super::local;
use crate::{
    cli,
    config::{self, PictureLimits},
    encode::{self, Drawing, MaskFormat},
    error::Error,
    service::{Answer, Handling, Segmenter, Source, Wish},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter predict street.jpg
  segmenter predict photos/ --draw drawn/
  segmenter predict photos/ --crops objects/ --threshold 0.65
  segmenter predict http://images.cocodataset.org/val2017/000000001268.jpg --json
  segmenter predict *.jpg --classes person,dog --threshold 0.6 --json --masks rle > found.jsonl
  cat street.jpg | segmenter predict -";

/// Which pictures, and what becomes of the findings.
#[derive(Args, Clone, Debug)]
pub(super) struct Predict {
    /// Picture files, folders of them, URLs, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|URL")]
    pictures: Vec<String>,
    /// Print a line of JSON for each picture
    #[arg(long, env = "SEGMENTER_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// How that JSON has the outlines
    #[arg(long, env = "SEGMENTER_MASKS", value_name = "FORMAT", value_parser = parse_masks, default_value = "none", requires = "json")]
    masks: MaskFormat,
    /// Draw the findings: into this folder, or for one picture into this .png or .jpg file
    #[arg(long, env = "SEGMENTER_DRAW", value_name = "OUT")]
    draw: Option<PathBuf>,
    /// Cut the findings out: into this folder, from left to right as NAME_1.jpg and so on, beside NAME.jpg with the
    /// findings drawn and NAME_coord.txt with the centre (y, x) of each in pixels; others than JPEG become PNG
    #[arg(long, env = "SEGMENTER_CROPS", value_name = "DIR")]
    crops: Option<PathBuf>,
    /// Pictures on their way at a time [default: as many as there are threads]
    #[arg(long, env = "SEGMENTER_JOBS", value_name = "N", value_parser = config::positive::<usize>)]
    jobs: Option<usize>,
    #[command(flatten)]
    model: config::Model,
    #[command(flatten)]
    prediction: config::Prediction,
    #[command(flatten)]
    limits: PictureLimits,
}

fn parse_masks(name: &str) -> Result<MaskFormat, String> {
    MaskFormat::from_name(name).ok_or_else(|| "expected rle, polygon, png or none".to_owned())
}

/// Predicts every picture, in order. A picture that fails is reported and the others go on.
pub(super) fn run(mut predict: Predict) -> anyhow::Result<()> {
    let pictures = list(&predict.pictures)?;
    let drawings = predict
        .draw
        .as_deref()
        .map(|out| Drawings::new(out, &pictures))
        .transpose()?;
    let cut_outs = predict
        .crops
        .as_deref()
        .map(|folder| CutOuts::new(folder, &pictures))
        .transpose()?;
    predict.model.fall_back();
    let threads = predict.model.threads();
    local::block_on(threads, async {
        let jobs = predict.jobs.unwrap_or(threads);
        let (prediction, limits) = (predict.prediction.clone(), predict.limits);
        let segmenter = local::segmenter(&predict.model, prediction, limits, jobs).await?;
        let wish = Wish {
            masks: drawings.is_some() || cut_outs.is_some() || predict.masks != MaskFormat::None,
            ..Wish::default()
        };
        // A wish that cannot be is wrong for all pictures alike.
        segmenter.query(&wish)?;

        let progress = progress(pictures.len());
        let mut results = stream::iter(pictures.iter().enumerate())
            .map(|(index, picture)| {
                let files = Files {
                    drawing: drawings.as_ref().map(|drawings| drawings.target(index)),
                    cut_out: cut_outs.as_ref().map(|cut_outs| cut_outs.target(index)),
                };
                one(&segmenter, picture, &wish, predict.masks, files)
            })
            .buffered(jobs);
        let mut failed = 0;
        for picture in &pictures {
            let Some(result) = results.next().await else {
                break;
            };
            let failure = result
                .as_ref()
                .err()
                .map(|error| format!("error: {picture}: {error:#}"));
            if predict.json {
                let line = format!("{}\n", json_line(picture, result));
                progress.suspend(|| cli::print(&line))?;
            } else if let Ok(found) = result {
                let table = table(picture, &found);
                progress.suspend(|| cli::print(&table))?;
            }
            if let Some(failure) = failure {
                failed += 1;
                progress.suspend(|| eprintln!("{failure}"));
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        anyhow::ensure!(
            failed == 0,
            "{failed} of {} pictures failed",
            pictures.len()
        );
        Ok(())
    })
}

/// What was found on one picture.
struct Found {
    answer: Answer,
    /// The full reply.
    reply: Value,
    took: Duration,
    drawn: Option<PathBuf>,
    /// How many objects were cut out.
    cut_out: Option<usize>,
}

/// What is written of a picture.
struct Files {
    drawing: Option<(PathBuf, Drawing)>,
    cut_out: Option<CutOut>,
}

async fn one(
    segmenter: &Segmenter,
    picture: &str,
    wish: &Wish,
    masks: MaskFormat,
    files: Files,
) -> anyhow::Result<Found> {
    let started = Instant::now();
    let source = open(picture, segmenter.limits().picture).await?;
    let ticket = segmenter.enter(segmenter.admit(None)?)?;
    let query = segmenter.query(wish)?;
    let handling = Handling {
        keep: files.drawing.is_some() || files.cut_out.is_some(),
        ..Handling::default()
    };
    let answer = segmenter.predict(&ticket, source, query, handling).await?;
    let limits = segmenter.limits().picture;
    let deadline = ticket.deadline;
    let written = segmenter.cpu(move || {
        // Nobody is kept from large replies by themselves.
        let reply = encode::json_within(&answer, masks, deadline, usize::MAX)?;
        let drawn = files
            .drawing
            .map(|target| outputs::draw(&answer, target, limits));
        let cut_out = files.cut_out.map(|target| target.write(&answer, limits));
        anyhow::Ok((answer, reply, drawn.transpose()?, cut_out.transpose()?))
    });
    let (answer, reply, drawn, cut_out) = written.await??;
    Ok(Found {
        answer,
        reply: serde_json::from_slice(&reply)?,
        took: started.elapsed(),
        drawn,
        cut_out,
    })
}

/// The bytes of a file or of standard input; a URL is left to the service.
async fn open(picture: &str, limits: PictureLimits) -> anyhow::Result<Source> {
    if is_url(picture) {
        return Ok(Source::Url(picture.to_owned()));
    }
    let (name, most) = (picture.to_owned(), limits.max_body);
    let bytes = tokio::task::spawn_blocking(move || read(&name, most)).await??;
    Ok(Source::Bytes(Bytes::from(bytes)))
}

/// Reads at most `most` bytes.
fn read(picture: &str, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    if picture == STANDARD_INPUT {
        io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        fs::File::open(picture)?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() > most {
        let message = format!("the file has more than {most} bytes (--max-body)");
        return Err(Error::TooLarge(message).into());
    }
    Ok(bytes)
}

const STANDARD_INPUT: &str = "-";

fn is_url(picture: &str) -> bool {
    picture.starts_with("http://") || picture.starts_with("https://")
}

/// All pictures in the order in which they were named, those of a folder by their file names.
fn list(named: &[String]) -> anyhow::Result<Vec<String>> {
    const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];
    let mut pictures = Vec::new();
    for name in named {
        let path = Path::new(name);
        if is_url(name) || !path.is_dir() {
            pictures.push(name.clone());
            continue;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {name}"))? {
            let file = entry?.path();
            let extension = file.extension().map(OsStr::to_ascii_lowercase);
            let is_picture = extension
                .is_some_and(|found| EXTENSIONS.iter().any(|extension| found == *extension));
            if is_picture && file.is_file() {
                files.push(file.to_string_lossy().into_owned());
            }
        }
        anyhow::ensure!(
            !files.is_empty(),
            "the folder {name} has no pictures ({})",
            EXTENSIONS.join(", ")
        );
        files.sort();
        pictures.append(&mut files);
    }
    Ok(pictures)
}

/// A bar where somebody watches and there is more than one thing to wait for.
fn progress(pictures: usize) -> ProgressBar {
    let watched = pictures > 1 && io::stderr().is_terminal() && !io::stdout().is_terminal();
    let target = if watched {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(pictures as u64), target);
    let style =
        ProgressStyle::with_template("{pos}/{len} pictures {wide_bar} {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn json_line(picture: &str, result: anyhow::Result<Found>) -> Value {
    match result {
        Ok(mut found) => {
            found.reply["picture"] = json!(picture);
            found.reply
        }
        Err(error) => {
            let code = error
                .downcast_ref::<Error>()
                .map_or("not_read", Error::code);
            let message = format!("{error:#}");
            json!({"picture": picture, "error": {"code": code, "message": message}})
        }
    }
}

/// What was found and what became of it, for people.
fn table(picture: &str, found: &Found) -> String {
    let mut text = objects(picture, &found.answer, found.took);
    if let Some(path) = &found.drawn {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "  drawn: {}", path.display());
    }
    if let Some(count) = found.cut_out {
        let _ = writeln!(text, "  cut out: {count}");
    }
    text
}

/// What was found on a picture, a line each, for people.
pub(super) fn objects(picture: &str, answer: &Answer, took: Duration) -> String {
    let prediction = &answer.prediction;
    let detections = encode::detections(answer);
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = writeln!(
        text,
        "{picture}: {} x {}, {} {} in {} ms",
        prediction.width,
        prediction.height,
        detections.len(),
        if detections.len() == 1 {
            "object"
        } else {
            "objects"
        },
        took.as_millis()
    );
    for detection in detections.iter() {
        let [x0, y0, x1, y1] = detection.bbox.map(|side| side.round() as i64);
        let label = encode::label(answer.entry, detection.class);
        let score = detection.score;
        let _ = writeln!(
            text,
            "  {label:<16} {score:.2}  {x0:>5} {y0:>5} {x1:>5} {y1:>5}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_pictures_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpg", "notes.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let name = folder.path().to_string_lossy().into_owned();
        let listed = list(&["http://host/x.jpg".to_owned(), name.clone()]).unwrap();
        let expected = [format!("{name}/a.jpg"), format!("{name}/b.PNG")];
        assert_eq!(listed[0], "http://host/x.jpg");
        assert_eq!(listed[1..], expected);

        fs::remove_file(folder.path().join("a.jpg")).unwrap();
        fs::remove_file(folder.path().join("b.PNG")).unwrap();
        assert!(
            list(&[name])
                .unwrap_err()
                .to_string()
                .contains("no pictures")
        );
    }
}
