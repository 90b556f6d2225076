"""What the peers share: paths of pictures in on stdin, a line of JSON with the detections out each."""

import json
import sys

import numpy
import torch
import torchvision
from PIL import Image


def read(path):
    """A picture as [3, height, width], blue first, 0 to 255."""
    rgb = numpy.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(rgb[:, :, ::-1].copy()).permute(2, 0, 1).float()


def answer(predict, threads):
    """Answers until stdin ends. `predict` turns a picture into boxes, classes, scores and masks."""
    torch.set_num_threads(threads)
    say({"version": f"torch {torch.__version__}, torchvision {torchvision.__version__}"})
    with torch.inference_mode():
        for line in sys.stdin:
            boxes, classes, scores, masks = predict(read(line.rstrip("\n")))
            say(
                {
                    "boxes": boxes.tolist(),
                    "classes": classes.tolist(),
                    "scores": scores.tolist(),
                    "masks": list(masks.shape),
                }
            )


def say(what):
    print(json.dumps(what), flush=True)
