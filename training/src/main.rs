//! `segmenter-training`: see `segmenter-training --help`.

use std::{fs::File, io::BufWriter, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use segmenter_models::weights::{Storage, Trained};
use segmenter_scenes::Family;
use segmenter_training::{
    evaluate, parameters, sheet,
    source::{Drawn, Source},
    train::{Options, SIZES, Training},
};

#[global_allocator]
static ALLOCATOR: segmenter_allocator::Allocator = segmenter_allocator::Allocator;

/// Trains the network that segmenter has built in, on pictures that are drawn for it.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, or go on with what was begun
    Train(Train),
    /// Measure weights on pictures that nothing was trained on
    Evaluate(Evaluate),
}

#[derive(Args, Debug)]
struct Train {
    /// Folder of the weights and of what it takes to go on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Steps in all
    #[arg(long, default_value_t = 30_000)]
    steps: u64,
    /// Pictures a step
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// The greatest learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// What chance begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Weights to begin with, instead of random ones
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Stop after so many minutes; the same command goes on from there
    #[arg(long)]
    minutes: Option<f64>,
}

#[derive(Args, Debug)]
struct Evaluate {
    /// Weights that `train` wrote
    weights: PathBuf,
    /// How many pictures
    #[arg(long, default_value_t = 300)]
    pictures: u64,
    /// Draw them as those that were trained on, but others
    #[arg(long)]
    training_family: bool,
    /// Write a PNG of the first 24 pictures with what was found in them
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

/// Far from the seeds of training.
const EVALUATION_SEED: u64 = 1 << 40;

/// Size of the pictures that are drawn to measure with.
const EVALUATION_SIZE: [u32; 2] = [1024, 768];

/// Pictures of a sheet.
const SHEET: usize = 24;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Train(arguments) => train(arguments),
        Command::Evaluate(arguments) => evaluate(&arguments),
    }
}

fn train(arguments: Train) -> anyhow::Result<()> {
    let source: Arc<dyn Source> = Arc::new(Drawn {
        family: Family::Training,
        seed: arguments.seed << 32,
    });
    let classes = source.classes();
    let begin = match &arguments.from {
        Some(file) => parameters::load(file)?.tensors,
        None => parameters::fresh(classes.len(), arguments.seed)?,
    };
    let options = Options {
        steps: arguments.steps,
        batch: arguments.batch,
        rate: arguments.rate,
        seed: arguments.seed,
        sizes: SIZES.to_vec(),
    };
    let mut training = Training::open(&arguments.out, options, classes.clone(), begin)?;
    training.run(&source, arguments.minutes.map(|minutes| minutes * 60.0))?;
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
    let source = Drawn {
        family: if arguments.training_family {
            Family::Training
        } else {
            Family::HeldOut
        },
        seed: EVALUATION_SEED,
    };
    let judged = evaluate::run(&model, &source, arguments.pictures, EVALUATION_SIZE)?;
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
