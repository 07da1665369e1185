"""TFLite's sums, activations, changes of scale and concatenation, and what the host does."""

from dataclasses import replace

import numpy as np

from compiler.tflite_host import Requantise, TFLiteSoftmax
from compiler.tflite_node import operator
from compiler.tflite_values import Extent, Value, natural
from golden.concat import ConcatLayer
from golden.tflite_ops import tflite_add, tflite_quantize, tflite_sub

__all__ = []


@operator("ADD", (2, 2), options="AddOptions", version=5, mapped="sum of two tables",
          limits="equal shapes, no constants")
def read_add(node):
    """ADD of two feature maps with scales of their own."""
    return _sum(node, tflite_add)


@operator("SUB", (2, 2), options="SubOptions", version=5, mapped="sum of two tables",
          limits="equal shapes, no constants")
def read_sub(node):
    """SUB of two feature maps with scales of their own."""
    return _sum(node, tflite_sub)


@operator("RELU", (1, 1), options="NONE", optional=True, version=3,
          mapped="bounds of the layer before, or a table")
def read_relu(node):
    """RELU, which may change the scale."""
    return _unary(node, node.codes(), "RELU")


@operator("RELU6", (1, 1), options="NONE", optional=True, version=3,
          mapped="bounds of the layer before, or a table")
def read_relu6(node):
    """RELU6, which may change the scale."""
    return _unary(node, node.codes(), "RELU6")


@operator("RELU_N1_TO_1", (1, 1), options="NONE", optional=True, version=1,
          mapped="bounds of the layer before, or a table")
def read_relu1(node):
    """RELU_N1_TO_1, which may change the scale."""
    return _unary(node, node.codes(), "RELU_N1_TO_1")


@operator("QUANTIZE", (1, 1), options="QuantizeOptions", optional=True, version=5,
          mapped="the host's work at the ends, else a table", limits="to int8 or uint8")
def read_quantize(node):
    """QUANTIZE of the model's float input, or of codes to another scale, zero point or type."""
    value, output = node.value(), node.quantisation(node.output)
    if not value.is_real:
        return _unary(node, value, "NONE")
    if value.host is not None:
        raise node.fault(f"{node.title(0)} has left the engine before",
                         "let DEQUANTIZE be the last operator")
    # Two readers of the model's float input may quantise it alike, but not in two ways.
    graph = node.graph
    name = graph.tensor_name(node.output)
    if graph.entry is None:
        graph.entry = name, output
    elif graph.entry[1] != output:
        raise node.fault("the model's input is quantised in two ways",
                         "quantise it once, for all of its readers")
    return replace(value, source=graph.entry[0], quantisation=output)


@operator("DEQUANTIZE", (1, 1), options="DequantizeOptions", optional=True, version=8,
          mapped="the host's work", limits="at the model's end")
def read_dequantize(node):
    """DEQUANTIZE of the network's output."""
    value = node.value()
    if value.is_real:
        raise node.fault(f"{node.title(0)} is float32 already", "remove it")
    if node.output.type != "float32":
        raise node.fault(f"it makes {node.output.type}, not float32", "dequantise to float32")
    node.graph.exit = value.quantisation
    return replace(value, quantisation=None, host=value.host or ())


@operator("SOFTMAX", (1, 1), options="SoftmaxOptions", version=3, mapped="the host's work",
          limits="at the model's end; int8 or uint8")
