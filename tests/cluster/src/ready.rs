//! Waiting for what takes its time.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use kube::{Client, Config};

use crate::{error::Error, process::Process};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How long one look of a test may take: one whose answer never comes is not to use up the whole limit.
const LOOK: Duration = Duration::from_secs(15);

/// Waits until `probe` answers `Some`, and answers what is in it. Errors of the probe are waited out as
/// well, and a probe that has no answer within 15 s is begun anew; `what` is the thing that is waited for, such
/// as "three Pods".
///
/// # Errors
/// When `limit` has passed; the error has what the probe failed with last, if it did.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    looking(what, limit, LOOK, probe).await
}

/// The same with a limit of each look.
async fn looking<T>(
    what: &str,
    limit: Duration,
    look: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        let answer = match tokio::time::timeout(look, probe()).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow!("a look took longer than {look:?}")),
        };
        if let Ok(Some(found)) = answer {
            return Ok(found);
        }
        if begin.elapsed() >= limit {
            let late = || format!("{what} did not come about within {limit:?}");
            return Err(match answer.err() {
                Some(error) => error.context(late()),
                None => anyhow!(late()),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until a process answers `path` with success.
pub(crate) async fn ready(
    process: &Process,
    config: &Config,
    path: &str,
    limit: Duration,
) -> Result<(), Error> {
    // The questions are repeated here already.
    let mut config = config.clone();
    config.default_retry = false;
    let client = client(config)?;
    until(process, limit, async || {
        Ok(get(&client, path).await.is_ok())
    })
    .await
}

/// Waits until `probe` answers true, for as long as the process runs.
pub(crate) async fn until(
    process: &Process,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let program = process.program();
    let begin = Instant::now();
    loop {
        if let Some(status) = process.status() {
            return Err(Error::Ended {
                program,
                status,
                log: process.log_tail(),
            });
        }
        if let Ok(Ok(true)) = tokio::time::timeout(ANSWER, probe()).await {
            return Ok(());
        }
        if begin.elapsed() >= limit {
            return Err(Error::NotReady {
                program,
                limit,
                log: process.log_tail(),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client of its own: one that is shared would not outlive the runtime in which it was made.
pub(crate) fn client(config: Config) -> Result<Client, Error> {
    Client::try_from(config).map_err(Error::api("make a client"))
}

/// `GET path`, as text.
pub(crate) async fn get(client: &Client, path: &str) -> Result<String, Error> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(kube::Error::HttpError);
    let answer = match request {
        Ok(request) => client.request_text(request).await,
        Err(error) => Err(error),
    };
    answer.map_err(Error::api(format!("get {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_that_has_no_answer_is_not_the_last() {
        let mut looks = 0;
        let found = looking("an answer", ANSWER, PAUSE, async || {
            looks += 1;
            if looks == 1 {
                std::future::pending::<()>().await;
            }
            Ok(Some(looks))
        })
        .await;
        assert_eq!(found.unwrap(), 2);
    }
}
