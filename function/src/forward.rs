//! What the device threads run: the network of a model, which is loaded anew where the device fails under it.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use segmenter_models::{
    Device, DeviceKind, Input, Model, Output, Precision, Selection, catalogue::Entry,
    on_this_thread,
};
use tokio::sync::Semaphore;

use crate::{engine::Work, metrics::Metrics, readiness::Readiness};

/// A model that is loaded, and what it runs on.
pub struct Built {
    /// The network with its pre- and post-processing.
    pub model: Box<dyn Model>,
    /// What it runs on.
    pub device: DeviceKind,
    /// What it calculates with.
    pub precision: Precision,
    /// Why the device computes nothing any more, if it failed.
    pub fault: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Built {
    /// A model on the device that it was loaded for.
    pub fn new(model: Box<dyn Model>, device: Device) -> Self {
        Self {
            model,
            device: device.kind(),
            precision: device.precision(),
            fault: Box::new(move || device.fault()),
        }
    }
}

/// Loads a model, on a device that works.
pub type Load = Arc<dyn Fn() -> Result<Built, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// Between two attempts to load a model anew, at first and at the most.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];

/// The work of the device threads.
pub(crate) struct Forward {
    entry: &'static Entry,
    running: RwLock<Arc<Built>>,
    load: Load,
    /// Held by the thread that loads it anew.
    restarting: Mutex<()>,
    closing: AtomicBool,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    threads: usize,
    /// Places for pictures under way.
    prepared: Arc<Semaphore>,
    /// How many there are, free or not.
    most_prepared: usize,
}

impl Forward {
    pub(crate) fn new(
        entry: &'static Entry,
        built: Built,
        load: Load,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        threads: usize,
        prepared: Arc<Semaphore>,
    ) -> Self {
        Self {
            entry,
            running: RwLock::new(Arc::new(built)),
            load,
            restarting: Mutex::default(),
            closing: AtomicBool::new(false),
            metrics,
            readiness,
            threads,
            most_prepared: prepared.available_permits(),
            prepared,
        }
    }

    /// The model as it is now.
    pub(crate) fn running(&self) -> Arc<Built> {
        let running = self.running.read();
        Arc::clone(&running.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether its device has failed and it is not loaded anew yet.
    pub(crate) fn has_fault(&self) -> bool {
        (self.running().fault)().is_some()
    }

    /// Loads nothing anew any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Loads the model until that succeeds; `false` where it is not wanted any more.
    fn restart(&self) -> bool {
        let [mut pause, longest] = PAUSES;
        while !self.closing.load(Ordering::Relaxed) {
            match (self.load)() {
                Ok(built) => {
                    let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
                    *running = Arc::new(built);
                    return true;
                }
                Err(error) => {
                    let error: &dyn Error = &*error;
                    tracing::error!(model = self.entry.name, error, "cannot be loaded anew yet");
                }
            }
            thread::sleep(pause);
            pause = (2 * pause).min(longest);
        }
        false
    }
}

impl Work for Forward {
    type Job = (Input, Selection);
    type Output = Output;
    type Key = [usize; 3];

    fn key(&self, (input, _): &Self::Job) -> Self::Key {
        input.shape
    }

    fn preferred_batch(&self) -> usize {
        self.running().model.preferred_batch()
    }

    fn run(&self, batch: Vec<Self::Job>) -> Vec<Output> {
        self.metrics.batch_size.observe(batch.len() as f64);
        let (inputs, selections): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let batch = inputs.into_iter().zip(&selections).collect();
        let running = self.running();
        let under_way = self.most_prepared - self.prepared.available_permits();
        if 2 * under_way > self.threads {
            // There is work for all threads: none has to wait for another.
            on_this_thread(|| running.model.forward(batch))
        } else {
            // On a thread of the pool, to which the kernels then hand their parts without waking anybody.
            rayon::scope(|_| running.model.forward(batch))
        }
    }

    fn abandoned(&self) {
        self.metrics
            .rejected
            .with_label_values(&["abandoned"])
            .inc();
    }

    fn failed(&self) {
        let failed = self.running();
        let Some(fault) = (failed.fault)() else {
            return;
        };
        let _alone = self
            .restarting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&failed, &self.running()) {
            // Another thread has done it.
            return;
        }
        let latch = self.readiness.latch("device");
        self.metrics.model_ready.set(0);
        tracing::error!(
            model = self.entry.name,
            fault,
            "the device failed; not ready until the model is loaded anew"
        );
        if self.restart() {
            tracing::info!(model = self.entry.name, "the model is loaded anew");
            self.metrics.model_ready.set(1);
            latch.release();
        }
    }
}
