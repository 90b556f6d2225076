//! DeepLab with MobileNetV2, as TensorFlow's `deeplab` exports it for phones.
//!
//! Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018, section 6.3: an output
//! stride of 16, atrous convolution behind it, and of the pyramid only the 1x1 branch and the image's
//! mean. Inputs whose sides are `16 n + 1` pixels keep that form through every layer, so that
//! TensorFlow's `SAME` padding, which may differ before and after, is here the same on both sides.

use burn::module::Module;

use crate::{
    blocks::{Activation, Conv2d, Device, Geometry, Map, global_mean},
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
    stem: Conv2d,
    blocks: Vec<InvertedResidual>,
    image_pooling: Conv2d,
    aspp: Conv2d,
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
        let mut load = |name: &str, geometry, activation| {
            Conv2d::load(weights, name, geometry, activation, device)
        };
        let stem = load(
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
                blocks.push(InvertedResidual {
                    expand: (expansion != 1)
                        .then(|| {
                            let geometry = Geometry::new(channels, width, 1);
                            load(&format!("{name}/expand"), geometry, Activation::Relu6)
                        })
                        .transpose()?,
                    depthwise: load(&format!("{name}/depthwise"), depthwise, Activation::Relu6)?,
                    project: load(
                        &format!("{name}/project"),
                        Geometry::new(width, outputs, 1),
                        Activation::Identity,
                    )?,
                    residual: repeat > 0,
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
        Ok(Self {
            stem,
            blocks,
            image_pooling: load("image_pooling", Geometry::new(channels, 256, 1), relu)?,
            aspp: load("aspp0", Geometry::new(channels, 256, 1), relu)?,
            projection: load("concat_projection", Geometry::new(512, 256, 1), relu)?,
            classifier: load(
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
        let mut x = self.stem.forward(x);
        for block in &self.blocks {
            x = block.forward(x);
        }
        let local = self.aspp.forward(x.clone());
        let global = self.image_pooling.forward(global_mean(x));
        let [_, _, height, width] = local.dims();
        let global = global.expand([height, width]);
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
            Some(expand) => expand.forward(x.clone()),
            None => x.clone(),
        };
        let y = self.depthwise.forward(y);
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

    use crate::{
        Device, Isa,
        blocks::Precision,
        catalogue,
        networks::Network,
        prediction::{ClassMap, Outcome, Selection},
        semantic::{InputRule, regions},
        weights::Weights,
    };

    const BACKGROUND: u8 = 0;
    const PERSON: u8 = 15;
    const TV: u8 = 20;

    const SELECTION: Selection = Selection {
        threshold: 0.5,
        max_detections: 100,
        classes: None,
        masks: true,
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
    fn class_map(longer_side: u32) -> Option<ClassMap> {
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

        let format = catalogue::find("deeplabv3_mnv2_pascal")
            .unwrap()
            .weights
            .format;
        let mut weights = Weights::read(&weights, format, Precision::F32).unwrap();
        let model = Network::DeeplabMobilenetV2(InputRule::Stretched { longer_side })
            .build(&mut weights, &Device::kernels(Isa::best()))
            .unwrap();
        weights.finish().unwrap();

        let input = model.preprocess(picture).unwrap();
        let output = model.forward(&[(&input, &SELECTION)]).remove(0);
        let Outcome::ClassMap(map) = model.postprocess(output, size, &SELECTION).outcome else {
            panic!("not a class map");
        };
        Some(map)
    }

    fn at(map: &ClassMap, row: u32, column: u32) -> u8 {
        map.classes[(row * map.width + column) as usize]
    }

    #[test]
    fn people_and_a_screen_are_where_the_original_service_finds_them() {
        let Some(map) = class_map(513) else { return };
        assert_eq!([map.width, map.height], [513, 256]);
        assert_eq!(at(&map, 0, 0), BACKGROUND);
        assert_eq!(at(&map, 128, 128), PERSON);
        assert_eq!(at(&map, 130, 170), PERSON);
        assert_eq!(at(&map, 200, 500), TV);
        assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
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
