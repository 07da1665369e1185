"""Folding what follows or surrounds a convolution into its integers: BatchNorm, zero points.

NumPy only; shares no code with ``hdl``.
"""

from dataclasses import dataclass

import numpy as np

from golden.batchnorm import channel_statistics
from golden.checks import (
    INT8,
    INT32,
    UINT8,
    channel_vector,
    in_range,
    integer,
    integer_array,
    positive_real,
    real_array,
)
from golden.requant import MULTIPLIER, quantise_multiplier

__all__ = ["Affine", "fold_batchnorm", "fold_zero_point"]


@dataclass(frozen=True, eq=False)
class Affine:
    """Integers per channel with which ``requantise(acc + bias, multiplier, shift)`` is an affine
    map of a convolution's accumulators.

    A channel that does not depend on the accumulator (a gain of zero) is constant, and one
    multiplier cannot both ignore the accumulator and pass the bias: there ``keep`` is False and
    the map holds for weights of zero, which :meth:`apply_to` makes.

    Members
    -------
    multiplier, shift, bias : arrays of int64, shape (C,)
        In the ranges of :func:`golden.requant.requantise`; the bias in int32.
    keep : array of bool, shape (C,)
        Whether the channel's weights stay.
    """

    multiplier: np.ndarray
    shift: np.ndarray
    bias: np.ndarray
    keep: np.ndarray

    def apply_to(self, weight):
        """Weights (C, Cin / group, kh, kw) with those of constant channels zeroed; a copy."""
        weight = integer_array("weight", weight)
        if weight.ndim != 4 or len(weight) != len(self.keep):
            raise ValueError(f"weight must have shape ({len(self.keep)}, Cin / group, kh, kw), "
                             f"not {weight.shape}")
        return np.where(self.keep[:, None, None, None], weight, weight.dtype.type(0))


def fold_batchnorm(gamma, beta, mean, variance, *, epsilon, input_scale, weight_scale,
                   output_scale, conv_bias=None, rounding):
    r"""Fold an inference BatchNorm, and all scales, into integers per channel.

    With accumulators of real value :math:`s_x s_w \cdot acc` and :math:`\sigma =
    \sqrt{variance + \epsilon}`, the normalised convolution in steps of the output scale is

    .. math:: \frac{y}{s_y} = k \cdot acc + c, \qquad k = \frac{\gamma s_x s_w}{\sigma s_y}, \qquad
              c = \frac{(b - mean) \cdot \gamma / \sigma + \beta}{s_y}

    M and S are :func:`golden.requant.quantise_multiplier` of k, negative where γ is, and the bias
    is :math:`c \cdot 2^S / M` rounded to the nearest integer, ties to even. Before the output's
    own rounding, the result is therefore off by at most \|k\| / 2 (the bias), plus
    :math:`2^{-24} \|k \cdot acc\|` (``half_even``) or :math:`2^{-31} \|k \cdot acc\|` (the others).

    A channel with M = 0 (γ of zero, or so small that no int32 accumulator matters) is constant:
    M / 2^S is then quantised from c itself, the bias is 1, and ``keep`` is False.

    Parameters
    ----------
    gamma, beta, mean, variance : real arrays, shape (C,)
        As in :func:`golden.batchnorm.batchnorm_infer`.
    epsilon : float
        As there.
    input_scale, output_scale : float
        Positive and finite.
    weight_scale : float, or real array of shape (C,)
        Positive and finite.
    conv_bias : real array of shape (C,), or None
        The convolution's own bias b as a real number (an integer bias times s_x·s_w).
    rounding : str
        One of :data:`golden.requant.ROUNDINGS`.

    Returns
    -------
    Affine

    Raises
    ------
    OverflowError
        If a bias does not fit int32, or a constant output no multiplier.
    ValueError
        If a statistic or scale is out of range, or k is too large for any multiplier.
    """
    channels = len(real_array("gamma", np.atleast_1d(gamma)))
    gamma, beta, mean, deviation = channel_statistics(gamma, beta, mean, variance, epsilon,
                                                      channels=channels)
    conv_bias = real_array("conv_bias", np.zeros(channels) if conv_bias is None else conv_bias,
                           (channels,))
    output_scale = positive_real("output_scale", output_scale)
    gain = gamma / deviation
    step = positive_real("input_scale", input_scale) * _scales(weight_scale, channels)
    offset = ((conv_bias - mean) * gain + beta) / output_scale

    multiplier, shift = quantise_multiplier(gain * step / output_scale, rounding=rounding)
    keep = multiplier != 0
    constant = np.where(keep, 0.0, offset)
    beyond = np.flatnonzero(np.abs(constant) > MULTIPLIER[1])
    if beyond.size:
        channel = beyond[0]
        raise OverflowError(f"Constant output of channel {channel} is {constant[channel]} steps, "
                            f"outside [{MULTIPLIER[0]}, {MULTIPLIER[1]}]")
    constant_multiplier, constant_shift = quantise_multiplier(constant, rounding=rounding)
    bias = np.rint(np.ldexp(offset, shift) / np.where(keep, multiplier, 1))
    bias = np.where(keep, bias, constant_multiplier != 0)
    beyond = np.flatnonzero((bias < INT32[0]) | (bias > INT32[1]))
    if beyond.size:
        channel = beyond[0]
        raise OverflowError(f"bias of channel {channel} is {bias[channel]}, outside [{INT32[0]}, "
                            f"{INT32[1]}]: gamma {gamma[channel]} is small for its offset; "
                            "a gamma of zero makes the channel constant")
    return Affine(np.where(keep, multiplier, constant_multiplier),
                  np.where(keep, shift, constant_shift), bias.astype(np.int64), keep)


def fold_zero_point(weight, bias, input_zero_point):
    r"""Bias with which a convolution of the raw codes gives the same accumulators.

    .. math:: b'_j = b_j - z_x \cdot \sum_{i,k_y,k_x} w_{j,i,k_y,k_x}

    The result wraps to int32, as a 32-bit adder does; so do the sums to which it is added, and an
    accumulator that fits int32 comes out all the same. Padding must hold the code :math:`z_x`, as
    it does in hardware.

    Parameters
    ----------
    weight : array of integers, shape (Cout, Cin / group, kh, kw)
        In [-128, 127].
    bias : array of integers, shape (Cout,)
        In int32.
    input_zero_point : int
        In [-128, 255].

    Returns
    -------
    array of int64, shape (Cout,)
        In int32.
    """
    weight = in_range("weight", integer_array("weight", weight), *INT8, axis=0)
    if weight.ndim != 4:
        raise ValueError(f"weight must have 4 dimensions, not shape {weight.shape}")
    bias = channel_vector("bias", bias, len(weight), *INT32)
    zero_point = integer("input_zero_point", input_zero_point, INT8[0], UINT8[1])
    folded = bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    return (folded - INT32[0]) % (1 << 32) + INT32[0]


def _scales(values, channels):
    values = np.asarray(values, np.float64)
    if values.shape not in ((), (channels,)):
        raise ValueError(f"weight_scale must be a scalar or have shape ({channels},), "
                         f"not {values.shape}")
    for value in values.flat:
        positive_real("weight_scale", value)
    return values
