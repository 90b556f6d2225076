//! Both servers on ports of their own, before a stand-in for a network.

use std::{
    io::Cursor,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use segmenter_imaging::{Picture, decode::DecodeError, rle::Rle};
use segmenter_models::{
    Detection, DeviceKind, Input, Model, Outcome, Output, Precision, Prediction, Selection,
    catalogue::{CATALOGUE, Entry},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Serve,
    forward::{Built, Load},
    grpc, http, listen,
    metrics::Metrics,
    service::{Answer, Segmenter},
};

/// Not a network: "sees" the first of [`classes`] in the left half of every picture, the second in the
/// right half and the first again, hardly, in the middle. It can be made to wait at a gate.
#[derive(Default)]
pub(crate) struct StandIn {
    closed: Mutex<bool>,
    changed: Condvar,
    /// Batches that wait for it to open.
    held: AtomicUsize,
    /// Whether what it runs on is gone.
    lost: AtomicBool,
    /// How often it was loaded, or that was tried.
    loads: AtomicUsize,
}

/// A picture of this width makes the stand-in panic.
pub(crate) const POISONOUS_WIDTH: u32 = 13;

/// The two classes that the stand-in answers.
pub(crate) fn classes() -> [u32; 2] {
    let mut named = (0..)
        .zip(entry().classes)
        .filter(|(_, name)| !name.is_empty());
    std::array::from_fn(|_| named.next().unwrap().0)
}

pub(crate) fn entry() -> &'static Entry {
    CATALOGUE.first().unwrap()
}

/// The names of [`classes`].
pub(crate) fn class_names() -> [&'static str; 2] {
    classes().map(|class| entry().classes[class as usize])
}

/// Everything that was found by a model on a picture of `[width, height]`.
pub(crate) fn answer(entry: &'static Entry, [width, height]: [u32; 2], outcome: Outcome) -> Answer {
    Answer {
        entry,
        selection: Selection {
            threshold: 0.0,
            max_detections: 10,
            classes: None,
            masks: true,
            map_size: None,
            scores: false,
        },
        prediction: Prediction {
            width,
            height,
            outcome,
        },
        picture: None,
        timings: Vec::new(),
    }
}

pub(crate) fn detection(class: u32, score: f32, bbox: [f32; 4], mask: Option<Rle>) -> Detection {
    Detection {
        class,
        score,
        bbox,
        mask,
    }
}

/// On a picture of 4 x 2 pixels, one with a mask, the right column, and one without.
pub(crate) fn two_objects() -> Answer {
    let mask = Rle::from_counts(2, 4, [6, 2]).unwrap();
    let detections = vec![
        detection(0, 0.75, [3.0, 0.0, 4.0, 2.0], Some(mask)),
        detection(6, 0.5, [1.5, 0.5, 4.0, 1.0], None),
    ];
    answer(entry(), [4, 2], Outcome::Detections(detections))
}

impl StandIn {
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.changed.notify_all();
    }

    /// Waits until a batch waits for it to open.
    pub(crate) async fn until_held(&self) {
        while self.held.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// As a driver does that is reset: what runs fails until the model is loaded anew, which fails at first.
    pub(crate) fn lose_device(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    fn load(self: &Arc<Self>) -> Result<Built, Box<dyn std::error::Error + Send + Sync>> {
        if self.loads.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err("the driver is not there yet".into());
        }
        self.lost.store(false, Ordering::SeqCst);
        let device = Arc::clone(self);
        let lost = move || device.lost.load(Ordering::SeqCst);
        Ok(Built {
            model: Box::new(Gated(Arc::clone(self))),
            device: DeviceKind::Cpu,
            precision: Precision::F32,
            fault: Box::new(move || lost().then(|| "it is lost".to_owned())),
        })
    }
}

/// As the server owns it, while the test holds the gate.
struct Gated(Arc<StandIn>);

