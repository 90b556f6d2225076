//! Why a URL gave no bytes, and what that is at the edge.

use std::{error::Error as _, time::Duration};

use reqwest::StatusCode;

use super::{MAX_REDIRECTS, Refused};
use crate::error::Error;

/// Why a URL gave no bytes. No message has the URL, which may have a password in it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not a URL.
    #[error("the URL cannot be read: {0}")]
    Url(url::ParseError),
    /// It is of a scheme that is not fetched.
    #[error("the URL's scheme is {scheme}, expected http or https")]
    Scheme {
        /// What it is.
        scheme: String,
    },
    /// It leads to an address that is not public.
    #[error(
        "{} leads to {}, which is not fetched from unless --fetch-allow names it", .0.host, .0.kind
    )]
    Refused(#[from] Refused),
    /// The answer has too many bytes.
    #[error("the picture has more than {limit} bytes, the limit that --max-body sets")]
    TooLarge {
        /// The most it may have.
        limit: usize,
    },
    /// It took too long.
    #[error("the URL's host did not answer in time, at most {limit:?} by --fetch-timeout")]
    Timeout {
        /// The longest that all of it may take.
        limit: Duration,
    },
    /// The host answered something other than a success.
    #[error("the URL's host answered {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
    },
    /// One redirect followed the other.
    #[error("the URL redirects more than {MAX_REDIRECTS} times")]
    Redirects,
    /// The host redirects to what is not a URL.
    #[error("the URL redirects to what is not a URL")]
    Redirect,
    /// The host could not be reached, or broke off.
    #[error("the URL's host gave no answer that can be read")]
    Http(#[source] reqwest::Error),
    /// There is nothing to fetch with.
    #[error("this server cannot fetch over https: it has no certificate authorities to trust")]
    Client(#[source] reqwest::Error),
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        let message = error.to_string();
        if let Some(cause) = error.source() {
            tracing::debug!(cause, "{message}");
        }
        match error {
            FetchError::Url(_) => Self::BadInput(message),
            FetchError::Scheme { .. } => Self::FetchRefused(message),
            FetchError::Refused(refused) => {
                // The address of a host inside is not for callers.
                tracing::warn!(%refused, "fetching was refused");
                Self::FetchRefused(message)
            }
            FetchError::TooLarge { .. } => Self::TooLarge(message),
            // A host that hangs is no fault of this server: its own deadline is another one.
            FetchError::Timeout { .. }
            | FetchError::Status { .. }
            | FetchError::Redirects
            | FetchError::Redirect
            | FetchError::Http(_) => Self::FetchFailed(message),
            FetchError::Client(_) => Self::Internal(message),
        }
    }
}
