"""Weights and pictures by a formula that src/weights/seeded.rs repeats, value for value.

Value i of the tensor called `name` comes from u, the uniform [0, 1) of splitmix64 at position i of the
stream whose state is FNV-1a(name); by the tensor's role it becomes

    running_var                  0.5 + u
    weight of one axis (norms)   0.5 + u / 2
    weight of more axes          (2u - 1) * sqrt(6 / fan_in), fan_in the product of all axes but the first
    anything else                (2u - 1) / 10

so that activations keep their size from layer to layer. All arithmetic is float64, rounded once at the end.
"""

import json

import numpy as np
import torch


def uniform(name, count):
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def tensor(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        values = 0.5 + u
    elif name.endswith("weight") and len(shape) == 1:
        values = 0.5 + u / 2
    elif name.endswith("weight"):
        values = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
    else:
        values = (2 * u - 1) / 10
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def seed(model):
    """Fills every parameter and buffer of the model, in place, and returns it ready for inference."""
    state = model.state_dict()
    for name, old in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = tensor(name, tuple(old.shape))
    model.load_state_dict(state)
    return model.eval()


def picture(height, width):
    """[3, height, width] in 0..1: patches of 16x16 pixels with a grain on them."""
    rows, columns = -(-height // 16), -(-width // 16)
    patches = uniform("picture.patches", 3 * rows * columns).reshape(3, rows, columns)
    grain = uniform("picture.grain", 3 * height * width).reshape(3, height, width)
    patches = patches.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    return torch.from_numpy((0.75 * patches + 0.25 * grain).astype(np.float32))


def sampled(values, count=500):
    """The tensor's shape, its largest magnitude, and every `step`-th value of it in row-major order."""
    flat = values.detach().flatten()
    step = max(1, flat.numel() // count) | 1
    return {
        "shape": list(values.shape),
        "largest": flat.abs().max().item(),
        "step": step,
        "values": [float(f"{v:.9g}") for v in flat[::step].tolist()],
    }


def write(path, expected):
    with open(path, "w") as file:
        json.dump(expected, file, separators=(",", ":"))
        file.write("\n")
