"""Rounding against exact rationals and the literal C of gemmlowp and TFLite."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.requant import ROUNDINGS, quantise_multiplier, requantise
from tests.golden.conv_cases import SEARCH
from tests.golden.refusal import refuses

WIDE = {"low": -2**31, "high": 2**31 - 1}

accumulators = st.integers(-2**31, 2**31 - 1)
multipliers = st.integers(-(2**31 - 1), 2**31 - 1)


def one(acc, multiplier, shift, rounding):
    return int(requantise([acc], multiplier, shift, rounding=rounding, axis=0, **WIDE)[0])


def clamped(value):
    return min(max(value, -2**31), 2**31 - 1)


def divide_toward_zero(a, b):
    """C's integer division."""
    return abs(a) // b * (1 if a >= 0 else -1)


def doubling_high_multiply(a, b):
    """gemmlowp's SaturatingRoundingDoublingHighMul for int32, line by line."""
    overflow = a == b == -2**31
    ab = a * b
    nudge = (1 << 30) if ab >= 0 else 1 - (1 << 30)
    ab_x2_high32 = divide_toward_zero(ab + nudge, 1 << 31)
    return 2**31 - 1 if overflow else ab_x2_high32


def divide_by_power_of_two(x, exponent):
    """gemmlowp's RoundingDivideByPOT for int32, line by line."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def tflite_multiply(x, multiplier, shift):
    """TFLite's MultiplyByQuantizedMultiplier; ``shift`` is TFLite's, positive to the left."""
    left, right = max(shift, 0), max(-shift, 0)
    return divide_by_power_of_two(doubling_high_multiply(x * (1 << left), multiplier), right)


def tflite_quantize_multiplier(scale):
    """TFLite's QuantizeMultiplier: (multiplier, shift), the shift positive to the left."""
    if scale == 0:
        return 0, 0
    significand, shift = math.frexp(scale)
    scaled = Fraction(significand) * 2**31
    fixed = math.floor(abs(scaled) + Fraction(1, 2)) * (1 if scaled > 0 else -1)
    if abs(fixed) == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


@SEARCH
@given(accumulators, multipliers, st.integers(0, 62))
def test_one_rounding_is_that_of_the_exact_quotient(acc, multiplier, shift):
    quotient = Fraction(acc * multiplier, 1 << shift)
    assert one(acc, multiplier, shift, "half_even") == clamped(round(quotient))
    half_up = clamped(math.floor(quotient + Fraction(1, 2)))
    assert one(acc, multiplier, shift, "half_up") == half_up


@SEARCH
@given(st.data(), st.integers(1, 60))
def test_ties(data, shift):
    """The quotient is q + 1/2 exactly."""
    exponent = data.draw(st.integers(max(0, shift - 31), min(shift - 1, 29)))
    odd = 2 * data.draw(st.integers(-2**(29 - exponent), 2**(29 - exponent) - 1)) + 1
    sign = data.draw(st.sampled_from([-1, 1]))
    acc, multiplier = odd << exponent, sign << (shift - 1 - exponent)
    quotient = Fraction(acc * multiplier, 1 << shift)
    assert quotient.denominator == 2
    assert one(acc, multiplier, shift, "half_even") == round(quotient)
    assert one(acc, multiplier, shift, "half_up") == math.floor(quotient + Fraction(1, 2))
    # Beyond S = 31 the high multiply of this tie is exact if 2^31 divides the product.
    if shift > 31 and acc * multiplier % 2**31 == 0:
        away = math.floor(abs(quotient) + Fraction(1, 2)) * (1 if quotient > 0 else -1)
        assert one(acc, multiplier, shift, "tflite") == away


@pytest.mark.parametrize(("rounding", "expected"), [
    ("half_even", [-2, -2, 0, 0, 2, 2]), ("half_up", [-2, -1, 0, 1, 2, 3]),
    ("tflite", [-3, -2, -1, 1, 2, 3])])
def test_ties_around_zero(rounding, expected):
    """-2.5, -1.5, ..., 2.5."""
    actual = requantise(np.arange(-10, 12, 4), 2**30, 32, rounding=rounding, axis=0, **WIDE)
    np.testing.assert_array_equal(actual, expected)


