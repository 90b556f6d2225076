//! Log lines: for people on a terminal, JSON elsewhere, always on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging for the rest of the process's life.
pub fn start(log: &Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.log_level).map_err(|_| LogError::Level {
        found: log.log_level.clone(),
    })?;
    let terminal = io::stderr().is_terminal();
    let json = match log.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(terminal);
    let started = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    } else {
        lines.try_init()
    };
    started.map_err(|_| LogError::Started)?;

    // A panic that is caught and answered would else leave its reason outside the log's format.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let reason = panic.payload_as_str().unwrap_or("unknown");
        tracing::error!(place, reason, "panicked");
    }));
    Ok(())
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error(
        "--log-level is {found:?}, expected error, warn, info, debug or trace, or module=level pairs"
    )]
    Level {
        /// What was given.
        found: String,
    },
    /// Something has started it before.
    #[error("logging has already been started")]
    Started,
}
