"""One QLinearConv node as a layer of the arithmetic contract."""

import math

import numpy as np
from onnx import AttributeProto, TensorProto

from compiler.errors import quoted
from compiler.onnx_file import node_place
from compiler.onnx_tensor import read_tensor, type_name
from golden.layer import ConvLayer
from golden.requant import quantise_multiplier

__all__ = ["MAX_ELEMENTS", "read_conv"]

MAX_ELEMENTS = 1 << 28
"""The largest feature map accepted, in elements of one frame."""

_INPUTS = ("x", "x_scale", "x_zero_point", "w", "w_scale", "w_zero_point", "y_scale",
           "y_zero_point", "B")
_KINDS = {"auto_pad": AttributeProto.STRING, "dilations": AttributeProto.INTS,
          "group": AttributeProto.INT, "kernel_shape": AttributeProto.INTS,
          "pads": AttributeProto.INTS, "strides": AttributeProto.INTS}
_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


class _Node:
    """A node's attributes and constants, read on demand and checked as they are read."""

    def __init__(self, node, chain):
        self.place = node_place(chain.place, node)
        self._inputs = dict(zip(_INPUTS, node.input, strict=False))
        self._constants = chain.constants
        self._attributes = {}
        for attribute in node.attribute:
            title = f"attribute {quoted(attribute.name)}"
            if attribute.name not in _KINDS:
                raise self.place.fault(f"{title} is unknown",
                                       f"use only {', '.join(_KINDS)}")
            if attribute.name in self._attributes:
                raise self.place.fault(f"{title} is given twice", "give it once")
            if attribute.ref_attr_name:
                raise self.place.fault(f"{title} refers to one of a function",
                                       "export the model without functions")
            if attribute.type != _KINDS[attribute.name]:
                kind = AttributeProto.AttributeType.Name(_KINDS[attribute.name])
                raise self.place.fault(f"{title} is not of type {kind}", "export the model again")
            self._attributes[attribute.name] = attribute

    def integers(self, name, length, *, low, default):
        """Attribute ``name`` as a tuple of ``length`` integers, each at least ``low``."""
        if name not in self._attributes:
            return default
        values = tuple(self._attributes[name].ints)
        if len(values) != length or any(value < low for value in values):
            raise self.place.fault(f"attribute '{name}' = {list(values[:8])} is not {length} "
                                   f"integers of at least {low}", "export a 2D convolution")
        return values

    def group(self):
        """Attribute ``group``, not yet checked."""
        return self._attributes["group"].i if "group" in self._attributes else 1

    def auto_pad(self):
        """Attribute ``auto_pad``; with a mode set, ``pads`` must be absent."""
        if "auto_pad" not in self._attributes:
            return "NOTSET"
        mode = self._attributes["auto_pad"].s.decode("utf-8", "replace")
        if mode not in _AUTO_PADS:
            raise self.place.fault(f"attribute 'auto_pad' = {quoted(mode)} is unknown",
                                   f"use one of {', '.join(_AUTO_PADS)}")
        if mode != "NOTSET" and "pads" in self._attributes:
            raise self.place.fault(f"attribute 'auto_pad' = '{mode}' excludes 'pads'",
                                   "export with one of them")
        return mode

    def constant(self, name, *types):
        """Input ``name`` as an array; its ONNX type must be one of ``types``."""
        tensor = self._constants.get(self._inputs[name])
        if tensor is None:
            raise self.place.fault(f"input '{name}' ({quoted(self._inputs[name])}) is not an "
                                   "initialiser", "export it as a constant of the model")
        if tensor.data_type not in types:
            wanted = " or ".join(type_name(kind) for kind in types)
            raise self.place.fault(f"input '{name}' has type {type_name(tensor.data_type)}, not "
                                   f"{wanted}", f"export it as {wanted}")
        return read_tensor(tensor, self.place)

    def vector(self, name, channels, *types):
        """Input ``name`` as one value per channel; a scalar stands for all of them."""
        values = self.constant(name, *types)
        if values.shape not in ((), (1,), (channels,)):
            allowed = f"a scalar or {channels} values" if channels > 1 else "a scalar"
            raise self.place.fault(f"input '{name}' has shape {values.shape}, not {allowed}",
                                   "quantise per tensor, or weights per output channel")
        return np.broadcast_to(values.reshape(-1), (channels,))

    def scales(self, name, channels=1):
        """Input ``name`` as positive, finite float32 scales, one per channel."""
        values = self.vector(name, channels, TensorProto.FLOAT)
        wrong = ~(np.isfinite(values) & (values > 0))
        if np.any(wrong):
            channel = int(np.argmax(wrong))
            raise self.place.fault(f"input '{name}' of channel {channel} is {values[channel]}",
                                   "scales must be positive and finite: calibrate again")
        return values

    def zero_point(self, name):
        """Input ``name`` as (code, ONNX type): int8 or uint8."""
        code = self.vector(name, 1, TensorProto.INT8, TensorProto.UINT8)[0]
        return int(code), TensorProto.UINT8 if code.dtype == np.uint8 else TensorProto.INT8

    def bias(self, channels):
        """Input ``B`` as int32, one per channel; zeros if it is absent."""
        if not self._inputs.get("B"):
            return np.zeros(channels, np.int32)
        values = self.constant("B", TensorProto.INT32)
        if values.shape != (channels,):
            raise self.place.fault(f"input 'B' has shape {values.shape}, not ({channels},)",
                                   "give one bias per output channel")
        return values


