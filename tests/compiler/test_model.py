from dataclasses import replace

import numpy as np
import pytest

from compiler.onnx_reader import read_onnx
from scripts.digits import model_path
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses


@pytest.fixture(scope="module")
def digits():
    return read_onnx(model_path())


@pytest.mark.parametrize(("unsigned", "zero_point"), [(False, -128), (False, 3), (True, 200)])
def test_quantise_is_quantize_linear(digits, unsigned, zero_point):
    rng = np.random.default_rng(0)
    # A scale of 24 significant bits: in float64 the ties below would be none.
    scale = np.float32(0.06732655)
    images = rng.normal(0, 4, (2, 1, 28, 28)).astype(np.float32)
    ties = (np.arange(56).reshape(2, 28) - 28.5).astype(np.float32) * scale
    images[:, 0, 0] = ties
    images[0, 0, 1, :2] = 1e38, -1e38
    model = replace(digits, input_scale=float(scale), input_zero_point=zero_point,
                    input_unsigned=unsigned)
    dtype = np.uint8 if unsigned else np.int8
    expected = run_node("QuantizeLinear", {"x": images, "scale": np.array(scale),
                                           "zero": np.array(zero_point, dtype)},
                        output_type=2 if unsigned else 3)[0]
    codes = model.quantise(images)
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, expected)


def test_every_grey_level_has_a_code_of_its_own(digits):
    levels = np.zeros((1, 1, 28, 28), np.float32)
    levels.reshape(-1)[:256] = np.arange(256, dtype=np.float32) / np.float32(255)
    np.testing.assert_array_equal(digits.quantise(levels).reshape(-1)[:256], np.arange(256) - 128)


def test_dequantise_is_dequantize_linear(digits):
    codes = np.arange(-128, 128).astype(np.int8).reshape(-1, 1, 1, 1)
    expected = run_node("DequantizeLinear", {
        "x": codes, "scale": np.array(digits.output_scale, np.float32),
        "zero": np.array(digits.output_zero_point, np.int8)})[0]
    np.testing.assert_array_equal(digits.dequantise(codes), expected)


def test_quantise_refuses(digits):
    with refuses(TypeError, "Images must be floating point, not uint8"):
        digits.quantise(np.zeros((1, 1, 28, 28), np.uint8))
    with refuses(ValueError, "Images must have shape (N, 1, 28, 28), not (28, 28)"):
        digits.quantise(np.zeros((28, 28)))
    with refuses(ValueError, "Images must have shape (N, 1, 28, 28), not (1, 3, 28, 28)"):
        digits.quantise(np.zeros((1, 3, 28, 28)))
    with refuses(ValueError, "Images must be finite"):
        digits.quantise(np.full((1, 1, 28, 28), np.nan))
