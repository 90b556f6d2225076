//! Log lines, and how many of them.

use std::{io::IsTerminal, sync::Arc};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

/// Changes which lines are logged while the operator runs.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

/// Why the log level could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// It is none.
    #[error(
        "expected error, warn, info, debug or trace, also by module, such as info,kube=debug: {0}"
    )]
    Unknown(#[from] ParseError),
    /// Logging has ended.
    #[error("the log level cannot be changed any more")]
    Ended(#[from] reload::Error),
}

impl LogLevel {
    /// Logs these lines from now on.
    pub fn set(&self, level: &str) -> Result<(), LogLevelError> {
        Ok((self.0)(EnvFilter::try_new(level)?)?)
    }
}

/// Starts logging: as text on a terminal, as JSON elsewhere.
pub fn start(level: &str) -> Result<LogLevel, LogLevelError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    Registry::default().with(lines.with_filter(filter)).init();
    Ok(LogLevel(Arc::new(move |filter| handle.reload(filter))))
}
