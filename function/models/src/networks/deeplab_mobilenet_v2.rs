//! DeepLab with MobileNetV2, as TensorFlow's `deeplab` exports it for phones.
//!
//! Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018, section 6.3: an output
//! stride of 16, atrous convolution behind it, and of the pyramid only the 1x1 branch and the image's
//! mean. Inputs whose sides are `16 n + 1` pixels keep that form through every layer, so that
//! TensorFlow's `SAME` padding, which may differ before and after, is here the same on both sides.

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, QuantStub, global_mean},
    semantic::Segmenter,
    weights::{WeightError, Weights},
};

/// Expansion of the channels, output channels, blocks, and stride of the first block: the paper's
/// table 2.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// From here on a stride becomes dilation instead.
const OUTPUT_STRIDE: usize = 16;

/// The network.
#[derive(Module, Debug)]
pub struct DeeplabMobilenetV2 {
    input: QuantStub,
    stem: Conv2d,
    blocks: Vec<InvertedResidual>,
    image_pooling: Conv2d,
    aspp: Conv2d,
    concat: QuantStub,
    projection: Conv2d,
    classifier: Conv2d,
}

impl DeeplabMobilenetV2 {
    /// Takes the layers by their names in TensorFlow's model garden, batch norm folded.
    pub fn load(
        weights: &mut Weights,
        classes: usize,
        device: &Device,
    ) -> Result<Self, WeightError> {
        let load = |weights: &mut Weights, name: &str, geometry, activation| {
            Conv2d::load(weights, name, geometry, activation, device)
        };
        let input = QuantStub::load(weights, "MobilenetV2/MobilenetV2/input", device)?;
        let stem = load(
            weights,
            "MobilenetV2/Conv",
            Geometry::new(3, 32, 3).stride(2),
            Activation::Relu6,
        )?;

        let mut blocks = Vec::new();
        let (mut channels, mut stride, mut dilation) = (32, 2, 1);
        for [expansion, outputs, repeats, first_stride] in STAGES {
            for repeat in 0..repeats {
                let wanted = if repeat == 0 { first_stride } else { 1 };
                let strides = stride * wanted <= OUTPUT_STRIDE;
                let width = channels * expansion;
                let depthwise = Geometry::depthwise(width, 3)
                    .dilation(dilation)
                    .stride(if strides { wanted } else { 1 });
                let name = match blocks.len() {
                    0 => "MobilenetV2/expanded_conv".to_owned(),
                    index => format!("MobilenetV2/expanded_conv_{index}"),
                };
                let layer = |layer: &str| format!("{name}/{layer}");
                let relu6 = Activation::Relu6;
                let expand = Geometry::new(channels, width, 1);
                let project = Geometry::new(width, outputs, 1);
                let residual = repeat > 0;
                blocks.push(InvertedResidual {
                    expand: (expansion != 1)
                        .then(|| load(weights, &layer("expand"), expand, relu6))
                        .transpose()?,
                    depthwise: load(weights, &layer("depthwise"), depthwise, relu6)?,
                    project: {
                        let identity = Activation::Identity;
                        let project = load(weights, &layer("project"), project, identity)?;
                        if residual {
                            project.load_addition(weights, &layer("add"))?
                        } else {
                            project
                        }
                    },
                    residual,
                });
                channels = outputs;
                if strides {
                    stride *= wanted;
                } else {
                    // The block that would have had the stride is itself not dilated yet.
                    dilation *= wanted;
                }
            }
        }

        let relu = Activation::Relu;
        let branch = Geometry::new(channels, 256, 1);
        let projection = Geometry::new(512, 256, 1);
        Ok(Self {
            input,
            stem,
            blocks,
            image_pooling: load(weights, "image_pooling", branch, relu)?,
            aspp: load(weights, "aspp0", branch, relu)?,
            concat: QuantStub::load(weights, "concat", device)?,
            projection: load(weights, "concat_projection", projection, relu)?,
            classifier: load(
                weights,
                "logits/semantic",
                Geometry::new(256, classes, 1),
                Activation::Identity,
            )?,
        })
    }
}

