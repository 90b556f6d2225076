//! What `serve` and `lambda` do before they answer: the threads, the service, its model.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use segmenter_models::{Device, Model, catalogue::Entry};
use tokio::{runtime, sync::oneshot, task::JoinHandle};

use super::{BadConfiguration, pull};
use crate::{
    bucket::Bucket,
    config::{self, Serve},
    metrics::Metrics,
    readiness::Latch,
    service::{Segmenter, Wish},
};

/// The threads that networks run on, and as many for what waits.
pub(super) fn runtime(model: &config::Model) -> anyhow::Result<runtime::Runtime> {
    let threads = super::start_threads(model)?;
    runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .on_thread_park(segmenter_allocator::tidy)
        .enable_all()
        .build()
        .context("cannot start the async threads")
}

/// The service, with everything but its model.
pub(super) fn service(serve: &Serve) -> anyhow::Result<Segmenter> {
    let models = serve.models();
    let mut entries = Vec::with_capacity(models.len());
    for model in &models {
        super::device(model)?;
        super::weights_file(model)?;
        entries.push(model.entry());
    }
    config::look_at_model_type();
    let metrics = Metrics::new()?.with_process()?;
    let segmenter = Segmenter::new(
        &entries,
        serve.prediction.clone(),
        serve.limits.clone(),
        serve.fetcher(),
        serve.model.threads(),
        metrics,
    );
    // What is answered by default depends on the model: a class that it does not know, for one.
    for entry in entries {
        let wish = Wish {
            model: Some(entry.name.to_owned()),
            ..Wish::default()
        };
        segmenter
            .query(&wish)
            .map_err(|error| BadConfiguration(error.to_string()))?;
    }
    let Some(model) = serve.on_demand() else {
        return Ok(segmenter);
    };
    let device = super::device(&model)?;
    let word = device.word();
    let load = move || segmenter_models::load_built_in(&device);
    Ok(segmenter.with_on_demand(model.entry(), word, load))
}

/// The store of uploads, where there is one.
pub(super) fn bucket(serve: &Serve) -> Result<Option<Bucket>, BadConfiguration> {
    let bucket = serve.bucket();
    let bucket = bucket.map_err(|error| BadConfiguration(error.to_string()))?;
    Ok(bucket.inspect(Bucket::tidy))
}

/// Models that are being loaded.
pub(super) struct Starting {
    loading: Vec<JoinHandle<anyhow::Result<Loaded>>>,
    model: Latch,
    warm_up: Latch,
}

/// A model, what it runs on, and how long it took to find, to verify and to load.
struct Loaded {
    entry: &'static Entry,
    model: Box<dyn Model>,
    device: Device,
    took: Duration,
}

impl Starting {
    /// Begins to load the models that are to be installed in `segmenter`, which is not ready until then.
    pub(super) fn begin(segmenter: &Segmenter, serve: &Serve) -> Self {
        super::tell_of_stand_in(&serve.model);
        let readiness = segmenter.readiness();
        Self {
            model: readiness.latch("model"),
            warm_up: readiness.latch("warm-up"),
            loading: serve
                .models()
                .into_iter()
                .map(load)
                .map(tokio::spawn)
                .collect(),
        }
    }

    /// Installs them.
    pub(super) async fn finish(self, segmenter: &Segmenter) -> anyhow::Result<()> {
        let mut models = Vec::with_capacity(self.loading.len());
        for loading in self.loading {
            models.push(loading.await.context("loading the model failed")??);
        }
        self.model.release();
        for loaded in models {
            let started = Instant::now();
            let (entry, device) = (loaded.entry, loaded.device);
            segmenter
                .install(entry, loaded.model, device.word())
                .await?;
            tracing::info!(
                model = entry.name,
                device = device.word(),
                precision = %device.precision(),
                load_ms = (loaded.took.as_secs_f64() * 1e3).round(),
                warm_up_ms = (started.elapsed().as_secs_f64() * 1e3).round(),
                "the model is loaded and warm"
            );
        }
        self.warm_up.release();
        Ok(())
    }
}

/// Finds the model's weights and loads them on a thread of its own, so that probes are answered meanwhile.
async fn load(model: config::Model) -> anyhow::Result<Loaded> {
    let started = Instant::now();
    let entry = model.entry();
    let weights = pull::locate(&model).await?;
    let device = super::device(&model)?;
    let (send, loaded) = oneshot::channel();
    thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            // Nobody listens any more where a signal has ended the start.
            let _ = send.send(super::load_model(&model, &weights));
        })?;
    let model = loaded.await.context("loading the model failed")??;
    Ok(Loaded {
        entry,
        model,
        device,
        took: started.elapsed(),
    })
}
