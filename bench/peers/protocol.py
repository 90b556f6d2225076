"""What the peers share: the protocol by which the benchmark drives a contestant.

A contestant writes a line of JSON when it is ready, and then for each line on stdin, which is the path of a
picture, does its work once and writes a line of JSON with the milliseconds that the work took and numbers
that tell whether others did the same work. Reading the picture is no part of the work.
"""

import json
import platform
import sys
import time

import numpy as np
from PIL import Image


def read(path):
    """A picture as [height, width, 3], 8 bits a channel, red first."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def answer(version, prepare, work, describe):
    """Answers until stdin ends: `work(prepare(picture))` is timed, `describe` makes numbers of its result."""
    say({"version": f"{version}, Python {platform.python_version()}"})
    for line in sys.stdin:
        prepared = prepare(read(line.rstrip("\n")))
        begin = time.perf_counter()
        result = work(prepared)
        took = time.perf_counter() - begin
        say({"ms": took * 1e3, "found": describe(result)})


def say(what):
    print(json.dumps(what), flush=True)


def normalised(picture):
    """[1, 3, height, width] by ImageNet's mean and deviation, as torchvision's presets have it."""
    mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    values = (picture.astype(np.float32) / 255 - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def described_map(classes):
    """Of a map of classes: how many there are, and how many pixels the commonest has."""
    counts = np.bincount(np.asarray(classes, dtype=np.int64).ravel())
    return {"classes": int((counts > 0).sum()), "commonest": int(counts.max())}


def described_detections(scores, masks):
    return {"detections": len(scores), "masks": len(masks), "scores": float(sum(scores))}
