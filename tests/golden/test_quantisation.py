"""Reals to codes and back, against ONNX Runtime and TFLite's reference kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from golden.quantisation import Quantisation
from tests.golden.conv_cases import SEARCH
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses
from tests.golden.tflite_models import Operator, Tensor, build_model, codes_tensor, run_reference


@st.composite
def quantisations(draw):
    unsigned = draw(st.booleans())
    return Quantisation(draw(st.floats(2.0**-20, 2.0**20, width=32)),
                        draw(st.integers(-128, 127)) + 128 * unsigned, unsigned)


def values(quantisation, seed):
    """Reals within and beyond the codes' range, near ties, on them, and infinite."""
    rng = np.random.default_rng(seed)
    ties = (np.arange(-400, 400) / 2 * quantisation.scale).astype(np.float32)
    random = (rng.uniform(-400, 400, 2000) * quantisation.scale).astype(np.float32)
    return np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), random,
                           np.float32([0, -0.0, 1e-40, 3e38, -3e38])])


@SEARCH
@given(quantisations(), st.integers(0, 2**32 - 1))
def test_quantise_equals_onnx_runtime(quantisation, seed):
    x = np.append(values(quantisation, seed), np.float32([np.inf, -np.inf]))
    expected, = run_node(
        "QuantizeLinear",
        {"x": x, "scale": np.array(quantisation.scale, np.float32),
         "zero_point": np.array(quantisation.zero_point, quantisation.dtype)},
        output_type=helper.np_dtype_to_tensor_dtype(np.dtype(quantisation.dtype)))
    np.testing.assert_array_equal(quantisation.quantise(x, rounding="half_even"), expected)


@SEARCH
@given(quantisations(), st.integers(0, 2**32 - 1))
def test_quantise_equals_tflite(quantisation, seed):
    x = values(quantisation, seed)
    x = x[np.abs(x) < 2**30 * quantisation.scale]  # Beyond, TFLite's integers are undefined.
    side = codes_tensor(x.shape, (quantisation.scale, quantisation.zero_point), quantisation.dtype)
    model = build_model([Tensor(x.shape, np.float32), side],
                        [Operator("QUANTIZE", [0], [1], "Quantize")], [0], [1])
    np.testing.assert_array_equal(quantisation.quantise(x, rounding="tflite"),
                                  run_reference(model, x))


@SEARCH
@given(quantisations())
def test_dequantise_equals_both(quantisation):
    codes = quantisation.codes().astype(quantisation.dtype)
    np.testing.assert_array_equal(codes.view(np.uint8), np.arange(256))
    output = quantisation.dequantise(codes)
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, run_node("DequantizeLinear", {
        "x": codes, "scale": np.array(quantisation.scale, np.float32),
        "zero_point": np.array(quantisation.zero_point, quantisation.dtype)})[0])
    side = codes_tensor(codes.shape, (quantisation.scale, quantisation.zero_point),
                        quantisation.dtype)
    model = build_model([side, Tensor(codes.shape, np.float32)],
                        [Operator("DEQUANTIZE", [0], [1], "Dequantize")], [0], [1])
    np.testing.assert_array_equal(output, run_reference(model, codes))


def test_ties():
    half = Quantisation(2, 0)
    x = np.float32([-5, -3, -1, 1, 3, 5])
    for rounding, expected in (("half_even", [-2, -2, 0, 0, 2, 2]),
                               ("tflite", [-3, -2, -1, 1, 2, 3]),
                               ("half_up", [-2, -1, 0, 1, 2, 3])):
        np.testing.assert_array_equal(half.quantise(x, rounding=rounding), expected)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: Quantisation(0, 0), ValueError, "scale must be positive and finite, not 0.0"),
    (lambda: Quantisation(1e39, 0), ValueError, "scale must be positive and finite, not inf"),
    (lambda: Quantisation(1, 128), ValueError, "zero_point must be in [-128, 127], not 128"),
    (lambda: Quantisation(1, -1, True), ValueError, "zero_point must be in [0, 255], not -1"),
    (lambda: Quantisation(1, 0, 1), TypeError, "unsigned must be a bool, not 1"),
    (lambda: Quantisation(1, 0).quantise([1, 2], rounding="tflite"), TypeError,
     "values must be a floating array, not int64"),
    (lambda: Quantisation(1, 0).quantise([np.nan], rounding="tflite"), ValueError,
     "values must not hold NaN"),
    (lambda: Quantisation(1, 0).quantise([1.0], rounding="up"), ValueError,
     "rounding must be one of half_even, tflite, half_up, not 'up'"),
    (lambda: Quantisation(1, 0).dequantise(np.zeros(2, np.uint8)), TypeError,
     "codes must be int8, not uint8"),
])
def test_refuses(call, error, message):
    with refuses(error, message):
        call()