impl Segmenter for DeeplabMobilenetV2 {
    /// `[batch, 3, 16 n + 1, 16 m + 1]` in -1..1 to logits `[batch, classes, n + 1, m + 1]`, of which the
    /// corners lie on the corners of the input.
    fn forward(&self, x: Map) -> Map {
        let mut x = self.stem.forward(self.input.forward(x));
        for block in &self.blocks {
            x = block.forward(x);
        }
        let local = self.concat.forward(self.aspp.forward(x.clone()));
        let global = self.image_pooling.forward(global_mean(x));
        let [_, _, height, width] = local.dims();
        let global = self.concat.forward(global).expand([height, width]);
        let features = self.projection.forward(Map::concat(&[global, local]));
        self.classifier.forward(features)
    }
}

/// 1x1 up, 3x3 depthwise, 1x1 down without an activation.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<Conv2d>,
    depthwise: Conv2d,
    project: Conv2d,
    /// Whether the input is added to the output.
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn forward(&self, x: Map) -> Map {
        let y = match &self.expand {
            Some(expand) => self.depthwise.forward_after(expand, x.clone()),
            None => self.depthwise.forward(x.clone()),
        };
        if self.residual {
            self.project.forward_with_residual(y, x)
        } else {
            self.project.forward(y)
        }
    }
}

