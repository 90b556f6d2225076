//! A picture's bytes or URL in, what is on it out.
//!
//! Every interface comes through here: a request [arrives](Arrival) with its head, gets a [`Ticket`] when its body is
//! there, and then calls [`Segmenter::predict`]. What the steps may cost together is bounded by the tickets, and what
//! bodies may that are still being read by the memory that there is for them (`room`).

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use segmenter_imaging::{
    Image, Picture,
    decode::{self, Exif},
};
use segmenter_models::{
    DeviceKind, Input, Model, Precision, Prediction, Selection, catalogue::Entry,
};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::{
    config,
    encode::class_names,
    engine::{CpuPool, Engine, EngineError},
    error::Error,
    fetch::Fetcher,
    forward::{Built, Forward, Load},
    metrics::{Metrics, Stage},
    readiness::Readiness,
    room::{Memory, Room},
};

/// Models, and all that stands between them and their callers.
pub struct Segmenter {
    /// The first answers where none is asked for.
    models: Vec<Served>,
    limits: config::Limits,
    fetcher: Fetcher,
    places: Arc<Semaphore>,
    /// Of bodies.
    memory: Memory,
    cpu: CpuPool,
    starter: Starter,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// A model that answers, once it is loaded.
pub struct Served {
    /// What it is.
    pub entry: &'static Entry,
    /// The lowest score that is answered by default.
    pub threshold: f32,
    /// The names of the classes that are answered by default; empty for all.
    classes: Vec<String>,
    loaded: Arc<OnceCell<Loaded>>,
    /// What loads it when it is first asked for.
    on_demand: Option<Load>,
}

/// What starts the device threads of models, the same for each.
#[derive(Clone)]
struct Starter {
    threads: usize,
    limits: config::Limits,
    /// Requests that there are at a time.
    places: usize,
    max_detections: usize,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

struct Loaded {
    forward: Arc<Forward>,
    engine: Engine<Forward>,
    /// Places for pictures from their decoding until the network is done with them: so many that device threads
    /// never wait for one, so few that inputs of the network do not add up.
    prepared: Arc<Semaphore>,
    /// Pictures that wait for such a place.
    waiting: AtomicUsize,
}

/// A request whose head is there, and whose body may be read.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// For what has been read of the body.
    pub(crate) room: Arc<Room>,
}

/// A place among the requests that are being answered, from the end of a request's body to its reply.
#[derive(Debug)]
pub struct Ticket {
    /// When the caller stops waiting.
    pub deadline: Instant,
    _room: Arc<Room>,
    _place: OwnedSemaphorePermit,
}

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is fetched from here, http or https.
    Url(String),
    /// The encoded picture itself.
    Bytes(Bytes),
    /// It is decoded already.
    Image(Arc<Image>),
}

/// What a caller wants; what it leaves open is answered by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// The model's name.
    pub model: Option<String>,
    /// The lowest score.
    pub threshold: Option<f32>,
    /// The most detections.
    pub max_detections: Option<usize>,
    /// Class names; empty for those that are answered by default.
    pub classes: Vec<String>,
    /// Whether outlines are wanted.
    pub masks: bool,
    /// `[width, height]` of class maps, both at least 1.
    pub map_size: Option<[u32; 2]>,
    /// Whether class maps have the scores of all classes.
    pub scores: bool,
}

/// A [`Wish`] as it is put to one of the models.
pub struct Query<'a> {
    model: &'a Served,
    selection: Selection,
}

impl Query<'_> {
    /// The most detections that are answered.
    pub fn most(&self) -> usize {
        self.selection.max_detections
    }
}

/// What was found, and on what.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The model that answers.
    pub entry: &'static Entry,
    /// What was asked for.
    pub selection: Selection,
    /// What it found.
    pub prediction: Prediction,
    /// The picture, where it was to be [kept](Handling::keep).
    pub(crate) picture: Option<Held>,
    /// The steps so far and the time that they took.
    pub timings: Vec<(Stage, Duration)>,
}

/// A picture that came.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Encoded(Bytes),
    Decoded(Arc<Image>),
}

/// How a picture is handled, beside what is looked for on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// Whether it is turned as its EXIF data says.
    pub exif: Exif,
    /// Whether the [`Answer`] has its [image](Answer::image). Others cost no memory for their pictures while they wait
    /// for the network.
    pub keep: bool,
}

