"""Requantisation against ONNX Runtime's and ONNX's own QLinearConv."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.requant import quantise_multiplier, requantise
from tests.golden.conv_cases import SEARCH
from tests.golden.onnx_oracle import node_cases, qlinear_conv


def near_tie(acc, multiplier, shift):
    """Where ONNX Runtime's float32 may round to the other neighbour.

    It converts the accumulator to float32 and multiplies by the float32 scale: two roundings, each
    within 2^-24 of the value, together less than 2^-23 of it. Elsewhere no tie lies between the
    exact product and the float32 one, and both round to the same integer.
    """
    product = np.abs(acc * multiplier)
    fraction = product & ((1 << shift) - 1)
    distance = np.abs(fraction - ((1 << shift) >> 1))
    return distance <= product * 2.0**-23


@pytest.mark.parametrize("signed", [False, True])
def test_equals_onnx_runtime_except_next_to_ties(signed):
    """Biases of the whole int32 range as accumulators; a scale per channel."""
    rng = np.random.default_rng(11)
    channels, dtype = 200_000, np.int8 if signed else np.uint8
    limits = np.iinfo(dtype)
    scale = np.exp2(rng.uniform(-24, 0, channels)).astype(np.float32)
    # Results spread over a little more than the codes' range.
    acc = np.clip(rng.uniform(-300, 300, channels) / scale, -2**31, 2**31 - 1).astype(np.int64)
    zero_point = limits.min + 100
    expected = qlinear_conv(
        np.full((1, 1, 1, 1), 5, dtype), np.zeros((channels, 1, 1, 1), np.int8), acc,
        scales=(np.float32(1), scale, np.float32(1)), zero_points=(5, zero_point)).ravel()
    multiplier, shift = quantise_multiplier(scale, rounding="half_even")
    actual = requantise(acc, multiplier, shift, rounding="half_even", zero_point=zero_point,
                        low=limits.min, high=limits.max, axis=0)
    difference = actual - expected
    unclear = near_tie(acc, multiplier, shift)
    assert np.mean(unclear) < 1e-3
    assert np.all(difference[~unclear] == 0)
    assert np.all(np.abs(difference) <= 1)


def test_a_difference_from_onnx_runtime_that_is_explained():
    """The exact product lies just above 32.5; in float32 it is 32.5, whose even neighbour is 32."""
    acc, scale = np.array([2**23 + 2**17 - 1]), np.full(1, (2**23 + 1) * 2.0**-41, np.float32)
    exact = int(acc[0]) * Fraction(float(scale[0]))
    assert Fraction(65, 2) < exact < Fraction(65, 2) + Fraction(1, 2**23)
    expected = qlinear_conv(
        np.zeros((1, 1, 1, 1), np.int8), np.zeros((1, 1, 1, 1), np.int8), acc,
        scales=(np.float32(1), scale, np.float32(1)), zero_points=(0, 0))
    multiplier, shift = quantise_multiplier(scale, rounding="half_even")
    actual = requantise(acc, multiplier, shift, rounding="half_even", low=-128, high=127, axis=0)
    assert (expected.item(), actual.item()) == (32, 33)
    assert near_tie(acc, multiplier, shift)


@SEARCH
@given(st.integers(0, 23), st.integers(0, 2**32 - 1))
def test_ties_equal_onnx_runtime_where_float32_is_exact(exponent, seed):
    """Scales that are powers of two and accumulators of 24 bits: no difference at all."""
    acc = np.random.default_rng(seed).integers(-256, 256, 100) << exponent >> 1
    scale = np.full(100, 2.0**-exponent, np.float32)
    expected = qlinear_conv(
        np.zeros((1, 1, 1, 1), np.int8), np.zeros((100, 1, 1, 1), np.int8), acc,
        scales=(np.float32(1), scale, np.float32(1)), zero_points=(0, 3)).ravel()
    actual = requantise(acc, *quantise_multiplier(scale, rounding="half_even"), axis=0,
                        rounding="half_even", zero_point=3, low=-128, high=127)
    np.testing.assert_array_equal(actual, expected)


def test_onnx_qlinearconv_case():
    """The case's weight is 0 - 255; here it is -85 with three times the scale."""
    _, (x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero), (y,) = (
        node_cases()["test_qlinearconv"])
    assert int(weight.item()) - int(w_zero.item()) == -255
    acc = (x.astype(np.int64) - int(x_zero)) * -85
    scale = 3 * float(x_scale) * float(w_scale.item()) / float(y_scale)
    actual = requantise(acc, *quantise_multiplier(scale, rounding="half_even"),
                        rounding="half_even", zero_point=int(y_zero), low=0, high=255)
    np.testing.assert_array_equal(actual, y)
