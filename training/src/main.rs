//! `segmenter-training`: see `segmenter-training --help`.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use segmenter_models::weights::{Storage, Trained};
use segmenter_scenes::Family;

use segmenter_training::{
    coco::{self, Pictures},
    evaluate, parameters, sheet,
    source::{Drawn, Source},
    train::{Length, Options, SIZES, Training},
};

#[global_allocator]
static ALLOCATOR: segmenter_allocator::Allocator = segmenter_allocator::Allocator;

/// Trains a small detector for segmenter, on drawn pictures or on pictures of your own.
///
/// Everything is stored every two minutes; a training that was interrupted goes on from there when the same command is
/// given again.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  segmenter-training train --out trained --steps 20000
  segmenter-training evaluate trained/weights.safetensors --sheet found.png

  segmenter-training train --annotations cups/instances.json --from trained/weights.safetensors --out cups-trained --minutes 15
  segmenter serve --model cups-trained/weights.safetensors";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, or go on with what was begun in the same folder
    Train(Train),
    /// Measure weights on pictures that nothing was trained on
    Evaluate(Evaluate),
    /// Draw pictures of notes and boards, annotated in COCO's format
    Draw(Draw),
}

#[derive(Args, Debug)]
struct Train {
    /// Folder of the weights and of what it takes to go on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Annotations of your own pictures in COCO's format, with polygons or run lengths [default: drawn notes and boards]
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
    /// Folder of these pictures [default: that of the annotations]
    #[arg(long, value_name = "DIR", requires = "annotations")]
    pictures: Option<PathBuf>,
    /// Weights to begin with, of whatever classes, instead of random ones
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How many steps to make
    #[arg(long, default_value_t = 30_000)]
    steps: u64,
    /// Make as many steps as fit into so many minutes, instead
    #[arg(long, conflicts_with = "steps")]
    minutes: Option<f64>,
    /// Pictures a step
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// The greatest learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// What chance begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args, Debug)]
struct Evaluate {
    /// Weights that `train` wrote
    weights: PathBuf,
    /// Annotations of your own pictures [default: drawn notes and boards, with textures, lights and hands that nothing
    /// is trained on]
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
    /// Folder of these pictures [default: that of the annotations]
    #[arg(long, value_name = "DIR", requires = "annotations")]
    pictures: Option<PathBuf>,
    /// How many are drawn
    #[arg(long, default_value_t = 300)]
    count: u64,
    /// Draw them with textures, lights and hands that are trained on
    #[arg(long)]
    training_family: bool,
    /// Write a PNG of the first 24 with what was found in them
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Draw {
    /// Folder of the pictures and of instances.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// The first one's seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Far from the seeds of training.
const EVALUATION_SEED: u64 = 1 << 40;

/// Size of the pictures that are drawn to be measured on, or to be kept.
const SIZE: [u32; 2] = [1024, 768];

/// Pictures of a sheet.
const SHEET: usize = 24;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Train(arguments) => train(&arguments),
        Command::Evaluate(arguments) => evaluate(&arguments),
        Command::Draw(arguments) => draw(&arguments),
    }
}

fn pictures(annotations: &Path, folder: Option<&Path>, seed: u64) -> anyhow::Result<Pictures> {
    let beside = annotations.parent().unwrap_or(Path::new("."));
    Pictures::read(annotations, folder.unwrap_or(beside), seed)
}

fn train(arguments: &Train) -> anyhow::Result<()> {
    let seed = arguments.seed;
    let source: Arc<dyn Source> = match &arguments.annotations {
        Some(file) => Arc::new(pictures(file, arguments.pictures.as_deref(), seed)?),
        None => Arc::new(Drawn {
            family: Family::Training,
            seed: seed << 32,
        }),
    };
    let classes = source.classes();
    let begin = match &arguments.from {
        Some(file) => parameters::adapted(parameters::load(file)?, &classes, seed)?,
        None => parameters::fresh(classes.len(), seed)?,
    };
    let options = Options {
        length: arguments
            .minutes
            .map_or(Length::Steps(arguments.steps), Length::Minutes),
        batch: arguments.batch.into(),
        rate: arguments.rate,
        seed,
        sizes: SIZES.to_vec(),
    };
    let mut training = Training::open(&arguments.out, options, classes.clone(), begin)?;
    training.run(&source)?;
    let trained = Trained {
        classes,
        tensors: training.average().clone(),
    };
    let weights = arguments.out.join("weights.safetensors");
    parameters::store(&trained, Storage::Int8, &weights)?;
    println!("{}", weights.display());
    Ok(())
}

fn evaluate(arguments: &Evaluate) -> anyhow::Result<()> {
    let trained = parameters::load(&arguments.weights)?;
    let model = evaluate::model(&trained.tensors, trained.classes.len())?;
    let (source, count): (Box<dyn Source>, u64) = match &arguments.annotations {
        Some(file) => {
            let pictures = pictures(file, arguments.pictures.as_deref(), 0)?.as_they_are();
            let count = pictures.count() as u64;
            (Box::new(pictures), count)
        }
        None => {
            let family = if arguments.training_family {
                Family::Training
            } else {
                Family::HeldOut
            };
            let seed = EVALUATION_SEED;
            (Box::new(Drawn { family, seed }), arguments.count)
        }
    };
    anyhow::ensure!(
        source.classes() == trained.classes,
        "the weights find {}, and the pictures have {}",
        trained.classes.join(", "),
        source.classes().join(", ")
    );
    let judged = evaluate::run(&model, source.as_ref(), count, SIZE)?;
    println!("class            objects     AP   AP50   AP75");
    for quality in evaluate::qualities(&judged, &trained.classes)? {
        println!(
            "{:<16} {:>7}  {:.3}  {:.3}  {:.3}",
            quality.class, quality.objects, quality.ap, quality.ap50, quality.ap75
        );
    }
    if let Some(path) = &arguments.sheet {
        let first = &judged[..judged.len().min(SHEET)];
        let sheet = sheet::sheet(first, &trained.classes).context("no pictures")?;
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        segmenter_imaging::encode::png(&sheet, BufWriter::new(file))?;
    }
    Ok(())
}

fn draw(arguments: &Draw) -> anyhow::Result<()> {
    let source = Drawn {
        family: Family::Training,
        seed: arguments.seed << 32,
    };
    let examples = (0..arguments.count).map(|number| source.example(number, SIZE));
    coco::write(&arguments.out, &source.classes(), examples)?;
    println!("{}", arguments.out.join("instances.json").display());
    Ok(())
}
