//! `segmenter-training`: see `segmenter-training --help`.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use segmenter_models::{
    networks::centermask::MULTIPLE,
    weights::{Storage, Trained},
};
use segmenter_scenes::Family;

use segmenter_training::{
    coco::{self, Pictures},
    evaluate, parameters, report, sheet,
    source::{Drawn, Source, Subject, Views},
    train::{self, Length, Options, SIZES, Training},
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
    /// Draw pictures, annotated in COCO's format
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
    /// Examples that are made of each drawn picture, which are cheaper than as many pictures
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "annotations")]
    views: u16,
    /// The greatest learning rate
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// What chance begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sizes of the pictures that are trained on, one after the other [default: several of about 384 pixels]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_delimiter = ',', value_parser = input)]
    sizes: Vec<[u32; 2]>,
}

/// `WIDTHxHEIGHT`.
fn pixels(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|&side: &u32| side > 0);
    text.split_once('x')
        .and_then(|(width, height)| Some([side(width)?, side(height)?]))
        .ok_or_else(|| "two numbers of pixels are needed, such as 512x384".to_owned())
}

/// The same, each a multiple of what the network takes.
fn input(text: &str) -> Result<[u32; 2], String> {
    let multiple = MULTIPLE as u32;
    let size = pixels(text)?;
    if size.iter().all(|side| side % multiple == 0) {
        Ok(size)
    } else {
        Err(format!(
            "two multiples of {multiple} are needed, such as 512x384"
        ))
    }
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
    /// How large they are drawn
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1024x768", value_parser = pixels, conflicts_with = "annotations")]
    size: [u32; 2],
    /// Draw them with textures, lights and hands that are trained on
    #[arg(long)]
    training_family: bool,
    /// Write a PNG of the first 24 with what was found in them
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Write a page of HTML with these, the figures, and how the losses fell, where the weights lie in the folder that
    /// they were trained in
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
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
    /// What is in them
    #[arg(long, value_enum, default_value_t)]
    subject: Subject,
}

/// Far from the seeds of training.
const EVALUATION_SEED: u64 = 1 << 40;

/// How often training goes through its sizes before it comes back to pictures of which there are to be more views.
const WINDOWS: usize = 2;

/// Size of the pictures that are drawn to be kept.
const SIZE: [u32; 2] = [1024, 768];

/// Pictures of a sheet.
const SHEET: usize = 24;

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Train(arguments) => run(&arguments),
        Command::Evaluate(arguments) => evaluate(&arguments),
        Command::Draw(arguments) => draw(&arguments),
    }
}

fn pictures(annotations: &Path, folder: Option<&Path>, seed: u64) -> anyhow::Result<Pictures> {
    let beside = annotations.parent().unwrap_or(Path::new("."));
    Pictures::read(annotations, folder.unwrap_or(beside), seed)
}

fn run(arguments: &Train) -> anyhow::Result<()> {
    let seed = arguments.seed;
    let sizes = if arguments.sizes.is_empty() {
        SIZES.to_vec()
    } else {
        arguments.sizes.clone()
    };
    let source: Arc<dyn Source> = match &arguments.annotations {
        Some(file) => Arc::new(pictures(file, arguments.pictures.as_deref(), seed)?),
        None => {
            let drawn = Drawn {
                subject: Subject::Boards,
                family: Family::Training,
                seed: seed << 32,
            };
            // A picture comes again at the same size.
            let window = usize::from(arguments.batch) * sizes.len() * WINDOWS;
            match arguments.views {
                1 => Arc::new(drawn),
                each => Arc::new(Views::new(drawn, each.into(), window as u64, seed)),
            }
        }
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
        sizes,
    };
    segmenter_allocator::keep_everything();
    let mut training = Training::open(&arguments.out, options, classes.clone(), begin)?;
    training.run(&source)?;
    let trained = Trained {
        classes,
        tensors: training.average().clone(),
    };
    let weights = arguments.out.join("weights.safetensors");
    parameters::store(&trained, Storage::Int8, &weights)?;
    print(&format!("{}\n", weights.display()))
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
            let drawn = Drawn {
                subject: Subject::Boards,
                family,
                seed,
            };
            (Box::new(drawn), arguments.count)
        }
    };
    anyhow::ensure!(
        source.classes() == trained.classes,
        "the weights find {}, and the pictures have {}",
        trained.classes.join(", "),
        source.classes().join(", ")
    );
    let judged = evaluate::run(&model, source.as_ref(), count, arguments.size)?;
    let qualities = evaluate::qualities(&judged, &trained.classes)?;
    let mut table = "class            objects     AP   AP50   AP75\n".to_owned();
    for quality in &qualities {
        writeln!(
            table,
            "{:<16} {:>7}  {:.3}  {:.3}  {:.3}",
            quality.class, quality.objects, quality.ap, quality.ap50, quality.ap75
        )?;
    }
    table.push_str("\nheight of the picture  objects  found\n");
    let recalls = evaluate::recalls(&judged);
    for recall in recalls.iter().filter(|recall| recall.objects > 0) {
        let from = 100.0 * recall.from;
        writeln!(
            table,
            "from {from:>3.0} %             {:>7}  {:>5}",
            recall.objects, recall.found
        )?;
    }
    print(&table)?;
    if arguments.sheet.is_none() && arguments.report.is_none() {
        return Ok(());
    }
    let first = &judged[..judged.len().min(SHEET)];
    let sheet = sheet::sheet(first, &trained.classes).context("no pictures")?;
    if let Some(path) = &arguments.sheet {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        segmenter_imaging::encode::png(&sheet, BufWriter::new(file))?;
    }
    if let Some(path) = &arguments.report {
        let folder = arguments.weights.parent().unwrap_or(Path::new("."));
        let page = report::html(&train::record(folder)?, &qualities, &sheet)?;
        fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn draw(arguments: &Draw) -> anyhow::Result<()> {
    let source = Drawn {
        subject: arguments.subject,
        family: Family::Training,
        seed: arguments.seed << 32,
    };
    let examples = (0..arguments.count).map(|number| source.example(number, SIZE));
    coco::write(&arguments.out, &source.classes(), examples)?;
    print(&format!(
        "{}\n",
        arguments.out.join("instances.json").display()
    ))
}

/// Writes a result to the standard output.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
