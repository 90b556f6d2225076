"""The default model in PyTorch, eager, with its weights as 32-bit floats: what segmenter computes.

Usage: d2go_float.py SHARED THREADS
"""

import importlib.util
import pathlib
import sys

import peer

shared, threads = sys.argv[1:]
reference = pathlib.Path(shared) / "reference"
spec = importlib.util.spec_from_file_location("reference", reference / "d2go_mask_rcnn.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network = module.Net(str(reference / module.W))
peer.answer(network, int(threads))
