"""torchvision's networks as their published weights have them, without those weights.

R-CNNs have frozen batch norms with an epsilon of 0; the semantic segmenters leave out the auxiliary head,
which is of use for training only.
"""

import os
import sys

# Read when torch is imported. Threads that compile end with the process; for a GPU there is more to compile.
if "cuda" not in sys.argv:
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torchvision
from torchvision.models import segmentation
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

CLASSES_COCO = 91
CLASSES_VOC = 21
DETECTORS = {"fasterrcnn_resnet50_fpn": FasterRCNN, "maskrcnn_resnet50_fpn": MaskRCNN}

VERSION = f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def build(name):
    if name in DETECTORS:
        model = DETECTORS[name](resnet_fpn_backbone(backbone_name="resnet50", weights=None), CLASSES_COCO)
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = 0.0
    else:
        architecture = getattr(segmentation, name)
        model = architecture(weights=None, weights_backbone=None, num_classes=CLASSES_VOC)
    return model.eval()


def load(name, weights, device):
    model = build(name)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.to(device)


def set_threads(threads):
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def compiled(module, device, mode="default"):
    """By Inductor: operations fused and layouts chosen; on a processor, where that gains more than `mode`, with the
    weights as constants, batch norm folded."""
    if device == "cuda":
        return torch.compile(module, mode=mode, dynamic=False)
    return torch.compile(module, options={"freezing": True})


def given(tensor, device):
    """As work for this device finds it: in memory that a GPU can read by itself."""
    return tensor.pin_memory() if device == "cuda" else tensor


def finish(device):
    """Waits for what was only begun."""
    if device == "cuda":
        torch.cuda.synchronize()
