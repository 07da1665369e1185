"""Layers of every kind that the pipeline takes, drawn by Hypothesis or built to extremes."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from golden.layer import ConvLayer

__all__ = ["MULTIPLIER_ENDS", "bias_room", "extreme_layers", "layer_and_codes"]

MULTIPLIER_ENDS = (-2**31 + 1, -2**30, -1, 0, 1, 2**30, 2**31 - 1)
#: Of coarse weights, so that many sums are halfway between two codes.
COARSE = 64


def bias_room(weight):
    """Largest bias of each channel with which no sum leaves int32."""
    return 2**31 - 1 - 255 * np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3))


def limits(unsigned):
    return (0, 255) if unsigned else (-128, 127)


def codes_of(rng, pattern, shape, low, high):
    """Random codes, or the ends alone: all low, all high, or a mixture of both."""
    if pattern == "random":
        return rng.integers(low, high + 1, shape)
    return rng.choice({"low": [low], "high": [high], "ends": [low, high]}[pattern], shape)


def scale_shift(rng, kind, sums, room):
    """Bias, multiplier and shift of each channel, given its sums without a bias.

    ``fitting`` spreads the results over the codes, ``ties`` does so with many exact ties (all sums
    being multiples of :data:`COARSE`), ``any`` takes what comes, and ``ends`` takes ends of
    everything, most of which saturate or vanish.
    """
    channels = len(room)
    if kind == "ends":
        return (rng.choice([-1, 0, 1], channels) * room, rng.choice(MULTIPLIER_ENDS, channels),
                rng.choice([0, 1, 30, 31, 32, 61, 62], channels))
    if kind == "any":
        return ((rng.uniform(-1, 1, channels) * room).astype(int),
                rng.integers(-2**31 + 1, 2**31, channels), rng.integers(0, 63, channels))
    sums = sums.swapaxes(0, 1).reshape(channels, -1)
    spread = np.maximum(sums.std(axis=1), 40) * rng.uniform(0.7, 2, channels)
    bias = np.clip(np.round(rng.normal(0, spread) - sums.mean(axis=1)), -room, room).astype(int)
    if kind == "ties":
        bias = bias // COARSE * COARSE
    bits = rng.integers(1, 31, channels)
    magnitude = 1 << bits if kind == "ties" else rng.integers(1 << bits, 2 << bits)
    shift = np.clip(np.round(np.log2(magnitude * spread / 60)), 0, 62).astype(int)
    return bias, rng.choice([-1, 1], channels) * magnitude, shift


@st.composite
def layer_and_codes(draw, *, macs, depth):
    """A layer and its input, of at most about ``macs`` MACs and ``depth`` of them in a sum."""
    depth = draw(st.sampled_from([min(depth, most) for most in (16, 60, 200, 2000)]))
    group = draw(st.sampled_from([1, 1, 1, 2, 5, "depthwise"]))
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    group_inputs = 1 if group == "depthwise" else draw(
        st.integers(1, max(1, min(40, depth // (kernel[0] * kernel[1])))))
    own_depth = group_inputs * kernel[0] * kernel[1]
    most = max(1, min(40, macs // own_depth))
    if group == "depthwise":
        group, group_outputs = draw(st.integers(1, most)), draw(st.integers(1, 2))
    else:
        group = min(group, most)
        group_outputs = draw(st.integers(1, max(1, most // group)))
    pixels = max(1, macs // (own_depth * group * group_outputs))

    frames = draw(st.integers(1, min(3, pixels)))
    side = max(1, min(7, int((pixels / frames) ** 0.5)))
    stride, dilation, padding, size = [], [], [], []
    for taps in kernel:
        stride.append(draw(st.integers(1, 3)))
        dilation.append(draw(st.integers(1, 3)))
        span = (taps - 1) * dilation[-1] + 1
        padding.append((draw(st.integers(0, taps)), draw(st.integers(0, taps))))
        least = max(1, span - sum(padding[-1]))
        size.append(draw(st.integers(least, max(least, span - sum(padding[-1])
                                                + stride[-1] * side - 1))))

    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patterns = st.sampled_from(["random"] * 5 + ["low", "high", "ends"])
    input_unsigned, output_unsigned = draw(st.booleans()), draw(st.booleans())
    low, high = limits(output_unsigned)
    kind = draw(st.sampled_from(["fitting", "fitting", "ties", "ties", "any", "ends"]))
    weight = codes_of(rng, draw(patterns), (group * group_outputs, group_inputs, *kernel),
                      -128, 127)
    if kind == "ties":
        weight = weight // COARSE * COARSE
    codes = codes_of(rng, draw(patterns), (frames, group * group_inputs, *size),
                     *limits(input_unsigned)).astype(np.uint8 if input_unsigned else np.int8)
    zero = np.zeros(len(weight), int)
    layer = ConvLayer(
        name="drawn", weight=weight, bias=zero, multiplier=zero, shift=zero,
        rounding=draw(st.sampled_from(["half_even", "tflite", "half_up"])),
        stride=tuple(stride), dilation=tuple(dilation), group=group,
        padding=(padding[0][0], padding[1][0], padding[0][1], padding[1][1]),
        input_zero_point=draw(st.sampled_from([*limits(input_unsigned), 3])),
        output_zero_point=draw(st.sampled_from([low, high, *[(low + high) // 2] * 3])),
        input_unsigned=input_unsigned, output_unsigned=output_unsigned,
        low=draw(st.sampled_from([low, low, 5])), high=draw(st.sampled_from([high, high, 90])))
    bias, multiplier, shift = scale_shift(rng, kind, layer.accumulate(codes), bias_room(weight))
    return replace(layer, bias=bias, multiplier=multiplier, shift=shift), codes


def extreme_layers(rng):
    """Yield layers that reach the ends of everything, and inputs."""
    for rounding in ("half_even", "tflite", "half_up"):
        # Sums at both ends of int32, every shift, multipliers at both ends.
        weight = np.full((63, 2, 1, 1), -128)
        codes = np.array([-128, 127], np.int8).repeat(2).reshape(2, 2, 1, 1)
        for bias in (2**31 - 1 - 2 * 128 * 128, -2**31 + 2 * 128 * 127):
            yield ConvLayer(name="ends", weight=weight, bias=np.full(63, bias),
                            multiplier=rng.choice(MULTIPLIER_ENDS, 63), shift=np.arange(63),
                            rounding=rounding, output_zero_point=1), codes
        # Half of every code, so a tie for every other one.
        yield ConvLayer(name="halves", weight=np.array([64, -64]).reshape(2, 1, 1, 1), bias=[0, 64],
                        multiplier=[2**30, 2**30], shift=[37, 37], rounding=rounding,
                        ), np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 16, 16)
        # Every operand at its end, the zero point at the other.
        for zero in (0, 255):
            weight = rng.choice([-128, 127], (9, 3, 3, 3))
            yield ConvLayer(
                name="opposed", weight=weight, bias=rng.choice([-1, 1], 9) * bias_room(weight),
                multiplier=rng.choice(MULTIPLIER_ENDS, 9), shift=rng.integers(28, 63, 9),
                rounding=rounding, input_unsigned=True, input_zero_point=zero,
                padding=(2, 0, 1, 3), output_unsigned=True, output_zero_point=zero,
            ), np.full((2, 3, 4, 3), 255 - zero, np.uint8)
    multiplier, shift = np.array([2**30]), np.array([37])
    # One MAC; and more padding than picture.
    yield ConvLayer(name="one", weight=np.full((1, 1, 1, 1), -128), bias=[0],
                    multiplier=multiplier, shift=shift, rounding="half_even"), np.full(
                        (1, 1, 1, 1), -128, np.int8)
    yield ConvLayer(name="padding", weight=rng.integers(-128, 128, (1, 1, 7, 5)), bias=[9],
                    multiplier=multiplier, shift=shift, rounding="tflite", input_zero_point=-128,
                    padding=(6, 4, 5, 3), stride=(2, 3)), np.full((1, 1, 1, 1), 127, np.int8)
