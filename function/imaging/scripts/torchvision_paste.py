"""Prints how torchvision pastes formula-made masks, for the test in src/paste.rs.

Needs torch, torchvision and pycocotools. Usage: python torchvision_paste.py
"""
import numpy as np
import torch
from pycocotools import mask as coco
from torchvision.models.detection.roi_heads import paste_masks_in_image

SIDE = 28
WIDTH, HEIGHT = 97, 61
BOXES = [
    [10.3, 5.7, 60.2, 50.9],
    [0.0, 0.0, 97.0, 61.0],
    [80.5, 40.5, 96.9, 60.9],
    [-12.5, 20.0, 30.0, 90.0],
    [50.0, 30.0, 50.4, 30.2],
]


def mask():
    """A blob with a hole, in eighths, so that both sides hold the same floats."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    distance = (x - 13) ** 2 + (y - 12) ** 2
    values = ((x * 7 + y * 5) % 8) / 8
    return np.where(distance < 9, 0.125, np.where(distance < 144, np.maximum(values, 0.375), 0.25))


mask = torch.tensor(mask(), dtype=torch.float32)[None, None]
for box in BOXES:
    pasted = paste_masks_in_image(mask, torch.tensor([box]), (HEIGHT, WIDTH))[0, 0] > 0.5
    rle = coco.encode(np.asfortranarray(pasted.numpy().astype(np.uint8)))
    text = rle["counts"].decode().replace("\\", "\\\\")
    print(f'        ({box}, "{text}"),')
