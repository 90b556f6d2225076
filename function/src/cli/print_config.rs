//! `segmenter serve --print-config`: every setting, its value and where that comes from.

use std::fmt::Write;

use clap::{ArgMatches, Command, CommandFactory, parser::ValueSource};

use super::Cli;
use crate::{config::Serve, store::ModelDir};
use segmenter_models::{DeviceKind, Isa};

/// One setting a line, as `--flag value # origin`.
pub(super) fn settings(serve: &Serve, matches: &ArgMatches) -> String {
    let mut command = Cli::command();
    command.build();
    let arguments = command.find_subcommand("serve").map(Command::get_arguments);
    let mut text = String::new();
    let Some((arguments, matches)) = arguments.zip(matches.subcommand_matches("serve")) else {
        return text;
    };
    for argument in arguments.filter(|argument| argument.get_env().is_some()) {
        let id = argument.get_id().as_str();
        let mut value = matches.get_raw(id).map_or_else(
            || derived(serve, id),
            |values| {
                let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                values.join(",")
            },
        );
        match (id, serve.model.device(), &serve.dialects.object_store) {
            ("precision", Ok(device), _) => value = device.precision().to_string(),
            // Without a password.
            ("object_store", _, Some(address)) => value = address.to_string(),
            _ => {}
        }
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "command line",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        let flag = argument.get_long().unwrap_or(id);
        // Writing to a string does not fail.
        let _ = writeln!(text, "--{flag:<20} {value:<28} # {origin}");
    }
    text
}

/// The value of a setting that nobody gave and that depends on others or on the machine.
fn derived(serve: &Serve, id: &str) -> String {
    let entry = serve.model.entry();
    match id {
        "model" => entry.name.to_owned(),
        "model_dir" => ModelDir::new(None)
            .map_or_else(|_| String::new(), |dir| dir.path().display().to_string()),
        "threshold" => entry.threshold.to_string(),
        "cpu" => Isa::best().to_string(),
        "threads" => serve.model.threads().to_string(),
        "workers" => {
            let device = serve.model.device();
            let device = device.map_or(DeviceKind::Cpu, |device| device.kind());
            let workers = serve.limits.workers(serve.model.threads(), device);
            workers.to_string()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::cli;

    #[test]
    fn settings_say_their_value_and_origin() {
        let arguments = ["segmenter", "serve", "--queue=5", "--log-level=debug"];
        let matches = Cli::command().get_matches_from(arguments);
        let cli::Command::Serve(serve) = Cli::from_arg_matches(&matches).unwrap().command else {
            panic!("serve is another command");
        };
        let text = settings(&serve, &matches);
        let line = |flag: &str| {
            let line = text.lines().find(|line| line.starts_with(flag)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("--queue "), "--queue 5 # command line");
        assert_eq!(line("--log-level "), "--log-level debug # command line");
        assert!(line("--threads ").ends_with("# default"));
        assert_ne!(line("--threads "), "--threads # default");
    }
}