def read_softmax(node):
    """SOFTMAX along the last axis."""
    value, output = node.value(), node.quantisation(node.output)
    if value.is_real:
        raise node.fault(f"{node.title(0)} is float32, not int8 or uint8",
                         "quantise it too: let DEQUANTIZE be the last operator")
    source = value.quantisation
    lowest = np.iinfo(output.dtype).min
    if source.unsigned != output.unsigned or output.zero_point != lowest or not (
            abs(256 * output.scale - 1) <= 0.001):
        raise node.fault(f"its output has scale {output.scale:.6g} and zero point "
                         f"{output.zero_point}, not 1/256 and {np.iinfo(source.dtype).min}",
                         "quantise it as TFLite's converter does")
    beta = float(node.raw.options.Beta())
    if not (np.isfinite(beta) and beta > 0):
        raise node.fault(f"option Beta = {beta} is not positive and finite", "convert it again")
    classes = value.shape[-1]
    try:
        step = TFLiteSoftmax(classes, source.scale, beta)
        step(np.zeros((1, classes), source.dtype))
    except (ValueError, OverflowError) as error:
        raise node.fault(str(error), "calibrate again") from error
    return replace(value, quantisation=output, host=(*(value.host or ()), step))


@operator("CONCATENATION", (1, 64), options="ConcatenationOptions", version=5,
          mapped="addresses", limits="of channels; equal scales")
def read_concatenation(node):
    """CONCATENATION along channels."""
    node.option("FusedActivationFunction", low=0, high=0)
    values = [node.codes(position) for position in range(len(node.raw.inputs))]
    output = node.same_quantisation(*range(len(values)))
    rank = len(values[0].shape)
    axis = node.option("Axis")
    if not -rank <= axis < rank or axis % rank != rank - 1 or rank < 2:
        raise node.fault(f"option Axis = {axis} of {rank} is not that of the channels",
                         "concatenate channels, the last axis")
    if any(value.shape[:-1] != values[0].shape[:-1] for value in values):
        shapes = [value.shape for value in values]
        raise node.fault(f"shapes {shapes[:4]} differ in more than the channels",
                         "concatenate maps of one size")
    for position, value in enumerate(values):
        sizes = natural(value.shape)
        node.placed(position, value, sizes)
    channels = sum(value.shape[-1] for value in values)
    layer = ConcatLayer(name=node.layer_name, inputs=len(values), unsigned=output.unsigned)
    return node.emit(layer, values, (*values[0].shape[:-1], channels),
                     Extent((*natural(values[0].shape)[:2], channels)))


def _unary(node, value, activation):
    """A table from codes to codes, on the host if the value is there."""
    source, output = value.quantisation, node.quantisation(node.output)
    layer = _built(node, tflite_quantize, source, output, **node.bounds(output, activation))
    if value.host is not None:
        return replace(value, quantisation=output, host=(*value.host, Requantise(source, output)))
    return node.emit(layer, [value], value.shape, value.extent, turned=value.turned)


def _sum(node, build):
    first, second = (node.codes(position) for position in (0, 1))
    output = node.quantisation(node.output)
    if not first.quantisation.unsigned == second.quantisation.unsigned == output.unsigned:
        raise node.fault("inputs and output differ in type", "convert the model again")
    if first.shape != second.shape:
        raise node.fault(f"shapes {first.shape} and {second.shape} differ",
                         "add maps of one shape: broadcasting is not supported")
    _align(node, first, second)
    layer = _built(node, build, first.quantisation, second.quantisation, output,
                   **node.bounds(output))
    return node.emit(layer, [first, second], first.shape, first.extent, turned=first.turned)


def _align(node, first: Value, second: Value):
    """Give open extents the sizes of the other side; refuse elements in different places."""
    for one, other in ((first, second), (second, first)):
        if other.extent.sizes is not None:
            one.extent.settle(other.extent.sizes, turned=one.turned ^ (not other.straight))
    if first.extent is second.extent:
        same = first.turned == second.turned
    else:
        for value in (first, second):
            value.extent.settle(natural(value.shape), turned=value.turned)
        same = (first.extent.sizes == second.extent.sizes and first.straight == second.straight)
    if not same:
        raise node.fault(f"its inputs lie as {first.extent.sizes} and {second.extent.sizes}, and "
                         "data would have to move", "reshape or transpose neither of them")


def _built(node, build, *sides, **bounds):
    try:
        return build(node.layer_name, *sides, **bounds)
    except (ValueError, OverflowError) as error:
        raise node.fault(str(error), "calibrate again") from error
