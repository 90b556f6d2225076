"""Measures on how many pixels deeplabv3_mnv2_pascal agrees with LiteRT, which runs the same file in integers.

Needs ai-edge-litert, numpy and pillow. Run from anywhere in the repository, with the data of its tests in
../shared or $SEGMENTER_SHARED:

    python function/models/scripts/agreement_litert.py [int8]

We calculate in floats, or in 8-bit integers if asked for. LiteRT gets each picture as Pillow decodes and resizes it, we as we do. Prints the share of equal pixels for
each picture and in all, beside that of LiteRT's reference kernels against its default ones: what integers are
good for. Fails below 98 %, in integers below 99 %.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ai_edge_litert.interpreter import Interpreter, OpResolverType

PRECISION = "int8" if sys.argv[1:] == ["int8"] else "f32"
REQUIRED = {"f32": 0.98, "int8": 0.99}[PRECISION]
SIDE = 513
REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("SEGMENTER_SHARED", REPOSITORY.parent / "shared"))
TARGET = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
WEIGHTS = SHARED / "weights/deeplabv3_mnv2_pascal_quant.tflite"


def interpreter(resolver):
    made = Interpreter(str(WEIGHTS), experimental_op_resolver_type=resolver, num_threads=os.cpu_count())
    made.allocate_tensors()
    return made


def class_map(interpreter, picture):
    """What it makes of the picture, [SIDE, SIDE]."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


def sampled(square, height, width):
    """The nearest classes on a grid of [height, width] whose corners are the square's."""
    rows, columns = (np.rint(np.linspace(0, SIDE - 1, side)).astype(int) for side in (height, width))
    return square[np.ix_(rows, columns)]


def prepare(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))


paths = sorted((SHARED / "images/coco-val").glob("*.jpg"))
if not paths or not WEIGHTS.exists():
    sys.exit(f"there are no pictures or weights in {SHARED}")

default = interpreter(OpResolverType.AUTO)
reference = interpreter(OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
ours, references, pixels = [], [], []
with tempfile.TemporaryDirectory() as out:
    # As the Makefile builds it, so that nothing is built anew.
    build = "cargo build --release --locked --workspace --example class_maps".split()
    build += "--exclude segmenter-operator --exclude segmenter-cluster".split()
    subprocess.run(build, cwd=REPOSITORY, check=True)
    subprocess.run([TARGET / "release/examples/class_maps", PRECISION, WEIGHTS, out, *paths], check=True)
    for path in paths:
        with Image.open(Path(out) / f"{path.stem}.pgm") as image:
            found = np.asarray(image)
        picture = prepare(path)
        expected = sampled(class_map(default, picture), *found.shape)
        ours.append((found == expected).sum())
        references.append((sampled(class_map(reference, picture), *found.shape) == expected).sum())
        pixels.append(expected.size)
        print(f"{path.name}  {ours[-1] / pixels[-1]:.4f}  {references[-1] / pixels[-1]:.4f}")

agreement = sum(ours) / sum(pixels)
print(f"all {sum(pixels)} pixels of {len(paths)} pictures: {agreement:.4f} agree with LiteRT")
print(f"LiteRT's reference kernels with its default ones: {sum(references) / sum(pixels):.4f}")
sys.exit(0 if agreement >= REQUIRED else 1)
