//! Every flag and every `SEGMENTER_*` variable, parsed into what the rest works with.
//!
//! Parsing is validation: a value that cannot work is refused here, before a port is bound, with one
//! sentence that says what was found and what would be right.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::Duration,
};

use axum::http::HeaderValue;
use bytesize::ByteSize;
use clap::{Args, builder::FalseyValueParser};
use segmenter_models::{
    DeviceKind, Isa,
    catalogue::{self, BUILT_IN, DEFAULT, Entry, WeightsSource},
    onnx, own,
};

use crate::{
    bucket::{Address, BadAddress, Bucket},
    fetch::{Allow, FetchLimits, FetchPolicy, Fetcher},
    gpus::{self, Halves, NoGpu},
    samples::Samples,
    store::ModelDir,
};

/// Everything about `segmenter serve`.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Which model.
    #[command(flatten)]
    pub model: Model,
    /// Further models, which answer where a request names them, separated by commas
    #[arg(long, env = "SEGMENTER_MORE_MODELS", value_name = "NAME", value_delimiter = ',', value_parser = parse_choice, help_heading = "Model")]
    pub more_models: Vec<Choice>,
    /// An ONNX file with a segmenter of Pascal VOC's classes, which answers by the name `onnx` [default:
    /// deeplabv3_mobilenet_v3_large.onnx in the model directory, if it is there]
    #[arg(
        long,
        env = "SEGMENTER_ONNX",
        value_name = "FILE",
        help_heading = "Model"
    )]
    pub onnx: Option<PathBuf>,
    /// What is answered by default.
    #[command(flatten)]
    pub prediction: Prediction,
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
    /// What is refused.
    #[command(flatten)]
    pub limits: Limits,
    /// Which URLs are fetched.
    #[command(flatten)]
    pub fetch: Fetch,
    /// What the page shows.
    #[command(flatten)]
    pub page: Page,
    /// What clients of other servers expect.
    #[command(flatten)]
    pub dialects: Dialects,
    /// Print every setting with its value and where it comes from, and end
    #[arg(long, help_heading = "Options")]
    pub print_config: bool,
}

/// Which model, from where, on what.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct Model {
    /// The model to answer with: one that `segmenter models` lists, which is downloaded where it is not there, or a file
    /// of weights that were trained on pictures of one's own, NAME.safetensors [default: the first listed if it is there,
    /// else the one that is built in]
    #[arg(long = "model", id = "model", env = "SEGMENTER_MODEL", value_name = "NAME", value_parser = parse_choice)]
    pub choice: Option<Choice>,
    /// Where models are kept [default: segmenter in the user's cache directory]
    #[arg(long, env = "SEGMENTER_MODEL_DIR", value_name = "DIR")]
    pub model_dir: Option<PathBuf>,
    /// The weights file, wherever it lies, instead of the model directory's
    #[arg(long, env = "SEGMENTER_WEIGHTS", value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The SHA-256 that the weights must have instead of the catalogue's, as 64 hex digits
    #[arg(long, env = "SEGMENTER_SHA256", value_name = "HEX", value_parser = parse_sha256)]
    pub sha256: Option<String>,
    /// Never download a model that is named
    #[arg(long, env = "SEGMENTER_OFFLINE", value_parser = FalseyValueParser::new())]
    pub offline: bool,
    /// What the network runs on: cpu, gpu, gpu:N as `segmenter devices` lists them, or auto, which is a GPU where this
    /// build and the machine have one
    #[arg(long, env = "SEGMENTER_DEVICE", value_name = "DEVICE", default_value = "auto", value_parser = parse_device)]
    pub device: Device,
    /// Whose operations run on the processor: `fast` are segmenter's own, `stock` burn's
    #[arg(long, env = "SEGMENTER_KERNELS", value_name = "WHOSE", default_value = "fast", value_parser = parse_kernels)]
    pub kernels: Kernels,
    /// What the network calculates with: f32; on processors int8; on GPUs f16, which rounds maps and the factors of convolutions;
    /// or auto, which is int8 where the model has such weights and the processor is fast with them, and f16 where the GPU
    /// is [default: on processors auto for models that find no less in int8, else f32]
    #[arg(long, env = "SEGMENTER_PRECISION", value_name = "NUMBERS", value_parser = parse_precision)]
    pub precision: Option<Precision>,
    /// Vector instructions of the fast kernels: avx512, avx2, neon or portable [default: the best the processor has]
    #[arg(long, env = "SEGMENTER_CPU", value_name = "NAME")]
    pub cpu: Option<Isa>,
    /// Processor threads [default: as many as the machine or container has processors]
    #[arg(long, env = "SEGMENTER_THREADS", value_name = "N", value_parser = positive::<usize>)]
    pub threads: Option<usize>,
}

