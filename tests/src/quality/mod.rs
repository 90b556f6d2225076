//! How well the default model answers, measured through the server: against the detections of the float
//! reference, against the ground truth, and by the score that clients of the main API compute.

mod dice;
mod fidelity;
mod precision;

use std::{collections::HashMap, fmt, path::Path};

use reqwest::Response;
use serde::{Deserialize, de::DeserializeOwned};

use self::{
    fidelity::{Fidelity, Tolerance},
    precision::GroundTruth,
};
use crate::{
    PictureHost, Server,
    picture_host::jpegs,
    proto::inference::{InstanceDetectorInput, instance_detector_client::InstanceDetectorClient},
};

/// Detections of one picture by its file name.
pub type Detections = HashMap<String, Vec<Detection>>;

/// One object, as the reference file tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Detection {
    /// The class name.
    pub label: String,
    /// 0 to 1.
    pub score: f64,
    /// `x0, y0, x1, y1` in pixels.
    #[serde(rename = "box")]
    pub bbox: [f64; 4],
    /// Its outline; the reference file has none.
    #[serde(skip)]
    pub mask: Option<Mask>,
}

/// A mask in COCO's compressed run lengths.
#[derive(Clone, Debug, Deserialize)]
pub struct Mask {
    /// Height and width.
    pub size: [u32; 2],
    /// The runs.
    pub counts: String,
}

/// What the reference file holds for one picture.
#[derive(Debug, Deserialize)]
struct Reference {
    /// Of the network with dequantised weights.
    float: Vec<Detection>,
    /// Of the quantised network itself.
    int8: Vec<Detection>,
}

/// What the server calculates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 32-bit floats.
    F32,
    /// 8-bit integers, as the original does.
    Int8,
    /// 32-bit floats, on a GPU.
    GpuF32,
    /// 32-bit floats with factors of 16 bits, on a GPU.
    GpuF16,
}

impl Numbers {
    /// The server's arguments for them.
    pub fn arguments(self) -> [&'static str; 2] {
        match self {
            Self::F32 => ["--device=cpu", "--precision=f32"],
            Self::Int8 => ["--device=cpu", "--precision=int8"],
            Self::GpuF32 => ["--device=gpu", "--precision=f32"],
            Self::GpuF16 => ["--device=gpu", "--precision=f16"],
        }
    }

    /// What has to be found of the reference's detections: how like they are, and the share.
    fn fidelity(self) -> (Tolerance, f64) {
        match self {
            Self::F32 | Self::GpuF32 => (Tolerance::FLOAT, 0.99),
            Self::GpuF16 => (Tolerance::FLOAT, 0.98),
            // The layers answer the original's bytes on a processor with VNNI. These detections are of
            // another machine, and PyTorch itself finds 0.80 of them on such a processor.
            Self::Int8 => (Tolerance::INT8, 0.80),
        }
    }

    /// How far box AP may be from the reference's.
    fn box_ap_tolerance(self) -> f64 {
        match self {
            Self::F32 | Self::GpuF32 => 0.003,
            Self::GpuF16 => 0.005,
            Self::Int8 => 0.01,
        }
    }

    /// The least that mask AP may be of box AP.
    fn least_mask_ap(self) -> f64 {
        match self {
            Self::F32 | Self::GpuF32 | Self::GpuF16 => 0.85,
            Self::Int8 => 0.82,
        }
    }
}

/// Measured figures and whether they suffice.
#[derive(Debug)]
pub struct Report {
    /// What the server calculated with.
    pub numbers: Numbers,
    /// How many pictures were looked at.
    pub pictures: usize,
    /// In the order in which they are told.
    pub figures: Vec<Figure>,
    /// Detections of the reference that were not found, one line each.
    pub missed: Vec<String>,
}

/// One measured number.
#[derive(Debug)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// What it must be, if anything.
    pub gate: Option<Gate>,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug)]
pub enum Gate {
    /// At least this.
    AtLeast(f64),
    /// More than this.
    Above(f64),
    /// At most `tolerance` away from `of`.
    Within {
        /// The right value.
        of: f64,
        /// The largest difference.
        tolerance: f64,
    },
}

