"""Writes an ONNX network of one convolution, 3 channels to so many, that looks at single pixels.

Usage: make_onnx.py FILE CLASSES

Class k adds its number to k times the red, twice k times the green and minus k times the blue.
"""

import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

path, classes = sys.argv[1], int(sys.argv[2])
numbers = numpy.arange(classes, dtype=numpy.float32)
weights = numpy.stack([numbers, 2 * numbers, -numbers], axis=1).reshape(classes, 3, 1, 1)
graph = helper.make_graph(
    [helper.make_node("Conv", ["input", "weights", "bias"], ["output"])],
    "pixels",
    [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 512, 512])],
    [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, classes, 512, 512])],
    [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(numbers, "bias")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, path)
