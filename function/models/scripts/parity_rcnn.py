"""Writes tests/parity/rcnn_resnet50_fpn.json: what torchvision's Mask R-CNN and Faster R-CNN make of a picture,
for the tests in src/networks/rcnn_resnet50_fpn.rs. The two detect the same: a tensor's seed is its name, and
they share all names but the mask head's.

Needs torch and torchvision. Run from the folder of the package: python scripts/parity_rcnn.py
"""

import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn
from torchvision.models.detection.image_list import ImageList

import seeded

HEIGHT, WIDTH = 250, 310
PADDED = 256, 320


def make(architecture):
    model = seeded.seed(architecture(weights=None, weights_backbone=None))
    with torch.no_grad():
        # Else offsets would make slivers of all boxes, and logits ones of all probabilities.
        model.rpn.head.cls_logits.weight /= 32
        model.rpn.head.bbox_pred.weight /= 32
        model.roi_heads.box_predictor.bbox_pred.weight /= 32
        model.roi_heads.box_predictor.cls_score.weight /= 16
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0  # as torchvision does with its trained weights
    return model


def detect(model, picture):
    pyramid = model.backbone(picture)
    logits, deltas = model.rpn.head(list(pyramid.values()))
    proposals, _ = model.rpn(ImageList(picture, [(HEIGHT, WIDTH)]), pyramid)
    (found,), _ = model.roi_heads(pyramid, proposals, [(HEIGHT, WIDTH)])
    return pyramid, logits, deltas, proposals, found


with torch.inference_mode():
    picture = torch.zeros(1, 3, *PADDED)
    picture[0, :, :HEIGHT, :WIDTH] = 4 * seeded.picture(HEIGHT, WIDTH) - 2
    pyramid, logits, deltas, proposals, found = detect(make(maskrcnn_resnet50_fpn), picture)
    *_, boxes_only = detect(make(fasterrcnn_resnet50_fpn), picture)
for field, values in boxes_only.items():
    assert torch.equal(values, found[field]), field

expected = {
    "pyramid": [seeded.sampled(level, 100) for level in pyramid.values()],
    "logits": [seeded.sampled(level, 100) for level in logits],
    "deltas": [seeded.sampled(level, 100) for level in deltas],
    "boxes": found["boxes"].tolist(),
    "classes": found["labels"].tolist(),
    "scores": found["scores"].tolist(),
    "masks": seeded.sampled(found["masks"][:, 0], 1000),
}
seeded.write("tests/parity/rcnn_resnet50_fpn.json", expected)
print(len(found["labels"]), "detections of", len(proposals[0]), "proposals")
