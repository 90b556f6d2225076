"""Writes tests/parity/deeplab_mobilenet_v2.json: what LiteRT answers with the published weights, for src/networks/.

Of the picture by a formula, the bytes behind the third block and of the coarse logits, each `[channels, height,
width]` and of that every `step`-th. Needs ai-edge-litert and torch, and the data of the tests in ../shared or
$SEGMENTER_SHARED. Run from the folder of the package: python scripts/parity_litert.py
"""

import os
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

import seeded

SIDE = 513
TENSORS = {
    "third_block": ("MobilenetV2/expanded_conv_2/add", 199),
    "logits": ("logits/semantic/BiasAdd;logits/semantic/Conv2D;logits/semantic/biases1", 11),
}
SHARED = Path(os.environ.get("SEGMENTER_SHARED", Path(__file__).resolve().parents[4] / "shared"))

interpreter = Interpreter(
    str(SHARED / "weights/deeplabv3_mnv2_pascal_quant.tflite"), experimental_preserve_all_tensors=True
)
interpreter.allocate_tensors()
picture = (seeded.picture(SIDE, SIDE) * 255).round().byte().permute(1, 2, 0).numpy()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
interpreter.invoke()
by_name = {tensor["name"]: tensor for tensor in interpreter.get_tensor_details()}
expected = {}
for name, (tensor, step) in TENSORS.items():
    scale, zero_point = by_name[tensor]["quantization"]
    values = interpreter.get_tensor(by_name[tensor]["index"])[0].transpose(2, 0, 1)
    expected[name] = {
        "shape": list(values.shape),
        "scale": scale,
        "zero_point": zero_point,
        "step": step,
        "bytes": values.flatten()[::step].tolist(),
    }
seeded.write("tests/parity/deeplab_mobilenet_v2.json", expected)
