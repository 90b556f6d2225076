//! Reading a request's body: no more of it than may be, no longer than it is worth.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::error::Error;

/// How long a client may send nothing in the middle of a body.
const PAUSE: Duration = Duration::from_secs(10);

/// The most bytes that room is made for before they come: a body that grows lies in memory twice now and then, and
/// what is not sent takes none.
const RESERVED: usize = 16 << 20;

/// Reads a body of at most `limit` bytes that is whole before `deadline`; `too_large` says
/// which limit a longer one is over.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Instant,
    too_large: impl Fn() -> Error,
) -> Result<Bytes, Error> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut read = BytesMut::with_capacity(announced.unwrap_or_default().min(RESERVED));
    loop {
        let until = deadline.min(Instant::now() + PAUSE);
        let chunk = match tokio::time::timeout_at(until.into(), chunks.next()).await {
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) => {
                return Err(Error::BadInput(
                    "the body ended before it was whole".to_owned(),
                ));
            }
            Err(_) => {
                return Err(Error::RequestTimeout(
                    "the body came too slowly: it must be whole within the deadline, without pauses \
                     of more than 10 seconds"
                        .to_owned(),
                ));
            }
        };
        if read.len() + chunk.len() > limit {
            return Err(too_large());
        }
        read.extend_from_slice(&chunk);
    }
}
