//! Which models there are: data, no code.

use std::fmt;

use segmenter_kernels::Isa;

use crate::{blocks::Precision, classes, networks::Network, semantic::InputRule};

/// One model of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// The name by which flags, URLs and replies call it.
    pub name: &'static str,
    /// What it does.
    pub task: Task,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// Class names by id. Ids without a name hold `""` and are never answered; id 0 of a semantic
    /// segmenter is the background.
    pub classes: &'static [&'static str],
    /// The default score threshold: the one at which the names in its replies agree best with what
    /// people see.
    pub threshold: f32,
    /// Where its weights are from.
    pub weights: WeightsSource,
    /// How they are laid out.
    pub format: WeightsFormat,
    /// SPDX identifier of their licence.
    pub licence: &'static str,
    /// The network that these weights are for.
    pub network: Network,
    /// Whether it finds no less in 8-bit integers than in floats, so that it is calculated in these by default
    /// where they are fast.
    pub as_good_in_integers: bool,
}

impl Entry {
    /// The file that holds its weights, where that is published.
    pub fn download(&self) -> Option<&WeightsFile> {
        match &self.weights {
            WeightsSource::Download(file) => Some(file),
            WeightsSource::BuiltIn(_) | WeightsSource::Given => None,
        }
    }

    /// What it is calculated with unless asked for otherwise, with these instructions.
    pub fn default_precision(&self, isa: Isa) -> Precision {
        if self.as_good_in_integers {
            self.network.fastest_precision(isa)
        } else {
            Precision::F32
        }
    }
}

/// The models, the [default](DEFAULT) first.
pub static CATALOGUE: &[Entry] = &[
    Entry {
        name: "maskrcnn_fbnetv3a_c4",
        task: Task::InstanceSegmentation,
        summary: "80 kinds of objects with outlines; small and quick",
        classes: &classes::COCO,
        threshold: 0.42,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "d2go_mask_rcnn_fbnetv3a_c4_int8.pt",
            url: "https://raw.githubusercontent.com/tsubauaaa/flutter_d2go/\
                  b311340662fc0af9e79e11fa02ddf38c8889683b/example/assets/models/d2go.pt",
            sha256: "f12c38691a2f419f1ebd7666be9ce97c4d7c275b2a345da905fe1221a3bdbc5b",
            size: FileSize::Exactly(3_638_018),
        }),
        format: WeightsFormat::TorchScript,
        licence: "Apache-2.0",
        network: Network::MaskRcnnFbnet,
        as_good_in_integers: false,
    },
    Entry {
        name: "centermask_notes",
        task: Task::InstanceSegmentation,
        summary: "sticky notes and the boards they are stuck on, with outlines; built in",
        classes: &classes::NOTES,
        threshold: 0.5,
        weights: WeightsSource::BuiltIn(NOTES),
        format: WeightsFormat::Trained,
        licence: env!("CARGO_PKG_LICENSE"),
        network: Network::CenterMask,
        as_good_in_integers: false,
    },
    Entry {
        name: "maskrcnn_resnet50_fpn",
        task: Task::InstanceSegmentation,
        summary: "80 kinds of objects with outlines; slow and thorough",
        classes: &classes::COCO_BY_ID,
        threshold: 0.75,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            url: "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            sha256: "bf2d0c1e",
            size: FileSize::Exactly(178_090_079),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::MaskRcnnResnet50Fpn,
        as_good_in_integers: false,
    },
    Entry {
        name: "fasterrcnn_resnet50_fpn",
        task: Task::Detection,
        summary: "80 kinds of objects as boxes; slow and thorough",
        classes: &classes::COCO_BY_ID,
        threshold: 0.75,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            url: "https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
            sha256: "258fb6c6",
            size: FileSize::Exactly(167_502_836),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::FasterRcnnResnet50Fpn,
        as_good_in_integers: false,
    },
    Entry {
        name: "deeplabv3_mnv2_pascal",
        task: Task::SemanticSegmentation,
        summary: "a class of 20 for every pixel, small and quick",
        classes: &classes::VOC,
        threshold: REGION_THRESHOLD,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "deeplabv3_mnv2_pascal_quant.tflite",
            url: "https://raw.githubusercontent.com/google-coral/test_data/\
                  104342d2d3480b3e66203073dac24f4e2dbb4c41/deeplabv3_mnv2_pascal_quant.tflite",
            sha256: "350af47fd346ea6d74b58833a351f583ba860e9806ec5bd292ff8d8f1f249398",
            size: FileSize::Exactly(2_193_224),
        }),
        format: WeightsFormat::TfLite,
        licence: "Apache-2.0",
        network: Network::DeeplabMobilenetV2(InputRule::Stretched { longer_side: 513 }),
        as_good_in_integers: true,
    },
    Entry {
        name: "deeplabv3_resnet50",
        task: Task::SemanticSegmentation,
        summary: "a class of 20 for every pixel, precise",
        classes: &classes::VOC_TORCHVISION,
        threshold: REGION_THRESHOLD,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "deeplabv3_resnet50_coco-cd0a2569.pth",
            url: "https://download.pytorch.org/models/deeplabv3_resnet50_coco-cd0a2569.pth",
            sha256: "cd0a2569",
            size: FileSize::About(168_300_000),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::DeeplabResnet50(InputRule::ShorterSide(520)),
        as_good_in_integers: false,
    },
    Entry {
        name: "deeplabv3_resnet101",
        task: Task::SemanticSegmentation,
        summary: "a class of 20 for every pixel, the most precise",
        classes: &classes::VOC_TORCHVISION,
        threshold: REGION_THRESHOLD,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "deeplabv3_resnet101_coco-586e9e4e.pth",
            url: "https://download.pytorch.org/models/deeplabv3_resnet101_coco-586e9e4e.pth",
            sha256: "586e9e4e",
            size: FileSize::About(244_500_000),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::DeeplabResnet101(InputRule::ShorterSide(520)),
        as_good_in_integers: false,
    },
    Entry {
        name: "deeplabv3_mobilenet_v3_large",
        task: Task::SemanticSegmentation,
        summary: "a class of 20 for every pixel, quick",
        classes: &classes::VOC_TORCHVISION,
        threshold: REGION_THRESHOLD,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
            url: "https://download.pytorch.org/models/deeplabv3_mobilenet_v3_large-fc3c493d.pth",
            sha256: "fc3c493d",
            size: FileSize::About(44_400_000),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::DeeplabMobilenetV3(InputRule::ShorterSide(520)),
        as_good_in_integers: false,
    },
    Entry {
        name: "lraspp_mobilenet_v3_large",
        task: Task::SemanticSegmentation,
        summary: "a class of 20 for every pixel, the quickest",
        classes: &classes::VOC_TORCHVISION,
        threshold: REGION_THRESHOLD,
        weights: WeightsSource::Download(WeightsFile {
            file_name: "lraspp_mobilenet_v3_large-d234d4ea.pth",
            url: "https://download.pytorch.org/models/lraspp_mobilenet_v3_large-d234d4ea.pth",
            sha256: "d234d4ea",
            size: FileSize::About(13_100_000),
        }),
        format: WeightsFormat::StateDict,
        licence: "BSD-3-Clause",
        network: Network::LrasppMobilenetV3(InputRule::ShorterSide(520)),
        as_good_in_integers: false,
    },
];

