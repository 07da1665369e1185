"""Multipliers of TFLite's FULLY_CONNECTED, which rounds in floating point."""

import numpy as np

from golden.requant import MULTIPLIER, quantise_multiplier, requantise

__all__ = ["float_rounding_multiplier", "rounded_product"]

# How far from the nearest one to look for a multiplier: above first, for that decides ties.
_OFFSETS = (1, 0, 2, -1, 3, -2, 4, -3, 5, -4)


def rounded_product(acc, scale):
    """C's ``round((double)acc * scale)``: the nearest integer to the float64 product, ties away
    from zero."""
    product = np.asarray(acc, np.float64) * scale
    whole = np.trunc(product)
    return whole + np.where(np.abs(product - whole) >= 0.5, np.sign(product), 0)


def float_rounding_multiplier(scale, least, greatest, *, low, high):
    r"""Multiplier and shift with which ``half_up`` rounds as LiteRT's reference FULLY_CONNECTED.

    That kernel (``internal/reference/integer_ops/fully_connected.h``) computes

    .. math:: \operatorname{clamp}(\operatorname{round}(acc \cdot scale), low, high)

    in float64, with ties away from zero. As a function of acc it is a staircase, and so is
    :math:`\lfloor acc \cdot M / 2^S + 1/2 \rfloor`: they are the same if they agree on both sides
    of every step. Of the multipliers next to :math:`scale \cdot 2^S`, the first that agrees
    everywhere is taken. One slightly above makes the products slightly larger in magnitude, which
    decides ties as the kernel does.

    Up to some 2^22 for the range of the codes there always was one that agrees; by 2^26, which
    takes thousands of products all near their greatest, every fifth scale has none.

    Parameters
    ----------
    scale : array of float64, shape (C,)
        Positive; none so large that a product leaves int32.
    least, greatest : arrays of int64, shape (C,)
        Range of the accumulators, in int32.
    low, high : int
        Bounds of the result, before the zero point is added.

    Returns
    -------
    (multiplier, shift) : arrays of int64, shape (C,)

    Raises
    ------
    ValueError
        If a scale is too large for any multiplier, or no multiplier of 31 bits agrees everywhere.
    """
    # Per tensor, one multiplier serves all channels.
    scale, channel = np.unique(scale, return_inverse=True)
    least = np.array([least[channel == index].min() for index in range(len(scale))])
    greatest = np.array([greatest[channel == index].max() for index in range(len(scale))])
    multiplier, shift = quantise_multiplier(scale, rounding="half_up")
    scale, least, greatest = scale[:, None], least[:, None], greatest[:, None]
    steps = np.arange(low + 1, high + 1)
    first = _first_at_least(steps, scale, least, greatest)
    points = np.clip(np.concatenate([first - 1, first], axis=1), least, greatest)
    expected = np.clip(rounded_product(points, scale), low, high)
    chosen, open_ = multiplier.copy(), np.ones(len(multiplier), bool)
    for offset in _OFFSETS:
        # A scale too small for any multiplier gives nothing but zeros.
        trial = np.where(multiplier > 0, np.minimum(multiplier + offset, MULTIPLIER[1]), 0)
        made = requantise(points, trial, shift, rounding="half_up", low=low, high=high, axis=0)
        agrees = open_ & np.all(made == expected, axis=1)
        chosen, open_ = np.where(agrees, trial, chosen), open_ & ~agrees
        if not open_.any():
            return chosen[channel], shift[channel]
    wrong = int(np.argmax(open_[channel]))
    raise ValueError(f"no multiplier of 31 bits rounds as scale {scale[channel[wrong], 0]:.6g} of "
                     f"channel {wrong} for every accumulator")


def _first_at_least(steps, scale, least, greatest):
    """The least accumulator whose rounded product reaches each step; greatest + 1 if none does."""
    with np.errstate(over="ignore"):
        near = (steps - 0.5) / scale
    first = np.clip(np.ceil(near), least, greatest + 1).astype(np.int64)
    # Float64 and ties put it next to the right one at most.
    while np.any(late := (first > least) & (rounded_product(first - 1, scale) >= steps)):
        first = first - late
    while np.any(early := (first <= greatest) & (rounded_product(first, scale) < steps)):
        first = first + early
    return first