impl Handling {
    /// For replies that show the picture.
    pub const KEPT: Self = Self {
        exif: Exif::Apply,
        keep: true,
    };

    /// As clients expect it that know nothing of EXIF data.
    pub const UNTURNED: Self = Self {
        exif: Exif::Ignore,
        keep: false,
    };
}

impl Answer {
    /// The picture, which is decoded again: that costs such replies some milliseconds, and others nothing.
    pub fn image(&self, limits: config::PictureLimits) -> Result<Image, Error> {
        match &self.picture {
            Some(Held::Encoded(picture)) => Ok(open(picture, limits, Exif::Apply)?.into_image()?),
            Some(Held::Decoded(picture)) => Ok(Image::clone(picture)),
            None => {
                tracing::error!("a reply needs a picture that was not kept");
                Err(Error::internal())
            }
        }
    }

    /// The picture as it came.
    pub fn encoded(&self) -> Result<Bytes, Error> {
        match &self.picture {
            Some(Held::Encoded(picture)) => Ok(picture.clone()),
            Some(Held::Decoded(_)) | None => {
                tracing::error!("a reply needs a picture as it came, which was not kept");
                Err(Error::internal())
            }
        }
    }
}

/// More class names than any model has use for. Each is looked up.
pub const MOST_CLASSES: usize = 128;

/// Longer than any name of a class that was meant, in bytes. What is nearest to it takes time that grows with its length.
const LONGEST_NAME: usize = 64;

/// Without a finished batch for this long, a device thread is taken to be stuck.
const STALLED: Duration = Duration::from_secs(60);

impl Segmenter {
    /// A server of these models, which are [installed](Self::install) later. The first answers where none is asked for.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(
        entries: &[&'static Entry],
        defaults: config::Prediction,
        limits: config::Limits,
        fetcher: Fetcher,
        threads: usize,
        metrics: Metrics,
    ) -> Self {
        assert!(!entries.is_empty(), "a server without models");
        let config::Prediction {
            threshold,
            max_detections,
            classes,
        } = defaults;
        // Those that wait, and those that the device threads are busy with.
        let workers = limits.workers(threads, DeviceKind::Cpu);
        let places = limits.queue.saturating_add(workers);
        // As if all of them had the largest body, which is what they may come to.
        let memory = places.saturating_mul(limits.picture.largest_body());
        let metrics = Arc::new(metrics);
        let readiness = Readiness::default();
        let mut segmenter = Self {
            models: Vec::with_capacity(entries.len()),
            fetcher,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            memory: Memory::new(memory),
            cpu: CpuPool::new(threads),
            starter: Starter {
                threads,
                limits: limits.clone(),
                places,
                max_detections,
                metrics: Arc::clone(&metrics),
                readiness: readiness.clone(),
            },
            metrics,
            readiness,
            limits,
        };
        for entry in entries {
            segmenter.add(Served {
                entry,
                threshold: threshold.unwrap_or(entry.threshold),
                classes: classes.clone(),
                loaded: Arc::default(),
                on_demand: None,
            });
        }
        segmenter
    }

    /// The same with one more model, which `load` loads when it is first asked for: the requests that come until then
    /// wait for it, and no others do. Nobody chose it, so that what is answered by default is its own to say.
    #[must_use]
    pub fn with_on_demand(mut self, entry: &'static Entry, load: Load) -> Self {
        self.add(Served {
            entry,
            threshold: entry.threshold,
            classes: Vec::new(),
            loaded: Arc::default(),
            on_demand: Some(load),
        });
        self
    }

    fn add(&mut self, model: Served) {
        for class in class_names(model.entry) {
            self.metrics.detections.with_label_values(&[class]);
        }
        self.models.push(model);
    }

    /// Starts the device threads of one of the models, runs the shapes that it wants to be warm for, and answers
    /// requests for it from then on. What is installed in the place of another is dropped. Where its device fails it is
    /// loaded anew, and nothing is ready meanwhile.
    pub async fn install(&self, entry: &'static Entry, built: Built, load: Load) -> io::Result<()> {
        let served = self.model(entry.name).map_err(io::Error::other)?;
        let loaded = self.starter.start(entry, built, load).await?;
        if served.loaded.set(loaded).is_ok() {
            self.metrics.model_ready.set(self.is_loaded().into());
        }
        Ok(())
    }