/// The model that answers where none is named, if its weights are there.
pub static DEFAULT: &Entry = &CATALOGUE[0];

/// The model whose weights are always there: they are part of the program.
pub static BUILT_IN: &Entry = &CATALOGUE[1];

/// Its weights.
pub(crate) static NOTES: &[u8] = include_bytes!("../weights/centermask_notes.safetensors");

/// The mean confidence from which a region of a class map is an object.
const REGION_THRESHOLD: f32 = 0.5;

/// The entry of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// What a model finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Objects as boxes.
    Detection,
    /// Objects as boxes with outlines.
    InstanceSegmentation,
    /// A class for every pixel.
    SemanticSegmentation,
}

/// Where a model's weights are from.
pub enum WeightsSource {
    /// A file that is published.
    Download(WeightsFile),
    /// The program itself, which has what such a file would hold.
    BuiltIn(&'static [u8]),
    /// A file of whoever runs it.
    Given,
}

impl fmt::Debug for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(file) => f.debug_tuple("Download").field(file).finish(),
            Self::BuiltIn(bytes) => write!(f, "BuiltIn({} bytes)", bytes.len()),
            Self::Given => f.write_str("Given"),
        }
    }
}

/// A published file of weights, and how to know it.
#[derive(Debug)]
pub struct WeightsFile {
    /// Its name in the model directory.
    pub file_name: &'static str,
    /// Where `segmenter pull` gets it.
    pub url: &'static str,
    /// The first hex digits of its SHA-256: all 64 where known, the 8 of torchvision's file names else.
    pub sha256: &'static str,
    /// Its size.
    pub size: FileSize,
}

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSize {
    /// Of the very file.
    Exactly(u64),
    /// As torchvision documents it, in round figures.
    About(u64),
}

impl FileSize {
    /// As well as it is known.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::About(bytes) => bytes,
        }
    }

    /// The size that the file must have, where that is known.
    pub fn exactly(self) -> Option<u64> {
        match self {
            Self::Exactly(bytes) => Some(bytes),
            Self::About(_) => None,
        }
    }
}

/// The layout of a weights file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsFormat {
    /// A TensorFlow Lite model, quantised or not.
    TfLite,
    /// A network that `torch.jit.save` wrote, with its layers quantised to 8 bits.
    TorchScript,
    /// A state dict, be it a `.pth` or a safetensors file: told apart by content.
    StateDict,
    /// An ONNX network, whatever its layers.
    Onnx,
    /// What `segmenter-training` wrote.
    Trained,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, load_built_in, weights::Trained};

    #[test]
    fn what_is_built_in_is_whole_and_finds_what_the_catalogue_says() {
        assert_eq!(Trained::read(NOTES).unwrap().classes, BUILT_IN.classes);
        load_built_in(&Device::stock()).unwrap();
        assert!(DEFAULT.download().is_some() && BUILT_IN.download().is_none());
        let told = format!("{:?}", BUILT_IN.weights);
        assert_eq!(told, format!("BuiltIn({} bytes)", NOTES.len()));
    }

    #[test]
    fn names_are_unique() {
        for entry in CATALOGUE {
            assert!(
                std::ptr::eq(find(entry.name).unwrap(), entry),
                "{}",
                entry.name
            );
        }
    }
}
