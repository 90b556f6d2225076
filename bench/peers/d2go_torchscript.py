"""The default model as it was published: the int8 TorchScript file, run by PyTorch's own engine.

Usage: d2go_torchscript.py SHARED THREADS
"""

import pathlib
import sys
import warnings

import peer
import torch

warnings.filterwarnings("ignore")  # that TorchScript and its quantisation are deprecated

shared, threads = sys.argv[1:]
# The faster one of those that run this file on a PC.
torch.backends.quantized.engine = "fbgemm"
network = torch.jit.load(
    pathlib.Path(shared) / "weights" / "d2go_mask_rcnn_fbnetv3a_c4_int8.pt"
).eval()


def predict(picture):
    _, [found] = network([picture / 255])
    return found["boxes"], found["labels"], found["scores"], found["masks"]


peer.answer(predict, int(threads))