impl Model for Gated {
    fn preprocess(&self, picture: Picture<'_>, _: &Selection) -> Result<Input, DecodeError> {
        let width = picture.width() as f32;
        picture.into_image()?;
        Ok(Input::uniform([width; 4], [1, 1]))
    }

    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        let gate = &self.0;
        gate.held.fetch_add(1, Ordering::SeqCst);
        drop(
            gate.changed
                .wait_while(gate.closed.lock().unwrap(), |closed| *closed)
                .unwrap(),
        );
        gate.held.fetch_sub(1, Ordering::SeqCst);
        assert!(!gate.lost.load(Ordering::SeqCst), "the device is lost");
        let [first, second] = classes();
        batch
            .iter()
            .map(|(input, _)| {
                assert_ne!(
                    input.normalised()[0],
                    [POISONOUS_WIDTH as f32; 4],
                    "poisoned"
                );
                Output::Instances {
                    boxes: vec![
                        [0.0, 0.0, 0.5, 1.0],
                        [0.5, 0.0, 1.0, 1.0],
                        [0.4, 0.4, 0.6, 0.6],
                    ],
                    classes: vec![first, second, first],
                    scores: vec![0.9375, 0.875, 0.125],
                    masks: None,
                }
            })
            .collect()
    }

    fn postprocess(
        &self,
        output: Output,
        [width, height]: [u32; 2],
        selection: &Selection,
    ) -> Prediction {
        let Output::Instances {
            boxes,
            classes,
            scores,
            ..
        } = output
        else {
            panic!("the stand-in answers instances");
        };
        let detections = boxes
            .into_iter()
            .zip(classes)
            .zip(scores)
            .filter(|((_, class), score)| *score >= selection.threshold && selection.wants(*class))
            .take(selection.max_detections)
            .map(|((bbox, class), score)| {
                let [w, h] = [width as f32, height as f32];
                Detection {
                    class,
                    score,
                    bbox: [bbox[0] * w, bbox[1] * h, bbox[2] * w, bbox[3] * h],
                    mask: selection.masks.then(|| box_mask(width, height, bbox)),
                }
            });
        Prediction {
            width,
            height,
            outcome: Outcome::Detections(detections.collect()),
        }
    }

    fn warm_up_shapes(&self) -> Vec<[usize; 3]> {
        vec![[1, 1, 1]]
    }
}

/// The pixels of the picture whose corners lie in the box, which is in parts of the picture.
fn box_mask(width: u32, height: u32, [x0, y0, x1, y1]: [f32; 4]) -> Rle {
    let within = |pixel: u32, side: u32, from: f32, to: f32| {
        (from..to).contains(&(pixel as f32 / side as f32))
    };
    let pixels = (0..height).flat_map(|y| {
        (0..width).map(move |x| within(x, width, x0, x1) && within(y, height, y0, y1))
    });
    Rle::from_bitmap(height, width, &pixels.collect::<Vec<_>>()).unwrap()
}

/// Two running servers.
pub(crate) struct Servers {
    pub(crate) segmenter: Arc<Segmenter>,
    pub(crate) model: Arc<StandIn>,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    serve: Serve,
}

impl Servers {
    /// Starts both with these flags, ready for requests.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let servers = Self::start_unready(flags).await;
        servers.install().await;
        servers
    }

    /// Starts both, without a model.
    pub(crate) async fn start_unready(flags: &[&str]) -> Self {
        // One worker, so that a single request at the gate is all that runs and the others wait.
        let ours = &["segmenter", "--fetch-allow=127.0.0.0/8", "--workers=1"];
        let flags = [ours, flags].concat();
        let Arguments { serve } = Arguments::parse_from(flags);
        let segmenter = Arc::new(Segmenter::new(
            &[entry()],
            serve.prediction.clone(),
            serve.limits.clone(),
            serve.fetcher(),
            2,
            Metrics::new().unwrap(),
        ));
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (http.local_addr().unwrap(), grpc.local_addr().unwrap());
        let stop = CancellationToken::new();
        let (health, _) = tonic_health::server::health_reporter();
        let routers = (
            http::router(&segmenter, &serve, serve.bucket().unwrap()),
            grpc::router(&segmenter, health.clone()).unwrap(),
        );
        let patience = listen::Patience::new(serve.listen.max_connections);
        let servers = futures_util::future::join3(
            listen::serve(http, routers.0, patience, stop.clone().cancelled_owned()),
            listen::serve(grpc, routers.1, patience, stop.clone().cancelled_owned()),
            grpc::report(
                health,
                segmenter.readiness().watch(),
                stop.clone().cancelled_owned(),
            ),
        );
        // The one of this name may have been installed by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            segmenter,
            model: Arc::default(),
            http: addresses.0,
            grpc: addresses.1,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            stop,
            serving: tokio::spawn(async move {
                servers.await;
            }),
        }
    }

    pub(crate) async fn install(&self) {
        let model = Arc::clone(&self.model);
        let load: Load = Arc::new(move || model.load());
        let built = load().unwrap();
        self.segmenter.install(entry(), built, load).await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// `POST` of a body without a content type.
    pub(crate) fn post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        self.client.post(self.url(path)).body(body)
    }

    pub(crate) async fn metric(&self, line_start: &str) -> f64 {
        let text = self.client.get(self.url("/metrics")).send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(line_start));
        line.map_or(f64::NAN, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    }

    /// Waits until there are so many requests, wherever they are.
    pub(crate) async fn until_in_flight(&self, count: i64) {
        while self.segmenter.metrics().in_flight.get() != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A black picture.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::new(width, height)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// A server that answers this to every request, at this address.
pub(crate) async fn picture_host(body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(move || async move { body });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
