//! Reading a request's body: no more of it than may be, no longer than it is worth.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::{error::Error, service::Arrival};

/// How slowly a body may come.
#[derive(Clone, Copy)]
struct Pace {
    /// How long a client may send nothing in the middle of it.
    pause: Duration,
    /// How many bytes must have come each second, but for the length of a pause: who sends next to nothing would hold a
    /// connection and memory for the whole deadline.
    slowest: u64,
}

const PACE: Pace = Pace {
    pause: Duration::from_secs(10),
    slowest: 16 << 10,
};

/// The most bytes that room is made for before they come: a body that grows lies in memory twice now and then, and
/// what is not sent takes none.
const RESERVED: usize = 16 << 20;

/// Reads a body of at most `limit` bytes that is whole before its request's deadline; `too_large` says
/// which limit a longer one is over.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    arrival: &Arrival,
    too_large: impl Fn() -> Error,
) -> Result<Bytes, Error> {
    read_at(PACE, headers, body, limit, arrival, too_large).await
}

async fn read_at(
    Pace { pause, slowest }: Pace,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    arrival: &Arrival,
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
    let begin = Instant::now();
    loop {
        let due = begin + pause + Duration::from_millis(read.len() as u64 * 1000 / slowest);
        let until = arrival.deadline.min(due).min(Instant::now() + pause);
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
                     of more than 10 seconds, and after these come with 16 KiB a second"
                        .to_owned(),
                ));
            }
        };
        if read.len() + chunk.len() > limit {
            return Err(too_large());
        }
        arrival.room.hold(read.len() + chunk.len())?;
        read.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, iter, sync::Arc};

    use futures_util::stream;

    use super::*;
    use crate::room::Memory;

    const BRISK: Pace = Pace {
        pause: Duration::from_millis(400),
        slowest: 1000,
    };

    /// Reads a body of so many pieces of so many bytes, ten a second.
    async fn read_pieces(pieces: usize, bytes: usize) -> Result<Bytes, Error> {
        let pieces = stream::iter(iter::repeat_n(Bytes::from(vec![0; bytes]), pieces));
        let pieces = pieces.then(async |piece| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, Infallible>(piece)
        });
        let (headers, body) = (HeaderMap::new(), Body::from_stream(pieces));
        let arrival = Arrival {
            deadline: Instant::now() + Duration::from_mins(1),
            room: Arc::new(Memory::new(1 << 20).room()?),
        };
        read_at(BRISK, &headers, body, 1 << 20, &arrival, Error::internal).await
    }

    #[tokio::test]
    async fn a_body_that_trickles_in_is_given_up_and_a_slow_one_is_not() {
        let trickle = read_pieces(20, 1).await;
        assert!(matches!(trickle, Err(Error::RequestTimeout(_))));
        assert_eq!(read_pieces(2, 1).await.unwrap().len(), 2);
        assert_eq!(read_pieces(20, 200).await.unwrap().len(), 4000);
    }
}