    /// Whether requests for a model may be sent: it is loaded, or is as soon as it is asked for.
    pub fn is_ready(&self, model: &Served) -> bool {
        model.is_loaded() || (model.on_demand.is_some() && self.is_loaded())
    }

    /// The models that it answers with. The first answers where none is asked for, so there is one.
    pub fn models(&self) -> &[Served] {
        &self.models
    }

    /// The model that answers where none is asked for.
    pub fn default_model(&self) -> &Served {
        &self.models[0]
    }

    /// The model of this name.
    pub fn model(&self, name: &str) -> Result<&Served, Error> {
        let found = self.models.iter().find(|model| model.entry.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.models.iter().map(|model| model.entry.name).collect();
            Error::NotFound(format!(
                "there is no model {name:?} here, expected {}",
                names.join(" or ")
            ))
        })
    }

    /// Lets a request in that just came, whose caller waits for `patience` at the most. It takes no place yet, but is
    /// refused where there is none.
    pub fn admit(&self, patience: Option<Duration>) -> Result<Arrival, Error> {
        let arrived = Instant::now();
        if !self.is_loaded() {
            return Err(self.refused(self.not_ready()));
        }
        if self.places.available_permits() == 0 {
            return Err(self.refused(self.overloaded()));
        }
        let room = self.memory.room().map_err(|error| self.refused(error))?;
        let patience = patience.map_or(self.limits.deadline, |time| time.min(self.limits.deadline));
        Ok(Arrival {
            deadline: arrived + patience,
            room: Arc::new(room),
        })
    }

    /// Takes a place for a request whose body is there.
    pub fn enter(&self, Arrival { deadline, room }: Arrival) -> Result<Ticket, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| self.refused(self.overloaded()))?;
        Ok(Ticket {
            deadline,
            _room: room,
            _place: place,
        })
    }

    /// Completes a wish; an error names what of it cannot be.
    pub fn query(&self, wish: &Wish) -> Result<Query<'_>, Error> {
        let model = match &wish.model {
            Some(name) => self.model(name)?,
            None => self.default_model(),
        };
        let threshold = match wish.threshold {
            Some(score) if !(0.0..=1.0).contains(&score) => {
                return Err(Error::BadInput(format!(
                    "threshold is {score}, expected 0 to 1"
                )));
            }
            Some(score) => score,
            None => model.threshold,
        };
        let most = self.starter.max_detections;
        let max_detections = wish.max_detections.unwrap_or(most);
        if !(1..=most).contains(&max_detections) {
            return Err(Error::BadInput(format!(
                "max_detections is {max_detections}, expected 1 to {most} (--max-detections)"
            )));
        }
        if wish.classes.len() > MOST_CLASSES {
            return Err(Error::BadInput(format!(
                "there are more than {MOST_CLASSES} classes, which is the most that there may be"
            )));
        }
        let classes = match wish.classes.as_slice() {
            [] => &model.classes,
            classes => classes,
        };
        let classes = classes.iter().map(|name| class(model.entry, name));
        let classes = classes.collect::<Result<Vec<_>, _>>()?;
        let selection = Selection {
            threshold,
            max_detections,
            classes: (!classes.is_empty()).then_some(classes),
            masks: wish.masks,
            map_size: wish.map_size,
            scores: wish.scores,
        };
        Ok(Query { model, selection })
    }

    /// Finds what is on the picture.
    pub async fn predict(
        &self,
        ticket: &Ticket,
        source: Source,
        query: Query<'_>,
        handling: Handling,
    ) -> Result<Answer, Error> {
        tokio::time::timeout_at(
            ticket.deadline.into(),
            self.steps(ticket, source, query, handling),
        )
        .await
        .unwrap_or_else(|_| Err(self.too_late()))
        .inspect(|answer| self.count(answer))
        .map_err(|error| self.refused(error))
    }

    /// Makes a reply of an answer, on the threads for such work, and notes the time it takes.
    pub async fn encode<T: Send + 'static>(
        &self,
        ticket: &Ticket,
        mut answer: Answer,
        encode: impl FnOnce(&Answer) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, Vec<(Stage, Duration)>), Error> {
        let step = self.cpu(move || {
            let started = Instant::now();
            let reply = encode(&answer);
            let timings = std::mem::take(&mut answer.timings);
            (reply, timings, started.elapsed())
        });
        let (reply, mut timings, took) = tokio::time::timeout_at(ticket.deadline.into(), step)
            .await
            .map_err(|_| self.refused(self.too_late()))??;
        self.metrics.stage(Stage::Encode, took);
        timings.push((Stage::Encode, took));
        Ok((reply?, timings))
    }

    /// Runs a step that takes more than a moment away from the async threads.
    pub async fn cpu<T: Send + 'static>(
        &self,
        step: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.cpu.run(step).await.map_err(|_| Error::internal())
    }

    /// Finishes what was accepted and ends the device threads.
    pub fn close(&self) {
        self.metrics.model_ready.set(0);
        for loaded in self.all_loaded() {
            loaded.forward.close();
            loaded.engine.close();
        }
    }

    /// For how long the device threads have been stuck, if they are.
    pub fn stalled(&self) -> Option<Duration> {
        let stalled_for = self.all_loaded().map(|loaded| loaded.engine.stalled_for());
        stalled_for.max().filter(|stalled| *stalled > STALLED)
    }

    /// What is refused.
    pub fn limits(&self) -> &config::Limits {
        &self.limits
    }

    /// What it has been doing.
    pub fn metrics(&self) -> &Metrics {
        let depths = self
            .all_loaded()
            .map(|loaded| loaded.engine.depth() + loaded.waiting.load(Ordering::Relaxed));
        let depth = i64::try_from(depths.sum::<usize>()).unwrap_or(i64::MAX);
        self.metrics.queue_depth.set(depth);
        &self.metrics
    }

    /// What it waits for.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    async fn steps(
        &self,
        ticket: &Ticket,
        source: Source,
        Query { model, selection }: Query<'_>,
        Handling { exif, keep }: Handling,
    ) -> Result<Answer, Error> {
        let mut timings = Vec::with_capacity(Stage::COUNT);
        let mut note = |stage, took| {
            self.metrics.stage(stage, took);
            timings.push((stage, took));
        };
        let loaded = self.loaded(model).await?;
        let picture = match source {
            Source::Bytes(bytes) => Held::Encoded(bytes),
            Source::Image(image) => Held::Decoded(image),
            Source::Url(url) => {
                let started = Instant::now();
                let fetched = self.fetcher.fetch(&url).await.map_err(Error::from);
                note(Stage::Fetch, started.elapsed());
                let outcome = fetched.as_ref().map_or_else(Error::code, |_| "ok");
                self.metrics.fetched.with_label_values(&[outcome]).inc();
                Held::Encoded(fetched?)
            }
        };

        let started = Instant::now();
        let place = {
            let _counted = Counted::new(&loaded.waiting);
            // The semaphore is never closed.
            loaded.prepared.acquire().await
        };
        let waited = started.elapsed();
        let kept = keep.then(|| picture.clone());
        let prepared = {
            let (running, selection) = (loaded.forward.running(), selection.clone());
            let limits = self.limits.picture;
            self.cpu(move || prepare(&*running.model, &picture, limits, exif, &selection))
                .await??
        };
        note(Stage::Decode, prepared.decoded);
        note(Stage::Preprocess, prepared.preprocessed);

        let job = (prepared.input, selection.clone());
        let finished =
            loaded
                .engine
                .run(job, ticket.deadline)
                .await
                .map_err(|error| match error {
                    EngineError::Full => self.overloaded(),
                    EngineError::Expired => self.too_late(),
                    EngineError::Closed => Error::NotReady("the server is stopping".to_owned()),
                    EngineError::Failed if loaded.forward.has_fault() => {
                        Error::NotReady("the device failed and is started anew".to_owned())
                    }
                    EngineError::Failed => Error::internal(),
                })?;
        drop(place);
        note(Stage::Queue, waited + finished.queued);
        note(Stage::Infer, finished.ran);

        let (prediction, took) = {
            let (running, selection) = (loaded.forward.running(), selection.clone());
            self.cpu(move || {
                let started = Instant::now();
                let prediction =
                    running
                        .model
                        .postprocess(finished.output, prepared.size, &selection);
                (prediction, started.elapsed())
            })
            .await?
        };
        note(Stage::Postprocess, took);
        Ok(Answer {
            entry: model.entry,
            selection,
            prediction,
            picture: kept,
            timings,
        })
    }

    /// Of the models that are.
    fn all_loaded(&self) -> impl Iterator<Item = &Loaded> {
        self.models.iter().filter_map(|model| model.loaded.get())
    }

    /// Whether all models are that are loaded at the start.
    fn is_loaded(&self) -> bool {
        let mut eager = self.models.iter().filter(|model| model.on_demand.is_none());
        eager.all(Served::is_loaded)
    }

    async fn loaded<'a>(&self, model: &'a Served) -> Result<&'a Loaded, Error> {
        if let (None, Some(on_demand)) = (model.loaded.get(), &model.on_demand) {
            let (entry, loaded) = (model.entry, Arc::clone(&model.loaded));
            let (on_demand, cpu, starter) =
                (on_demand.clone(), self.cpu.clone(), self.starter.clone());
            // A task of its own: what one caller has begun is there for the next, though the first may have left.
            let loading = tokio::spawn(async move {
                let load = || load_on_demand(entry, on_demand, &cpu, &starter);
                loaded.get_or_try_init(load).await.map(drop)
            });
            loading.await.map_err(|_| Error::internal())??;
        }
        model.loaded.get().ok_or_else(|| self.not_ready())
    }

    fn not_ready(&self) -> Error {
        let pending = self.readiness.pending().join(", ");
        Error::NotReady(format!("the server is not ready yet, pending: {pending}"))
    }

    fn count(&self, answer: &Answer) {
        for name in crate::encode::names(answer) {
            self.metrics.detections.with_label_values(&[name]).inc();
        }
    }

    /// The error, counted where it is one of those that say to come again.
    pub(crate) fn refused(&self, error: Error) -> Error {
        if matches!(
            error,
            Error::Overloaded { .. } | Error::Deadline(_) | Error::NotReady(_)
        ) {
            let rejected = &self.metrics.rejected;
            rejected.with_label_values(&[error.code()]).inc();
        }
        error
    }

    fn overloaded(&self) -> Error {
        let waits = self.all_loaded().map(|loaded| {
            let waiting = loaded.waiting.load(Ordering::Relaxed);
            loaded.engine.expected_wait(waiting)
        });
        Error::Overloaded {
            message: format!(
                "{} requests are waiting already (--queue)",
                self.limits.queue
            ),
            retry_after: waits.fold(Duration::from_secs(1), Duration::max),
        }
    }

    /// The error of a request whose time is up.
    pub fn too_late(&self) -> Error {
        Error::Deadline(format!(
            "no answer within the deadline (the caller's, or --deadline {})",
            humantime::format_duration(self.limits.deadline)
        ))
    }
}

