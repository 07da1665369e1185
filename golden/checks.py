"""Operand checks shared by the golden functions: refuse what the arithmetic contract excludes.

An operand of the wrong kind is a ``TypeError``; a value that does not fit its operand's width is an
``OverflowError``; a parameter outside its meaning is a ``ValueError``. Every message names the
quantity and shows the value.
"""

import math
import operator

import numpy as np

__all__ = ["INT32", "INT8", "UINT8", "channel_vector", "code_limits", "in_range", "integer",
           "integer_array", "integer_tuple", "positive_real", "real_array"]


INT8 = (-128, 127)
UINT8 = (0, 255)
INT32 = (-2**31, 2**31 - 1)


def integer_array(name, values):
    """``values`` as an array of integers of their own type; floats and booleans are refused."""
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"{name} must be an integer array, not {values.dtype}")
    return values


def in_range(name, values, low, high, *, axis=None):
    """``values`` unchanged; ``OverflowError`` unless all are in [low, high].

    The message names the channel, counted along ``axis``, when there is an axis to count along.
    """
    if values.size and (values.min() < low or values.max() > high):
        where = np.argwhere((values < low) | (values > high))[0]
        channel = "" if axis is None or values.ndim == 0 else f" of channel {where[axis]}"
        raise OverflowError(f"{name}{channel} is {values[tuple(where)]}, outside [{low}, {high}]")
    return values


def channel_vector(name, values, channels, low, high):
    """Integers in [low, high], one per channel, as int64 of shape (channels,)."""
    values = integer_array(name, values)
    if values.shape != (channels,):
        raise ValueError(f"{name} must have shape ({channels},), not {values.shape}")
    return in_range(name, values, low, high, axis=0).astype(np.int64)


def integer(name, value, low, high=None):
    """``value`` as a Python integer in [low, high]; no upper limit if ``high`` is None."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if high is None and number < low:
        raise ValueError(f"{name} must be at least {low}, not {number}")
    if high is not None and not low <= number <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], not {number}")
    return number


def integer_tuple(name, values, length, low):
    """``values`` as a tuple of ``length`` integers, each at least ``low``."""
    values = tuple(values)
    if len(values) != length:
        raise ValueError(f"{name} must have {length} values, not {values}")
    return tuple(integer(name, value, low) for value in values)


def positive_real(name, value):
    """``value`` as a float, which must be positive and finite."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, not {number}")
    return number


def real_array(name, values, shape=None):
    """``values`` as finite float64 of the given shape (any shape if None)."""
    values = np.asarray(values)
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise TypeError(f"{name} must be a real array, not {values.dtype}")
    if shape is not None and values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {values.shape}")
    values = values.astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be finite, not {values[~np.isfinite(values)].flat[0]}")
    return values


def code_limits(dtype):
    """Least and greatest code of an activation type, int8 or uint8."""
    dtype = np.dtype(dtype)
    if dtype == np.int8:
        return INT8
    if dtype == np.uint8:
        return UINT8
    raise TypeError(f"An activation type must be int8 or uint8, not {dtype}")
