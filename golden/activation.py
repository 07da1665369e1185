"""Integer reference for ReLU and other clips. NumPy only; shares no code with ``hdl``.

On codes, an activation that only clips is a pair of bounds, which requantisation applies in its
clamp at no cost: :func:`relu_bounds` and :func:`clip_bounds` find them.
"""

import math

import numpy as np

from golden.checks import code_limits, in_range, integer, integer_array, positive_real
from golden.requant import check_rounding

__all__ = ["clip", "clip_bounds", "relu", "relu_bounds"]


def relu(codes, zero_point):
    """max(codes, zero_point): ReLU of the values that the codes stand for.

    ``codes`` is an integer array of any type that holds ``zero_point``; the result has its type.
    """
    codes = integer_array("codes", codes)
    zero_point = in_range("zero_point", np.asarray(integer("zero_point", zero_point, -2**31)),
                          np.iinfo(codes.dtype).min, np.iinfo(codes.dtype).max)
    return np.maximum(codes, zero_point.astype(codes.dtype))


def clip(codes, low, high):
    """Codes limited to [low, high], in their own type. ``ValueError`` if low > high."""
    codes = integer_array("codes", codes)
    if low > high:
        raise ValueError(f"low must not exceed high, but {low} > {high}")
    return np.clip(codes, low, high)


def relu_bounds(dtype, zero_point):
    """Code bounds (low, high) of a ReLU whose output has the given type, int8 or uint8."""
    limits = code_limits(dtype)
    return integer("zero_point", zero_point, *limits), limits[1]


def clip_bounds(minimum, maximum, scale, zero_point, dtype, *, rounding="tflite"):
    r"""Code bounds of a clip to real [minimum, maximum], for instance [0, 6] for ReLU6.

    .. math:: bound = \operatorname{clamp}\!\left(z_y + \operatorname{round}(limit / scale),
              low_{type}, high_{type}\right)

    as TFLite's CalculateActivationRangeQuantized: limit and scale are float32, so is their
    quotient, and its ties round away from zero (``tflite``, the default). ONNX's Clip before
    QuantizeLinear gives the same codes as clamping to the bounds of ``half_even``, because
    quantisation is monotonic; the two differ only where limit / scale is a tie.

    Parameters
    ----------
    minimum, maximum : float
        minimum <= maximum; an infinity is no limit on that side.
    scale : float
        Of the output; positive and finite.
    zero_point : int
        Of the output, within its type.
    dtype : numpy.int8 or numpy.uint8
    rounding : str
        One of :data:`golden.requant.ROUNDINGS`.

    Returns
    -------
    (low, high) : ints
    """
    limits = code_limits(dtype)
    zero_point = integer("zero_point", zero_point, *limits)
    scale = positive_real("scale", scale)
    check_rounding(rounding)
    if not minimum <= maximum:  # NaN lands here too.
        raise ValueError(f"minimum must not exceed maximum, but they are {minimum} and {maximum}")
    with np.errstate(over="ignore", divide="ignore"):  # An infinite quotient is no limit.
        quotients = np.array([minimum, maximum], np.float32) / np.float32(scale)
    low, high = (_code(float(quotient), zero_point, limits, rounding) for quotient in quotients)
    return low, high


def _code(quotient, zero_point, limits, rounding):
    if abs(quotient) > 1 << 24:  # Saturates; infinities do not become integers.
        return limits[quotient > 0]
    if rounding == "half_even":
        steps = round(quotient)
    elif rounding == "half_up":
        steps = math.floor(quotient + 0.5)
    else:
        steps = int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))
    return min(max(zero_point + steps, limits[0]), limits[1])