impl Served {
    /// Whether it is loaded and warm.
    pub fn is_loaded(&self) -> bool {
        self.loaded.get().is_some()
    }

    /// What it runs on, if it is loaded.
    pub fn device(&self) -> Option<DeviceKind> {
        self.running().map(|built| built.device)
    }

    /// What it calculates with, if it is loaded.
    pub fn precision(&self) -> Option<Precision> {
        self.running().map(|built| built.precision)
    }

    fn running(&self) -> Option<Arc<Built>> {
        self.loaded.get().map(|loaded| loaded.forward.running())
    }
}

/// Loads a model and starts its device threads.
async fn load_on_demand(
    entry: &'static Entry,
    load: Load,
    cpu: &CpuPool,
    starter: &Starter,
) -> Result<Loaded, Error> {
    let started = Instant::now();
    let built = {
        let load = Arc::clone(&load);
        cpu.run(move || load()).await
    };
    let built = built.map_err(|_| Error::internal())?.map_err(|error| {
        let error: &dyn std::error::Error = &*error;
        tracing::error!(model = entry.name, error, "the model cannot be loaded");
        Error::internal()
    })?;
    let loaded = starter.start(entry, built, load).await;
    let loaded = loaded.map_err(|error| {
        tracing::error!(model = entry.name, %error, "the model cannot be started");
        Error::internal()
    })?;
    tracing::info!(
        model = entry.name,
        load_ms = (started.elapsed().as_secs_f64() * 1e3).round(),
        "the model is loaded and warm, now that it is asked for"
    );
    Ok(loaded)
}

