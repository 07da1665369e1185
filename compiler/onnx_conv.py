"""Convolutions: QLinearConv, Conv between DequantizeLinear and QuantizeLinear, ConvInteger."""

import numpy as np
from onnx import TensorProto

from compiler.onnx_node import INT, operator
from compiler.onnx_sums import Sums
from compiler.onnx_values import Layout
from compiler.onnx_weights import integer_weights, read_bias, read_weights
from compiler.onnx_window import WINDOW, read_window

__all__ = []

MAPPED = "convolution"
LIMITS = ("constant weights that fit int8 less their zero points; SAME only without dilation and "
          "with a stride of at most the kernel plus one")


@operator("QLinearConv", "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B?",
          mapped=MAPPED, limits=LIMITS, **WINDOW, group=INT)
def qlinear_conv(node):
    """Convolution of codes, quantised."""
    codes, quantisation = node.quantised("x", "x_scale", "x_zero_point")
    _check_weight(node, "w")
    weight = integer_weights(node, "w", "w_zero_point", 0)
    scale = node.scales("w_scale", len(weight))
    made = node.quantisation("y_scale", "y_zero_point")
    with np.errstate(over="ignore", under="ignore"):
        factor = np.float32(quantisation.scale) * scale
    sums = _sums(node, codes, quantisation.zero_point, weight, factor=factor,
                 bias=integer_bias(node, "B", len(weight)))
    return sums.settle(node.output, made)


@operator("Conv", "X W B?", mapped=MAPPED, limits=LIMITS, **WINDOW, group=INT)
def conv(node):
    """Convolution of reals that are codes, to be quantised."""
    real = node.affine("X")
    _check_weight(node, "W")
    weight, scale = read_weights(node, "W", 0)
    with np.errstate(over="ignore", under="ignore"):
        factor = np.float32(real.quantisation.scale) * scale
    # An Add may broadcast its constant; this one may not.
    shape = getattr(node.value("B"), "shape", None) if node.given("B") else None
    if shape not in (None, (len(weight),)):
        raise node.fault(f"input 'B' has shape {shape}, not ({len(weight)},)",
                         "give one value per output channel")
    bias, offset = read_bias(node, "B", factor)
    return _sums(node, real.codes, real.quantisation.zero_point, weight, factor=factor, bias=bias,
                 offset=offset)


@operator("ConvInteger", "x w x_zero_point? w_zero_point?", mapped=MAPPED, **WINDOW, group=INT,
          limits=f"{LIMITS}; only Cast, Mul, Add, Relu, Clip and QuantizeLinear may follow")
def conv_integer(node):
    """Accumulators of a convolution of codes."""
    codes, zero_point = node.integer_codes("x", "x_zero_point")
    _check_weight(node, "w")
    weight = integer_weights(node, "w", "w_zero_point", 0)
    return _sums(node, codes, zero_point, weight, bias=np.zeros(len(weight), np.int64),
                 factor=np.ones(len(weight), np.float32), integer=True, scales=("the factor",))


def integer_bias(node, name, channels):
    """An int32 bias, zeros if there is none."""
    if not node.given(name):
        return np.zeros(channels, np.int64)
    bias = node.constant(name, TensorProto.INT32)
    if bias.shape != (channels,):
        raise node.fault(f"input '{name}' has shape {bias.shape}, not ({channels},)",
                         "give one bias per output channel")
    return bias.astype(np.int64)


def _sums(node, codes, zero_point, weight, **fields):
    """The `Sums` of a convolution of a feature map."""
    shape = node.network.map_shape(node, codes)
    group = _check_group(node, weight.shape, shape[0])
    window = read_window(node, shape, kernel=weight.shape[2:])
    return Sums(node=node, layout=Layout((len(weight), *window.size)), source=codes,
                zero_point=zero_point, weight=weight, window=window, group=group, **fields,
                **node.reader.sums_fields(len(weight)))


def _check_weight(node, name):
    """Refuse weights whose shape is not that of a 2D convolution, before they are read."""
    shape = getattr(node.value(name), "shape", None)
    if shape is not None and (len(shape) != 4 or 0 in shape):
        raise node.fault(f"input '{name}' has shape {tuple(shape)}",
                         "export a 2D convolution: weights of four sizes, none of them 0")


def _check_group(node, weight_shape, channels):
    group = node.integer("group", 1)
    remedy = "export with a group that divides the channel count"
    if group < 1:
        raise node.fault(f"attribute 'group' = {group} is not positive", remedy)
    for title, count in (("input", channels), ("output", weight_shape[0])):
        if count % group:
            raise node.fault(f"attribute 'group' = {group} does not divide {count} {title} "
                             "channels", remedy)
    if weight_shape[1] * group != channels:
        raise node.fault(f"weights for {weight_shape[1]} channels in each of {group} groups "
                         f"do not match {channels} input channels",
                         "make weights, 'group' and input agree")
    return group