def read_conv(node, chain, name, shape, elem_type):
    """Read one QLinearConv node.

    Its requantisation is exact rounding, ties to even, of the accumulator times the float32 scale
    ``(x_scale · w_scale) / y_scale``: each operation rounded to float32 in this order, which is
    ONNX Runtime's.

    Parameters
    ----------
    node : onnx.NodeProto
        A node of ``chain``.
    chain : Chain
        For its constants and its place.
    name : str
        The layer's name.
    shape : tuple of three ints
        Channels, height and width of the node's input.
    elem_type : int
        ONNX type of the node's input, int8 or uint8.

    Returns
    -------
    (ConvLayer, (channels, height, width), elem_type)
        The layer; shape and type of its output.

    Raises
    ------
    ModelError
        If an attribute or constant is wrong, missing or not supported.
    """
    view = _Node(node, chain)
    weight = _weight(view)
    group = _check_group(view, weight.shape, shape[0])
    kernel = weight.shape[2:]
    stride = view.integers("strides", 2, low=1, default=(1, 1))
    dilation = view.integers("dilations", 2, low=1, default=(1, 1))
    told = view.integers("kernel_shape", 2, low=1, default=kernel)
    if told != kernel:
        raise view.place.fault(f"attribute 'kernel_shape' = {list(told)} is not the weights' "
                               f"{list(kernel)}", "make them agree")
    padding = _padding(view, shape[1:], kernel, stride, dilation)
    size = _output_size(view, shape[1:], kernel, stride, dilation, padding)
    channels = len(weight)
    if max(math.prod(shape), channels * math.prod(size)) > MAX_ELEMENTS:
        raise view.place.fault(f"feature maps of {shape} and {(channels, *size)} are too large",
                               f"keep each to {MAX_ELEMENTS} elements")

    input_zero_point, input_type = view.zero_point("x_zero_point")
    if input_type != elem_type:
        raise view.place.fault(f"input 'x_zero_point' has type {type_name(input_type)}, input 'x' "
                               f"{type_name(elem_type)}", "give both the same type")
    output_zero_point, output_type = view.zero_point("y_zero_point")
    bias = view.bias(channels)
    low, high = _limits(input_type)
    _check_accumulator(view, weight, bias, low - input_zero_point, high - input_zero_point)
    multiplier, shift = _requantisation(view, channels)
    low, high = _limits(output_type)
    layer = ConvLayer(
        name=name, weight=weight, bias=bias, multiplier=multiplier, shift=shift,
        rounding="half_even", stride=stride, padding=padding, dilation=dilation, group=group,
        input_zero_point=input_zero_point, input_unsigned=input_type == TensorProto.UINT8,
        output_zero_point=output_zero_point, output_unsigned=output_type == TensorProto.UINT8,
        low=low, high=high)
    return layer, (channels, *size), output_type


