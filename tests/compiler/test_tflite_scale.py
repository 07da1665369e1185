"""Multipliers that round as LiteRT's FULLY_CONNECTED, against that formula in float64."""

import math
from fractions import Fraction

import numpy as np
import pytest

from compiler.tflite_scale import float_rounding_multiplier, rounded_product
from golden.requant import requantise
from tests.golden.refusal import refuses


def differences(scale, reach, *, low=-128, high=127, count=20_000, seed=0):
    """Accumulators in ±reach, dense around every step, whose results differ."""
    rng = np.random.default_rng(seed)
    least, greatest = np.array([-reach]), np.array([reach - 1])
    multiplier, shift = float_rounding_multiplier(np.array([scale]), least, greatest,
                                                  low=low, high=high)
    steps = (np.arange(low, high + 1) + 0.5) / scale
    near = np.clip(steps, -reach, reach - 2).astype(np.int64)
    acc = np.concatenate([rng.integers(-reach, reach, count), near - 1, near, near + 1, -near])
    acc = np.clip(acc, -reach, reach - 1)[None]
    made = requantise(acc, multiplier, shift, rounding="half_up", low=low, high=high, axis=0)
    return int(np.count_nonzero(made != np.clip(rounded_product(acc, scale), low, high)))


@pytest.mark.parametrize("value", [0.5, -0.5, 1.5, -1.5, 0.49999999999999994, -2.5, 0.0, 7.0])
def test_rounded_product_is_round_of_c(value):
    expected = math.copysign(math.floor(abs(Fraction(value)) + Fraction(1, 2)), value)
    assert rounded_product(1, value) == expected


@pytest.mark.parametrize("exponent", range(-18, 1))
def test_ties_of_powers_of_two_go_away_from_zero(exponent):
    assert differences(2.0**exponent, 1 << 9 - exponent) == 0


@pytest.mark.parametrize("seed", range(300))
def test_equals_floating_point_for_any_scale(seed):
    rng = np.random.default_rng(seed)
    a, b, c = np.exp2(rng.uniform(-10, 2, 3)).astype(np.float32).astype(np.float64)
    scale = a * b / c * 2.0 ** -int(rng.integers(0, 16))
    assert differences(scale, 1 << 20, seed=seed) == 0


@pytest.mark.parametrize("decimal", [(0.1, 0.05, 0.01), (0.2, 0.1, 0.04), (1 / 3, 0.3, 0.2)])
def test_scales_next_to_plain_fractions(decimal):
    """Float32 decimals: their quotient is next to a number with many ties, and is not it."""
    x, w, y = (np.float64(np.float32(value)) for value in decimal)
    for octave in range(14):
        assert differences(x * w / y / 2**octave, 1 << 22) == 0


def test_accumulators_beyond_31_bits_of_multiplier_are_refused():
    with refuses(ValueError, "no multiplier of 31 bits rounds as scale 5.96046e-08 of channel 0 "
                 "for every accumulator"):
        differences(2.0**-24, 1 << 31)


def test_channels_may_differ():
    scale = np.array([0.01, 0.5, 2.0**-40, 0.01])
    least, greatest = np.full(4, -50_000), np.full(4, 50_000)
    multiplier, shift = float_rounding_multiplier(scale, least, greatest, low=-128, high=127)
    assert multiplier.shape == shift.shape == (4,)
    assert (multiplier[0], shift[0]) == (multiplier[3], shift[3])
    assert (multiplier[2], shift[2]) == (0, 0)
    np.testing.assert_allclose(np.ldexp(multiplier[:2].astype(float), -shift[:2]), scale[:2],
                               rtol=2.0**-29)
