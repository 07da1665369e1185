"""Constant weights and biases of convolutions and matrix products."""

import numpy as np
from onnx import TensorProto

from compiler.onnx_values import Constant, QuantisedConstant, along

__all__ = ["channel_values", "integer_weights", "read_bias", "read_weights"]


def centred(node, name, codes, zero_point, axis):
    """Weights less their zero points, as int8.

    Parameters
    ----------
    node : Node
    name : str
        Of the input, for error messages.
    codes : array of int8 or uint8
    zero_point : array of ints, shape () or (codes.shape[axis],)
    axis : int
        Of the output channels.
    """
    zero_point = np.asarray(zero_point, np.int16)
    if zero_point.ndim:
        zero_point = along(zero_point, codes.ndim, axis)
    values = codes.astype(np.int16) - zero_point
    if values.size and (values.min() < -128 or values.max() > 127):
        raise node.fault(f"input '{name}' less its zero point spans [{values.min()}, "
                         f"{values.max()}], more than int8", "quantise weights symmetrically")
    return values.astype(np.int8)


def integer_weights(node, name, zero_point, axis):
    """Weights that a node takes as codes, less those of input ``zero_point``, as int8."""
    codes = node.constant(name, TensorProto.INT8, TensorProto.UINT8)
    given = np.int8(0)
    if node.given(zero_point):
        kind = TensorProto.UINT8 if codes.dtype == np.uint8 else TensorProto.INT8
        given = node.vector(zero_point, codes.shape[axis], kind)
    return centred(node, name, codes, given, axis)


def read_weights(node, name, axis):
    """Weights that a node takes as reals: int8 values, and a float32 scale per output channel.

    Parameters
    ----------
    node : Node
    name : str
        Of the input: a dequantised constant or, in a model that is quantised here, float.
    axis : int
        Of the output channels.

    Returns
    -------
    (weight, scale) : array of int8 in the input's shape; array of float32, shape (channels,)
    """
    value = node.value(name)
    if isinstance(value, Constant) and node.reader.calibration is not None:
        return node.reader.calibration.weights(node, name, axis)
    if not isinstance(value, QuantisedConstant):
        raise node.wrong(name, "dequantised constant weights",
                         "quantise the weights to int8, or give calibration images")
    if value.codes.dtype == np.int32:
        raise node.fault(f"input '{name}' is int32 values", "quantise the weights to int8")
    if value.axis not in (None, axis):
        raise node.fault(f"input '{name}' is quantised along axis {value.axis}, not {axis}",
                         "quantise per tensor, or weights per output channel")
    weight = centred(node, name, value.codes, value.zero_point, axis)
    return weight, np.broadcast_to(value.scale, (value.shape[axis],))


def read_bias(node, name, factor, times=1.0, *, behind=0):
    """Bias of the output channels: as accumulators where it is that, else as reals.

    Parameters
    ----------
    node : Node
    name : str
        Of the input, a constant; it may be absent.
    factor : array of float32, shape (channels,)
        Real value of an accumulator.
    times : float
        What the bias is multiplied by.
    behind : int
        See `channel_values`.

    Returns
    -------
    (bias, offset) : array of int64, shape (channels,); array of float64 of that shape, or None
        Their sum, each in its unit, is the bias.
    """
    channels = len(factor)
    zeros = np.zeros(channels, np.int64)
    if not node.given(name):
        return zeros, None
    value = node.value(name)
    if not isinstance(value, QuantisedConstant):
        offset = node.constant(name, TensorProto.FLOAT).astype(np.float64)
        if not np.all(np.isfinite(offset)):
            raise node.fault(f"input '{name}' is not finite", "export the model again")
        return zeros, channel_values(node, name, offset, channels, behind=behind) * times
    # By its own axis where there are several scales; the shape is checked after that.
    codes = value.codes.astype(np.int64) - value.along(value.zero_point)
    steps = channel_values(node, name, codes, channels, behind=behind)
    scale = np.broadcast_to(value.along(value.scale), codes.shape)
    scale = channel_values(node, name, scale, channels, behind=behind)
    if times == 1 and value.codes.dtype == np.int32 and np.array_equal(scale, factor):
        return steps, None
    return zeros, steps * scale.astype(np.float64) * times


def channel_values(node, name, values, channels, *, behind=0):
    """``values`` of input ``name`` as one per channel.

    The axis that counts channels has ``behind`` axes after it, and no other is longer than 1; a
    single value is every channel's. A negative ``behind`` allows that only.
    """
    shape = values.shape
    place = len(shape) - 1 - behind
    if values.size != 1 and not (behind >= 0 and place >= 0 and shape[place] == values.size
                                 == channels):
        raise node.fault(f"input '{name}' has shape {shape}, not "
                         f"({', '.join(map(str, (channels, *[1] * max(behind, 0))))})",
                         "give one value per output channel")
    return np.broadcast_to(values.reshape(-1), (channels,))