impl Figure {
    /// Whether the gate, if any, is met. NaN meets none.
    pub fn passes(&self) -> bool {
        match self.gate {
            None => true,
            Some(Gate::AtLeast(least)) => self.value >= least,
            Some(Gate::Above(bound)) => self.value > bound,
            Some(Gate::Within { of, tolerance }) => (self.value - of).abs() <= tolerance,
        }
    }
}

impl Report {
    /// Whether every gate is met.
    pub fn passes(&self) -> bool {
        self.figures.iter().all(Figure::passes)
    }
}

/// Measures a running server on the pictures, ground truth and reference detections of the shared folder.
pub async fn measure(server: &Server, numbers: Numbers, shared: &Path) -> Report {
    let folder = shared.join("images/coco-val");
    let pictures = jpegs(&folder);
    let (float, int8) = references(shared);
    let truth = GroundTruth::read(&folder.join("instances.json"));
    let labels: HashMap<String, Vec<String>> = read_json(&folder.join("eval.json"));

    let mut ours = Detections::new();
    for (name, bytes) in &pictures {
        ours.insert(name.clone(), detect(server, bytes.clone()).await);
    }

    let reference = match numbers {
        Numbers::F32 | Numbers::GpuF32 | Numbers::GpuF16 => &float,
        Numbers::Int8 => &int8,
    };
    let (tolerance, least_share) = numbers.fidelity();
    let Fidelity {
        found,
        total,
        missed,
    } = Fidelity::of(&ours, reference, tolerance);
    let box_ap = truth.box_precision(&ours);
    let float_ap = truth.box_precision(&float);
    let mask_ap = truth.mask_precision(&ours);
    let host = PictureHost::start(pictures.iter().cloned()).await;
    let http = names_over_http(server, &host, &labels).await;
    let grpc = names_over_grpc(server, &host, &labels).await;

    let figure = |name, value, gate| Figure { name, value, gate };
    #[expect(clippy::cast_precision_loss, reason = "a few hundred detections")]
    let share = found as f64 / total as f64;
    Report {
        numbers,
        pictures: pictures.len(),
        figures: vec![
            figure(
                "reference detections found",
                share,
                Some(Gate::AtLeast(least_share)),
            ),
            figure(
                "box AP",
                box_ap,
                Some(Gate::Within {
                    of: truth.box_precision(reference),
                    tolerance: numbers.box_ap_tolerance(),
                }),
            ),
            figure("box AP of the float reference", float_ap, None),
            figure(
                "box AP of the int8 reference",
                truth.box_precision(&int8),
                None,
            ),
            figure("mask AP", mask_ap, None),
            figure(
                "mask AP / box AP",
                mask_ap / box_ap,
                Some(Gate::AtLeast(numbers.least_mask_ap())),
            ),
            figure(
                "mean Dice over HTTP",
                dice::mean(&labels, &http),
                Some(Gate::Above(0.60)),
            ),
            figure(
                "mean Dice over gRPC",
                dice::mean(&labels, &grpc),
                Some(Gate::Above(0.60)),
            ),
        ],
        missed,
    }
}

/// The reference detections of the float network and of the int8 one.
fn references(shared: &Path) -> (Detections, Detections) {
    let pictures: HashMap<String, Reference> =
        read_json(&shared.join("reference/d2go_mask_rcnn_detections.json"));
    pictures
        .into_iter()
        .map(|(name, Reference { float, int8 })| ((name.clone(), float), (name, int8)))
        .unzip()
}

/// The part of the reply of `/v1/predict` that is looked at here.
#[derive(Deserialize)]
struct Reply {
    detections: Vec<Found>,
}

/// One object of such a reply.
#[derive(Deserialize)]
struct Found {
    label: String,
    score: f64,
    r#box: Corners,
    mask: MaskFormats,
}

