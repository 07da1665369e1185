"""Pooling: the definition by plain loops, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.pool import PoolLayer
from golden.requant import ROUNDINGS, requantise
from tests.golden.conv_cases import SEARCH
from tests.golden.refusal import refuses


@st.composite
def pools(draw, **fixed):
    """A layer with every parameter drawn separately per axis and side, and codes for it."""
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unsigned, output_unsigned = draw(st.booleans()), draw(st.booleans())
    limits, output = (np.iinfo(np.uint8 if flag else np.int8)
                      for flag in (unsigned, output_unsigned))
    low, high = sorted(rng.integers(output.min, output.max, 2, endpoint=True).tolist())
    layer = PoolLayer(**{
        "name": "pool", "kind": draw(st.sampled_from(["max", "sum"])), "kernel": pair(1, 4),
        "stride": pair(1, 3), "padding": pair(0, 3) + pair(0, 3), "dilation": pair(1, 3),
        "pad_code": draw(st.sampled_from([None, limits.min, limits.max, 3])),
        "bias": int(rng.integers(-3000, 3000)), "multiplier": int(rng.integers(-2**31 + 1, 2**31)),
        "shift": int(rng.integers(28, 40)), "rounding": draw(st.sampled_from(ROUNDINGS)),
        "input_unsigned": unsigned, "output_unsigned": output_unsigned,
        "output_zero_point": int(rng.integers(output.min, output.max, endpoint=True)),
        "low": low, "high": high, **fixed})
    size = [max(1, (k - 1) * d + 1 - before - after) + draw(st.integers(0, 6))
            for k, d, before, after in zip(layer.kernel, layer.dilation, layer.padding,
                                           layer.padding[2:], strict=False)]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size)
    return layer, rng.integers(limits.min, limits.max, shape, limits.dtype, endpoint=True)


@SEARCH
@given(pools())
def test_is_the_windows_maximum_or_sum_requantised(case):
    layer, codes = case
    top, left, bottom, right = layer.padding
    padded = np.full((*codes.shape[:2], codes.shape[2] + top + bottom,
                      codes.shape[3] + left + right), layer.pad_code)
    padded[:, :, top:top + codes.shape[2], left:left + codes.shape[3]] = codes
    expected = np.empty(layer.output_shape(codes.shape), np.int64)
    for y, x in np.ndindex(*expected.shape[2:]):
        window = padded[:, :, y * layer.stride[0]:, x * layer.stride[1]:]
        window = window[:, :, :layer.kernel[0] * layer.dilation[0]:layer.dilation[0],
                        :layer.kernel[1] * layer.dilation[1]:layer.dilation[1]]
        combine = np.max if layer.kind == "max" else np.sum
        expected[:, :, y, x] = combine(window, axis=(2, 3)) + layer.bias
    acc = layer.accumulate(codes)
    assert acc.dtype == np.int32
    np.testing.assert_array_equal(acc, expected)
    output = layer(codes)
    assert output.dtype == layer.output_type
    np.testing.assert_array_equal(output, requantise(
        expected, layer.multiplier, layer.shift, rounding=layer.rounding,
        zero_point=layer.output_zero_point, low=layer.low, high=layer.high))


def layer(**change):
    return PoolLayer(**{"name": "pool", "kind": "max", "kernel": (2, 3), **change})


def test_defaults():
    assert (layer().pad_code, layer(input_unsigned=True).pad_code) == (-128, 0)
    assert layer(kind="sum").pad_code == 0
    assert (layer().low, layer().high) == (-128, 127)
    assert (layer(output_unsigned=True).low, layer(output_unsigned=True).high) == (0, 255)
    assert layer().input_types == (np.int8,)
    assert layer(input_unsigned=True).input_types == (np.uint8,)
    assert layer().macs((1, 2, 5, 5)) == 0


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"name": 3}, TypeError, "Layer 3: name must be a string, not 3"),
    ({"kind": "mean"}, ValueError, "Layer pool: kind must be one of max, sum, not 'mean'"),
    ({"kernel": (0, 1)}, ValueError, "Layer pool: kernel must be at least 1, not 0"),
    ({"stride": (1, 0)}, ValueError, "Layer pool: stride must be at least 1, not 0"),
    ({"padding": (1, 1)}, ValueError, "Layer pool: padding must have 4 values, not (1, 1)"),
    ({"dilation": (1, 0.5)}, TypeError, "Layer pool: dilation must be an integer, not 0.5"),
    ({"pad_code": 128}, ValueError, "Layer pool: pad_code must be in [-128, 127], not 128"),
    ({"pad_code": -1, "input_unsigned": True}, ValueError,
     "Layer pool: pad_code must be in [0, 255], not -1"),
    ({"input_unsigned": 1}, TypeError, "Layer pool: input_unsigned must be a bool, not 1"),
    ({"output_unsigned": None}, TypeError, "Layer pool: output_unsigned must be a bool, not None"),
    ({"bias": 2**31}, ValueError,
     "Layer pool: bias must be in [-2147483648, 2147483647], not 2147483648"),
    ({"bias": 2**31 - 100}, OverflowError,
     "Layer pool: accumulators would span [2147483420, 2147483675], "
     "outside [-2147483648, 2147483647]"),
    ({"kind": "sum", "kernel": (4096, 4097)}, OverflowError,
     "Layer pool: accumulators would span [-2148007936, 2131226624], "
     "outside [-2147483648, 2147483647]"),
    ({"multiplier": -2**31}, ValueError,
     "Layer pool: multiplier must be in [-2147483647, 2147483647], not -2147483648"),
    ({"shift": 63}, ValueError, "Layer pool: shift must be in [0, 62], not 63"),
    ({"rounding": "floor"}, ValueError,
     "Layer pool: rounding must be one of half_even, tflite, half_up, not 'floor'"),
    ({"low": 5, "high": 4}, ValueError, "Layer pool: low must not exceed high, but 5 > 4"),
])
def test_refuses(change, error, message):
    with refuses(error, message):
        layer(**change)


@pytest.mark.parametrize(("codes", "error", "message"), [
    (np.zeros((1, 2, 5, 5), np.uint8), TypeError, "Layer pool: codes must be int8, not uint8"),
    (np.zeros((2, 5, 5), np.int8), ValueError,
     "Layer pool: codes must have 4 dimensions, not shape (2, 5, 5)"),
    (np.zeros((1, 2, 5, 2), np.int8), ValueError,
     "Layer pool: The dilated kernel spans 3, more than the padded input's 2"),
])
def test_refuses_codes(codes, error, message):
    with refuses(error, message):
        layer()(codes)