/// What a caller gets who asks for nothing in particular.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Prediction")]
pub struct Prediction {
    /// Leave out detections with a lower score, 0 to 1 [default: the model's own]
    #[arg(long, env = "SEGMENTER_THRESHOLD", value_name = "SCORE", value_parser = parse_score)]
    pub threshold: Option<f32>,
    /// At most this many detections a picture, the best first
    #[arg(long, env = "SEGMENTER_MAX_DETECTIONS", value_name = "N", default_value = "100", value_parser = positive::<usize>)]
    pub max_detections: usize,
    /// Answer with these classes only, by name, separated by commas [default: all]
    #[arg(
        long,
        env = "SEGMENTER_CLASSES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub classes: Vec<String>,
}

/// Where the server listens, and to whom it speaks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Listening")]
pub struct Listen {
    /// Address of the HTTP server; all of the machine's if not said, IPv6 and IPv4
    #[arg(
        long,
        env = "SEGMENTER_HTTP",
        value_name = "ADDR",
        default_value = "[::]:8080"
    )]
    pub http: SocketAddr,
    /// Address of the gRPC server; all of the machine's if not said, IPv6 and IPv4
    #[arg(
        long,
        env = "SEGMENTER_GRPC",
        value_name = "ADDR",
        default_value = "[::]:9090"
    )]
    pub grpc: SocketAddr,
    /// Connections open at a time, on each port; further ones wait to be accepted
    #[arg(long, env = "SEGMENTER_MAX_CONNECTIONS", value_name = "N", default_value = "1024", value_parser = positive::<usize>)]
    pub max_connections: usize,
    /// Web page origins that may call, separated by commas, or * for all [default: none]
    #[arg(long, env = "SEGMENTER_CORS", value_name = "ORIGIN", value_delimiter = ',', value_parser = parse_origin)]
    pub cors: Vec<HeaderValue>,
}

/// How much a caller may ask for, and how long anything may take.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Requests that may wait, those not counted that still send their picture; one more is answered 429 at once
    #[arg(long, env = "SEGMENTER_QUEUE", value_name = "N", default_value = "64", value_parser = parse_queue)]
    pub queue: usize,
    /// Batches that run at a time and share --threads [default: as many as threads, on a GPU 2]
    #[arg(long, env = "SEGMENTER_WORKERS", value_name = "N", value_parser = positive::<usize>)]
    pub workers: Option<usize>,
    /// The longest a request may take; callers may ask for less
    #[arg(long, env = "SEGMENTER_DEADLINE", value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub deadline: Duration,
    /// After SIGTERM: how long to go on accepting while load balancers notice
    #[arg(long, env = "SEGMENTER_DRAIN_DELAY", value_name = "TIME", default_value = "2s", value_parser = parse_delay)]
    pub drain_delay: Duration,
    /// After that: how long accepted requests may take to finish
    #[arg(long, env = "SEGMENTER_GRACE", value_name = "TIME", default_value = "25s", value_parser = parse_delay)]
    pub grace: Duration,
    /// How large a picture may be.
    #[command(flatten)]
    pub picture: PictureLimits,
}

impl Limits {
    /// Batches that run at a time on this device.
    pub fn workers(&self, threads: usize, device: DeviceKind) -> usize {
        self.workers.unwrap_or(match device {
            DeviceKind::Cpu => threads,
            // While it computes one, the next is recorded.
            DeviceKind::Gpu => 2,
        })
    }
}

