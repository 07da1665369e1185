"""QuantizeLinear and DequantizeLinear: where reals become codes, and codes reals."""

from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.model import Dequantise
from compiler.onnx_host import Quantise
from compiler.onnx_node import INT, operator
from compiler.onnx_tensor import element_type, type_name
from compiler.onnx_values import (
    Constant,
    Deferred,
    Hosted,
    QuantisedConstant,
    Raw,
    Real,
    along,
)
from golden.onnx_ops import onnx_requantise
from golden.quantisation import Quantisation

__all__ = ["quantise", "requantise"]

CODES = (TensorProto.INT8, TensorProto.UINT8)
PER_TENSOR = "activations have one scale and one zero point, both constant"
ATTRIBUTES: dict[str, Any] = {"axis": INT, "block_size": INT, "output_dtype": INT}


@operator("QuantizeLinear", "x y_scale y_zero_point?", **ATTRIBUTES, saturate=INT, precision=INT,
          mapped="output codes of the layer before, the input's codes, or a table",
          limits=PER_TENSOR)
def quantize_linear(node):
    """Codes of reals: the float32 quotient by the scale, rounded half to even, plus the zero point,
    saturated."""
    node.must_be("saturate", 1, "leave it out: it means nothing for int8 and uint8")
    node.must_be("precision", 0, "leave it out: scales are float")
    node.must_be("block_size", 0, "quantise per tensor, or weights per output channel")
    value = node.value("x")
    if isinstance(value, Constant):
        return _quantised_constant(node)
    quantisation = node.quantisation("y_scale", "y_zero_point")
    _check_type(node, element_type(quantisation.dtype))
    if isinstance(value, Raw):
        return node.reader.quantise_input(node, value, quantisation)
    if isinstance(value, Hosted) and value.elem_type == TensorProto.FLOAT:
        return value.then(Quantise(quantisation), elem_type=element_type(quantisation.dtype))
    if not isinstance(value, (Deferred, Real)):
        raise node.wrong("x", "float", "export the model again")
    return quantise(node, value, quantisation, node.output)


@operator("DequantizeLinear", "x x_scale x_zero_point?", **ATTRIBUTES,
          mapped="the scale of codes or weights, or the host at the end", limits=PER_TENSOR)
def dequantize_linear(node):
    """Reals of codes."""
    node.must_be("block_size", 0, "quantise per tensor, or weights per output channel")
    _check_type(node, TensorProto.FLOAT)
    value = node.value("x")
    if isinstance(value, Constant):
        return _dequantised_constant(node)
    if isinstance(value, Hosted) and value.elem_type in CODES:
        quantisation = node.quantisation("x_scale", "x_zero_point")
        if element_type(quantisation.dtype) != value.elem_type:
            raise node.fault("the zero point's type is not that of the codes",
                             "give both the same type")
        return value.then(Dequantise(quantisation.scale, quantisation.zero_point),
                          elem_type=TensorProto.FLOAT)
    return Real.dequantised(*node.quantised("x", "x_scale", "x_zero_point"))


def quantise(node, value, quantisation, output):
    """Codes of a `Real` or a `Deferred`, for ``node``; a tensor that they need is ``output``.

    Reals that two nodes quantise alike become one tensor; reals that were codes with this
    quantisation are these codes.
    """
    network = node.network
    known = network.settled.setdefault(id(value), (value, {}))[1]
    if quantisation not in known:
        if isinstance(value, Deferred):
            known[quantisation] = value.settle(output, quantisation)
        elif value.quantisation == quantisation:
            network.rename(value.codes.tensor, output)
            known[quantisation] = value.codes
        else:
            known[quantisation] = requantise(node, value, quantisation, output)
    return known[quantisation]


def requantise(node, value, quantisation, output):
    """Codes of a `Real` in a tensor ``output`` of their own, by a table."""
    source = value.quantisation or Quantisation(1.0, 0, value.codes.unsigned)
    layer = onnx_requantise(node.layer_name(), source, quantisation,
                            function=lambda _: value.table)
    return node.network.add(node, layer, (value.codes,), output,
                            layout=node.network.placed(value.codes), quantisation=quantisation)


def _check_type(node, made):
    """Attribute ``output_dtype`` may only say what the other inputs say."""
    told = node.integer("output_dtype", 0)
    if told not in (0, made):
        raise node.fault(f"attribute 'output_dtype' = {type_name(told)} is not {type_name(made)}",
                         "leave it out")


def _constant_scales(node, shape, *types):
    """Scales, zero points and axis of a constant, from the inputs behind the first.

    All of shape () for a tensor, (n,) for an axis of n.
    """
    names = node.operator.inputs
    axis = None
    if node.constant(names[1], TensorProto.FLOAT).shape not in ((), (1,)):
        axis = node.integer("axis", 1)
        if not -len(shape) <= axis < len(shape):
            raise node.fault(f"attribute 'axis' = {axis} is not an axis of shape {shape}",
                             "quantise along an axis of the tensor")
        axis %= len(shape)
    channels = 1 if axis is None else shape[axis]
    scale = node.scales(names[1], channels)
    if node.given(names[2]):
        zero_point = node.vector(names[2], channels, *types)
    else:
        zero_point = np.zeros(channels, np.uint8)
    if axis is None:
        scale, zero_point = scale.reshape(()), zero_point.reshape(())
    return scale, zero_point, axis


def _quantised_constant(node):
    """What QuantizeLinear makes of a constant is one."""
    values = node.constant("x", TensorProto.FLOAT)
    scale, zero_point, axis = _constant_scales(node, values.shape, *CODES)
    _check_type(node, element_type(zero_point.dtype))
    if not np.all(np.isfinite(values)):
        raise node.fault("its constant input is not finite", "export the model again")
    limits = np.iinfo(zero_point.dtype)
    with np.errstate(over="ignore"):
        steps = np.rint(values / (scale if axis is None else along(scale, values.ndim, axis)))
    offset = zero_point if axis is None else along(zero_point, values.ndim, axis)
    codes = np.clip(steps.astype(np.float64) + offset, limits.min, limits.max)
    return Constant.of_array(codes.astype(zero_point.dtype), node.output)


def _dequantised_constant(node):
    codes = node.constant("x", *CODES, TensorProto.INT32)
    kind = element_type(codes.dtype)
    scale, zero_point, axis = _constant_scales(node, codes.shape, kind)
    if not node.given("x_zero_point"):
        zero_point = np.zeros_like(zero_point, codes.dtype)
    if kind == TensorProto.INT32 and np.any(zero_point):
        raise node.fault("the zero point of int32 values is not 0", "export the model again")
    return QuantisedConstant(codes, scale, zero_point.astype(np.int64), axis)
