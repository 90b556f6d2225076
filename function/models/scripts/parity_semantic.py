"""Writes tests/parity/semantic.json: what torchvision's semantic segmenters answer, for src/networks/.

For each the coarse logits, and the greatest probability of every pixel after they are enlarged. Needs
torch and torchvision. Run from the folder of the package: python scripts/parity_semantic.py
"""

import torch
from torchvision.models import segmentation

import seeded

HEIGHT, WIDTH = 129, 321  # At an output stride of 8, dilation 36 still reaches from side to side.
NAMES = [
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
]

picture = seeded.picture(HEIGHT, WIDTH)[None]
expected = {}
with torch.inference_mode():
    for name in NAMES:
        model = seeded.seed(getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21))
        features = model.backbone(picture)
        logits = model.classifier(features if name.startswith("lraspp") else features["out"])
        confidence, _ = model(picture)["out"].softmax(1).max(1)
        expected[name] = {
            "logits": seeded.sampled(logits),
            "confidence": seeded.sampled(confidence[0]),
        }
seeded.write("tests/parity/semantic.json", expected)