/// How large a picture may be.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Limits")]
pub struct PictureLimits {
    /// The largest encoded picture, sent or fetched
    #[arg(long, env = "SEGMENTER_MAX_BODY", value_name = "SIZE", default_value = "20MiB", value_parser = parse_size)]
    pub max_body: usize,
    /// The most pixels a picture may have
    #[arg(long, env = "SEGMENTER_MAX_PIXELS", value_name = "N", default_value = "64000000", value_parser = positive::<u64>)]
    pub max_pixels: u64,
    /// The most pixels a side of a picture may have
    #[arg(long, env = "SEGMENTER_MAX_SIDE", value_name = "N", default_value = "32768", value_parser = positive::<u32>)]
    pub max_side: u32,
}

impl PictureLimits {
    /// What a multipart form or JSON adds to a picture, in bytes: boundaries, headers, other fields.
    const ENVELOPE: usize = 64 << 10;

    /// The most bytes of a body with a picture, in whichever form.
    pub fn largest_body(&self) -> usize {
        // Base64 takes four bytes for three.
        self.max_body.div_ceil(3) * 4 + Self::ENVELOPE
    }
}

/// Which URLs pictures may be fetched from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Fetching")]
pub struct Fetch {
    /// Private networks (CIDR), addresses or host names that may be fetched from, separated by commas;
    /// public ones always may
    #[arg(
        long,
        env = "SEGMENTER_FETCH_ALLOW",
        value_name = "CIDR|HOST",
        value_delimiter = ','
    )]
    pub fetch_allow: Vec<Allow>,
    /// The longest that fetching a picture may take
    #[arg(long, env = "SEGMENTER_FETCH_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub fetch_timeout: Duration,
}

/// What the page at `/` shows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Web page")]
pub struct Page {
    /// The folder whose *.jpg the page, and /api/random_image, offer to try out [default: a few that come with
    /// segmenter]
    #[arg(long, env = "SEGMENTER_SAMPLE_DIR", value_name = "DIR", value_parser = parse_folder)]
    pub sample_dir: Option<PathBuf>,
}

impl Page {
    /// Pictures to try it with.
    pub fn samples(&self) -> Samples {
        self.sample_dir
            .clone()
            .map_or(Samples::Drawn, Samples::Folder)
    }
}

/// What clients of other servers expect that was set there, too.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Other servers' clients")]
pub struct Dialects {
    /// The longer side of /model/predict's class maps in pixels, 16 to 1024 [default: the variable IMAGE_SIZE, else 513]
    #[arg(long, env = "SEGMENTER_IMAGE_SIZE", value_name = "PIXELS", value_parser = parse_image_size)]
    pub image_size: Option<u32>,
    /// Where /upload stores pictures and what is found on them: a folder that is there, or s3://BUCKET, gs://BUCKET or
    /// az://CONTAINER with the path of a folder in it; credentials and options are their SDKs' variables AWS_*,
    /// GOOGLE_* and AZURE_* [default: nowhere]
    #[arg(
        long,
        env = "SEGMENTER_OBJECT_STORE",
        value_name = "DIR|URL",
        hide_env_values = true
    )]
    pub object_store: Option<Address>,
}

impl Dialects {
    /// In pixels. What is wrong in the variable that MAX Image Segmenter has for it is told and left alone, as there.
    pub fn image_size(&self) -> u32 {
        const DEFAULT: u32 = 513;
        let Some(text) = env::var("IMAGE_SIZE")
            .ok()
            .filter(|_| self.image_size.is_none())
        else {
            return self.image_size.unwrap_or(DEFAULT);
        };
        parse_image_size(&text).unwrap_or_else(|expected| {
            tracing::warn!("IMAGE_SIZE is {text:?}, {expected}; taking {DEFAULT}");
            DEFAULT
        })
    }
}

/// Tells of a MODEL_TYPE, by which MAX Image Segmenter is told its network, that asks for what there is not.
pub fn look_at_model_type() {
    match env::var("MODEL_TYPE").as_deref() {
        Err(_) | Ok("mobile") => {}
        Ok("full") => tracing::warn!(
            "MODEL_TYPE is full, and its network, Xception-65, is not here; --model and --more-models choose another"
        ),
        Ok(other) => {
            tracing::warn!("MODEL_TYPE is {other:?}, expected mobile or full; taking mobile");
        }
    }
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct Log {
    /// How log lines look, text or json; auto is text on a terminal and json elsewhere
    #[arg(
        long,
        env = "SEGMENTER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto",
        value_parser = parse_log_format,
        global = true
    )]
    pub log_format: LogFormat,
    /// The least severe lines that are logged: error, warn, info, debug or trace, also by module
    #[arg(
        long,
        env = "SEGMENTER_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        global = true
    )]
    pub log_level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What a network runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A GPU if there is one and nothing else is said that only the processor can do, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, the one of this number or the best; never what computes on the processor, unless it is asked for by number.
    Gpu(Option<usize>),
}

