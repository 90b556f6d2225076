"""Writes tests/parity/resnet50.json: torchvision's feature maps, for the test in src/networks/resnet.rs.

Needs torch and torchvision. Run from the folder of the package: python scripts/parity_resnet.py
"""

import torch
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter

import seeded

LAYERS = ["layer1", "layer2", "layer3", "layer4"]


class Backbone(torch.nn.Module):
    def __init__(self, dilate):
        super().__init__()
        model = resnet50(weights=None, replace_stride_with_dilation=dilate)
        self.backbone = IntermediateLayerGetter(model, {name: name for name in LAYERS})

    def forward(self, x):
        return list(self.backbone(x).values())


expected = {}
with torch.inference_mode():
    for name, dilate in [("strided", [False] * 3), ("dilated", [False, True, True])]:
        maps = seeded.seed(Backbone(dilate))(seeded.picture(96, 160)[None])
        expected[name] = [seeded.sampled(m, 200) for m in maps]
seeded.write("tests/parity/resnet50.json", expected)