@SEARCH
@given(accumulators, multipliers, st.integers(31, 62))
def test_tflite_equals_gemmlowp(acc, multiplier, shift):
    expected = tflite_multiply(acc, multiplier, 31 - shift)
    assert one(acc, multiplier, shift, "tflite") == expected


def test_tflite_rounds_twice():
    """A quarter becomes a half in the high multiply, whose rounding makes it one."""
    assert one(2**30, 1, 32, "tflite") == tflite_multiply(2**30, 1, -1) == 1
    assert one(2**30, 1, 32, "half_up") == one(2**30, 1, 32, "half_even") == 0
    assert one(-2**30 - 1, 1, 32, "tflite") == tflite_multiply(-2**30 - 1, 1, -1) == -1


@SEARCH
@given(st.data(), multipliers, st.integers(1, 30))
def test_tflite_equals_gemmlowp_with_a_left_shift(data, multiplier, shift):
    """While the left shift stays in int32."""
    acc = data.draw(st.integers(-2**shift, 2**shift - 1))
    assert one(acc, multiplier, shift, "tflite") == tflite_multiply(acc, multiplier, 31 - shift)


@SEARCH
@given(accumulators, multipliers)
def test_high_multiply_is_half_up_for_both_signs(acc, multiplier):
    """The formula by which ``tflite`` is computed, against the literal C."""
    assert doubling_high_multiply(acc, multiplier) == (acc * multiplier + 2**30) >> 31


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_extremes_do_not_overflow(rounding):
    for acc in (-2**31, 2**31 - 1):
        for multiplier in (-(2**31 - 1), 2**31 - 1):
            product = acc * multiplier
            assert one(acc, multiplier, 0, rounding) == clamped(product)
            assert one(acc, multiplier, 62, rounding) == (1 if product > 0 else -1)
            assert one(acc, multiplier, 31, rounding) == clamped(round(Fraction(product, 2**31)))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_channels_zero_point_and_clamp(rounding):
    rng = np.random.default_rng(5)
    acc = rng.integers(-2**20, 2**20, (2, 3, 4, 5))
    multiplier, shift = np.array([2**30, -3 * 2**28, 0]), np.array([45, 44, 7])
    expected = np.stack([
        [[min(max(one(a, m, s, rounding) - 7, -20), 33) for a in pixels.ravel()]
         for pixels, m, s in zip(frame, multiplier.tolist(), shift.tolist(), strict=True)]
        for frame in acc]).reshape(acc.shape)
    bounds = {"zero_point": -7, "low": -20, "high": 33, "rounding": rounding}
    actual = requantise(acc, multiplier, shift, **bounds)
    assert actual.dtype == np.int64
    np.testing.assert_array_equal(actual, expected)
    assert {-20, 33} <= set(actual.ravel())
    last = requantise(np.moveaxis(acc, 1, -1), multiplier, shift, axis=-1, **bounds)
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), expected)


finite = st.floats(allow_nan=False, allow_infinity=False)


@SEARCH
@given(st.one_of(finite, st.floats(-1, 1)))
def test_multiplier_of_half_even_is_the_float32(scale):
    with np.errstate(over="ignore"):
        single = float(np.float32(scale))
    if abs(single) >= 2**31:
        with refuses(ValueError, f"scale {scale} is beyond the multiplier, at most 2147483647"):
            quantise_multiplier(scale, rounding="half_even")
        return
    multiplier, shift = map(int, quantise_multiplier(scale, rounding="half_even"))
    if abs(single) * 2**31 < 0.5 and multiplier == 0:
        assert shift == 0
    else:
        assert Fraction(multiplier, 1 << shift) == Fraction(single)


@pytest.mark.parametrize("scale", [1 + 2**-24, 1 + 3 * 2**-24, -1 - 2**-24, 1 - 2**-25])
def test_multiplier_of_half_even_rounds_as_float32_does(scale):
    """Ties between two significands of 24 bits go to the even one."""
    multiplier, shift = map(int, quantise_multiplier(scale, rounding="half_even"))
    assert Fraction(multiplier, 1 << shift) == Fraction(float(np.float32(scale)))


