"""A semantic segmenter that was exported to ONNX, from a normalised picture to logits of the picture's size.

Usage: onnx_runtime.py THREADS NETWORK.onnx
"""

import sys

import onnxruntime

import protocol

threads, network = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def work(x):
    [logits] = session.run(["out"], {"input": x})
    return logits


protocol.answer(
    f"ONNX Runtime {onnxruntime.__version__}",
    protocol.normalised,
    work,
    lambda logits: protocol.described_maps(logits.argmax(1)),
)