def _weight(view):
    weight = view.constant("w", TensorProto.INT8)
    if weight.ndim != 4 or 0 in weight.shape:
        raise view.place.fault(f"input 'w' has shape {weight.shape}",
                               "export a 2D convolution: weights of four sizes, none of them 0")
    zero_points = view.vector("w_zero_point", len(weight), TensorProto.INT8)
    if np.any(zero_points):
        channel = int(np.argmax(zero_points != 0))
        raise view.place.fault(f"input 'w_zero_point' of channel {channel} is "
                               f"{zero_points[channel]}, not 0", "quantise weights symmetrically")
    return weight


def _check_group(view, weight_shape, channels):
    group = view.group()
    remedy = "export with a group that divides the channel count"
    if group < 1:
        raise view.place.fault(f"attribute 'group' = {group} is not positive", remedy)
    for title, count in (("input", channels), ("output", weight_shape[0])):
        if count % group:
            raise view.place.fault(f"attribute 'group' = {group} does not divide {count} {title} "
                                   "channels", remedy)
    if weight_shape[1] * group != channels:
        raise view.place.fault(f"weights for {weight_shape[1]} channels in each of {group} groups "
                               f"do not match {channels} input channels",
                               "make weights, 'group' and input agree")
    return group


def _padding(view, size, kernel, stride, dilation):
    """(top, left, bottom, right), ONNX's own order."""
    mode = view.auto_pad()
    if mode == "NOTSET":
        return view.integers("pads", 4, low=0, default=(0, 0, 0, 0))
    if mode == "VALID":
        return (0, 0, 0, 0)
    if dilation != (1, 1):
        raise view.place.fault(f"attribute 'auto_pad' = '{mode}' with 'dilations' = "
                               f"{list(dilation)} is not supported", "export explicit 'pads'")
    heads, tails = [], []
    for length, taps, step in zip(size, kernel, stride, strict=True):
        total = (-(-length // step) - 1) * step + taps - length
        if total < -1:
            # ONNX Runtime would crop the first rows or columns here; others do not.
            raise view.place.fault(f"attribute 'auto_pad' = '{mode}' with stride {step} over a "
                                   f"kernel of {taps} is ambiguous", "export explicit 'pads'")
        total = max(total, 0)
        heads.append((total + 1) // 2 if mode == "SAME_LOWER" else total // 2)
        tails.append(total - heads[-1])
    return (*heads, *tails)


def _output_size(view, size, kernel, stride, dilation, padding):
    """Height and width of the output, both positive."""
    result = []
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        padded = size[axis] + padding[axis] + padding[axis + 2]
        if padded < extent:
            raise view.place.fault(f"the kernel spans {extent} elements of {padded}",
                                   "reduce kernel or dilation, or pad more")
        result.append((padded - extent) // stride[axis] + 1)
    return tuple(result)


def _limits(elem_type):
    return (0, 255) if elem_type == TensorProto.UINT8 else (-128, 127)


def _check_accumulator(view, weight, bias, low, high):
    """Refuse weights and bias with which some input in [low, high] leaves 32 bits."""
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    greatest = bias + positive * high + negative * low
    least = bias + positive * low + negative * high
    wide = np.flatnonzero((greatest >= 2**31) | (least < -(2**31)))
    if wide.size:
        channel = wide[0]
        raise view.place.fault(f"the accumulator of channel {channel} spans [{least[channel]}, "
                               f"{greatest[channel]}], more than 32 bits",
                               "reduce the bias or the input channels")


def _requantisation(view, channels):
    """Multiplier and shift of every output channel."""
    x_scale, w_scale = view.scales("x_scale"), view.scales("w_scale", channels)
    y_scale = view.scales("y_scale")
    with np.errstate(over="ignore", under="ignore"):
        scale = (x_scale * w_scale) / y_scale
    wrong = ~(np.isfinite(scale) & (scale > 0))
    if np.any(wrong):
        channel = int(np.argmax(wrong))
        raise view.place.fault(f"x_scale · w_scale / y_scale of channel {channel} is "
                               f"{scale[channel]} in float32", "calibrate again")
    try:
        return quantise_multiplier(scale, rounding="half_even")
    except ValueError as error:
        raise view.place.fault(f"x_scale · w_scale / y_scale: {error}",
                               "calibrate again") from error
