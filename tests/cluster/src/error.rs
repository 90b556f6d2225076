//! What can go wrong with a control plane.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::{image::ImageError, tools::Missing};

/// Why the control plane, or something asked of it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program or a definition is not there.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A file or folder of the control plane cannot be made, read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, in the infinitive.
        doing: &'static str,
        /// What it was tried with.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate for {subject:?}")]
    Certificate {
        /// Whom it is for.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A client certificate for more groups than it can carry.
    #[error(
        "{groups} groups for {user:?}: a client certificate made here carries at most {limit}; \
         let the user impersonate, or use a ServiceAccount"
    )]
    Groups {
        /// The user.
        user: String,
        /// How many groups were asked for.
        groups: usize,
        /// How many there may be.
        limit: usize,
    },
    /// No loopback port could be had.
    #[error("no free port between {from} and {to} on 127.0.0.1")]
    Port {
        /// The first port that was considered.
        from: u16,
        /// The one after the last.
        to: u16,
    },
    /// A program cannot be started.
    #[error("cannot start {program}")]
    Spawn {
        /// Which.
        program: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A program ended by itself before it was ready.
    #[error("{program} ended with {status} before it was ready; its log ends so:\n{log}")]
    Ended {
        /// Which.
        program: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A program runs, but did not get ready in time.
    #[error("{program} was not ready after {limit:?}; its log ends so:\n{log}")]
    NotReady {
        /// Which.
        program: &'static str,
        /// How long it had.
        limit: Duration,
        /// The end of its log.
        log: String,
    },
    /// The API server cannot be asked, or answers with an error.
    #[error("cannot {doing}")]
    Api {
        /// What was tried, in the infinitive.
        doing: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// A kubeconfig that is none.
    #[error("{} is no kubeconfig that can be used", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// Something that the API server said is done did not show in time.
    #[error("{what} did not come about within {limit:?}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A command ended with an error.
    #[error("`{command}` ended with {status}: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote on stderr.
        stderr: String,
    },
    /// An image cannot be packed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A line of the audit log cannot be read.
    #[error("the audit log has a line that is no event: {line}")]
    Audit {
        /// The line.
        line: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// For `map_err`: what was tried with a path.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// For `map_err`: what was asked of the API server.
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api {
            doing,
            source: Box::new(source),
        }
    }

    /// Whether a program ended because another process had taken its port.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Ended { log, .. } if log.contains("address already in use"))
    }
}