/// Whose operations run on the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// segmenter's own.
    Fast,
    /// burn's, which the others are checked against.
    Stock,
}

/// What a network calculates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 8-bit integers where the model has such weights and the processor is fast with them, 16-bit floats where the GPU
    /// is fast with those, else 32-bit floats.
    Auto,
    /// 8-bit integers.
    Int8,
    /// 32-bit floats.
    F32,
    /// Maps and factors in 16-bit floats, on a GPU.
    F16,
}

/// Settings that do not work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The model has no weights of 8-bit integers.
    #[error(
        "{model} has no 8-bit weights, use --precision f32 or auto; models that have: {others}"
    )]
    NoIntegers {
        /// Its name.
        model: &'static str,
        /// Those that have, by name.
        others: String,
    },
    /// burn's operations are of floats.
    #[error("stock kernels calculate with floats only, use --precision f32 or --kernels fast")]
    StockIntegers,
    /// 16-bit floats are of GPUs.
    #[error(
        "--precision f16 is for GPUs, and the network is to run on the processor: use f32, int8 or auto"
    )]
    NotOnProcessor,
    /// What is asked for is of processors.
    #[error("{0} is for processors, leave it out or use --device cpu")]
    NotOnGpu(&'static str),
    /// The GPU that is asked for cannot be had.
    #[error(transparent)]
    Gpu(#[from] NoGpu),
}

/// A file of weights is given for a model that has its weights with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{model} comes with its weights: leave --weights out, or name a file of trained weights with --model instead"
)]
pub struct OwnWeights {
    /// Its name.
    model: &'static str,
}

impl Serve {
    /// All models that are loaded at the start, the one first that answers where none is asked for. What is said of
    /// weights is said of that one.
    pub fn models(&self) -> Vec<Model> {
        let mut names = vec![self.model.entry().name];
        let mut models = vec![self.model.clone()];
        for choice in &self.more_models {
            if !names.contains(&choice.entry.name) {
                names.push(choice.entry.name);
                models.push(self.another(choice.clone()));
            }
        }
        let onnx = self.onnx.clone().or_else(|| {
            let dir = ModelDir::new(self.model.model_dir.as_deref()).ok()?;
            let path = dir.path().join(onnx::FILE_NAME);
            path.is_file().then_some(path)
        });
        if let Some(path) = onnx {
            let mut model = self.another(Choice {
                file: Some(path),
                ..Choice::from(&onnx::ENTRY)
            });
            // What is said of numbers and devices is said of the catalogue's.
            model.precision = None;
            model.device = Device::Cpu;
            models.push(model);
        }
        models
    }

    /// The model that is built in, where it is none of those. It is loaded when it is first asked for.
    pub fn on_demand(&self) -> Option<Model> {
        let more = self.more_models.iter().map(|choice| choice.entry);
        let mut named = more.chain([self.model.entry()]);
        if named.any(|entry| entry.name == BUILT_IN.name) {
            return None;
        }
        let mut model = self.another(BUILT_IN.into());
        // What is said of numbers is said of those that were asked for.
        model.precision = None;
        Some(model)
    }

    /// A model beside the first, on the same.
    fn another(&self, choice: Choice) -> Model {
        Model {
            choice: Some(choice),
            weights: None,
            sha256: None,
            ..self.model.clone()
        }
    }

    /// The store of uploads, `None` where they are not stored.
    ///
    /// # Errors
    /// If its address cannot be one.
    pub fn bucket(&self) -> Result<Option<Bucket>, BadAddress> {
        let address = self.dialects.object_store.as_ref();
        let open = |address| Bucket::open(address, self.limits.deadline);
        address.map(open).transpose()
    }

    /// A fetcher within these limits.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(
            FetchPolicy::new(self.fetch.fetch_allow.clone()),
            FetchLimits {
                max_bytes: self.limits.picture.max_body,
                timeout: self.fetch.fetch_timeout,
            },
        )
    }
}

