"""Reference for BatchNorm2d: inference and training in float64, inference in fixed point.

NumPy only; shares no code with ``hdl``.
"""

import numpy as np

from golden.checks import INT32, channel_vector, in_range, integer_array, real_array
from golden.requant import requantise

__all__ = ["batchnorm_fixed", "batchnorm_infer", "batchnorm_train", "channel_statistics"]


def batchnorm_infer(x, gamma, beta, mean, variance, *, epsilon):
    r"""Batch normalisation with given statistics.

    .. math:: y = \frac{x - mean}{\sqrt{variance + \epsilon}} \cdot \gamma + \beta

    Parameters
    ----------
    x : real array, shape (N, C, H, W)
    gamma, beta, mean, variance : real arrays, shape (C,)
        variance >= 0.
    epsilon : float
        At least 0; positive if a variance is zero.

    Returns
    -------
    array of float64, shape (N, C, H, W)

    Raises
    ------
    ValueError
        If a value is not finite, a shape is wrong, a variance is negative, or variance + epsilon
        is not positive.
    """
    x = _activations(x)
    gamma, beta, mean, deviation = channel_statistics(gamma, beta, mean, variance, epsilon,
                                                      channels=x.shape[1])
    shape = (-1, 1, 1)
    normal = (x - mean.reshape(shape)) / deviation.reshape(shape)
    return normal * gamma.reshape(shape) + beta.reshape(shape)


def batchnorm_train(x, gamma, beta, running_mean, running_variance, *, momentum, epsilon):
    r"""Batch normalisation with the batch's own statistics, which update the running ones.

    The batch is normalised with its *biased* variance (mean square deviation over the
    :math:`n = N \cdot H \cdot W` elements of a channel). The running statistics follow

    .. math:: running' = momentum \cdot running + (1 - momentum) \cdot batch

    where the batch's variance is the *unbiased* one, n / (n - 1) times the biased. This momentum is
    MindSpore's and ONNX's; PyTorch's is 1 minus it. (ONNX's own training mode puts the biased
    variance into the running variance; PyTorch and MindSpore the unbiased.)

    Parameters
    ----------
    x : real array, shape (N, C, H, W)
        With N·H·W of at least 2.
    gamma, beta, running_mean, running_variance : real arrays, shape (C,)
        running_variance >= 0.
    momentum : float
        In [0, 1].
    epsilon : float
        At least 0; positive if a channel of the batch may be constant.

    Returns
    -------
    (y, new_mean, new_variance) : arrays of float64, shapes (N, C, H, W), (C,), (C,)

    Raises
    ------
    ValueError
        As :func:`batchnorm_infer`, and if momentum is out of range or n is less than 2.
    """
    x = _activations(x)
    count = x.size // x.shape[1] if x.shape[1] else 0
    if count < 2:
        raise ValueError(f"Training needs at least 2 elements per channel, not {count}")
    momentum = float(momentum)
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum must be in [0, 1], not {momentum}")
    running_mean = real_array("running_mean", running_mean, (x.shape[1],))
    running_variance = real_array("running_variance", running_variance, (x.shape[1],))
    _not_negative("running_variance", running_variance)
    mean = x.mean(axis=(0, 2, 3))
    biased = x.var(axis=(0, 2, 3))
    y = batchnorm_infer(x, gamma, beta, mean, biased, epsilon=epsilon)
    unbiased = biased * (count / (count - 1))
    return (y, momentum * running_mean + (1 - momentum) * mean,
            momentum * running_variance + (1 - momentum) * unbiased)


def batchnorm_fixed(acc, affine, *, rounding, zero_point=0, low, high):
    """Fixed-point BatchNorm of a convolution's accumulators: requantise(acc + bias).

    Parameters
    ----------
    acc : array of integers, shape (N, C, H, W)
        Accumulators without bias, of weights that ``affine.apply_to`` has seen.
    affine : golden.fold.Affine
        What :func:`golden.fold.fold_batchnorm` returned for the same ``rounding``.
    rounding, zero_point, low, high
        As in :func:`golden.requant.requantise`, as are the result and the errors; acc + bias must
        fit int32.
    """
    acc = in_range("accumulator", integer_array("accumulator", acc), *INT32)
    bias = channel_vector("bias", affine.bias, acc.shape[1], *INT32)
    return requantise(acc + bias.reshape(-1, 1, 1), affine.multiplier, affine.shift,
                      rounding=rounding, zero_point=zero_point, low=low, high=high)


def channel_statistics(gamma, beta, mean, variance, epsilon, channels):
    """The four channel vectors as float64, checked, the variance as √(variance + epsilon)."""
    gamma, beta, mean, variance = (
        real_array(name, values, (channels,)) for name, values in
        (("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)))
    _not_negative("variance", variance)
    epsilon = float(epsilon)
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon must be finite and at least 0, not {epsilon}")
    constant = np.flatnonzero(variance + epsilon == 0)
    if constant.size:
        raise ValueError(f"variance of channel {constant[0]} is zero, and so is epsilon")
    return gamma, beta, mean, np.sqrt(variance + epsilon)


def _activations(x):
    x = real_array("x", x)
    if x.ndim != 4:
        raise ValueError(f"x must have 4 dimensions, not shape {x.shape}")
    return x


def _not_negative(name, values):
    negative = np.flatnonzero(values < 0)
    if negative.size:
        raise ValueError(f"{name} of channel {negative[0]} must not be negative, "
                         f"but is {values[negative[0]]}")
