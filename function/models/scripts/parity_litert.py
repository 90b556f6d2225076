"""Writes tests/parity/deeplab_mobilenet_v2.json: what LiteRT answers with the published weights, for src/networks/.

The bytes of the coarse logits, [21, 33, 33], of the picture by a formula, every `step`-th. Needs ai-edge-litert and
torch, and the data of the tests in ../shared or $SEGMENTER_SHARED. Run from the folder of the package:
python scripts/parity_litert.py
"""

import os
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

import seeded

SIDE = 513
STEP = 11
SHARED = Path(os.environ.get("SEGMENTER_SHARED", Path(__file__).resolve().parents[4] / "shared"))
LOGITS = "logits/semantic/BiasAdd;logits/semantic/Conv2D;logits/semantic/biases1"

interpreter = Interpreter(
    str(SHARED / "weights/deeplabv3_mnv2_pascal_quant.tflite"), experimental_preserve_all_tensors=True
)
interpreter.allocate_tensors()
picture = (seeded.picture(SIDE, SIDE) * 255).round().byte().permute(1, 2, 0).numpy()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
interpreter.invoke()
[logits] = [tensor for tensor in interpreter.get_tensor_details() if tensor["name"] == LOGITS]
scale, zero_point = logits["quantization"]
values = interpreter.get_tensor(logits["index"])[0].transpose(2, 0, 1)
seeded.write(
    "tests/parity/deeplab_mobilenet_v2.json",
    {
        "shape": list(values.shape),
        "scale": scale,
        "zero_point": zero_point,
        "step": STEP,
        "bytes": values.flatten()[::STEP].tolist(),
    },
)
