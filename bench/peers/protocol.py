"""What the peers share: the protocol by which the benchmark drives a contestant.

A contestant writes a line of JSON when it is ready, and then for each line on stdin, which has the paths of a
batch's pictures with tabs between them, does its work once and writes a line of JSON with the milliseconds that
the work took and numbers that tell whether others did the same work. Reading the pictures is no part of the work.
"""

import collections
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
    """Answers until stdin ends: `work(prepare(pictures))` is timed, `describe` makes numbers of its result."""
    say({"version": f"{version}, Python {platform.python_version()}"})
    for line in sys.stdin:
        prepared = prepare([read(path) for path in line.rstrip("\n").split("\t")])
        begin = time.perf_counter()
        result = work(prepared)
        took = time.perf_counter() - begin
        say({"ms": took * 1e3, "found": describe(result)})
        # Else it would take memory beside the next one.
        del prepared, result


def say(what):
    print(json.dumps(what), flush=True)


def normalised(pictures):
    """[batch, 3, height, width] by ImageNet's mean and deviation, as torchvision's presets have it."""
    mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    values = (np.stack(pictures).astype(np.float32) / 255 - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def described_maps(maps):
    """Of maps of classes: how many classes there are, and how many pixels the commonest has."""
    counts = [np.bincount(np.asarray(classes, dtype=np.int64).ravel()) for classes in maps]
    return summed({"classes": int((count > 0).sum()), "commonest": int(count.max())} for count in counts)


def described_detections(pictures):
    """Of scores and masks for each picture."""
    return summed(
        {"detections": len(scores), "masks": len(masks), "scores": float(sum(scores))} for scores, masks in pictures
    )


def summed(pictures):
    sums = collections.Counter()
    for numbers in pictures:
        sums.update(numbers)
    return dict(sums)
