//! What `serve` and `lambda` do before they answer: the threads, the service, its model.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use segmenter_models::catalogue::Entry;
use tokio::{runtime, sync::oneshot, task::JoinHandle};

use super::{BadConfiguration, pull};
use crate::{
    bucket::Bucket,
    config::{self, Serve},
    forward::{Built, Load},
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
    super::device(&model)?;
    let entry = model.entry();
    let load = Arc::new(move || {
        let device = super::device(&model)?;
        Ok(Built::new(
            segmenter_models::load_built_in(&device)?,
            device,
        ))
    });
    Ok(segmenter.with_on_demand(entry, load))
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

/// A model, what loads it again, and how long it took to find, to verify and to load.
struct Loaded {
    entry: &'static Entry,
    built: Built,
    load: Load,
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
            let entry = loaded.entry;
            let (device, precision) = (loaded.built.device, loaded.built.precision);
            segmenter.install(entry, loaded.built, loaded.load).await?;
            tracing::info!(
                model = entry.name,
                %device,
                %precision,
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
    let load = super::loader(model, weights);
    let (send, built) = oneshot::channel();
    let first = Arc::clone(&load);
    thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            // Nobody listens any more where a signal has ended the start.
            let _ = send.send(first());
        })?;
    let built = built.await.context("loading the model failed")?;
    Ok(Loaded {
        entry,
        built: built.map_err(anyhow::Error::from_boxed)?,
        load,
        took: started.elapsed(),
    })
}
