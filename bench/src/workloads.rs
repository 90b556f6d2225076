//! What is measured on a processor, and by whom: data, no code. What is measured on a GPU is of the same kind.
//!
//! In each workload all contestants do the same from the same input on; what is left out or differs is in
//! [`Workload::what`].

use crate::ours::{Kernels, Precision, Step};

/// Work that several contestants do.
#[derive(Debug)]
pub(crate) struct Workload {
    /// The catalogue's name of the model.
    pub(crate) model: &'static str,
    /// How many pictures are worked on together.
    pub(crate) batch: usize,
    /// From what to what, for the reader.
    pub(crate) what: &'static str,
    /// What is given to the contestants.
    pub(crate) items: Items,
    /// Where the weights are.
    pub(crate) weights: Weights,
    /// Ours first.
    pub(crate) contestants: &'static [Contestant],
}

impl Workload {
    /// As it is called in tables and flags.
    pub(crate) fn name(&self) -> String {
        name(self.model, self.batch)
    }
}

/// What a workload of this model is called.
pub(crate) fn name(model: &str, batch: usize) -> String {
    match batch {
        1 => model.to_owned(),
        _ => format!("{model} x {batch}"),
    }
}

/// Pictures to work on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Items {
    /// All pictures of coco-val, once to warm up and once to measure.
    CocoVal,
    /// One of this size.
    Picture {
        /// `[width, height]` in pixels.
        size: [u32; 2],
        /// How often it is worked on to warm up.
        warm_up: usize,
        /// And then to measure.
        times: usize,
    },
}

/// Where the weights are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights {
    /// This file of the folder of shared data.
    Shared(&'static str),
    /// This file of the repository.
    Repository(&'static str),
    /// In a file that `peers/prepare.py` makes by a formula.
    Seeded,
}

/// One way to do the work.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// As it is called in tables.
    pub(crate) name: &'static str,
    /// What is run.
    pub(crate) kind: Kind,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Our own contestant.
    Ours {
        /// Whose convolutions.
        kernels: Kernels,
        /// What they calculate with.
        precision: Precision,
        /// The steps whose time counts.
        timed: &'static [Step],
    },
    /// A script of `peers/`.
    Peer {
        /// Its file name.
        script: &'static str,
        /// What it is given.
        arguments: &'static [Argument],
        /// The modules of Python that it imports.
        modules: &'static [&'static str],
    },
}

/// An argument of a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// This word.
    Word(&'static str),
    /// The catalogue's name of the model.
    Model,
    /// How many threads it has.
    Threads,
    /// The folder of shared data.
    Shared,
    /// The weights file.
    Weights,
    /// The network with the same weights, exported to ONNX.
    Onnx,
}

use Argument::{Model, Onnx, Shared, Threads, Word};
use Step::{Forward, Postprocess, Preprocess};

/// Where a peer calculates.
const CPU: Argument = Word("cpu");

const TORCH: &[&str] = &["numpy", "PIL", "torch", "torchvision"];
pub(crate) const TORCH_AND_SAFETENSORS: &[&str] =
    &["numpy", "PIL", "safetensors", "torch", "torchvision"];
const ONNX_RUNTIME: &[&str] = &["numpy", "PIL", "onnxruntime"];
const LITERT: &[&str] = &["numpy", "PIL", "ai_edge_litert"];

/// What `prepare.py` imports, to make weights and to export networks.
pub(crate) const PREPARE: &[&str] = TORCH;
pub(crate) const EXPORT: &[&str] = &["numpy", "onnx", "onnxscript", "torch", "torchvision"];

/// The default model in PyTorch: as published, and its weights as floats.
const D2GO_INT8: Contestant = d2go(
    "PyTorch, int8 TorchScript",
    &[Word("int8"), CPU, Threads, Shared],
);
const D2GO_FLOAT: Contestant = d2go("PyTorch, float", &[Word("float"), CPU, Threads, Shared]);

/// Peers of the server, where it is about starting.
pub(crate) const STARTING: &[Contestant] = &[D2GO_INT8, D2GO_FLOAT];

