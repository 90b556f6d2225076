//! Predictions are let in before their messages are read, and get their places after.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use bytesize::ByteSize;
use futures_util::TryStreamExt;
use tonic::{Code, Extensions, Status};

use super::status;
use crate::{
    error::Error,
    service::{Arrival, Segmenter, Ticket},
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
    let arrival = match segmenter.admit(patience(request.headers())) {
        Ok(arrival) => arrival,
        Err(error) => return status(&error).into_http::<Body>(),
    };
    let deadline = arrival.deadline;
    request.extensions_mut().insert(arrival.clone());
    let response = next.run(request.map(|body| counted(body, arrival, Arc::clone(&segmenter))));
    let Ok(response) = tokio::time::timeout_at(deadline.into(), response).await else {
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

/// The body, which ends where there is no room for more of it.
fn counted(body: Body, arrival: Arrival, segmenter: Arc<Segmenter>) -> Body {
    let mut read = 0;
    let chunks = body
        .into_data_stream()
        .map_err(|error| Status::from_error(error.into()));
    Body::from_stream(chunks.and_then(move |chunk| {
        read += chunk.len();
        let held = arrival.room.hold(read);
        let held = held.map_err(|error| status(&segmenter.refused(error)));
        std::future::ready(held.map(|()| chunk))
    }))
}

/// A place for the request that [`admit`] let in, now that its message is there.
pub(crate) fn ticket(segmenter: &Segmenter, extensions: &Extensions) -> Result<Ticket, Status> {
    let arrival = extensions.get::<Arrival>().cloned();
    let arrival = arrival.ok_or_else(|| status(&Error::internal()))?;
    segmenter.enter(arrival).map_err(|error| status(&error))
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
