"""Integer reference for requantisation. NumPy only; shares no code with ``hdl``."""

import numpy as np

from golden.checks import INT32, in_range, integer, integer_array, real_array

__all__ = ["MULTIPLIER", "ROUNDINGS", "SHIFT", "check_rounding", "quantise_multiplier",
           "requantise"]


ROUNDINGS = ("half_even", "tflite", "half_up")

# Multipliers are symmetric: without -2^31 the doubling high multiply of TFLite never saturates.
MULTIPLIER = (-(2**31 - 1), 2**31 - 1)
SHIFT = (0, 62)


def check_rounding(rounding):
    """``rounding`` if it is one of :data:`ROUNDINGS`, else ``ValueError``."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}, not {rounding!r}")
    return rounding


def requantise(acc, multiplier, shift, *, rounding, zero_point=0, low, high, axis=1):
    r"""Scale accumulators by a fixed-point factor, round, add the zero point and clamp.

    .. math:: q = \operatorname{clamp}\!\left(
              \operatorname{round}\!\left(\frac{acc \cdot M}{2^S}\right) + z_y, low, high\right)

    ``half_even``
        Nearest integer to the exact quotient, ties to the even one.
    ``half_up``
        :math:`\lfloor acc \cdot M / 2^S + 1/2 \rfloor`: ties towards plus infinity.
    ``tflite``
        What TFLite's reference kernels compute. For S >= 31, gemmlowp's
        SaturatingRoundingDoublingHighMul, :math:`h = \lfloor (acc \cdot M + 2^{30}) / 2^{31}
        \rfloor`, then its RoundingDivideByPOT by S - 31, whose ties go away from zero. Two
        roundings: the result can be the farther neighbour of the exact quotient. For S < 31 TFLite
        first shifts the accumulator left by 31 - S, and the result is that of ``half_up``, as long
        as TFLite's shift does not leave int32 (\|acc\| < 2^S); beyond, TFLite's wraps, this does
        not.

    Every intermediate fits int64: \|acc·M\| <= 2^62.

    Parameters
    ----------
    acc : array of integers
        Accumulators, in int32.
    multiplier, shift : integers, scalar or of shape (acc.shape[axis],)
        M in [-(2^31 - 1), 2^31 - 1], S in [0, 62]. M may be negative (a negative BatchNorm gain);
        -2^31 is excluded, so that the saturating case of gemmlowp cannot arise.
    rounding : str
        One of :data:`ROUNDINGS`.
    zero_point, low, high : int
        :math:`z_y` and the bounds of the result, low <= high, all in int32.
    axis : int
        Axis of ``acc`` that counts channels.

    Returns
    -------
    array of int64, the shape of ``acc``

    Raises
    ------
    TypeError
        If an operand is not of integers.
    OverflowError
        If an accumulator, multiplier or shift is out of range.
    ValueError
        If another parameter is out of range, or the shapes do not go together.
    """
    check_rounding(rounding)
    zero_point = integer("zero_point", zero_point, *INT32)
    low, high = integer("low", low, *INT32), integer("high", high, *INT32)
    if low > high:
        raise ValueError(f"low must not exceed high, but {low} > {high}")
    acc = in_range("accumulator", integer_array("accumulator", acc), *INT32).astype(np.int64)
    multiplier = _per_channel("multiplier", multiplier, acc.shape, axis, *MULTIPLIER)
    shift = _per_channel("shift", shift, acc.shape, axis, *SHIFT)

    product = acc * multiplier
    if rounding == "half_even":
        rounded = _half_even(product, shift)
    elif rounding == "half_up":
        rounded = _half_up(product, shift)
    else:
        high_half = _half_up(product, np.minimum(shift, 31))
        rounded = _half_away(high_half, np.maximum(shift - 31, 0))
    return np.clip(rounded + zero_point, low, high)


def quantise_multiplier(scale, *, rounding):
    r"""Multiplier and shift with :math:`M / 2^S \approx scale`, as each rounding mode wants them.

    ``half_even``
        The scale is rounded to float32, ONNX's type for scales; M is its 24-bit significand, and
        :math:`M / 2^S` is that float32 exactly. Where S would be negative, M is shifted left
        instead, while it fits.
    ``tflite``, ``half_up``
        TFLite's QuantizeMultiplier: M is the float64's significand rounded to 31 bits, ties away
        from zero; a carry to 2^31 halves M and increments the exponent.

    A scale whose S would exceed 62 gives (0, 0): with it, \|acc·M / 2^S\| < 1/2 for every int32
    accumulator, so each result is zero anyway (TFLite's own rule, a shift below -31, is the same
    limit).

    Parameters
    ----------
    scale : real, any shape
        Finite; may be negative or zero. Zero gives (0, 0).
    rounding : str
        One of :data:`ROUNDINGS`.

    Returns
    -------
    (multiplier, shift) : arrays of int64, the shape of ``scale``

    Raises
    ------
    ValueError
        If a scale is not finite or too large for any multiplier.
    """
    check_rounding(rounding)
    scale = real_array("scale", scale)
    bits = 24 if rounding == "half_even" else 31
    with np.errstate(over="ignore"):  # An infinity is refused below, with the scale it came from.
        rounded = scale.astype(np.float32).astype(np.float64) if bits == 24 else scale
    significand, exponent = np.frexp(rounded)
    # 24 bits are exact; for 31, floor(|m|·2^31 + 1/2) is exact since a float64 has 53.
    magnitude = np.floor(np.abs(significand) * 2.0**bits + 0.5)
    carry = magnitude == 2.0**bits
    magnitude = np.where(carry, magnitude / 2, magnitude)
    shift = bits - (exponent.astype(np.int64) + carry)

    left = np.maximum(-shift, 0)
    beyond = ~np.isfinite(rounded) | (left > 31 - bits)
    if np.any(beyond):
        raise ValueError(f"scale {scale[beyond].flat[0]} is beyond the multiplier, "
                         f"at most {MULTIPLIER[1]}")
    multiplier = np.sign(scale).astype(np.int64) * (magnitude.astype(np.int64) << left)
    keep = (multiplier != 0) & (shift <= SHIFT[1])
    return np.where(keep, multiplier, 0), np.where(keep, np.maximum(shift, 0), 0)


def _per_channel(name, values, shape, axis, low, high):
    """Scalar or channel vector, checked, in a shape that broadcasts over ``shape``."""
    values = integer_array(name, values)
    in_range(name, values, low, high, axis=0)
    if values.ndim:
        channels = shape[axis]
        if values.shape != (channels,):
            raise ValueError(f"{name} must be a scalar or have shape ({channels},), "
                             f"not {values.shape}")
        values = values.reshape([-1 if a == axis % len(shape) else 1 for a in range(len(shape))])
    return values.astype(np.int64)


def _half_up(value, shift):
    half = (np.int64(1) << shift) >> 1
    return (value + half) >> shift


def _half_even(value, shift):
    odd = (value >> shift) & (shift > 0)
    half = (np.int64(1) << shift) >> 1
    # Just under one half when the quotient is even, one half when it is odd; nothing for S = 0.
    return (value + (np.maximum(half, 1) - 1) + odd) >> shift


def _half_away(value, shift):
    half = (np.int64(1) << shift) >> 1
    # One half, or just under it for a negative value, whose tie goes down; nothing for S = 0.
    return (value + half - ((value < 0) & (shift > 0))) >> shift
