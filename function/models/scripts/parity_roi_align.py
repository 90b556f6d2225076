"""Writes tests/parity/roi_align.json: torchvision's roi_align, for the test in src/blocks/roi_align.rs.

Needs torch and torchvision. Run from the folder of the package: python scripts/parity_roi_align.py
"""

import torch
from torchvision.ops import roi_align

import seeded

# Inside, across every edge, smaller than a pixel of the map, inside out, and outside.
ROIS = [[8, 4, 56, 44], [-40, -24, 200, 100], [20, 20, 21, 20.5], [50, 40, 30, 20], [300, 300, 400, 400]]

feature_map = seeded.tensor("map", (1, 3, 9, 11))
rois = torch.tensor(ROIS, dtype=torch.float32)
cases = [
    {
        "size": size,
        "sampling": sampling,
        "aligned": aligned,
        "pooled": seeded.sampled(roi_align(feature_map, [rois], size, 1 / 8, sampling, aligned)),
    }
    for size, sampling, aligned in [(6, 0, True), (5, 0, False), (7, 2, False), (4, 3, True)]
]
seeded.write("tests/parity/roi_align.json", {"rois": ROIS, "cases": cases})