/// With the published weights, where they are at hand.
#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use segmenter_imaging::decode::{Exif, Options, open};
    use serde_json::Value;

    use super::DeeplabMobilenetV2;
    use crate::{
        Device, Isa,
        blocks::Map,
        catalogue::WeightsFormat,
        networks::Network,
        prediction::{ClassMap, Outcome, Selection},
        semantic::{InputRule, Segmenter, regions},
        weights::{Weights, seeded},
    };

    const BACKGROUND: u8 = 0;
    const PERSON: u8 = 15;
    const TV: u8 = 20;

    const SELECTION: Selection = Selection {
        threshold: 0.5,
        max_detections: 100,
        classes: None,
        masks: true,
        map_size: None,
        scores: false,
    };

    /// A file of the shared data; none where that is absent, and then says so.
    fn shared(file: &str) -> Option<PathBuf> {
        let folder = std::env::var_os("SEGMENTER_SHARED").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into(),
            PathBuf::from,
        );
        let path = folder.join(file);
        if !path.exists() {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or_default();
            println!("skipped: {test}: {} is not there", path.display());
            return None;
        }
        Some(path)
    }

    /// What the model makes of people among screens, 1200 x 600 pixels, with this longer side.
    fn class_map_on(longer_side: u32, device: &Device) -> Option<ClassMap> {
        let picture = shared("images/max/stc.jpg")?;
        let weights = shared("weights/deeplabv3_mnv2_pascal_quant.tflite")?;
        let options = Options {
            exif: Exif::Ignore,
            ..Options::default()
        };
        let bytes = fs::read(picture).unwrap();
        let picture = open(&bytes, &options).unwrap();
        let size = [picture.width(), picture.height()];
        assert_eq!(size, [1200, 600]);

        let mut weights =
            Weights::read(&weights, WeightsFormat::TfLite, device.precision()).unwrap();
        let model = Network::DeeplabMobilenetV2(InputRule::Stretched { longer_side })
            .build(&mut weights, device)
            .unwrap();
        weights.finish().unwrap();

        let input = model.preprocess(picture, &SELECTION).unwrap();
        let output = model.forward(vec![(input, &SELECTION)]).remove(0);
        let Outcome::ClassMap(map) = model.postprocess(output, size, &SELECTION).outcome else {
            panic!("not a class map");
        };
        Some(map)
    }

    /// As [`class_map_on`], in floats.
    fn class_map(longer_side: u32) -> Option<ClassMap> {
        class_map_on(longer_side, &Device::kernels(Isa::best()))
    }

    fn at(map: &ClassMap, row: u32, column: u32) -> u8 {
        map.classes[(row * map.width + column) as usize]
    }

    #[test]
    fn people_and_a_screen_are_where_the_original_service_finds_them() {
        for device in [Device::kernels(Isa::best()), Device::integers(Isa::best())] {
            let Some(map) = class_map_on(513, &device) else {
                return;
            };
            assert_eq!([map.width, map.height], [513, 256]);
            assert_eq!(at(&map, 0, 0), BACKGROUND);
            assert_eq!(at(&map, 128, 128), PERSON);
            assert_eq!(at(&map, 130, 170), PERSON);
            assert_eq!(at(&map, 200, 500), TV);
            assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
        }
    }

    /// By how many bytes the values of a map differ from those of LiteRT.
    fn off(map: &Map, expected: &Value) -> Vec<f32> {
        let number = |field: &str| expected[field].as_f64().unwrap() as f32;
        let shape = expected["shape"].as_array().unwrap().iter();
        let shape: Vec<_> = shape.map(|axis| axis.as_u64().unwrap() as usize).collect();
        assert_eq!(map.dims()[1..], shape);
        let values = map.to_host().into_iter().step_by(number("step") as usize);
        let bytes = values.map(|value| value / number("scale") + number("zero_point"));
        let expected = expected["bytes"].as_array().unwrap().iter();
        let expected = expected.map(|byte| byte.as_f64().unwrap() as f32);
        let off = bytes.zip(expected).map(|(a, b)| (a - b).abs().round());
        off.collect()
    }

    /// Compared with `scripts/parity_litert.py`. The first blocks answer LiteRT's bytes; the smallest difference grows
    /// from layer to layer, and between LiteRT's own kernels too.
    #[test]
    fn bytes_are_those_of_litert_on_every_set_of_instructions() {
        let Some(path) = shared("weights/deeplabv3_mnv2_pascal_quant.tflite") else {
            return;
        };
        let expected = include_str!("../../tests/parity/deeplab_mobilenet_v2.json");
        let expected: Value = serde_json::from_str(expected).unwrap();
        let samples = seeded::picture([513, 513]).into_iter();
        let samples: Vec<_> = samples
            .map(|value| ((value * 255.0).round_ties_even() - 128.0) / 128.0)
            .collect();
        let mut first = None;
        for isa in Isa::available() {
            let device = Device::integers(isa);
            let mut weights =
                Weights::read(&path, WeightsFormat::TfLite, device.precision()).unwrap();
            let network = DeeplabMobilenetV2::load(&mut weights, 21, &device).unwrap();
            let x = Map::from_host(&samples, [1, 3, 513, 513], &device);

            let y = network.stem.forward(network.input.forward(x.clone()));
            let y = network.blocks[..3]
                .iter()
                .fold(y, |y, block| block.forward(y));
            let others = off(&y, &expected["third_block"]).into_iter();
            assert_eq!(others.filter(|&off| off > 0.0).count(), 0, "{isa}");

            let logits = network.forward(x);
            let off = off(&logits, &expected["logits"]);
            let mean = off.iter().sum::<f32>() / off.len() as f32;
            let most = off.iter().copied().fold(0.0, f32::max);
            println!("{isa}: logits are off by {mean} bytes on average and {most} at the most");
            assert!(mean < 1.0 && most <= 6.0);
            let logits = logits.to_host();
            assert_eq!(&logits, first.get_or_insert(logits.clone()), "{isa}");
        }
    }

    #[test]
    fn another_longer_side_gives_a_map_of_that_size() {
        let Some(map) = class_map(333) else { return };
        assert_eq!([map.width, map.height], [333, 166]);
        assert_eq!(at(&map, 65, 93), PERSON);
    }

    #[test]
    fn the_map_can_be_larger_than_the_input() {
        let Some(map) = class_map(1024) else { return };
        assert_eq!([map.width, map.height], [1024, 512]);
        assert_eq!(at(&map, 0, 0), BACKGROUND);
        assert_eq!(at(&map, 256, 256), PERSON);
    }

    #[test]
    fn the_map_becomes_objects_on_the_picture() {
        let Some(map) = class_map(513) else { return };
        let objects = regions(&map, [1200, 600], &SELECTION);
        let of = |class| objects.iter().filter(move |o| o.class == u32::from(class));
        assert!(of(PERSON).count() >= 1);
        assert!(of(TV).count() >= 1);
        for object in &objects {
            let mask = object.mask.as_ref().unwrap();
            assert_eq!((mask.width(), mask.height()), (1200, 600));
            let bbox = mask.bbox().unwrap().map(|edge| edge as f32);
            assert_eq!(bbox, object.bbox);
        }
    }
}