impl Model {
    /// The model to answer with.
    pub fn entry(&self) -> &'static Entry {
        self.choice.as_ref().map_or(DEFAULT, |choice| choice.entry)
    }

    /// Takes the model that is [built in](BUILT_IN) where nothing says that the [default](DEFAULT) is meant: no model is
    /// named, nothing is said of its weights, and none are in the model directory.
    pub fn fall_back(&mut self) {
        let is_meant = self.choice.is_some()
            || self.weights.is_some()
            || self.sha256.is_some()
            || self.is_default_there();
        if !is_meant {
            self.choice = Some(Choice {
                stands_in: true,
                ..Choice::from(BUILT_IN)
            });
        }
    }

    /// Whether the model that is built in [stands in](Self::fall_back) for the default one.
    pub fn stands_in(&self) -> bool {
        self.choice.as_ref().is_some_and(|choice| choice.stands_in)
    }

    /// The weights file that is named, if one is.
    ///
    /// # Errors
    /// If it is for a model that has its weights with it: their classes are its own.
    pub fn file(&self) -> Result<Option<&Path>, OwnWeights> {
        let of_choice = self
            .choice
            .as_ref()
            .and_then(|choice| choice.file.as_deref());
        let entry = self.entry();
        let has_its_own = of_choice.is_some() || matches!(entry.weights, WeightsSource::BuiltIn(_));
        if self.weights.is_some() && has_its_own {
            return Err(OwnWeights { model: entry.name });
        }
        Ok(self.weights.as_deref().or(of_choice))
    }

    /// Whether there is a file of the default model's name, be it the right one or not: nothing else answers in the
    /// place of one that is damaged.
    fn is_default_there(&self) -> bool {
        let dir = ModelDir::new(self.model_dir.as_deref());
        let weights = DEFAULT.download();
        dir.ok().zip(weights).is_some_and(|(dir, weights)| {
            let found = dir.weights_path(weights).try_exists();
            found.unwrap_or(true)
        })
    }

    /// Where the network runs, and what it calculates with.
    ///
    /// # Errors
    /// If what was asked for by name cannot be.
    pub fn device(&self) -> Result<segmenter_models::Device, DeviceError> {
        use segmenter_models::Precision::{F32, Int8};

        if let Some(gpu) = self.gpu()? {
            return Ok(gpu);
        }
        let isa = self.cpu.unwrap_or_else(Isa::best);
        let entry = self.entry();
        let has_integers = entry.network.has_integers();
        let precision = match (self.precision, self.kernels) {
            (Some(Precision::F16), _) => return Err(DeviceError::NotOnProcessor),
            (Some(Precision::F32), _) | (None | Some(Precision::Auto), Kernels::Stock) => F32,
            (None, Kernels::Fast) => entry.default_precision(isa),
            (Some(Precision::Auto), Kernels::Fast) => entry.network.fastest_precision(isa),
            (Some(Precision::Int8), _) if !has_integers => {
                let with = catalogue::CATALOGUE
                    .iter()
                    .filter(|entry| entry.network.has_integers());
                let names: Vec<_> = with.map(|entry| entry.name).collect();
                return Err(DeviceError::NoIntegers {
                    model: entry.name,
                    others: names.join(", "),
                });
            }
            (Some(Precision::Int8), Kernels::Stock) => return Err(DeviceError::StockIntegers),
            (Some(Precision::Int8), Kernels::Fast) => Int8,
        };
        Ok(match (self.kernels, precision) {
            (Kernels::Fast, Int8) => segmenter_models::Device::integers(isa),
            (Kernels::Fast, _) => segmenter_models::Device::kernels(isa),
            (Kernels::Stock, _) => segmenter_models::Device::stock(),
        })
    }

    /// The GPU, if it is to be one.
    fn gpu(&self) -> Result<Option<segmenter_models::Device>, DeviceError> {
        let of_processors = match () {
            () if self.precision == Some(Precision::Int8) => Some("--precision int8"),
            () if self.kernels == Kernels::Stock => Some("--kernels stock"),
            () if self.cpu.is_some() => Some("--cpu"),
            () => None,
        };
        let halves = match self.precision {
            Some(Precision::F16) => Halves::Always,
            Some(Precision::Auto) => Halves::WhereFast,
            _ => Halves::Never,
        };
        // Without a directory compiled kernels are not kept.
        let dir = ModelDir::new(self.model_dir.as_deref()).ok();
        let kept = dir.as_ref().map(ModelDir::path);
        match (self.device, of_processors) {
            (Device::Cpu, _) | (Device::Auto, Some(_)) => Ok(None),
            (Device::Gpu(_), Some(setting)) => Err(DeviceError::NotOnGpu(setting)),
            (Device::Auto, None) => Ok(gpus::best(halves, kept)),
            (Device::Gpu(number), None) => Ok(Some(gpus::open(number, halves, kept)?)),
        }
    }

    /// Processor threads to use: by default what the machine has, or the container's quota allows.
    pub fn threads(&self) -> usize {
        self.threads
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
    }
}

