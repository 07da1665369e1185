"""Layers for the pipeline's benches."""

import numpy as np

from golden.layer import ConvLayer

__all__ = ["dense_layer", "random_layer"]


def dense_layer(rng, *, depth, channels, pixels):
    """Return a 1×1 layer without a zero operand, and its input of ``depth`` channels."""
    layer = ConvLayer(
        name=f"{depth} to {channels}", weight=rng.integers(1, 128, (channels, depth, 1, 1)),
        bias=rng.integers(-2**20, 2**20, channels), multiplier=rng.integers(2**30, 2**31, channels),
        shift=np.full(channels, 38), rounding="half_even")
    return layer, rng.integers(1, 128, (1, depth, 1, pixels), dtype=np.int8)


def random_layer(rng, *, channels=(1, 9)):
    """Return a small layer with everything in it, and an input."""
    group = int(rng.choice([1, 1, 2, 3]))
    inputs, outputs = group * rng.integers(*channels, 2)
    kernel = rng.integers(1, 4, 2)
    unsigned = rng.integers(0, 2, 2).astype(bool).tolist()
    limits = [np.iinfo(np.uint8 if flag else np.int8) for flag in unsigned]
    weight = rng.integers(-128, 128, (outputs, inputs // group, *kernel))
    # Results of a standard deviation of some 90 codes.
    sums = 74 * 74 * np.sqrt(weight[0].size)
    layer = ConvLayer(
        name="random", weight=weight, bias=rng.integers(-2**12, 2**12, outputs),
        multiplier=(rng.choice([-1, 1], outputs)
                    * (2.0**36 * 90 / sums * rng.uniform(0.5, 1, outputs))).astype(np.int64),
        shift=np.full(outputs, 36), rounding=str(rng.choice(["half_even", "tflite", "half_up"])),
        stride=tuple(rng.integers(1, 3, 2).tolist()),
        padding=tuple(rng.integers(0, 3, 4).tolist()),
        dilation=tuple(rng.integers(1, 3, 2).tolist()), group=group,
        input_zero_point=int(rng.integers(limits[0].min, limits[0].max + 1)),
        output_zero_point=int(rng.integers(limits[1].min, limits[1].max + 1)),
        input_unsigned=unsigned[0], output_unsigned=unsigned[1])
    size = (kernel - 1) * layer.dilation + rng.integers(1, 4, 2)
    return layer, rng.integers(limits[0].min, limits[0].max + 1,
                               (int(rng.integers(1, 3)), inputs, *size), limits[0].dtype)
