"""torchvision's networks as their published weights have them, without those weights.

Mask R-CNN has frozen batch norms with an epsilon of 0; the semantic segmenters leave out the auxiliary head,
which is of use for training only.
"""

import os
import pathlib
import sys

# Read when torch is imported. Compiled code lies beside the weights, the last argument of every script, so that
# a second start is quicker; threads that compile end with the process.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(pathlib.Path(sys.argv[-1]).parent / "inductor"))
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torchvision
from torchvision.models import segmentation
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

CLASSES_COCO = 91
CLASSES_VOC = 21

VERSION = f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def build(name):
    if name == "maskrcnn_resnet50_fpn":
        model = MaskRCNN(resnet_fpn_backbone(backbone_name="resnet50", weights=None), CLASSES_COCO)
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = 0.0
    else:
        architecture = getattr(segmentation, name)
        model = architecture(weights=None, weights_backbone=None, num_classes=CLASSES_VOC)
    return model.eval()


def load(name, weights):
    model = build(name)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def set_threads(threads):
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def compiled(module):
    """By Inductor, with the weights as constants: batch norm folded, convolutions fused, layouts chosen."""
    return torch.compile(module, options={"freezing": True})
