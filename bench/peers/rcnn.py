"""torchvision's maskrcnn_resnet50_fpn, from a picture in 0..1 to masks of the picture's size.

Usage: rcnn.py eager|channels_last|compile THREADS WEIGHTS
"""

import sys

import torch

import networks
import protocol

variant, threads, weights = sys.argv[1:]
networks.set_threads(int(threads))
model = networks.load("maskrcnn_resnet50_fpn", weights)
if variant == "channels_last":
    model = model.to(memory_format=torch.channels_last)
elif variant == "compile":
    # All that has weights. What lies between depends on what was found, picture by picture.
    model.backbone = networks.compiled(model.backbone)
    model.rpn.head = networks.compiled(model.rpn.head)
    for part in ["box_head", "box_predictor", "mask_head", "mask_predictor"]:
        setattr(model.roi_heads, part, networks.compiled(getattr(model.roi_heads, part)))


def prepare(picture):
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float().contiguous() / 255


def describe(found):
    [found] = found
    return protocol.described_detections(found["scores"].tolist(), found["masks"])


with torch.no_grad():
    protocol.answer(networks.VERSION, prepare, lambda picture: model([picture]), describe)
