//! Closing without losing the reply.
//!
//! A connection that is closed while its client still sends is reset, and with it goes a reply that the
//! client has not read yet. So what is left of a refused request is read on for a while and thrown away.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    http::header,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::runtime::Handle;

/// How long the rest of a request is read for, and how long a pause in it may be.
const LINGER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Sees to it that the body is read to its end, by its reader or after it.
pub(super) async fn linger(request: Request) -> Request {
    // Such a client waits to be asked for its body: dropping it unread loses nothing.
    if request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| {
        Body::from_stream(Lingering {
            rest: Some(body.into_data_stream()),
        })
    })
}

/// A body that is read on after it is dropped.
struct Lingering {
    /// `None` after the end.
    rest: Option<BodyDataStream>,
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let next = rest.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(mut rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            let discard = async {
                while let Ok(Some(Ok(_))) = tokio::time::timeout(PAUSE, rest.next()).await {}
            };
            // A client that sends for longer has had time to read its reply.
            let _ = tokio::time::timeout(LINGER, discard).await;
        });
    }
}
