"""Prints what Pillow makes of JPEG pictures, for the tests in src/decode/jpeg/tests.rs.

Needs numpy and Pillow. Usage, in src/decode/jpeg/tests:
    python pillow_jpeg.py > examples.tsv
        Formula-made pictures of 29 x 21 pixels: name, hash of the pixels, the file in hexadecimal digits.
    python pillow_jpeg.py FOLDER > pictures.tsv
        All JPEG pictures in a folder: path, hash of the pixels.
"""
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLES = {
    "4:4:4": dict(subsampling=0),
    "4:2:2": dict(subsampling=1),
    "4:2:0": dict(subsampling=2),
    "4:2:0, restarted": dict(subsampling=2, restart_marker_blocks=1),
    "4:2:0, progressive": dict(subsampling=2, progressive=True),
    "4:4:4, progressive, restarted": dict(subsampling=0, progressive=True, restart_marker_rows=1),
    "RGB": dict(keep_rgb=True),
    "grey": dict(mode="L"),
    "CMYK": dict(mode="CMYK"),
    "CMYK, progressive": dict(mode="CMYK", progressive=True),
}


def picture(width, height, mode):
    """A gradient along the rows and another one along the columns, with noise on top."""
    channels = len(mode) if mode != "L" else 1
    y, x, channel = np.mgrid[:height, :width, :channels].astype(np.uint32)
    noise = ((y * width + x) * channels + channel) * np.uint32(2654435761) >> 27
    samples = (x * (7 + channel * 3) + y * (5 + channel * 4) + noise) % 256
    return Image.fromarray(samples.astype(np.uint8).squeeze(), mode)


def encoded(width, height, mode="RGB", **options):
    file = io.BytesIO()
    picture(width, height, mode).save(file, "JPEG", quality=40, optimize=True, **options)
    return file.getvalue()


def decoded(file):
    return Image.open(file).convert("RGB")


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    for path in sorted(folder.rglob("*.jpg")):
        pixels = decoded(path).tobytes()
        print(path.relative_to(folder), f"{fnv1a(pixels):016x}", sep="\t")
else:
    for name, options in EXAMPLES.items():
        data = encoded(29, 21, **options)
        pixels = decoded(io.BytesIO(data)).tobytes()
        print(name, f"{fnv1a(pixels):016x}", data.hex(), sep="\t")
