"""Softmax of codes against TFLite, bit for bit; of reals against ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.softmax import softmax, tflite_softmax
from tests.golden.conv_cases import SEARCH
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses
from tests.golden.tflite_models import Operator, build_model, codes_tensor, run_reference


def reference(codes, scale, beta):
    least = np.iinfo(codes.dtype).min
    model = build_model(
        [codes_tensor(codes.shape, (scale, 3), codes.dtype),
         codes_tensor(codes.shape, (1 / 256, least), codes.dtype)],
        [Operator("SOFTMAX", [0], [1], "Softmax", {"Beta": float(beta)})], [0], [1])
    return run_reference(model, codes)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@SEARCH
@given(octave=st.floats(-12, 7), beta=st.one_of(st.just(1.0), st.floats(0.125, 8, width=32)),
       size=st.one_of(st.integers(1, 50), st.integers(51, 511)), spread=st.integers(1, 256),
       seed=st.integers(0, 2**32 - 1))
def test_equals_tflite(dtype, octave, beta, size, spread, seed):
    """TFLite's kernel stops where a row's exponentials add up to 512 or more."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, spread, (20, size)).astype(dtype)
    scale = np.float32(2.0**octave)
    output = tflite_softmax(codes, scale, beta=beta)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, reference(codes, scale, beta))


def test_equals_tflite_on_long_rows():
    codes = np.random.default_rng(1).integers(-128, 128, (10, 4095)).astype(np.int8)
    np.testing.assert_array_equal(tflite_softmax(codes, 0.05), reference(codes, 0.05, 1))


def test_equals_tflite_at_every_difference():
    """Rows of two codes: every difference, over scales from near nothing to one step in all."""
    codes = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=1).astype(np.int8)
    for octave in np.arange(-24, 7, 0.25):
        scale = np.float32(2.0**octave)
        np.testing.assert_array_equal(tflite_softmax(codes, scale), reference(codes, scale, 1))


def test_is_near_the_softmax_of_the_reals():
    codes = np.random.default_rng(2).integers(-128, 128, (200, 12)).astype(np.int8)
    expected = softmax(codes * 0.03) * 256 - 128
    assert np.abs(tflite_softmax(codes, 0.03) - np.minimum(expected, 127)).max() < 0.501


def test_long_rows_of_equal_codes_give_the_least_code():
    """Where TFLite stops, the formula goes on: 1/4095 of 256 rounds to zero."""
    np.testing.assert_array_equal(tflite_softmax(np.zeros((1, 4095), np.int8), 0.1), -128)
    np.testing.assert_array_equal(tflite_softmax(np.zeros((1, 256), np.int8), 0.1), -127)


def test_softmax_of_reals():
    values = np.random.default_rng(3).normal(0, 30, (7, 5, 11)).astype(np.float32)
    for axis in (0, 1, -1):
        output = softmax(values, axis=axis)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, run_node("Softmax", {"x": values}, axis=axis)[0],
                                   rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: tflite_softmax(np.zeros((2, 3)), 1), TypeError,
     "An activation type must be int8 or uint8, not float64"),
    (lambda: tflite_softmax(np.zeros((2, 0), np.int8), 1), ValueError,
     "codes must have 1 to 4095 in a row, not shape (2, 0)"),
    (lambda: tflite_softmax(np.zeros((2, 4096), np.int8), 1), ValueError,
     "codes must have 1 to 4095 in a row, not shape (2, 4096)"),
    (lambda: tflite_softmax(np.zeros((2, 3), np.int8), 0), ValueError,
     "scale must be positive and finite, not 0.0"),
    (lambda: tflite_softmax(np.zeros((2, 3), np.int8), 1, beta=np.nan), ValueError,
     "beta must be positive and finite, not nan"),
    (lambda: tflite_softmax(np.zeros((2, 3), np.int8), 2.0**-26), ValueError,
     "beta · scale must exceed 2^-26, but they are 1.0 and 1.4901161193847656e-08"),
    (lambda: softmax(np.zeros(3, int)), TypeError, "values must be a floating array, not int64"),
])
def test_refuses(call, error, message):
    with refuses(error, message):
        call()