/// A model that is named.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What it is.
    pub entry: &'static Entry,
    /// Its weights, where it is named by these.
    pub file: Option<PathBuf>,
    /// Whether nobody named it, and it stands in for the default model, which is not there.
    pub stands_in: bool,
}

impl From<&'static Entry> for Choice {
    /// That one, with the weights that the catalogue says.
    fn from(entry: &'static Entry) -> Self {
        Self {
            entry,
            file: None,
            stands_in: false,
        }
    }
}

fn parse_choice(name: &str) -> Result<Choice, String> {
    let path = Path::new(name);
    if path.extension().is_none_or(|end| end != "safetensors") {
        let entry = parse_model(name)
            .map_err(|error| format!("{error}, or a file of trained weights, NAME.safetensors"))?;
        return Ok(entry.into());
    }
    let entry = own::entry(path).map_err(|error| chain(&error))?;
    if catalogue::find(entry.name).is_some() {
        let name = entry.name;
        return Err(format!(
            "a model of the catalogue is called {name}, call the file otherwise"
        ));
    }
    Ok(Choice {
        file: Some(path.to_owned()),
        ..Choice::from(entry)
    })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

pub(crate) fn parse_model(name: &str) -> Result<&'static Entry, String> {
    catalogue::find(name).ok_or_else(|| {
        let names: Vec<_> = catalogue::CATALOGUE
            .iter()
            .map(|entry| entry.name)
            .collect();
        format!("there is no such model, only {}", names.join(", "))
    })
}

pub(crate) fn parse_sha256(digits: &str) -> Result<String, String> {
    let valid = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !valid {
        return Err("expected 64 hex digits".to_owned());
    }
    Ok(digits.to_ascii_lowercase())
}

fn parse_device(name: &str) -> Result<Device, String> {
    let number = || name.strip_prefix("gpu:")?.parse().ok();
    let device = match name {
        "auto" => Device::Auto,
        "cpu" => Device::Cpu,
        "gpu" => Device::Gpu(None),
        _ => {
            let number = number().ok_or("expected auto, cpu, gpu or gpu:N, as in gpu:0")?;
            Device::Gpu(Some(number))
        }
    };
    match device {
        Device::Gpu(_) if !gpus::SUPPORTED => {
            Err(format!("{}; use auto or cpu", gpus::UNSUPPORTED))
        }
        device => Ok(device),
    }
}

fn parse_kernels(name: &str) -> Result<Kernels, String> {
    match name {
        "fast" => Ok(Kernels::Fast),
        "stock" => Ok(Kernels::Stock),
        _ => Err("expected fast or stock".to_owned()),
    }
}

fn parse_precision(name: &str) -> Result<Precision, String> {
    match name {
        "auto" => Ok(Precision::Auto),
        "int8" => Ok(Precision::Int8),
        "f32" => Ok(Precision::F32),
        "f16" => Ok(Precision::F16),
        _ => Err("expected auto, f32, f16 or int8".to_owned()),
    }
}

fn parse_log_format(name: &str) -> Result<LogFormat, String> {
    match name {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("expected auto, json or text".to_owned()),
    }
}

fn parse_score(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn parse_image_size(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|size| (16..=1024).contains(size))
        .ok_or_else(|| "expected a whole number from 16 to 1024".to_owned())
}

