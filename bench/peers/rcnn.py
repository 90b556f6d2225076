"""One of torchvision's R-CNNs, from pictures in 0..1 to boxes, and to masks of the pictures' size if it has any.

Usage: rcnn.py eager|channels_last|compile cpu|cuda THREADS NAME WEIGHTS
"""

import sys

import torch

import networks
import protocol

variant, device, threads, name, weights = sys.argv[1:]
networks.set_threads(int(threads))
model = networks.load(name, weights, device)
if variant == "channels_last":
    model = model.to(memory_format=torch.channels_last)
elif variant == "compile":
    # All that has weights. What lies between depends on what was found, picture by picture.
    model.backbone = networks.compiled(model.backbone, device)
    model.rpn.head = networks.compiled(model.rpn.head, device)
    for part in ["box_head", "box_predictor", "mask_head", "mask_predictor"]:
        if (module := getattr(model.roi_heads, part)) is not None:
            setattr(model.roi_heads, part, networks.compiled(module, device))


def prepare(pictures):
    tensors = [torch.from_numpy(picture.copy()).permute(2, 0, 1).float().contiguous() / 255 for picture in pictures]
    return [networks.given(x, device) for x in tensors]


def work(pictures):
    found = model([x.to(device, non_blocking=True) for x in pictures])
    networks.finish(device)
    return found


def describe(found):
    return protocol.described_detections((each["scores"].tolist(), each.get("masks", [])) for each in found)


with torch.no_grad():
    protocol.answer(networks.VERSION, prepare, work, describe)