#[derive(Deserialize)]
struct Corners {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

#[derive(Deserialize)]
struct MaskFormats {
    rle: Mask,
}

impl From<Found> for Detection {
    fn from(found: Found) -> Self {
        let Corners { x0, y0, x1, y1 } = found.r#box;
        Self {
            label: found.label,
            score: found.score,
            bbox: [x0, y0, x1, y1],
            mask: Some(found.mask.rle),
        }
    }
}

/// Everything that `/v1/predict` finds above a score of 0.05, the threshold of the reference.
async fn detect(server: &Server, picture: Vec<u8>) -> Vec<Detection> {
    let path = "/v1/predict?threshold=0.05&max_detections=100&masks=rle";
    let reply: Reply = read_reply(server.post(path, picture).await).await;
    reply.detections.into_iter().map(Detection::from).collect()
}

/// The names that `/predict` answers for each picture of `labels`, by URL.
async fn names_over_http(
    server: &Server,
    host: &PictureHost,
    labels: &HashMap<String, Vec<String>>,
) -> HashMap<String, Vec<String>> {
    #[derive(Deserialize)]
    struct Reply {
        objects: Vec<String>,
    }
    let mut names = HashMap::new();
    for name in labels.keys() {
        let body = serde_json::json!({ "url": host.picture(name) });
        let reply: Reply = read_reply(server.post("/predict", body.to_string()).await).await;
        names.insert(name.clone(), reply.objects);
    }
    names
}

/// The names that `inference.InstanceDetector` answers for each picture of `labels`.
async fn names_over_grpc(
    server: &Server,
    host: &PictureHost,
    labels: &HashMap<String, Vec<String>>,
) -> HashMap<String, Vec<String>> {
    let mut client = InstanceDetectorClient::new(server.channel().await);
    let mut names = HashMap::new();
    for name in labels.keys() {
        let url = host.picture(name);
        let reply = client
            .predict(InstanceDetectorInput { url })
            .await
            .unwrap_or_else(|status| panic!("{name}: {status}"));
        names.insert(name.clone(), reply.into_inner().objects);
    }
    names
}

async fn read_reply<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let text = response.text().await.expect("a whole reply");
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| figure ({:?}, {} pictures) | value | must be | |",
            self.numbers, self.pictures
        )?;
        writeln!(f, "|---|---|---|---|")?;
        for figure in &self.figures {
            let verdict = match (figure.gate, figure.passes()) {
                (None, _) => "",
                (Some(_), true) => "ok",
                (Some(_), false) => "FAILS",
            };
            write!(f, "| {} | {:.4} | ", figure.name, figure.value)?;
            if let Some(gate) = figure.gate {
                write!(f, "{gate}")?;
            }
            writeln!(f, " | {verdict} |")?;
        }
        for line in &self.missed {
            writeln!(f, "not found: {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Above(bound) => write!(f, "above {bound}"),
            Self::Within { of, tolerance } => write!(f, "{of:.4} +- {tolerance}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Figure, Gate, GroundTruth,
        fidelity::{Fidelity, Tolerance},
        references,
    };

    /// What pycocotools 2.0.11 makes of the reference detections: `COCOeval(gt, gt.loadRes(..),
    /// "bbox").stats[0]`, pictures in the order of their names.
    const PYCOCOTOOLS: [f64; 2] = [0.288_060_062_709_661_9, 0.269_028_405_587_152_1];

    #[test]
    fn precision_is_what_pycocotools_computes() {
        let Some(shared) = crate::shared("precision_is_what_pycocotools_computes") else {
            return;
        };
        let truth = GroundTruth::read(&shared.join("images/coco-val/instances.json"));
        let (float, int8) = references(&shared);
        for (detections, expected) in [&float, &int8].into_iter().zip(PYCOCOTOOLS) {
            let precision = truth.box_precision(detections);
            assert!(
                (precision - expected).abs() < 1e-6,
                "{precision}, expected {expected}"
            );
        }
        assert!(
            Fidelity::of(&float, &float, Tolerance::FLOAT)
                .missed
                .is_empty()
        );
        assert!(Fidelity::of(&int8, &float, Tolerance::FLOAT).missed.len() > 20);
    }

    #[test]
    fn gates_shut() {
        let passes = |value, gate| {
            Figure {
                name: "",
                value,
                gate: Some(gate),
            }
            .passes()
        };
        assert!(passes(0.99, Gate::AtLeast(0.99)));
        assert!(!passes(0.98, Gate::AtLeast(0.99)));
        assert!(!passes(0.6, Gate::Above(0.6)));
        let within = Gate::Within {
            of: 0.5,
            tolerance: 0.01,
        };
        assert!(passes(0.495, within));
        assert!(!passes(0.48, within));
        assert!(!passes(0.52, within));
        assert!(!passes(f64::NAN, within));
    }
}
