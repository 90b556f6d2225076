//! Why weights could not be downloaded.

use reqwest::StatusCode;

use crate::store::StoreError;

/// Why weights could not be downloaded. No message has the URL, which may have a password in it.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The catalogue's URL is none.
    #[error("{url} is not a URL")]
    Url {
        /// What the catalogue says.
        url: &'static str,
        /// What is wrong with it.
        #[source]
        source: url::ParseError,
    },
    /// The model directory, or what came into it, is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("cannot write {file_name}")]
    Write {
        /// The file.
        file_name: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The host could not be reached, or broke off and did not come back.
    #[error("cannot download {file_name} from {host}")]
    Http {
        /// The file.
        file_name: &'static str,
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The host answered something other than a success.
    #[error("cannot download {file_name} from {host}: it answers {status}")]
    Status {
        /// The file.
        file_name: &'static str,
        /// The host.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The host sent another part than was asked for.
    #[error("cannot download {file_name} from {host}: it sends another part than it was asked for")]
    Range {
        /// The file.
        file_name: &'static str,
        /// The host.
        host: String,
    },
    /// The file has another length.
    #[error("{file_name} at {host} has {found} bytes or more, expected {expected}")]
    Size {
        /// The file.
        file_name: &'static str,
        /// The host.
        host: String,
        /// How many it has.
        found: u64,
        /// How many it should have, or may have at most.
        expected: u64,
    },
    /// The program is ending.
    #[error("the download was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

impl DownloadError {
    /// Whether it is worth trying again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Http { .. } | Self::Range { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}
