//! Measures segmenter side by side with other ways to run the same networks, and prints tables.
//!
//! Every contestant is a process of its own that speaks [`protocol`]: ours is this program with the
//! command `contestant`, the others are the scripts in `peers/`. All get the same pictures and as many
//! threads, one after the other, so that a slow minute of the machine falls on all of them.

mod cache;
mod chart;
mod gpu;
mod gpu_workloads;
mod layers;
mod machine;
mod ours;
mod process;
mod protocol;
mod report;
mod server;
mod setting;
mod side_by_side;
mod statistics;
mod workloads;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use etcetera::BaseStrategy as _;
use segmenter_tests::{picture_host::jpegs, shared::shared};

use crate::{
    cache::Cache,
    machine::{Machine, pinning},
    report::Report,
    setting::{Device, Notes, Python, Setting, full_name},
    workloads::{EXPORT, Kind, PREPARE},
};

/// The server's, as our contestant stands for it.
#[global_allocator]
static ALLOCATOR: segmenter_allocator::Allocator = segmenter_allocator::Allocator;

/// Measures segmenter beside its peers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What networks run on; on a GPU it is other work, by others, and no server
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    /// How often everything is measured anew
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Processor threads of every contestant [default: 2; with a GPU as many as there are]
    #[arg(long)]
    threads: Option<usize>,
    /// Only what has this in its name, as --list has it; can be given several times
    #[arg(long, value_name = "SUBSTRING", action = clap::ArgAction::Append)]
    only: Vec<String>,
    /// List the names of what is measured, and end
    #[arg(long)]
    list: bool,
    /// Write everything that was measured to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture of the times to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How often the server is started to measure its start
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// Requests that the server answers while its memory is watched
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Clients of the server under load
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How many seconds each load on the server lasts
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Further flags of the server, separated by spaces
    #[arg(
        long,
        value_name = "FLAGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    serve: String,
    /// The Python that has the packages of bench/peers/requirements.txt
    #[arg(long, env = "SEGMENTER_PEERS_PYTHON", default_value = "python3")]
    python: PathBuf,
    /// Where weights and exported networks are kept [default: segmenter/bench in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Instead, show what the time of our networks goes to, kernel by kernel
    #[arg(long)]
    layers: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be measured, by lines on stdin and stdout
    #[command(hide = true)]
    Contestant(ours::Contestant),
}

fn main() -> anyhow::Result<()> {
    segmenter_allocator::give_back_soon();
    let arguments = Arguments::parse();
    if let Some(Command::Contestant(contestant)) = &arguments.command {
        return ours::run(contestant);
    }
    if arguments.list {
        list(arguments.device);
        return Ok(());
    }
    measure(arguments)
}

fn list(device: Device) {
    for workload in device.workloads() {
        for contestant in workload.contestants {
            println!("{}", full_name(&workload.name(), contestant.name));
        }
    }
    if device == Device::Gpu {
        return;
    }
    for part in server::PARTS {
        println!("{}", full_name("server", part));
    }
}

fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let gpu = match arguments.device {
        Device::Cpu => None,
        Device::Gpu => Some(gpu::look()?),
    };
    let Some(shared) = shared("bench") else {
        bail!("the weights and pictures are in the folder of shared data");
    };
    let shared = fs::canonicalize(shared)?;
    let folder = shared.join("images/coco-val");
    let pictures = jpegs(&folder);
    let paths: Vec<PathBuf> = pictures.iter().map(|(name, _)| folder.join(name)).collect();
    if arguments.layers {
        return layers::print(&setting(arguments, shared)?, &paths);
    }
    let machine = Machine::look(gpu);
    let mut notes = Notes::default();
    if let Some(gpu) = machine.gpu.as_ref().filter(|gpu| gpu.software) {
        notes.warn(format!("{gpu} computes on the processor"));
    }
    if machine.load > QUIET {
        notes.warn(format!(
            "the machine had other work, a load of {:.2}; measure again when it has none",
            machine.load
        ));
    }
    let (json, svg) = (arguments.json.clone(), arguments.svg.clone());
    let setting = setting(arguments, shared)?;

    let workloads = side_by_side::measure(&setting, &paths, &mut notes)?;
    let (server, memory) = match setting.device {
        Device::Cpu => tokio::runtime::Runtime::new()?
            .block_on(server::measure(&setting, &pictures, &mut notes))?,
        Device::Gpu => Default::default(),
    };
    let report = Report {
        machine,
        threads: setting.threads,
        pinned: !setting.pinning.is_empty(),
        rounds: setting.rounds,
        workloads,
        server,
        memory,
        versions: notes.versions,
        skipped: notes.skipped,
        warnings: notes.warnings,
    };
    println!("{}", report.markdown());
    if let Some(path) = json {
        write(&path, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = svg {
        write(&path, &report.chart().svg())?;
    }
    Ok(())
}

/// The load from which on others disturb what is measured.
const QUIET: f64 = 0.5;

fn setting(arguments: Arguments, shared: PathBuf) -> anyhow::Result<Setting> {
    let cache = match arguments.cache {
        Some(folder) => folder,
        None => etcetera::choose_base_strategy()?
            .cache_dir()
            .join("segmenter/bench"),
    };
    let threads = match (arguments.threads, arguments.device) {
        (Some(threads), _) => threads,
        (None, Device::Cpu) => 2,
        (None, Device::Gpu) => thread::available_parallelism()?.get(),
    };
    let workloads = arguments.device.workloads();
    let imported = workloads
        .iter()
        .flat_map(|workload| workload.contestants)
        .filter_map(|contestant| match contestant.kind {
            Kind::Peer { modules, .. } => Some(modules),
            Kind::Ours { .. } => None,
        })
        .chain([PREPARE, EXPORT])
        .flatten();
    Ok(Setting {
        device: arguments.device,
        shared,
        cache: Cache::open(cache)?,
        python: Python::look(&arguments.python, imported.copied()),
        rounds: arguments.rounds,
        threads,
        // A GPU's driver has threads of its own, and all processors are there for them.
        pinning: match arguments.device {
            Device::Cpu => pinning(threads),
            Device::Gpu => Vec::new(),
        },
        only: arguments.only,
        server: setting::Server {
            starts: arguments.starts,
            requests: arguments.requests,
            clients: arguments.clients,
            duration: Duration::from_secs(arguments.seconds),
            flags: arguments
                .serve
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        },
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
