"""One of torchvision's semantic segmenters, from a normalised picture to logits of the picture's size.

Usage: semantic.py eager|channels_last|compile THREADS NAME WEIGHTS
"""

import sys

import torch

import networks
import protocol

variant, threads, name, weights = sys.argv[1:]
networks.set_threads(int(threads))
model = networks.load(name, weights)
layout = torch.contiguous_format
if variant == "channels_last":
    layout = torch.channels_last
    model = model.to(memory_format=layout)
elif variant == "compile":
    model = networks.compiled(model)


def prepare(picture):
    return torch.from_numpy(protocol.normalised(picture)).contiguous(memory_format=layout)


with torch.no_grad():
    protocol.answer(
        networks.VERSION,
        prepare,
        lambda x: model(x)["out"],
        lambda logits: protocol.described_map(logits.argmax(1)),
    )
