"""The built-in network in PyTorch, from normalised pictures to its maps of scores and distances, without outlines.

Usage: centermask.py eager|compile cpu|cuda THREADS WEIGHTS.safetensors
"""

import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import networks
import protocol

# Residual blocks of each stage.
STAGES = [1, 2, 2, 2]
LEVELS = 3
TOWER = 2

variant, device, threads, weights = sys.argv[1:]
networks.set_threads(int(threads))


class Network(torch.nn.Module):
    def __init__(self, tensors):
        super().__init__()
        for name, values in tensors.items():
            if name.endswith(".scale"):
                continue
            if values.dtype == torch.int8:
                values = values * tensors[f"{name}.scale"].view(-1, 1, 1, 1)
            self.register_buffer(name.replace(".", "_"), values)

    def conv(self, name, x, stride=1, padding=None):
        name = name.replace(".", "_")
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        padding = weight.shape[-1] // 2 if padding is None else padding
        return F.conv2d(x, weight, bias, stride, padding)

    def backbone(self, x):
        x = self.conv("stem", x, stride=4, padding=1).relu()
        maps = []
        for stage, blocks in enumerate(STAGES):
            if stage > 0:
                x = self.conv(f"stages.{stage}.down", x, stride=2, padding=1).relu()
            for block in range(blocks):
                name = f"stages.{stage}.blocks.{block}"
                x = (x + self.conv(f"{name}.second", self.conv(f"{name}.first", x).relu())).relu()
            maps.append(x)
        return maps

    def levels(self, maps):
        levels = [self.conv(f"laterals.{i}", x) for i, x in enumerate(maps[1:])]
        for i in reversed(range(LEVELS - 1)):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[2:])
        return [self.conv(f"smooth.{i}", x).relu() for i, x in enumerate(levels)]

    def detect(self, x):
        for i in range(TOWER):
            x = self.conv(f"tower.{i}", x).relu()
        return self.conv("scores", x), self.conv("distances", x)

    def forward(self, x):
        return [self.detect(level) for level in self.levels(self.backbone(x))]


network = Network(load_file(weights)).eval().to(device)
if variant == "compile":
    # As a CUDA graph, whose outputs the next run overwrites: they are described before.
    network = networks.compiled(network, device, mode="reduce-overhead")


def prepare(pictures):
    return networks.given(torch.from_numpy(protocol.normalised(pictures)), device)


def work(x):
    maps = network(x.to(device, non_blocking=True))
    networks.finish(device)
    return maps


def describe(maps):
    """No number that ours has, too, which goes on to detections."""
    return {"best": max(scores.sigmoid().max().item() for scores, _ in maps)}


with torch.no_grad():
    protocol.answer(networks.VERSION, prepare, work, describe)
