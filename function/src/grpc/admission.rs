//! A ticket for every prediction, taken before its message is read.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use bytesize::ByteSize;
use tonic::{Code, Extensions, Status};

use super::status;
use crate::{
    error::Error,
    service::{Segmenter, Ticket},
};

/// Refuses a prediction that there is no place for, and ends one whose time is up.
pub(super) async fn admit(
    State(segmenter): State<Arc<Segmenter>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !is_prediction(request.uri().path()) {
        return next.run(request).await;
    }
    let ticket = match segmenter.admit(patience(request.headers())) {
        Ok(ticket) => Arc::new(ticket),
        Err(error) => return status(&error).into_http::<Body>(),
    };
    request.extensions_mut().insert(Arc::clone(&ticket));
    let response = next.run(request);
    let Ok(response) = tokio::time::timeout_at(ticket.deadline.into(), response).await else {
        return status(&segmenter.too_late()).into_http::<Body>();
    };
    match response.extensions().get::<Status>() {
        Some(status) if is_too_large(status) => too_large(&segmenter).into_http::<Body>(),
        _ => response,
    }
}

fn is_prediction(path: &str) -> bool {
    path.ends_with("/Predict") || path.ends_with("/ModelInfer")
}

/// The ticket that [`admit`] took.
pub(crate) fn ticket(extensions: &Extensions) -> Result<Arc<Ticket>, Status> {
    extensions
        .get::<Arc<Ticket>>()
        .cloned()
        .ok_or_else(|| status(&Error::internal()))
}

/// How long the caller waits, from `grpc-timeout`: digits and a unit. One that is neither is ignored,
/// as the [specification](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) leaves open.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let unit = text.len().checked_sub(1)?;
    let (number, unit) = (text.get(..unit)?, text.get(unit..)?);
    let number = (number.len() <= 8).then(|| number.parse::<u64>().ok())??;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Whether it is the refusal of tonic's decoder, which does not know where its limit comes from.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("decoded message length")
}

fn too_large(segmenter: &Segmenter) -> Status {
    let limit = ByteSize::b(segmenter.limits().picture.max_body as u64);
    status(&Error::TooLarge(format!(
        "the picture is larger than {limit} (--max-body)"
    )))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_timeout_is_a_number_and_a_unit() {
        let patience = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            patience(&HeaderMap::from_iter([(
                "grpc-timeout".parse().unwrap(),
                value,
            )]))
        };
        assert_eq!(patience("250m"), Some(Duration::from_millis(250)));
        assert_eq!(
            patience("99999999H"),
            Some(Duration::from_hours(99_999_999))
        );
        assert_eq!(patience("3S"), Some(Duration::from_secs(3)));
        for bad in ["", "S", "3", "-3S", "3s", "123456789S", "3 S"] {
            assert_eq!(patience(bad), None, "{bad}");
        }
    }
}
