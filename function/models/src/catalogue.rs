//! Which models there are: data, no code.

use crate::networks::Network;

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
    /// The file that holds its weights.
    pub weights: WeightsFile,
    /// The network that these weights are for.
    pub network: Network,
}

/// The models, the default first.
pub const CATALOGUE: &[Entry] = &[];

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

/// Where a model's weights come from and how to know them.
#[derive(Debug)]
pub struct WeightsFile {
    /// Its name in the model directory.
    pub file_name: &'static str,
    /// Where `segmenter pull` gets it.
    pub url: &'static str,
    /// The first hex digits of its SHA-256: all 64 where known, the 8 of torchvision's file names else.
    pub sha256: &'static str,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// How it is laid out.
    pub format: WeightsFormat,
    /// SPDX identifier of its licence.
    pub licence: &'static str,
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
}