impl Starter {
    /// Starts the device threads of a model, and runs the shapes that it wants to be warm for.
    async fn start(&self, entry: &'static Entry, built: Built, load: Load) -> io::Result<Loaded> {
        let model = &built.model;
        let (device, warm_up_shapes) = (built.device, model.warm_up_shapes());
        let workers = self.limits.workers(self.threads, device);
        let most_prepared = workers * model.preferred_batch() + self.threads;
        let prepared = Arc::new(Semaphore::new(most_prepared));
        let forward = Arc::new(Forward::new(
            entry,
            built,
            load,
            Arc::clone(&self.metrics),
            self.readiness.clone(),
            self.threads,
            Arc::clone(&prepared),
        ));
        let engine = Engine::start(&forward, self.places, workers)?;
        let selection = Selection {
            threshold: 0.0,
            max_detections: self.max_detections,
            classes: None,
            masks: true,
            map_size: None,
            scores: false,
        };
        for [_, height, width] in warm_up_shapes {
            engine
                .run(
                    (Input::uniform([0.0; 4], [height, width]), selection.clone()),
                    Instant::now() + WARM_UP,
                )
                .await
                .map_err(io::Error::other)?;
        }
        let info = &self.metrics.device_info;
        info.with_label_values(&[entry.name, &device.to_string()])
            .set(1);
        Ok(Loaded {
            forward,
            engine,
            prepared,
            waiting: AtomicUsize::new(0),
        })
    }
}

