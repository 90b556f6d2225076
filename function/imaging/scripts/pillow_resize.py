"""Prints what Pillow makes of formula-made pictures, for the test in src/resample.rs.

Needs numpy and Pillow 11: later versions take the passes of some shapes in another order.
Usage: python pillow_resize.py
"""
import numpy as np
import PIL
from PIL import Image

assert PIL.__version__.startswith("11."), PIL.__version__

SIZES = [
    ((7, 5), (3, 4)),
    ((7, 5), (20, 13)),
    ((640, 427), (320, 213)),
    ((640, 427), (513, 342)),
    ((100, 3), (1, 1)),
    ((1, 1), (9, 6)),
    ((33, 47), (33, 20)),
    ((33, 47), (80, 47)),
    ((1200, 600), (513, 256)),
    ((427, 640), (513, 513)),
    ((640, 427), (513, 513)),
    ((25, 66), (15, 30)),
]
FILTERS = [Image.BILINEAR, Image.BICUBIC, Image.LANCZOS]


def picture(width, height):
    i = np.arange(width * height * 3, dtype=np.uint32) * np.uint32(2654435761)
    return Image.fromarray((i >> 24).astype(np.uint8).reshape(height, width, 3))


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


for size, to in SIZES:
    hashes = [fnv1a(picture(*size).resize(to, f).tobytes()) for f in FILTERS]
    print(f"        ({list(size)}, {list(to)}, [{', '.join(hex(h) for h in hashes)}]),")