fn parse_folder(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    let is_folder = path.is_dir();
    is_folder
        .then_some(path)
        .ok_or_else(|| "expected a folder that is there".to_owned())
}

pub(crate) fn positive<N: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= N::from(1))
        .ok_or_else(|| "expected a whole number, at least 1".to_owned())
}

/// More than can wait for an answer in any time that callers have.
const LONGEST_QUEUE: usize = 1_000_000;

fn parse_queue(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|length| (1..=LONGEST_QUEUE).contains(length))
        .ok_or_else(|| format!("expected a whole number, at least 1 and at most {LONGEST_QUEUE}"))
}

fn parse_size(text: &str) -> Result<usize, String> {
    text.parse::<ByteSize>()
        .ok()
        .and_then(|size| usize::try_from(size.as_u64()).ok())
        .filter(|size| (1..=isize::MAX as usize / 2).contains(size))
        .ok_or_else(|| "expected a size such as 20MiB or 500kB".to_owned())
}

/// A span of time, which may be zero.
fn parse_delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "expected a time such as 500ms, 30s or 2m, at most 1 day".to_owned())
}

pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    parse_delay(text).and_then(|time| {
        if time.is_zero() {
            Err("expected more than no time".to_owned())
        } else {
            Ok(time)
        }
    })
}

/// Longer times are a mistake, and no sum of them overflows a clock.
const LONGEST: Duration = Duration::from_hours(24);

fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = text == "*"
        || url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text);
    is_origin
        .then(|| HeaderValue::from_str(text).ok())
        .flatten()
        .ok_or_else(|| "expected an origin such as https://example.com, or *".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        serve: Serve,
    }

    fn parse(arguments: &[&str]) -> Result<Serve, String> {
        Command::try_parse_from([&["segmenter"], arguments].concat())
            .map(|command| command.serve)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_times_and_lists_are_read_with_their_units() {
        let serve = parse(&[
            "--max-body=2MiB",
            "--deadline=500ms",
            "--drain-delay=0s",
            "--fetch-allow=10.0.0.0/8,images.internal",
            "--cors=https://example.com,http://localhost:3000",
        ])
        .unwrap();
        assert_eq!(serve.limits.picture.max_body, 2 << 20);
        assert_eq!(serve.limits.deadline, Duration::from_millis(500));
        assert_eq!(serve.limits.drain_delay, Duration::ZERO);
        let allowed: Vec<_> = serve
            .fetch
            .fetch_allow
            .iter()
            .map(Allow::to_string)
            .collect();
        assert_eq!(allowed, ["10.0.0.0/8", "images.internal"]);
        assert_eq!(serve.listen.cors.len(), 2);
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_would() {
        for (argument, advice) in [
            ("--queue=0", "at least 1"),
            ("--queue=1000001", "at most 1000000"),
            ("--deadline=0s", "more than no time"),
            ("--grace=forever", "such as 500ms"),
            ("--max-body=big", "such as 20MiB"),
            ("--threshold=1.5", "from 0 to 1"),
            ("--threshold=NaN", "from 0 to 1"),
            ("--device=tpu", "auto, cpu, gpu or gpu:N"),
            ("--device=gpu:first", "auto, cpu, gpu or gpu:N"),
            ("--precision=fp16", "auto, f32, f16 or int8"),
            ("--sha256=abcd", "64 hex digits"),
            ("--cors=example.com", "https://example.com"),
            ("--model=nonesuch", "no such model"),
            ("--http=8080", "invalid socket address"),
            ("--sample-dir=/nonesuch", "a folder that is there"),
            ("--image-size=15", "from 16 to 1024"),
        ] {
            let error = parse(&[argument]).unwrap_err();
            assert!(error.contains(advice), "{argument}: {error}");
        }
    }

    #[test]
    fn what_is_built_in_answers_where_nothing_says_that_the_default_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let dir = format!("--model-dir={}", folder.path().display());
        let answers = |arguments: &[&str]| {
            let mut serve = parse(&[&[&*dir], arguments].concat()).unwrap();
            serve.model.fall_back();
            let on_demand = serve.on_demand().map(|model| model.entry().name);
            assert_eq!(
                on_demand.is_none(),
                serve.model.entry().name == BUILT_IN.name
            );
            (serve.model.entry().name, serve.model.stands_in())
        };
        assert_eq!(answers(&["--offline"]), (BUILT_IN.name, true));
        let named = format!("--model={}", BUILT_IN.name);
        assert_eq!(answers(&[&named]), (BUILT_IN.name, false));
        let named = format!("--model={}", DEFAULT.name);
        let sha256 = format!("--sha256={}", "0".repeat(64));
        for meant in [&*named, "--weights=mine.pt", &sha256] {
            assert_eq!(answers(&[meant]), (DEFAULT.name, false), "{meant}");
        }
        // Another file than it has to be is a failure and not told with other classes.
        let file = folder.path().join(DEFAULT.download().unwrap().file_name);
        std::fs::write(file, "other").unwrap();
        assert_eq!(answers(&[]), (DEFAULT.name, false));

        let more = format!("--more-models={}", BUILT_IN.name);
        assert!(parse(&[&more]).unwrap().on_demand().is_none());
    }

    #[test]
    fn weights_are_not_given_for_a_model_that_has_its_own() {
        let named = format!("--model={}", BUILT_IN.name);
        let serve = parse(&[&named, "--weights=mine.safetensors"]).unwrap();
        let error = serve.model.file().unwrap_err().to_string();
        assert!(error.contains("with --model"), "{error}");
        assert_eq!(parse(&[&named]).unwrap().model.file(), Ok(None));
        let serve = parse(&["--weights=mine.pt"]).unwrap();
        assert_eq!(serve.model.file(), Ok(Some(Path::new("mine.pt"))));
    }

    #[test]
    fn a_gpu_that_is_asked_for_is_had_or_refused_and_never_replaced() {
        if !gpus::SUPPORTED {
            for name in ["gpu", "gpu:0"] {
                let error = parse(&[&format!("--device={name}")]).unwrap_err();
                assert!(error.contains("no GPU support"), "{error}");
            }
            return;
        }
        let device = |arguments: &[&str]| parse(arguments).unwrap().model.device();
        let error = device(&["--device=gpu:99"]).unwrap_err().to_string();
        assert!(error.contains("no gpu:99"), "{error}");
        for (processors, name) in [
            ("--kernels=stock", "--kernels stock"),
            ("--cpu=portable", "--cpu"),
            ("--precision=int8", "--precision int8"),
        ] {
            assert_eq!(
                device(&["--device=gpu", processors]).unwrap_err(),
                DeviceError::NotOnGpu(name)
            );
            assert_eq!(
                device(&["--device=auto", processors]).unwrap().kind(),
                DeviceKind::Cpu
            );
        }
    }

    #[test]
    fn integers_are_chosen_where_they_are_there_and_fast() {
        use segmenter_models::Precision::{F32, Int8};

        let precision = |arguments: &[&str]| {
            let serve = parse(arguments).unwrap();
            serve.model.device().map(|device| device.precision())
        };
        let best = if Isa::best().fast_integers() {
            Int8
        } else {
            F32
        };
        assert_eq!(precision(&[]), Ok(F32));
        let as_good = "--model=deeplabv3_mnv2_pascal";
        assert_eq!(precision(&[as_good]), Ok(best));
        assert_eq!(precision(&[as_good, "--precision=f32"]), Ok(F32));
        assert_eq!(precision(&[as_good, "--kernels=stock"]), Ok(F32));
        assert_eq!(precision(&[as_good, "--cpu=portable"]), Ok(F32));
        assert_eq!(precision(&["--precision=auto"]), Ok(best));
        assert_eq!(precision(&["--cpu=portable", "--precision=int8"]), Ok(Int8));
        let floats = [
            "--kernels=stock",
            "--model=deeplabv3_resnet50",
            "--cpu=portable",
        ];
        for floats in floats {
            assert_eq!(
                precision(&["--precision=auto", floats]),
                Ok(F32),
                "{floats}"
            );
        }
        let stock = precision(&["--kernels=stock", "--precision=int8"]);
        assert_eq!(stock, Err(DeviceError::StockIntegers));
        let none = precision(&["--model=deeplabv3_resnet50", "--precision=int8"]);
        let error = none.unwrap_err().to_string();
        assert!(error.contains("maskrcnn_fbnetv3a_c4"), "{error}");
    }
}
