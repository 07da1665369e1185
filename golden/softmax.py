"""Softmax of codes and of reals, for hosts: no layer of the engine. NumPy only."""

import math

import numpy as np

from golden.checks import code_limits, positive_real
from golden.requant import quantise_multiplier

__all__ = ["softmax", "tflite_softmax"]


# Bits before the binary point: of exp's argument, Q5.26, and of the sum of exponentials, Q12.19.
ARGUMENT_BITS = 5
SUM_BITS = 12

# The one of Q0.31, which has none, is the greatest number.
ONE = 2**31 - 1

# Most codes of a row: as many exponentials of 1 still fit Q12.19.
MOST_CODES = 2**SUM_BITS - 1


def softmax(values, *, axis=-1):
    r""":math:`e^{x_i} / \sum_j e^{x_j}` along an axis, in the values' own floating type.

    Parameters
    ----------
    values : array of floats
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise TypeError(f"values must be a floating array, not {values.dtype}")
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def tflite_softmax(codes, scale, *, beta=1.0):
    r"""TFLite's softmax of int8 or uint8 codes along the last axis, bit for bit.

    The reference kernel, ``internal/reference/softmax.h`` below TFLite's ``kernels``, in the fixed
    point of gemmlowp's ``fixedpoint.h``. For the difference d of every code from the greatest of
    its row:

    1. :math:`d \cdot \beta s` in Q5.26, by the quantised multiplier of :math:`\beta s 2^{26}`. A
       difference that would pass -31 does not count and gives the least code.
    2. exp of that in Q0.31.
    3. The row's sum of exponentials in Q12.19, and its reciprocal.
    4. Their product to 8 bits, ties away from zero; the output's scale is 1/256 and its zero point
       the least code.

    Parameters
    ----------
    codes : array of int8 or uint8, shape (..., C)
        C in [1, 4095], so that the sum fits.
    scale : float
        Of the input; positive, rounded to float32.
    beta : float
        Factor of the exponents; positive, rounded to float32. beta · scale is above 2^-26.

    Returns
    -------
    array of the codes' type and shape

    Raises
    ------
    TypeError
        If the codes are neither int8 nor uint8.
    ValueError
        If a parameter is out of range.
    """
    codes = np.asarray(codes)
    low, high = code_limits(codes.dtype)
    if codes.ndim == 0 or not 1 <= codes.shape[-1] <= MOST_CODES:
        raise ValueError(f"codes must have 1 to {MOST_CODES} in a row, not shape {codes.shape}")
    difference = codes.astype(np.int64)
    difference -= difference.max(axis=-1, keepdims=True)
    argument, counts = _arguments(difference, scale, beta)
    powers = np.where(counts, _exp(argument), 0)
    total = _divide(powers, SUM_BITS).sum(axis=-1, keepdims=True)
    reciprocal, exponent = _reciprocal(total)
    # The reciprocal is of the sum's significand; its exponent goes into the shift to 8 bits.
    output = _divide(_multiply(reciprocal, powers), exponent + 31 - 8)
    return np.clip(output + low, low, high).astype(codes.dtype)


def _arguments(difference, scale, beta):
    """Differences times beta · scale in Q5.26, and which of them are within its range."""
    factor = (positive_real("beta", np.float32(beta)) * positive_real("scale", np.float32(scale))
              * 2.0**(31 - ARGUMENT_BITS))
    if factor <= 1:
        raise ValueError(f"beta · scale must exceed 2^-26, but they are {beta} and {scale}")
    multiplier, shift = quantise_multiplier(min(factor, 2.0**31 - 1), rounding="tflite")
    left = 31 - int(shift)
    radius = (2**ARGUMENT_BITS - 1) * 2**(31 - ARGUMENT_BITS) >> left
    counts = difference >= -radius
    return _multiply(np.where(counts, difference, 0) << left, multiplier), counts


def _exp(argument):
    """exp of values in Q5.26, none positive, in Q0.31.

    The argument is a remainder in [-1/4, 0) less quarters, whose bits are factors exp(-2^i).
    """
    point = 31 - ARGUMENT_BITS
    quarter = 1 << (point - 2)
    remainder = (argument & (quarter - 1)) - quarter
    quarters = remainder - argument
    result = _exp_near_zero(remainder << ARGUMENT_BITS)
    for power in range(-2, ARGUMENT_BITS):
        factor = round(math.exp(-2.0**power) * 2**31)
        result = np.where(quarters & (1 << (point + power)), _multiply(result, factor), result)
    return np.where(argument == 0, ONE, result)


def _exp_near_zero(argument):
    """exp of values in [-1/4, 0) in Q0.31: the Taylor series around -1/8 to the fourth power."""
    centre, third = round(math.exp(-1 / 8) * 2**31), round(2**31 / 3)
    x = argument + (1 << 28)
    x2 = _multiply(x, x)
    x3, x4 = _multiply(x2, x), _multiply(x2, x2)
    # x²/2 + x³/6 + x⁴/24
    powers = _divide(_multiply(_divide(x4, 2) + x3, third) + x2, 1)
    return centre + _multiply(centre, x + powers)


def _reciprocal(total):
    """1 / significand in Q0.31 and the exponent of a positive sum in Q12.19.

    The significand, in [1, 2), is 1 + x; three steps of Newton and Raphson in Q2.29 start from
    the line 48/17 - 32/17 · (1 + x) / 2.
    """
    exponent = np.frexp(total)[1]  # Bits of the sum.
    fraction = (total << (32 - exponent)) - (1 << 31)
    half = (fraction + ONE + 1) >> 1
    x = round(48 / 17 * 2**29) + _multiply(half, -round(32 / 17 * 2**29))
    for _ in range(3):
        x = x + (_multiply(x, (1 << 29) - _multiply(half, x)) << 2)
    return np.minimum(x << 1, ONE), exponent - (32 - SUM_BITS)


def _multiply(a, b):
    """Product of fixed-point numbers, one of them in Q0.31, ties towards plus infinity."""
    return (a * b + (1 << 30)) >> 31


def _divide(values, bits):
    """values / 2^bits, ties away from zero."""
    half = (np.int64(1) << bits) >> 1
    return np.where(values < 0, -((half - values) >> bits), (half + values) >> bits)
