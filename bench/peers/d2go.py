"""The default model in PyTorch: the int8 TorchScript file as it was published, or its weights as floats.

Usage: d2go.py int8|float|channels_last|compile cpu|cuda THREADS SHARED

The published file is for processors only.
"""

import copy
import functools
import importlib.util
import pathlib
import sys
import warnings

import torch
import torchvision

import protocol

# That TorchScript and its quantisation are deprecated.
warnings.filterwarnings("ignore")

variant, device, threads, shared = sys.argv[1:]
shared = pathlib.Path(shared)
torch.set_num_threads(int(threads))
torch.set_num_interop_threads(1)


def prepare(pictures):
    """As they are; for a GPU in memory that it can read by itself."""
    if device == "cuda":
        return [torch.from_numpy(picture.copy()).pin_memory() for picture in pictures]
    return pictures


def tensor(picture):
    """[3, height, width], blue first, 0 to 255."""
    if device == "cuda":
        return picture.to(device, non_blocking=True).flip(2).permute(2, 0, 1).float()
    return torch.from_numpy(picture[:, :, ::-1].copy()).permute(2, 0, 1).float()


def published():
    # The faster one of those that run this file on a PC.
    torch.backends.quantized.engine = "fbgemm"
    network = torch.jit.load(shared / "weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt").eval()

    def predict(picture):
        _, [found] = network([tensor(picture) / 255])
        return found["scores"], found["masks"]

    return predict


def floats():
    reference = shared / "reference"
    spec = importlib.util.spec_from_file_location("reference", reference / "d2go_mask_rcnn.py")
    module = importlib.util.module_from_spec(spec)
    # Where what compiles it looks for it.
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    network = module.Net(str(reference / module.W))
    if device == "cuda":
        move(network)
    if variant == "channels_last":
        for name, weight in network.T.items():
            if weight.dim() == 4:
                network.T[name] = weight.contiguous(memory_format=torch.channels_last)
    if variant == "compile":
        compile_parts(network)

    def predict(picture):
        _, _, scores, masks = network(tensor(picture))
        return scores, masks

    return predict


def move(network):
    # Of the tensors that it makes on the way.
    torch.set_default_device(device)
    network.T = {name: weight.to(device) for name, weight in network.T.items()}
    network.mean, network.std, network.anchors = (
        x.to(device) for x in [network.mean, network.std, network.anchors]
    )


def compile_parts(network):
    """The backbone as one, and each block of the heads: what lies between depends on what was found."""
    parts = copy.copy(network)
    # Each block is counted as the same function compiled once more.
    torch._dynamo.config.recompile_limit = 64

    @functools.cache
    def block(name, up):
        return torch.compile(lambda x: parts.block(name, x, up), dynamic=False)

    network.backbone = torch.compile(parts.backbone, dynamic=False)
    network.block = lambda name, x, up=False: block(name, up)(x)


def work(pictures):
    found = [predict(picture) for picture in pictures]
    if device == "cuda":
        torch.cuda.synchronize()
    return found


predict = published() if variant == "int8" else floats()
with torch.inference_mode():
    protocol.answer(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}",
        prepare,
        work,
        lambda found: protocol.described_detections((scores.tolist(), masks) for scores, masks in found),
    )
