//! The service within a command, for those that predict without a server.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;

use super::pull;
use crate::{
    config::{self, Limits, PictureLimits},
    fetch::{Allow, FetchLimits, FetchPolicy, Fetcher},
    metrics::Metrics,
    service::Segmenter,
};

/// Nobody waits at the other end of a wire: a picture may take as long as it takes.
const PATIENCE: Duration = Duration::from_hours(24);

/// A service that takes `places` pictures at a time, ready to answer.
pub(super) async fn segmenter(
    model: &config::Model,
    prediction: config::Prediction,
    picture: PictureLimits,
    places: usize,
) -> anyhow::Result<Segmenter> {
    // Before anything is downloaded for it.
    super::device(model)?;
    super::tell_of_stand_in(model);
    let weights = pull::locate(model).await?;
    let load = super::loader(model.clone(), weights);
    let built = {
        let load = Arc::clone(&load);
        tokio::task::spawn_blocking(move || load()).await?
    };
    let built = built.map_err(anyhow::Error::from_boxed)?;
    let limits = Limits {
        queue: places,
        workers: Some(1),
        deadline: PATIENCE,
        drain_delay: Duration::ZERO,
        grace: Duration::ZERO,
        picture,
    };
    let entry = model.entry();
    let segmenter = Segmenter::new(
        &[entry],
        prediction,
        limits,
        fetcher(picture),
        model.threads(),
        Metrics::new()?,
    );
    segmenter.install(entry, built, load).await?;
    Ok(segmenter)
}

/// Who types a URL may fetch it: the addresses that a server must not be lured to are this user's own.
fn fetcher(picture: PictureLimits) -> Fetcher {
    let anywhere = ["0.0.0.0/0", "::/0"]
        .iter()
        .filter_map(|network| network.parse::<Allow>().ok());
    let limits = FetchLimits {
        max_bytes: picture.max_body,
        timeout: Duration::from_secs(60),
    };
    Fetcher::new(FetchPolicy::new(anywhere.collect()), limits)
}

/// Runs a command's asynchronous part to its end.
pub(super) fn block_on<T>(
    threads: usize,
    command: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start the async threads")?
        .block_on(command)
}
