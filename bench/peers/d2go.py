"""The default model in PyTorch: the int8 TorchScript file as it was published, or its weights as floats.

Usage: d2go.py int8|float|channels_last THREADS SHARED
"""

import importlib.util
import pathlib
import sys
import warnings

import torch
import torchvision

import protocol

# That TorchScript and its quantisation are deprecated.
warnings.filterwarnings("ignore")

variant, threads, shared = sys.argv[1:]
shared = pathlib.Path(shared)
torch.set_num_threads(int(threads))
torch.set_num_interop_threads(1)


def tensor(picture):
    """[3, height, width], blue first, 0 to 255."""
    return torch.from_numpy(picture[:, :, ::-1].copy()).permute(2, 0, 1).float()


def published():
    # The faster one of those that run this file on a PC.
    torch.backends.quantized.engine = "fbgemm"
    network = torch.jit.load(shared / "weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt").eval()

    def predict(picture):
        _, [found] = network([tensor(picture) / 255])
        return found["scores"], found["masks"]

    return predict


def floats(channels_last):
    reference = shared / "reference"
    spec = importlib.util.spec_from_file_location("reference", reference / "d2go_mask_rcnn.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Net(str(reference / module.W))
    if channels_last:
        for name, weight in network.T.items():
            if weight.dim() == 4:
                network.T[name] = weight.contiguous(memory_format=torch.channels_last)

    def predict(picture):
        _, _, scores, masks = network(tensor(picture))
        return scores, masks

    return predict


predict = published() if variant == "int8" else floats(variant == "channels_last")
with torch.inference_mode():
    protocol.answer(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}",
        lambda picture: picture,
        predict,
        lambda found: protocol.described_detections(found[0].tolist(), found[1]),
    )
