//! Ports that nobody listens on.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use crate::error::Error;

/// Below the ports that the system gives to outgoing connections (from 32768 on), one of which could
/// otherwise take the API server's port while that is stopped, and below those of NodePort services (from
/// 30000 on).
const PORTS: Range<u16> = 20_000..30_000;

/// How many ports are tried.
const TRIES: usize = 100;

/// A port of 127.0.0.1 on which nobody listens now. Somebody else may take it before it is used.
pub(crate) fn free() -> Result<u16, Error> {
    let random = RandomState::new();
    (0..TRIES)
        .map(|attempt| {
            let offset = random.hash_one(attempt) % u64::from(PORTS.end - PORTS.start);
            // The remainder fits, being less than the length of a range of u16.
            PORTS.start + u16::try_from(offset).unwrap_or_default()
        })
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(Error::Port {
            from: PORTS.start,
            to: PORTS.end,
        })
}

/// What `start` makes of a free port, tried again with another where somebody else took it meanwhile.
pub(crate) async fn with_free<T>(start: impl AsyncFn(u16) -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..2 {
        match start(free()?).await {
            Err(error) if error.is_port_taken() => {}
            other => return other,
        }
    }
    start(free()?).await
}
