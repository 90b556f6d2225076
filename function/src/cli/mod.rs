//! The command line: one file a command.

mod bench;
mod check;
mod demo;
mod devices;
#[cfg(feature = "lambda")]
mod lambda;
mod local;
mod models;
mod predict;
mod print_config;
mod pull;
mod serve;
mod start;
mod table;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use segmenter_models::catalogue::{BUILT_IN, DEFAULT};

use self::pull::Located;
use crate::{
    config,
    download::DownloadError,
    forward::{Built, Load},
    logging,
    store::StoreError,
};

/// Finds and outlines the objects in a picture.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, args_override_self = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    log: config::Log,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw a board with sticky notes and find them on it, to see that it works
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Demo),
    /// Answer requests over HTTP and gRPC
    #[command(after_help = serve::EXAMPLES)]
    Serve(config::Serve),
    /// Answer requests as a function of AWS Lambda
    #[cfg(feature = "lambda")]
    #[command(after_help = lambda::ABOUT)]
    Lambda(config::Serve),
    /// Find the objects in pictures, without a server
    #[command(after_help = predict::EXAMPLES)]
    Predict(predict::Predict),
    /// List the models: what each is for, its licence, its size, and whether it is there
    Models(models::ModelsArgs),
    /// List what networks can run on, and say what is taken where nothing is asked for
    Devices(devices::DevicesArgs),
    /// Download a model, verify it and put it where it is looked for
    #[command(after_help = pull::EXAMPLES)]
    Pull(pull::PullArgs),
    /// Measure latency and throughput of a model, or of a running server
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Bench),
    /// Find out whether `serve` would work with the same settings
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
}

const EXAMPLES: &str = "\
Examples:
  segmenter demo
  segmenter serve
  segmenter predict street.jpg
  segmenter pull maskrcnn_resnet50_fpn
  segmenter serve --help

Every flag can be given as a variable too: --max-body is SEGMENTER_MAX_BODY.";

/// sysexits.h's EX_USAGE: the command line or the environment says something that cannot work.
const EX_USAGE: u8 = 64;

/// sysexits.h's EX_DATAERR: the weights are not the ones that they have to be. Whoever starts containers
/// tells this from all other failures, which may pass.
const EX_DATAERR: u8 = 65;

/// A setting that cannot work, found out after the command line was parsed. Ends with code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadConfiguration(String);

/// Starts the threads that networks run on, and says how many there are.
fn start_threads(model: &config::Model) -> anyhow::Result<usize> {
    let threads = model.threads();
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("cpu-{index}"))
        .build_global()
        .context("cannot start the processor threads")?;
    Ok(threads)
}

/// Writes a command's result to its standard output.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Runs the command of the process's arguments to its end.
pub fn run() -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nothing is left to tell anyone where the terminal is gone.
            let _ = error.print();
            let failed = error.use_stderr();
            return ExitCode::from(if failed { EX_USAGE } else { 0 });
        }
    };
    if let Err(error) = logging::start(&cli.log) {
        eprintln!("error: {error}");
        return ExitCode::from(EX_USAGE);
    }
    let result = match cli.command {
        Command::Demo(demo) => demo::run(&demo),
        Command::Serve(serve) => serve::run(serve, &matches),
        #[cfg(feature = "lambda")]
        Command::Lambda(serve) => lambda::run(serve),
        Command::Predict(predict) => predict::run(predict),
        Command::Models(args) => models::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Pull(args) => pull::run(&args),
        Command::Bench(bench) => bench::run(bench),
        Command::Check(check) => check::run(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let wrong_weights = error.chain().any(|cause| {
        let download = cause.downcast_ref::<DownloadError>();
        let store = match download {
            Some(DownloadError::Store(store)) => Some(store),
            _ => cause.downcast_ref::<StoreError>(),
        };
        matches!(store, Some(StoreError::Checksum { .. }))
    });
    match () {
        () if error.is::<BadConfiguration>() => EX_USAGE,
        () if wrong_weights => EX_DATAERR,
        () => 1,
    }
}

/// Where the network of a model runs.
fn device(model: &config::Model) -> Result<segmenter_models::Device, BadConfiguration> {
    let device = model.device();
    device.map_err(|error| BadConfiguration(error.to_string()))
}

/// The weights file of a model, if one is named.
fn weights_file(model: &config::Model) -> Result<Option<&Path>, BadConfiguration> {
    let file = model.file();
    file.map_err(|error| BadConfiguration(error.to_string()))
}

/// Says so where the model that is built in answers for want of the default one.
fn tell_of_stand_in(model: &config::Model) {
    if model.stands_in() {
        let finds = BUILT_IN.classes.join(", ");
        let default = DEFAULT.name;
        tracing::info!(
            model = BUILT_IN.name,
            "no model is named and {default} is not in the model directory, so the one that is built in answers, which \
             finds {finds}; for the 80 kinds of objects of COCO, `segmenter pull {default}`, or --model {default}, \
             which downloads it, too"
        );
    }
}

/// Builds the network of a model with its weights, on the device that is asked for.
fn load_model(model: &config::Model, weights: &Located) -> anyhow::Result<Built> {
    let (entry, device) = (model.entry(), device(model)?);
    let network = match weights {
        Located::File(path) => segmenter_models::load(entry, path, &device)?,
        Located::BuiltIn(bytes) => segmenter_models::load_bytes(entry, bytes, &device)?,
    };
    Ok(Built::new(network, device))
}

/// What does that again and again.
fn loader(model: config::Model, weights: Located) -> Load {
    Arc::new(move || Ok(load_model(&model, &weights)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_once_is_not_among_settings() {
        let command = Cli::command();
        for name in ["serve", "check"] {
            let command = command.find_subcommand(name).unwrap();
            let mut arguments = command.get_arguments();
            let print_config = arguments.find(|argument| argument.get_id() == "print_config");
            assert_eq!(print_config.unwrap().get_help_heading(), Some("Options"));
        }
    }

    #[test]
    fn every_flag_has_its_variable_and_one_line() {
        let command = Cli::command();
        command.clone().debug_assert();
        let arguments = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments);
        for argument in arguments {
            let Some(flag) = argument.get_long() else {
                continue;
            };
            if ["help", "version", "print-config"].contains(&flag) {
                continue;
            }
            let variable = format!("SEGMENTER_{}", flag.to_uppercase().replace('-', "_"));
            let found = argument.get_env().and_then(|name| name.to_str());
            assert_eq!(found, Some(variable.as_str()), "--{flag}");
            assert!(argument.get_help().is_some(), "--{flag} says nothing");
        }
    }
}
