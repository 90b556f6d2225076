//! What is measured on a GPU, and by whom: data, no code. Each work is done for one picture and for a batch.

use crate::{
    ours::{
        Kernels,
        Precision::{self, F16, F32},
        Step::{self, Forward, Postprocess, Preprocess},
    },
    workloads::{
        Argument::{self, Model, Shared, Threads, Word},
        Contestant, Items, Kind, Weights, Workload, centermask as centermask_peer, d2go, rcnn,
        semantic,
    },
};

/// Pictures of a batch: as many as fill a large GPU with most of these networks.
const BATCH: usize = 8;

/// All that is measured side by side on a GPU.
pub(crate) const GPU_WORKLOADS: &[Workload] = &[
    maskrcnn_fbnet(1),
    maskrcnn_fbnet(BATCH),
    rcnn_resnet50("maskrcnn_resnet50_fpn", MASKS, 1),
    rcnn_resnet50("maskrcnn_resnet50_fpn", MASKS, BATCH),
    rcnn_resnet50("fasterrcnn_resnet50_fpn", BOXES, 1),
    rcnn_resnet50("fasterrcnn_resnet50_fpn", BOXES, BATCH),
    centermask(1),
    centermask(BATCH),
    torchvision("deeplabv3_resnet50", 1),
    torchvision("deeplabv3_resnet50", BATCH),
    torchvision("deeplabv3_mobilenet_v3_large", 1),
    torchvision("deeplabv3_mobilenet_v3_large", BATCH),
    torchvision("lraspp_mobilenet_v3_large", 1),
    torchvision("lraspp_mobilenet_v3_large", BATCH),
    deeplab_pascal(1),
    deeplab_pascal(BATCH),
];

const MASKS: &str = "800 x 1088, 1000 proposals, 100 detections, from the picture in host memory to masks of its size: \
                     ours as run lengths in host memory, torchvision's as probabilities on the GPU; PyTorch's \
                     convolutions are in TF32, its default";

const BOXES: &str = "800 x 1088, 1000 proposals, 100 detections, from the picture in host memory to boxes: ours in \
                     host memory, torchvision's on the GPU; PyTorch's convolutions are in TF32, its default";

const fn maskrcnn_fbnet(batch: usize) -> Workload {
    Workload {
        model: "maskrcnn_fbnetv3a_c4",
        batch,
        what: "640 x 480, from 8-bit pixels in host memory to detections (score 0.05 and up) with masks of 28 x 28; \
               PyTorch's network takes the pictures of a batch one after the other, and its convolutions are in TF32, \
               its default",
        items: picture([640, 480], 20),
        weights: Weights::Shared("weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt"),
        contestants: MASKRCNN_FBNET,
    }
}

const MASKRCNN_FBNET: &[Contestant] = &[
    ours("segmenter", F32, &[Preprocess, Forward]),
    ours("segmenter, f16", F16, &[Preprocess, Forward]),
    d2go(EAGER, &[Word("float"), CUDA, Threads, Shared]),
    d2go(COMPILED, &[Word("compile"), CUDA, Threads, Shared]),
];

const fn rcnn_resnet50(model: &'static str, what: &'static str, batch: usize) -> Workload {
    Workload {
        model,
        batch,
        what,
        items: picture([1088, 800], 10),
        weights: Weights::Seeded,
        contestants: RCNN_RESNET50,
    }
}

const RCNN_RESNET50: &[Contestant] = &[
    ours("segmenter", F32, &[Preprocess, Forward, Postprocess]),
    ours("segmenter, f16", F16, &[Preprocess, Forward, Postprocess]),
    rcnn(
        EAGER,
        &[Word("eager"), CUDA, Threads, Model, Argument::Weights],
    ),
    rcnn(
        COMPILED,
        &[Word("compile"), CUDA, Threads, Model, Argument::Weights],
    ),
];

const fn centermask(batch: usize) -> Workload {
    Workload {
        model: "centermask_notes",
        batch,
        what: "512 x 384, from host memory, PyTorch from a normalised picture to the maps of scores and distances on \
               the GPU, its convolutions in TF32, its default; ours from 8-bit pixels to detections with masks of 28 x \
               28, in host memory",
        items: picture([512, 384], 20),
        weights: Weights::Repository("function/models/weights/centermask_notes.safetensors"),
        contestants: CENTERMASK,
    }
}

const CENTERMASK: &[Contestant] = &[
    ours("segmenter", F32, &[Forward]),
    ours("segmenter, f16", F16, &[Forward]),
    centermask_peer(EAGER, &[Word("eager"), CUDA, Threads, Argument::Weights]),
    centermask_peer(
        COMPILED,
        &[Word("compile"), CUDA, Threads, Argument::Weights],
    ),
];

const fn torchvision(model: &'static str, batch: usize) -> Workload {
    Workload {
        model,
        batch,
        what: "520 x 520, from host memory, PyTorch from a normalised picture to logits of its size, without auxiliary \
               head, on the GPU, its convolutions in TF32, its default; ours from 8-bit pixels to each pixel's class and \
               probability, in host memory",
        items: picture([520; 2], 20),
        weights: Weights::Seeded,
        contestants: TORCHVISION,
    }
}

const TORCHVISION: &[Contestant] = &[
    ours("segmenter", F32, &[Forward, Postprocess]),
    ours("segmenter, f16", F16, &[Forward, Postprocess]),
    semantic(
        EAGER,
        &[Word("eager"), CUDA, Threads, Model, Argument::Weights],
    ),
    semantic(
        COMPILED,
        &[Word("compile"), CUDA, Threads, Model, Argument::Weights],
    ),
];

const fn deeplab_pascal(batch: usize) -> Workload {
    Workload {
        model: "deeplabv3_mnv2_pascal",
        batch,
        what: "513 x 513, from 8-bit pixels in host memory to each pixel's class and probability; PyTorch does not \
               read these weights",
        items: picture([513; 2], 20),
        weights: Weights::Shared("weights/deeplabv3_mnv2_pascal_quant.tflite"),
        contestants: DEEPLAB_PASCAL,
    }
}

const DEEPLAB_PASCAL: &[Contestant] = &[
    ours("segmenter", F32, &[Preprocess, Forward, Postprocess]),
    ours("segmenter, f16", F16, &[Preprocess, Forward, Postprocess]),
];

/// By the fifth time everything is compiled and all memory is taken.
const fn picture(size: [u32; 2], times: usize) -> Items {
    Items::Picture {
        size,
        warm_up: 5,
        times,
    }
}

const EAGER: &str = "PyTorch, CUDA, eager";
const COMPILED: &str = "PyTorch, CUDA, compiled";
const CUDA: Argument = Word("cuda");

const fn ours(name: &'static str, precision: Precision, timed: &'static [Step]) -> Contestant {
    Contestant {
        name,
        kind: Kind::Ours {
            kernels: Kernels::Gpu,
            precision,
            timed,
        },
    }
}