/// The id of a class by its name.
fn class(entry: &'static Entry, name: &str) -> Result<u32, Error> {
    let known = |class: &&str| *class == name && !name.is_empty();
    if let Some(id) = entry.classes.iter().position(known) {
        return Ok(u32::try_from(id).unwrap_or(u32::MAX));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::BadInput(format!(
            "classes names {name:?}, which {} does not know",
            entry.name
        )));
    }
    let mut near: Vec<_> = class_names(entry)
        .map(|class| (strsim::jaro_winkler(class, name), class))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<_> = near.iter().take(3).map(|(_, class)| *class).collect();
    Err(Error::BadInput(format!(
        "classes names {name:?}, which {} does not know; the nearest are {}",
        entry.name,
        near.join(", ")
    )))
}

/// Longer than any network takes for one picture on any processor.
const WARM_UP: Duration = Duration::from_mins(10);

/// A picture on its way into the network.
struct Prepared {
    input: Input,
    /// `[width, height]` of the picture.
    size: [u32; 2],
    decoded: Duration,
    preprocessed: Duration,
}

/// Decodes and preprocesses in one step: pixels are resized as they are decoded, so that a large picture is
/// never in memory as a whole.
fn prepare(
    model: &dyn Model,
    picture: &Held,
    limits: config::PictureLimits,
    exif: Exif,
    selection: &Selection,
) -> Result<Prepared, Error> {
    let started = Instant::now();
    let decoding = Cell::new(Duration::ZERO);
    let picture = match picture {
        Held::Encoded(picture) => open(picture, limits, exif)?.timed(&decoding),
        Held::Decoded(image) => {
            decode_limits(limits).check(image.width(), image.height())?;
            Picture::from(&**image)
        }
    };
    let opened = started.elapsed();
    let size = [picture.width(), picture.height()];
    let input = model.preprocess(picture, selection)?;
    let decoded = opened + decoding.get();
    Ok(Prepared {
        input,
        size,
        decoded,
        preprocessed: started.elapsed().saturating_sub(decoded),
    })
}

/// Opens a picture within the limits.
fn open(picture: &[u8], limits: config::PictureLimits, exif: Exif) -> Result<Picture<'_>, Error> {
    let limits = decode_limits(limits);
    decode::open(picture, &decode::Options { limits, exif }).map_err(Error::from)
}

fn decode_limits(limits: config::PictureLimits) -> decode::Limits {
    decode::Limits {
        max_pixels: limits.max_pixels,
        max_side: limits.max_side,
    }
}

/// One more, for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use segmenter_models::Outcome;

    use super::*;
    use crate::testing::{Servers, answer, entry};

    #[tokio::test]
    async fn the_deadline_holds_while_the_reply_is_made() {
        let servers = Servers::start(&[]).await;
        let segmenter = &servers.segmenter;
        let arrival = segmenter.admit(Some(Duration::from_millis(50))).unwrap();
        let ticket = segmenter.enter(arrival).unwrap();
        let answer = answer(entry(), [8, 4], Outcome::Detections(Vec::new()));
        let slow = |_: &Answer| {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        };
        let started = Instant::now();
        let late = segmenter.encode(&ticket, answer, slow).await.unwrap_err();
        assert!(matches!(late, Error::Deadline(_)), "{late}");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
