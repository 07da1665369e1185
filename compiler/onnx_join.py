"""Concat and Pad."""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from compiler.onnx_file import MICROSOFT
from compiler.onnx_network import shape_text
from compiler.onnx_node import FLOAT, INT, INTS, STRING, operator
from compiler.onnx_quantise import quantise
from compiler.onnx_sizes import join
from compiler.onnx_values import (
    MAX_REORDERED,
    Codes,
    Constant,
    Deferred,
    Layout,
    QuantisedConstant,
    Real,
    Sizes,
    in_order,
)
from golden.concat import ConcatLayer
from golden.pool import PoolLayer

__all__ = ["Joined"]

CONCAT = "addresses: tensors side by side, and a table where scales differ"
LIMITS = "of channels; no constants"
SIZES = "; or of sizes and int64 constants"


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined(Deferred):
    """Several values side by side, to be quantised.

    Members
    -------
    parts : tuple of Real or Deferred
    """

    parts: tuple

    def settle(self, output, quantisation):
        """Add what makes the codes of each, and the concatenation, as tensor ``output``."""
        node = self.node
        codes = [quantise(node, part.clipped(self.low, self.high), quantisation,
                          node.reader.unique_tensor(f"{output}:{index}"))
                 for index, part in enumerate(self.parts)]
        return _concatenated(node, codes, output, self.layout, quantisation=quantisation)


@operator("Concat", "inputs*", mapped=CONCAT, limits=LIMITS + SIZES, sizes="inputs", axis=INT)
def concat(node):
    """Values side by side."""
    names = list(node.inputs)
    values = [node.value(name) for name in names]
    if any(isinstance(value, Sizes) for value in values) or all(
            isinstance(value, Constant) and value.elem_type == TensorProto.INT64
            for value in values):
        return join(node, names)
    for name, value in zip(names, values, strict=True):
        if isinstance(value, (Constant, QuantisedConstant)):
            raise node.fault(f"input {node.title(name)} is constant", "concatenate no constants "
                             "with what depends on the input, and constants before you export")
    if all(isinstance(node.value(name), Codes) for name in names):
        parts = [node.codes(name) for name in names]
        if len({codes.unsigned for codes in parts}) > 1:
            raise node.fault("its inputs are int8 and uint8", "quantise them to one type")
        return _concatenated(node, parts, node.output, _joined_layout(node, parts),
                             quantisation=node.network.quantisation(parts[0].tensor))
    parts = [node.reader.part(node, name) for name in names]
    layout = _joined_layout(node, parts)
    kinds = {part.quantisation if isinstance(part, Real) else None for part in parts}
    if len(kinds) == 1 and None not in kinds:
        # Nothing to quantise: codes of one scale stand side by side as they are.
        quantisation, = kinds
        codes = _concatenated(node, [part.codes for part in parts], node.output, layout,
                              quantisation=quantisation, provisional=True)
        return Real.dequantised(codes, quantisation)
    return Joined(node=node, layout=layout, parts=tuple(parts))


@operator("QLinearConcat", "Y_scale Y_zero_point inputs*", domain=MICROSOFT, mapped=CONCAT,
          limits=LIMITS, axis=INT)
def qlinear_concat(node):
    """Codes side by side, quantised alike."""
    names = [name for name in node.inputs if name.startswith("inputs")]
    if len(names) % 3 or not names:
        raise node.fault(f"it has {len(names)} inputs behind the zero point",
                         "give each a scale and a zero point")
    parts = [Real.dequantised(*node.quantised(*names[index:index + 3]))
             for index in range(0, len(names), 3)]
    joined = Joined(node=node, layout=_joined_layout(node, parts), parts=tuple(parts))
    return joined.settle(node.output, node.quantisation("Y_scale", "Y_zero_point"))


@operator("Pad", "data pads? constant_value? axes?", mapped="padding of the layer after it, or a "
          "layer of its own", mode=STRING, pads=INTS, value=FLOAT,
          limits="mode constant, with a value that has a code; height and width only")
def pad(node):
    """A constant around a feature map."""
    node.text("mode", ("constant",))
    sides = _pads(node)
    value = node.value("data")
    if isinstance(value, Codes):
        codes, quantisation = value, node.network.quantisation(value.tensor)
        code = _pad_value(node, TensorProto.UINT8 if codes.unsigned else TensorProto.INT8)
    else:
        real = node.affine("data")
        codes, quantisation = real.codes, real.quantisation
        fill = np.float32(_pad_value(node, TensorProto.FLOAT))
        code = quantisation.quantise(np.array([fill]), rounding="half_even")
        if quantisation.dequantise(code)[0] != fill:
            raise node.fault(f"its value {fill} has no code", "pad with one that has")
    node.network.map_shape(node, codes)
    if any(sides):
        codes = _padded(node, codes, sides, int(np.asarray(code).reshape(())), quantisation,
                        provisional=value is not codes)
    return codes if isinstance(value, Codes) else Real.dequantised(codes, quantisation)