/// All that is measured side by side.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        model: "maskrcnn_fbnetv3a_c4",
        batch: 1,
        what: "the 47 pictures of COCO, from 8-bit pixels to detections (score 0.05 and up) with masks of 28 x 28",
        items: Items::CocoVal,
        weights: Weights::Shared("weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt"),
        contestants: &[
            ours(&[Preprocess, Forward]),
            integers(&[Preprocess, Forward]),
            stock(&[Preprocess, Forward]),
            D2GO_INT8,
            D2GO_FLOAT,
            d2go(
                "PyTorch, float, channels last",
                &[Word("channels_last"), CPU, Threads, Shared],
            ),
        ],
    },
    Workload {
        model: "centermask_notes",
        batch: 1,
        what: "512 x 384, from a normalised picture to the maps of scores and distances; ours goes on to detections with \
               masks of 28 x 28",
        items: Items::Picture {
            size: [512, 384],
            warm_up: 5,
            times: 25,
        },
        weights: Weights::Repository("function/models/weights/centermask_notes.safetensors"),
        contestants: &[
            ours(&[Forward]),
            stock(&[Forward]),
            centermask("PyTorch", &[Word("eager"), CPU, Threads, Argument::Weights]),
            centermask(
                "PyTorch, compiled",
                &[Word("compile"), CPU, Threads, Argument::Weights],
            ),
        ],
    },
    Workload {
        model: "maskrcnn_resnet50_fpn",
        batch: 1,
        what: "800 x 1088, 1000 proposals, 100 detections, from the picture to masks of its size: \
               ours as run lengths, torchvision's as probabilities",
        items: Items::Picture {
            size: [1088, 800],
            warm_up: 2,
            times: 5,
        },
        weights: Weights::Seeded,
        contestants: &[
            ours(&[Preprocess, Forward, Postprocess]),
            stock(&[Preprocess, Forward, Postprocess]),
            rcnn(
                "PyTorch",
                &[Word("eager"), CPU, Threads, Model, Argument::Weights],
            ),
            rcnn(
                "PyTorch, channels last",
                &[
                    Word("channels_last"),
                    CPU,
                    Threads,
                    Model,
                    Argument::Weights,
                ],
            ),
            rcnn(
                "PyTorch, compiled",
                &[Word("compile"), CPU, Threads, Model, Argument::Weights],
            ),
        ],
    },
    Workload {
        model: "deeplabv3_resnet50",
        batch: 1,
        what: FROM_NORMALISED,
        items: Items::Picture {
            size: [520; 2],
            warm_up: 3,
            times: 7,
        },
        weights: Weights::Seeded,
        contestants: SEMANTIC,
    },
    Workload {
        model: "deeplabv3_mobilenet_v3_large",
        batch: 1,
        what: FROM_NORMALISED,
        items: SMALL_520,
        weights: Weights::Seeded,
        contestants: SEMANTIC,
    },
    Workload {
        model: "lraspp_mobilenet_v3_large",
        batch: 1,
        what: FROM_NORMALISED,
        items: SMALL_520,
        weights: Weights::Seeded,
        contestants: SEMANTIC,
    },
    Workload {
        model: "deeplabv3_mnv2_pascal",
        batch: 1,
        what: "513 x 513, from 8-bit pixels to the class of every pixel, by ours with its probability",
        items: Items::Picture {
            size: [513; 2],
            warm_up: 5,
            times: 25,
        },
        weights: Weights::Shared("weights/deeplabv3_mnv2_pascal_quant.tflite"),
        contestants: &[
            ours(&[Preprocess, Forward, Postprocess]),
            integers(&[Preprocess, Forward, Postprocess]),
            stock(&[Preprocess, Forward, Postprocess]),
            Contestant {
                name: "LiteRT with XNNPACK, uint8",
                kind: Kind::Peer {
                    script: "litert.py",
                    arguments: &[Threads, Argument::Weights],
                    modules: LITERT,
                },
            },
        ],
    },
];

const FROM_NORMALISED: &str = "520 x 520, from a normalised picture to logits of its size, without auxiliary head; \
                               ours goes on to each pixel's class and probability";

const SMALL_520: Items = Items::Picture {
    size: [520; 2],
    warm_up: 5,
    times: 25,
};

const SEMANTIC: &[Contestant] = &[
    ours(&[Forward, Postprocess]),
    stock(&[Forward, Postprocess]),
    semantic(
        "PyTorch",
        &[Word("eager"), CPU, Threads, Model, Argument::Weights],
    ),
    semantic(
        "PyTorch, channels last",
        &[
            Word("channels_last"),
            CPU,
            Threads,
            Model,
            Argument::Weights,
        ],
    ),
    semantic(
        "PyTorch, compiled",
        &[Word("compile"), CPU, Threads, Model, Argument::Weights],
    ),
    Contestant {
        name: "ONNX Runtime",
        kind: Kind::Peer {
            script: "onnx_runtime.py",
            arguments: &[Threads, Onnx],
            modules: ONNX_RUNTIME,
        },
    },
];

const fn ours(timed: &'static [Step]) -> Contestant {
    Contestant {
        name: "segmenter",
        kind: Kind::Ours {
            kernels: Kernels::Fast,
            precision: Precision::F32,
            timed,
        },
    }
}

/// The same network in 8-bit integers.
const fn integers(timed: &'static [Step]) -> Contestant {
    Contestant {
        name: "segmenter, int8",
        kind: Kind::Ours {
            kernels: Kernels::Fast,
            precision: Precision::Int8,
            timed,
        },
    }
}

/// The same networks on burn's own operations.
const fn stock(timed: &'static [Step]) -> Contestant {
    Contestant {
        name: "segmenter, stock burn",
        kind: Kind::Ours {
            kernels: Kernels::Stock,
            precision: Precision::F32,
            timed,
        },
    }
}

pub(crate) const fn d2go(name: &'static str, arguments: &'static [Argument]) -> Contestant {
    Contestant {
        name,
        kind: Kind::Peer {
            script: "d2go.py",
            arguments,
            modules: TORCH_AND_SAFETENSORS,
        },
    }
}

pub(crate) const fn centermask(name: &'static str, arguments: &'static [Argument]) -> Contestant {
    Contestant {
        name,
        kind: Kind::Peer {
            script: "centermask.py",
            arguments,
            modules: TORCH_AND_SAFETENSORS,
        },
    }
}

pub(crate) const fn rcnn(name: &'static str, arguments: &'static [Argument]) -> Contestant {
    Contestant {
        name,
        kind: Kind::Peer {
            script: "rcnn.py",
            arguments,
            modules: TORCH,
        },
    }
}

pub(crate) const fn semantic(name: &'static str, arguments: &'static [Argument]) -> Contestant {
    Contestant {
        name,
        kind: Kind::Peer {
            script: "semantic.py",
            arguments,
            modules: TORCH,
        },
    }
}