@SEARCH
@given(st.one_of(st.floats(-2**31 + 1, 2**31 - 1), st.floats(-1, 1)))
def test_multiplier_of_31_bits_is_tflites(scale):
    expected, left = tflite_quantize_multiplier(scale)
    for rounding in ("tflite", "half_up"):
        multiplier, shift = map(int, quantise_multiplier(scale, rounding=rounding))
        assert (multiplier, shift) == (expected, 31 - left if expected else 0)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("exponent", [-40, -39, -38, -37, -33, -32, -31, -30])
def test_scales_too_small_for_the_shift_are_zero(rounding, exponent):
    """Where (0, 0) takes the place of a scale, the true result was zero for every accumulator."""
    scale = math.ldexp(1 - 2**-24, exponent)
    multiplier, shift = map(int, quantise_multiplier(scale, rounding=rounding))
    if multiplier:
        assert Fraction(multiplier, 1 << shift) == Fraction(scale)
    else:
        assert shift == 0
        assert round(-2**31 * Fraction(scale)) == round((2**31 - 1) * Fraction(scale)) == 0


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_multiplier_keeps_shape_and_sign(rounding):
    multiplier, shift = quantise_multiplier([[0.5, -0.5], [0, 3]], rounding=rounding)
    assert multiplier.shape == shift.shape == (2, 2)
    assert multiplier.dtype == shift.dtype == np.int64
    np.testing.assert_array_equal(multiplier / 2.0**shift, [[0.5, -0.5], [0, 3]])
    assert [int(a[1, 0]) for a in (multiplier, shift)] == [0, 0]


def test_carry_of_the_31_bit_significand():
    """1 - 2^-40 rounds to 1 = 2^30 / 2^30, not to the excluded 2^31 / 2^31."""
    for sign in (1, -1):
        assert quantise_multiplier(sign * (1 - 2**-40), rounding="tflite") == (sign * 2**30, 30)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"acc": [[0.0]]}, TypeError, "accumulator must be an integer array, not float64"),
    ({"acc": [[2**31]]}, OverflowError,
     "accumulator is 2147483648, outside [-2147483648, 2147483647]"),
    ({"multiplier": 0.5}, TypeError, "multiplier must be an integer array, not float64"),
    ({"multiplier": -2**31}, OverflowError,
     "multiplier is -2147483648, outside [-2147483647, 2147483647]"),
    ({"multiplier": [2**31]}, OverflowError,
     "multiplier of channel 0 is 2147483648, outside [-2147483647, 2147483647]"),
    ({"multiplier": [1, 1]}, ValueError,
     "multiplier must be a scalar or have shape (1,), not (2,)"),
    ({"shift": 63}, OverflowError, "shift is 63, outside [0, 62]"),
    ({"shift": [-1]}, OverflowError, "shift of channel 0 is -1, outside [0, 62]"),
    ({"shift": [[1]]}, ValueError, "shift must be a scalar or have shape (1,), not (1, 1)"),
    ({"rounding": "up"}, ValueError,
     "rounding must be one of half_even, tflite, half_up, not 'up'"),
    ({"zero_point": 0.0}, TypeError, "zero_point must be an integer, not 0.0"),
    ({"zero_point": 2**31}, ValueError,
     "zero_point must be in [-2147483648, 2147483647], not 2147483648"),
    ({"low": 5, "high": 4}, ValueError, "low must not exceed high, but 5 > 4"),
])
def test_refuses(change, error, message):
    arguments = {"acc": [[1]], "multiplier": 1, "shift": 1, "rounding": "half_up", "low": -128,
                 "high": 127, **change}
    with refuses(error, message):
        requantise(**arguments)


@pytest.mark.parametrize(("scale", "error", "message"), [
    (float("nan"), ValueError, "scale must be finite, not nan"),
    ([1.0, float("-inf")], ValueError, "scale must be finite, not -inf"),
    ([1.0, -2.0**31], ValueError,
     "scale -2147483648.0 is beyond the multiplier, at most 2147483647"),
    (1e300, ValueError, "scale 1e+300 is beyond the multiplier, at most 2147483647"),
    ("1", TypeError, "scale must be a real array, not <U1"),
])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_multiplier_refuses(scale, error, message, rounding):
    with refuses(error, message):
        quantise_multiplier(scale, rounding=rounding)


def test_multiplier_refuses_unknown_rounding():
    with refuses(ValueError, "rounding must be one of half_even, tflite, half_up, not None"):
        quantise_multiplier(1.0, rounding=None)
