"""Layers of every kind that the pipeline takes, drawn by Hypothesis or built to extremes."""

import numpy as np
from hypothesis import strategies as st

from golden.layer import ConvLayer

__all__ = ["MULTIPLIER_ENDS", "bias_room", "extreme_layers", "layer_and_codes"]

MULTIPLIER_ENDS = (-2**31 + 1, -2**30, -1, 0, 1, 2**30, 2**31 - 1)
SUM_ENDS = (-2**31, 2**31 - 1)


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


def scales(rng, kind, weight):
    """Multipliers and shifts of each channel.

    ``fitting`` spreads results over the codes, ``power`` does so with many exact ties, ``ends``
    takes extremes of both, most of which saturate or vanish.
    """
    channels = len(weight)
    if kind == "ends":
        return rng.choice(MULTIPLIER_ENDS, channels), rng.choice([0, 1, 30, 31, 32, 61, 62],
                                                                 channels)
    if kind == "any":
        return rng.integers(-2**31 + 1, 2**31, channels), rng.integers(0, 63, channels)
    # A sum of random products is about 74² times the root of their number.
    exponent = np.log2(74 * 74 * np.sqrt(weight[0].size) / 60)
    bits = rng.integers(1, 31, channels)
    shift = np.clip(np.round(exponent + bits), 0, 62).astype(int)
    magnitude = 1 << bits if kind == "power" else rng.integers(1 << bits, 2 << bits)
    return rng.choice([-1, 1], channels) * magnitude, shift


@st.composite
def layer_and_codes(draw, *, macs, depth=2000):
    """A layer and its input, of at most about ``macs`` MACs and ``depth`` of them in a sum."""
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
    patterns = st.sampled_from(["random", "random", "low", "high", "ends"])
    input_unsigned, output_unsigned = draw(st.booleans()), draw(st.booleans())
    weight = codes_of(rng, draw(patterns), (group * group_outputs, group_inputs, *kernel),
                      -128, 127)
    room = bias_room(weight)
    bias = draw(st.sampled_from([0, 2**-18, 1])) * rng.uniform(-1, 1, len(weight)) * room
    multiplier, shift = scales(rng, draw(st.sampled_from(["fitting", "power", "ends", "any"])),
                               weight)
    low, high = limits(output_unsigned)
    codes = codes_of(rng, draw(patterns), (frames, group * group_inputs, *size),
                     *limits(input_unsigned))
    return ConvLayer(
        name="drawn", weight=weight, bias=bias.astype(np.int64), multiplier=multiplier,
        shift=shift, rounding=draw(st.sampled_from(["half_even", "tflite", "half_up"])),
        stride=tuple(stride), dilation=tuple(dilation), group=group,
        padding=(padding[0][0], padding[1][0], padding[0][1], padding[1][1]),
        input_zero_point=draw(st.sampled_from([*limits(input_unsigned), 3])),
        output_zero_point=draw(st.sampled_from([low, high, 5])),
        input_unsigned=input_unsigned, output_unsigned=output_unsigned,
        low=draw(st.sampled_from([low, 5])), high=draw(st.sampled_from([high, 90])),
    ), codes.astype(np.uint8 if input_unsigned else np.int8)


def extreme_layers(rng):
    """Yield layers that reach the ends of everything, and inputs."""
    every_shift = np.arange(63)
    for rounding in ("half_even", "tflite", "half_up"):
        # Sums at both ends of int32, every shift, multipliers at both ends.
        weight = np.full((63, 2, 1, 1), -128)
        for sign in (-1, 1):
            codes = np.array([-128, 127], np.int8).repeat(2).reshape(2, 2, 1, 1)
            end = SUM_ENDS[sign > 0] - (weight[0].sum() * codes[:, 0, 0, 0].astype(int)).max() \
                if sign > 0 else SUM_ENDS[0] - (weight[0].sum()
                                                * codes[:, 0, 0, 0].astype(int)).min()
            yield ConvLayer(name="ends", weight=weight, bias=np.full(63, end),
                            multiplier=rng.choice(MULTIPLIER_ENDS, 63), shift=every_shift,
                            rounding=rounding, output_zero_point=-sign), codes
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