def _concatenated(node, parts, output, layout, **fields):
    """The codes of several tensors, all of one height and width, as one tensor."""
    for codes in parts:
        node.network.order(codes)  # So that the model's input has a shape.
    sizes = {node.network.shapes[codes.tensor][1:] for codes in parts}
    if len(sizes) > 1:
        raise node.fault(f"its inputs are maps of {len(sizes)} different sizes",
                         "concatenate along channels only")
    layer = ConcatLayer(name=node.layer_name(), inputs=len(parts), unsigned=parts[0].unsigned)
    return node.network.add(node, layer, parts, output, layout=layout, **fields)


def _joined_layout(node, parts):
    """Where the elements of all parts lie once they are one tensor, channels behind channels."""
    shapes = [part.layout.shape for part in parts]
    rank = len(shapes[0])
    axis = node.integer("axis", 0)
    if not node.has("axis"):
        raise node.fault("attribute 'axis' is missing", "export the model again")
    place = (axis + rank + 1 if axis < 0 else axis) - 1
    if not 0 <= place < rank:
        raise node.fault(f"attribute 'axis' = {axis} is not between 1 and {rank}",
                         "concatenate along channels")
    others = {shape[:place] + shape[place + 1:] for shape in shapes if len(shape) == rank}
    if len(others) > 1 or any(len(shape) != rank for shape in shapes):
        raise node.fault(f"its inputs have shapes {', '.join(map(shape_text, shapes[:4]))}",
                         "give them one shape but for the axis")
    size = sum(shape[place] for shape in shapes)
    shape = (*shapes[0][:place], size, *shapes[0][place + 1:])
    orders = [_order(node, part) for part in parts]
    if all(order is None for order in orders) and math.prod(shape[:place]) == 1:
        return Layout(shape)
    if math.prod(shape) > MAX_REORDERED:
        raise node.fault(f"{math.prod(shape)} elements are too many to reorder",
                         "concatenate along channels")
    first, indices = 0, []
    for part, order in zip(parts, orders, strict=True):
        elements = part.layout.size
        order = np.arange(elements) if order is None else order
        indices.append((order + first).reshape(part.layout.shape))
        first += elements
    return in_order(shape, np.concatenate(indices, axis=place).reshape(-1))


def _order(node, part):
    """Order of a part's elements within its tensor."""
    if isinstance(part, Deferred):
        return part.layout.order
    return node.network.order(part if isinstance(part, Codes) else part.codes)


def _padded(node, codes, sides, code, quantisation, *, provisional):
    height, width = (node.network.shapes[codes.tensor][1:])
    top, left, bottom, right = sides
    if max(height + top + bottom, width + left + right) > 1 << 24:
        raise node.fault(f"its padding {list(sides)} is too large", "pad less")
    layer = PoolLayer(name=node.layer_name(), kind="max", kernel=(1, 1), padding=sides,
                      pad_code=code, input_unsigned=codes.unsigned, output_unsigned=codes.unsigned)
    return node.network.add(node, layer, (codes,), node.output, quantisation=quantisation,
                            provisional=provisional)


def _pads(node):
    """(top, left, bottom, right) of a map (N, C, H, W)."""
    pads = node.axes("pads")
    if node.given("pads"):
        pads = tuple(map(int, node.constant("pads", TensorProto.INT64).reshape(-1)))
    axes = tuple(range(4))
    if node.given("axes"):
        axes = tuple(map(int, node.constant("axes", TensorProto.INT64).reshape(-1)))
        axes = tuple(axis + 4 if axis < 0 else axis for axis in axes)
    if pads is None or len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise node.fault("its pads are missing, or not two for each axis",
                         "export the model again")
    sides = {axis: (before, after) for axis, before, after in
             zip(axes, pads, pads[len(axes):], strict=False)}
    if any(axis not in (2, 3) and any(side) for axis, side in sides.items()) or min(
            pads, default=0) < 0:
        raise node.fault(f"its pads {list(pads[:8])} are not of height and width, or negative",
                         "pad height and width of (N, C, H, W)")
    (top, bottom), (left, right) = (sides.get(axis, (0, 0)) for axis in (2, 3))
    return top, left, bottom, right


def _pad_value(node, kind):
    if not node.given("constant_value"):
        return node.number("value", 0.0) if kind == TensorProto.FLOAT else 0
    value = node.constant("constant_value", kind)
    if value.size != 1:
        raise node.fault("its value is not one number", "export the model again")
    return value.reshape(()).item()


