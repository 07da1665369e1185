"""Random networks of every geometry that a program can express."""

from dataclasses import replace

import numpy as np

from compiler.program import compile_chain
from golden.layer import ConvLayer
from tests.cosim.layers import bias_room, limits, scale_shift

__all__ = ["network"]


def random_axis(rng, size):
    """Kernel, stride, dilation and padding along an axis of ``size``."""
    before, after = (int(rng.integers(0, 1 + rng.choice([0, 1, 3, 9]))) for _ in range(2))
    padded = size + before + after
    taps = int(rng.integers(1, 1 + min(padded, rng.choice([1, 3, 5, 16]))))
    widest = min((padded - 1) // max(1, taps - 1), rng.choice([1, 2, 4]))
    return (taps, int(rng.integers(1, 1 + rng.choice([1, 2, 5]))),
            int(rng.integers(1, 1 + max(1, widest))), (before, after))


def random_layer(rng, name, codes, before, *, macs):
    """A layer for ``codes`` (N, C, H, W), whose sums it spreads over its codes; None if it would
    take more than ``macs`` MACs. ``before`` is the layer that they come from, or None."""
    channels = codes.shape[1]
    group = int(rng.choice([1, channels, rng.choice(
        [group for group in range(1, channels + 1) if channels % group == 0])]))
    (kh, sy, dy, (top, bottom)), (kw, sx, dx, (left, right)) = (
        random_axis(rng, size) for size in codes.shape[2:])
    outputs = int(rng.integers(1, 1 + rng.choice([2, 9, 21])))
    outputs = 1 if group > 1 and rng.integers(2) else -(-outputs // group)
    weight = rng.integers(-128, 128, (group * outputs, channels // group, kh, kw))
    zero = np.zeros(len(weight), int)
    unsigned = bool(rng.integers(2))
    input_unsigned = codes.dtype == np.uint8
    low, high = limits(unsigned)
    layer = ConvLayer(
        name=name, weight=weight, bias=zero, multiplier=zero, shift=zero, group=group,
        rounding=str(rng.choice(["half_even", "tflite", "half_up"])), stride=(sy, sx),
        padding=(top, left, bottom, right), dilation=(dy, dx), input_unsigned=input_unsigned,
        input_zero_point=(before.output_zero_point if before
                          else int(rng.choice([*limits(input_unsigned), 3]))),
        output_unsigned=unsigned, output_zero_point=int(rng.choice([low, high, 5, 60])),
        low=int(rng.choice([low, low, 5])), high=int(rng.choice([high, high, 90])))
    if layer.macs(codes.shape) > macs * len(codes):
        return None
    kind = rng.choice(["fitting", "fitting", "fitting", "ties", "any"])
    bias, multiplier, shift = scale_shift(rng, kind, layer.accumulate(codes), bias_room(weight))
    return replace(layer, bias=bias, multiplier=multiplier, shift=shift)


def network(rng, config, *, macs, most=4):
    """A compiled chain of up to ``most`` layers that fits ``config``, and frames for it.

    Returns
    -------
    layers : list of ConvLayer
    program : Program
    frames : int8 or uint8 array, shape (N, C, H, W)
    """
    while True:
        unsigned = bool(rng.integers(2))
        low, high = limits(unsigned)
        shape = (int(rng.integers(1, 1 + rng.choice([1, 3, 8, 19]))),
                 *rng.integers(1, 1 + rng.choice([1, 4, 9, 14]), 2))
        codes = frames = rng.integers(low, high + 1, (rng.integers(1, 4), *shape)).astype(
            np.uint8 if unsigned else np.int8)
        layers = []
        for index in range(rng.integers(1, 1 + most)):
            layer = random_layer(rng, f"layer{index}", codes, layers[-1] if layers else None,
                                 macs=macs)
            if layer is None:
                break
            layers.append(layer)
            codes = layer(codes)
        try:
            program = compile_chain(layers, frames.shape[1:], config) if layers else None
        except ValueError as error:
            if "The network needs" not in str(error):
                raise
            continue
        if program:
            return layers, program, frames
