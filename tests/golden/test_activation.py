import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from golden.activation import clip, clip_bounds, relu, relu_bounds
from tests.golden.conv_cases import SEARCH
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_relu_is_relu_of_the_values(dtype):
    limits = np.iinfo(dtype)
    codes = np.arange(limits.min, limits.max + 1).astype(dtype)
    for zero_point in (limits.min, 3, limits.max):
        actual = relu(codes, zero_point)
        assert actual.dtype == dtype
        values = codes.astype(np.float32) - zero_point
        expected = run_node("Relu", {"x": values})[0] + zero_point
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(clip(codes, *relu_bounds(dtype, zero_point)), expected)


def test_clip_keeps_the_type():
    actual = clip(np.array([-128, -3, 0, 5, 127], np.int8), -3, 4)
    assert actual.dtype == np.int8
    assert actual.tolist() == [-3, -3, 0, 4, 4]


@SEARCH
@given(st.floats(-8, 8, width=32), st.floats(0, 8, width=32), st.integers(-9, 0),
       st.integers(1, 2**10), st.booleans(), st.integers(0, 255))
def test_half_even_bounds_are_onnx_clip_then_quantise(minimum, span, exponent, steps, unsigned,
                                                      zero):
    """Codes clamped to the bounds are the codes of clipped values, ties included."""
    dtype = np.uint8 if unsigned else np.int8
    zero_point = np.array(zero - (0 if unsigned else 128)).astype(dtype)
    scale = np.float32(math.ldexp(steps, exponent - 6))
    limits = np.float32([minimum, np.float32(minimum) + np.float32(span)])
    values = np.concatenate([limits, np.linspace(-9, 17, 500, dtype=np.float32)])
    kind = TensorProto.UINT8 if unsigned else TensorProto.INT8

    def quantise(x):
        return run_node("QuantizeLinear", {"x": x, "scale": np.array(scale), "zero": zero_point},
                        output_type=kind)[0]

    clipped = run_node("Clip", {"x": values, "low": np.array(limits[0]),
                                "high": np.array(limits[1])})[0]
    low, high = clip_bounds(*limits, scale, int(zero_point), dtype, rounding="half_even")
    np.testing.assert_array_equal(clip(quantise(values), low, high), quantise(clipped))


@pytest.mark.parametrize(("rounding", "expected"), [
    ("half_even", (-2, 2)), ("half_up", (-2, 3)), ("tflite", (-3, 3))])
def test_ties_of_the_bounds(rounding, expected):
    assert clip_bounds(-2.5, 2.5, 1.0, 0, np.int8, rounding=rounding) == expected


def test_default_is_tflite():
    assert clip_bounds(-2.5, 0.5, 1.0, 10, np.int8) == (7, 11)


@pytest.mark.parametrize(("arguments", "expected"), [
    ((0, 6, 6 / 255, -128, np.int8), (-128, 127)),
    ((0, 6, 0.05, 0, np.uint8), (0, 120)),
    ((0, 6, 0.01, 0, np.uint8), (0, 255)),
    ((-math.inf, math.inf, 1e-30, 5, np.int8), (-128, 127)),
    ((0, 1e30, 1e-30, 5, np.int8), (5, 127)),
    ((300, 400, 1.0, 0, np.uint8), (255, 255)),
    # In float32 the quotient is the tie 0.5; in float64 it is less.
    ((0, 0.5 - 2**-30, 1.0, 0, np.int8), (0, 1)),
])
def test_bounds_by_hand(arguments, expected):
    assert clip_bounds(*arguments) == expected


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: relu([0.5], 0), TypeError, "codes must be an integer array, not float64"),
    (lambda: relu(np.zeros(1, np.uint8), -1), OverflowError, "zero_point is -1, outside [0, 255]"),
    (lambda: relu([0], 0.0), TypeError, "zero_point must be an integer, not 0.0"),
    (lambda: clip([0.5], 0, 1), TypeError, "codes must be an integer array, not float64"),
    (lambda: clip([0], 1, 0), ValueError, "low must not exceed high, but 1 > 0"),
    (lambda: relu_bounds(np.int16, 0), TypeError,
     "An activation type must be int8 or uint8, not int16"),
    (lambda: relu_bounds(np.int8, 128), ValueError, "zero_point must be in [-128, 127], not 128"),
    (lambda: clip_bounds(0, 6, 0.0, 0, np.int8), ValueError,
     "scale must be positive and finite, not 0.0"),
    (lambda: clip_bounds(6, 0, 1.0, 0, np.int8), ValueError,
     "minimum must not exceed maximum, but they are 6 and 0"),
    (lambda: clip_bounds(0, math.nan, 1.0, 0, np.int8), ValueError,
     "minimum must not exceed maximum, but they are 0 and nan"),
    (lambda: clip_bounds(0, 6, 1.0, -1, np.uint8), ValueError,
     "zero_point must be in [0, 255], not -1"),
    (lambda: clip_bounds(0, 6, 1.0, 0, np.int8, rounding="up"), ValueError,
     "rounding must be one of half_even, tflite, half_up, not 'up'"),
])
def test_refuses(call, error, message):
    with refuses(error, message):
        call()
