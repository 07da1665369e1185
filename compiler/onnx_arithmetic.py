"""Arithmetic with constants: biases, scales and BatchNorm behind a convolution, or a table."""

import math
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from compiler.onnx_node import FLOAT, INT, operator
from compiler.onnx_sums import Sums
from compiler.onnx_tensor import MAX_ELEMENTS
from compiler.onnx_values import Constant, Layout, QuantisedConstant
from compiler.onnx_weights import channel_values, read_bias
from compiler.onnx_window import Window

__all__ = ["arithmetic", "is_constant"]

CONSTANT = "bias or scale of the layer before, or a table"
LIMITS = "with a constant: one number, or one per channel behind a convolution or a product"
UNIT = 64
"""Weight of a BatchNorm on its own: the bias is then rounded to 1/64 of a step of the input."""


def is_constant(value):
    """Whether a value does not depend on the model's input."""
    return isinstance(value, (Constant, QuantisedConstant))


@operator("Sub", "A B", mapped=CONSTANT, limits=LIMITS)
def sub(node):
    """Difference of a value and a constant."""
    return arithmetic(node, np.subtract)


@operator("Mul", "A B", mapped=CONSTANT, limits=LIMITS)
def mul(node):
    """Product of a value and a constant."""
    return arithmetic(node, np.multiply)


@operator("Div", "A B", mapped=CONSTANT, limits=LIMITS)
def div(node):
    """Quotient of a value and a constant."""
    return arithmetic(node, np.divide)


@operator("BatchNormalization", "X scale B input_mean input_var", epsilon=FLOAT, momentum=FLOAT,
          training_mode=INT, mapped="multiplier, shift and bias of the convolution before it, or a "
          "depthwise one of its own", limits="of a float model, in inference")
def batch_normalization(node):
    """BatchNorm of a model that is quantised here."""
    node.must_be("training_mode", 0, "export the model for inference")
    if node.reader.calibration is None:
        raise node.fault("a quantised model has a BatchNormalization",
                         "fold it into the Conv before it when you quantise")
    value = node.value("X")
    if not isinstance(value, Sums) or _is_clipped(value):
        value = _alone(node, "X")
    channels = value.channels
    gamma, beta, mean, variance = (
        _one_per_channel(node, name, channels) for name in node.operator.inputs[1:])
    epsilon = node.number("epsilon", 1e-5)
    if np.any(variance < 0) or epsilon < 0 or np.any(variance + epsilon == 0):
        raise node.fault("its variance plus epsilon is not positive", "export the model again")
    gain = gamma / np.sqrt(variance + epsilon)
    return _affine(value, gain, beta - mean * gain)


def _one_per_channel(node, name, channels):
    """Input ``name`` of a BatchNorm as float64; ONNX broadcasts none of them."""
    values = node.constant(name, TensorProto.FLOAT)
    if values.shape != (channels,):
        raise node.fault(f"input '{name}' has shape {values.shape}, not ({channels},)",
                         "give one value per channel")
    return _finite(node, name, values.astype(np.float64))


def arithmetic(node, function):
    """``function``, a NumPy one, of the inputs A and B, of which one at least is constant."""
    constants = [name for name in ("A", "B") if is_constant(node.value(name))]
    if not constants:
        raise node.fault("neither of its operands is constant",
                         "remove it: the engine adds two values and no more")
    if len(constants) == 2:
        first, second = (node.constant(name, TensorProto.FLOAT) for name in ("A", "B"))
        size = math.prod(np.broadcast_shapes(first.shape, second.shape))
        if size > MAX_ELEMENTS:
            raise node.fault(f"it makes a constant of {size} elements",
                             f"keep tensors to {MAX_ELEMENTS} elements")
        with np.errstate(all="ignore"):
            return Constant.of_array(function(first, second).astype(np.float32, copy=False),
                                     node.output)
    name, = constants
    other = "AB".replace(name, "")
    value = node.value(other)
    if isinstance(value, Sums) and value.integer:
        return _integer_bias(node, value, name, function)
    if isinstance(value, Sums) and not _is_clipped(value):
        return _on_sums(node, value, name, function)
    real = node.real(other)
    values = _reals(node, name)
    if values.size == 1:
        number = values.reshape(())
        with np.errstate(all="ignore"):
            return real.mapped(lambda table: function(number, table) if name == "A"
                               else function(table, number))
    if node.reader.calibration is None:
        raise node.fault(f"input '{name}' has shape {values.shape}", "keep to one number behind a "
                         "DequantizeLinear; a bias must follow its convolution at once")
    return _on_sums(node, _alone(node, other), name, function)


