"""One of torchvision's semantic segmenters, from normalised pictures to logits of the pictures' size.

Usage: semantic.py eager|channels_last|compile cpu|cuda THREADS NAME WEIGHTS
"""

import sys

import torch

import networks
import protocol

variant, device, threads, name, weights = sys.argv[1:]
networks.set_threads(int(threads))
model = networks.load(name, weights, device)
layout = torch.contiguous_format
if variant == "channels_last":
    layout = torch.channels_last
    model = model.to(memory_format=layout)
elif variant == "compile":
    # As a CUDA graph, whose outputs the next run overwrites: they are described before.
    model = networks.compiled(model, device, mode="reduce-overhead")


def prepare(pictures):
    x = torch.from_numpy(protocol.normalised(pictures)).contiguous(memory_format=layout)
    return networks.given(x, device)


def work(x):
    logits = model(x.to(device, non_blocking=True))["out"]
    networks.finish(device)
    return logits


with torch.no_grad():
    protocol.answer(
        networks.VERSION,
        prepare,
        work,
        lambda logits: protocol.described_maps(logits.argmax(1).cpu()),
    )
