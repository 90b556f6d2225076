"""Makes what the peers and segmenter load where trained weights cannot be had: weights by a formula.

Usage: prepare.py NAME WEIGHTS.pth [NETWORK.onnx]

The formula is that of the parity tests (function/models/scripts/seeded.py). The heads of an R-CNN are scaled
so that every stage has all the work it can have: 1000 proposals, 100 detections, 100 masks.
"""

import pathlib
import sys

import torch

import networks

sys.path.append(str(pathlib.Path(__file__).parents[2] / "function/models/scripts"))
import seeded

SIDE = 520


def make(name):
    model = seeded.seed(networks.build(name))
    if name in networks.DETECTORS:
        with torch.no_grad():
            # Else offsets would make slivers of all boxes, and logits ones of all probabilities.
            model.rpn.head.cls_logits.weight /= 32
            model.rpn.head.bbox_pred.weight /= 32
            model.roi_heads.box_predictor.bbox_pred.weight /= 32
            model.roi_heads.box_predictor.cls_score.weight /= 16
    return model


class Output(torch.nn.Module):
    """The network's main output alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


def export(model, path):
    torch.onnx.export(
        Output(model),
        (torch.zeros(1, 3, SIDE, SIDE),),
        path,
        input_names=["input"],
        output_names=["out"],
        dynamo=True,
        external_data=False,
    )


def write(path, how):
    """Under its name only when it is whole."""
    unfinished = path.with_suffix(".unfinished" + path.suffix)
    how(unfinished)
    unfinished.replace(path)


name, *paths = sys.argv[1:]
weights, *network = map(pathlib.Path, paths)
model = make(name)
if not weights.exists():
    write(weights, lambda path: torch.save(model.state_dict(), path))
for path in network:
    write(path, lambda path: export(model, str(path)))