def _integer_bias(node, sums, name, function):
    """An int32 bias behind ConvInteger or MatMulInteger."""
    if function is not np.add:
        raise node.fault("it computes on int32 accumulators", "cast them to float before it")
    bias = node.constant(name, TensorProto.INT32).astype(np.int64)
    return replace(sums, bias=sums.bias + channel_values(node, name, bias, sums.channels,
                                                         behind=_behind(sums)))


def _on_sums(node, sums, name, function):
    """Arithmetic with one number, or one per channel."""
    behind, channels = _behind(sums), sums.channels
    swapped = name == "A"
    if function is np.add and sums.gain is None:
        # An integer bias stays one.
        bias, offset = read_bias(node, name, sums.factor, behind=behind)
        sums = replace(sums, bias=sums.bias + bias)
        return sums if offset is None else sums.moved(offset)
    values = channel_values(node, name, _reals(node, name), channels, behind=behind)
    ones = np.ones(channels)
    if function is np.add:
        return _affine(sums, ones, values)
    if function is np.subtract:
        return _affine(sums, -ones, values) if swapped else _affine(sums, ones, -values)
    if np.any(values == 0) or (function is np.divide and swapped):
        raise node.fault("it divides by its input, or has a factor of 0",
                         "export the model again")
    return _affine(sums, values if function is np.multiply else 1 / values, 0 * ones)


def _affine(value, gain, shift):
    """gain · value + shift, one of each per channel."""
    if value.gain is not None:
        return value.normalised(gain.astype(np.float64), shift.astype(np.float64))
    scaled = value if np.all(gain == 1) else value.scaled(gain.astype(np.float32))
    return scaled.moved(shift) if np.any(shift) else scaled


def _alone(node, name):
    """A `Sums` that is an input itself: a depthwise convolution with a kernel of one tap."""
    real = node.affine(name)
    channels, *size = node.network.map_shape(node, real.codes)
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), tuple(size))
    return Sums(node=node, layout=Layout((channels, *size)), source=real.codes,
                zero_point=real.quantisation.zero_point, window=window, group=channels,
                weight=np.full((channels, 1, 1, 1), UNIT, np.int8),
                bias=np.zeros(channels, np.int64),
                factor=np.full(channels, real.quantisation.scale / UNIT, np.float32),
                **node.reader.sums_fields(channels))


def _is_clipped(value):
    return (value.low, value.high) != (-np.inf, np.inf)


def _behind(sums):
    """How many axes come after that of the channels, or -1 if there is no such axis."""
    shape = sums.layout.shape
    if sums.layout.order is None and len(shape) == 3 and shape[0] == sums.channels:
        return 2
    return 0 if shape and shape[-1] == sums.layout.size == sums.channels else -1


def _reals(node, name):
    """A constant as float32."""
    value = node.value(name)
    if isinstance(value, QuantisedConstant):
        return _finite(node, name, value.reals())
    return _finite(node, name, node.constant(name, TensorProto.FLOAT))


def _finite(node, name, values):
    if not np.all(np.isfinite(values)):
        raise node.fault(f"input '{name}' is not finite", "export the model again")
    return values
