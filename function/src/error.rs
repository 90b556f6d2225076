//! The one error of the function's edge, and what it is in HTTP and in gRPC.

use std::{fmt, time::Duration};

use axum::http::StatusCode;
use segmenter_imaging::decode::DecodeError;
use tonic::Code;

/// Why a request got no prediction.
///
/// The message is for the caller: it names what was wrong and what would be right, with the limit or
/// flag that refused. Causes are for the log and are not part of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request says something that cannot be.
    #[error("{}", Short(.0))]
    BadInput(String),
    /// Nothing goes by that name here.
    #[error("{}", Short(.0))]
    NotFound(String),
    /// What is there does not answer to this verb.
    #[error("{}", Short(.0))]
    MethodNotAllowed(String),
    /// The caller took too long to send its request.
    #[error("{}", Short(.0))]
    RequestTimeout(String),
    /// Over a limit, which the message names.
    #[error("{}", Short(.0))]
    TooLarge(String),
    /// Not a picture format that is read here.
    #[error("{}", Short(.0))]
    UnsupportedMedia(String),
    /// The URL leads where this server does not go.
    #[error("{}", Short(.0))]
    FetchRefused(String),
    /// The URL's host gave no picture.
    #[error("{}", Short(.0))]
    FetchFailed(String),
    /// The queue is full.
    #[error("{}", Short(message))]
    Overloaded {
        /// Names the limit.
        message: String,
        /// When a retry is worth it.
        retry_after: Duration,
    },
    /// The answer would come too late.
    #[error("{}", Short(.0))]
    Deadline(String),
    /// Starting or stopping.
    #[error("{}", Short(.0))]
    NotReady(String),
    /// Our fault.
    #[error("{}", Short(.0))]
    Internal(String),
}

/// A message without its middle where it is long, which only a caller's own text makes it: replies and log lines have an
/// end, and what was wrong and what would be right is still told.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// In bytes, as are the next two.
        const LONGEST: usize = 600;
        const BEGINNING: usize = 150;
        const END: usize = 350;
        let Self(message) = *self;
        if message.len() <= LONGEST {
            return f.write_str(message);
        }
        let beginning = &message[..message.floor_char_boundary(BEGINNING)];
        let end = &message[message.ceil_char_boundary(message.len() - END)..];
        write!(f, "{beginning}...{end}")
    }
}

impl Error {
    /// Our fault, in the words for callers; the reason belongs in the log.
    pub fn internal() -> Self {
        Self::Internal(
            "something went wrong here; the log has more under the request's id".to_owned(),
        )
    }

    /// The stable word for this kind of error in replies and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadInput(_) => "bad_input",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::RequestTimeout(_) => "request_timeout",
            Self::TooLarge(_) => "too_large",
            Self::UnsupportedMedia(_) => "unsupported_media",
            Self::FetchRefused(_) => "fetch_refused",
            Self::FetchFailed(_) => "fetch_failed",
            Self::Overloaded { .. } => "overloaded",
            Self::Deadline(_) => "deadline",
            Self::NotReady(_) => "not_ready",
            Self::Internal(_) => "internal",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadInput(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::FetchRefused(_) => StatusCode::FORBIDDEN,
            Self::FetchFailed(_) => StatusCode::BAD_GATEWAY,
            Self::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC code.
    pub fn grpc_code(&self) -> Code {
        match self {
            Self::BadInput(_) | Self::UnsupportedMedia(_) => Code::InvalidArgument,
            Self::NotFound(_) => Code::NotFound,
            Self::MethodNotAllowed(_) => Code::Unimplemented,
            Self::TooLarge(_) => Code::OutOfRange,
            Self::FetchRefused(_) => Code::PermissionDenied,
            Self::FetchFailed(_) => Code::FailedPrecondition,
            Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::Deadline(_) | Self::RequestTimeout(_) => Code::DeadlineExceeded,
            Self::NotReady(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        let message = error.to_string();
        match error {
            DecodeError::Empty | DecodeError::Truncated { .. } | DecodeError::Damaged { .. } => {
                Self::BadInput(message)
            }
            DecodeError::Format { .. } => Self::UnsupportedMedia(message),
            DecodeError::Pixels { .. } | DecodeError::Memory { .. } => {
                Self::TooLarge(format!("{message} (--max-pixels)"))
            }
            DecodeError::Side { .. } => Self::TooLarge(format!("{message} (--max-side)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let short = Error::BadInput("ä".repeat(300));
        assert_eq!(short.to_string().chars().count(), 300);
        for sent in ["ä".repeat(4 << 20), "\u{0}€😀".repeat(1 << 20)] {
            let error =
                Error::NotFound(format!("there is no model {sent:?} here, expected a or b"));
            let message = error.to_string();
            assert!(message.len() <= 600, "{message}");
            assert!(message.starts_with("there is no model \""), "{message}");
            assert!(message.ends_with(" here, expected a or b"), "{message}");
        }
    }
}
