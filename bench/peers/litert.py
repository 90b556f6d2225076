"""A TensorFlow Lite file in LiteRT with XNNPACK, from 8-bit pixels of the network's size to a map of classes.

Usage: litert.py THREADS WEIGHTS.tflite
"""

import importlib.metadata
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import protocol

threads, weights = sys.argv[1:]
# XNNPACK is what it chooses by itself.
interpreter = Interpreter(weights, num_threads=int(threads))
interpreter.allocate_tensors()
[picture] = interpreter.get_input_details()
[classes] = interpreter.get_output_details()


def work(pixels):
    interpreter.set_tensor(picture["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(classes["index"])


protocol.answer(
    f"LiteRT {importlib.metadata.version('ai-edge-litert')}",
    np.stack,
    work,
    protocol.described_maps,
)
