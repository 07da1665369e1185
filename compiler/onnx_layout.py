"""Operators that move no element: Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity.

The first axis of every value that is not constant counts frames. An operator must leave it where it
is, since a model is run on any number of frames.
"""

import math
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from compiler.onnx_file import check_inside
from compiler.onnx_host import Rearrange
from compiler.onnx_node import FLOAT, INT, INTS, TENSOR, operator
from compiler.onnx_sizes import has_frames, shape_of, sizes_of
from compiler.onnx_values import Constant, Hosted, QuantisedConstant, Sizes

__all__ = []

MAPPED = "layout only: no element moves"
FRAMES = "export so that the first axis stays the batch"


@operator("Identity", "input", mapped=MAPPED)
def identity(node):
    """The value itself."""
    return node.value("input")


@operator("Dropout", "data ratio? training_mode?", mapped=MAPPED, limits="in inference",
          ratio=FLOAT, seed=INT)
def dropout(node):
    """The value itself, outside training."""
    if node.given("training_mode"):
        raise node.fault("it has a training mode", "export the model for inference")
    return node.value("data")


@operator("Constant", "", mapped="a constant", limits="a tensor, a number or integers",
          value=TENSOR, value_float=FLOAT, value_int=INT, value_ints=INTS)
def constant(node):
    """A tensor that is an attribute."""
    given = [name for name in node.operator.attributes if node.has(name)]
    if len(given) != 1:
        raise node.fault(f"it has {len(given)} values", "give it one")
    if given == ["value"]:
        tensor = node.tensor("value")
        check_inside(tensor, node.place)
        return Constant.of_tensor(tensor, node.output)
    if given == ["value_float"]:
        return Constant.of_array(np.full((), node.number("value_float", 0.0), np.float32),
                                 node.output)
    values = node.axes("value_ints") if given == ["value_ints"] else node.integer("value_int", 0)
    return Constant.of_array(np.array(values, np.int64), node.output)


@operator("Reshape", "data shape", mapped=MAPPED, sizes="data shape", allowzero=INT,
          limits="a shape of constants and sizes; frames stay apart")
def reshape(node):
    """The same elements with other sizes."""
    before, sizes = shape_of(node, "data"), sizes_of(node, "shape")
    if not sizes.ndim:
        raise node.fault("its shape is one size, not a list of them", "export the model again")
    target = list(sizes)
    told = f"shape [{', '.join(map(_size_text, target))}]"
    if not node.flag("allowzero"):
        if any(size == 0 and axis >= len(before) for axis, size in enumerate(target)):
            raise node.fault(f"{told} has a 0 for an axis that is not there",
                             "export the model again")
        target = [before[axis] if size == 0 else size for axis, size in enumerate(target)]
    if not has_frames(node.value("data")):
        if None in target:
            raise node.fault(f"{told} of a constant has the size of the batch",
                             "export with a fixed batch")
        return _reshaped(node, "data", _filled(node, target, math.prod(before), told))
    rest, elements = target[1:], math.prod(before[1:])
    keeps = bool(target) and None not in rest and (target[0] == before[0] or (
        target[0] == -1 and -1 not in rest and math.prod(rest) == elements))
    if not keeps:
        raise node.fault(f"{told} of {_text(before)} does not keep the batch", FRAMES)
    return _reshaped(node, "data", (before[0], *_filled(node, rest, elements, told)))


@operator("Flatten", "input", mapped=MAPPED, limits="frames stay apart", axis=INT)
def flatten(node):
    """All axes but that of the frames as one."""
    shape = shape_of(node, "input")
    axis = node.integer("axis", 1)
    if axis not in (1, 1 - len(shape)) or not has_frames(node.value("input")):
        raise node.fault(f"attribute 'axis' = {axis} is not supported", FRAMES)
    return _reshaped(node, "input", (shape[0], math.prod(shape[1:])))


@operator("Squeeze", "data axes?", mapped=MAPPED, limits="axes that are given; frames stay apart",
          sizes="data", axes=INTS)
def squeeze(node):
    """Without some axes of size 1."""
    shape, given = shape_of(node, "data"), _given_axes(node)
    axes = _checked_axes(node, given, len(shape))
    for axis in axes:
        if shape[axis] != 1:
            raise node.fault(f"axis {axis} of shape {_text(shape)} is not 1",
                             "export the model again")
    return _reshaped(node, "data", tuple(size for axis, size in enumerate(shape)
                                         if axis not in axes))


@operator("Unsqueeze", "data axes?", mapped=MAPPED, limits="frames stay apart", sizes="data",
          axes=INTS)
def unsqueeze(node):
    """With further axes of size 1."""
    sizes, given = list(shape_of(node, "data")), _given_axes(node)
    for axis in sorted(_checked_axes(node, given, len(sizes) + len(given))):
        sizes.insert(axis, 1)
    return _reshaped(node, "data", tuple(sizes))


@operator("Transpose", "data", mapped=MAPPED, perm=INTS,
          limits="only where no layer has to move elements; frames stay apart")
def transpose(node):
    """Axes in another order."""
    value, shape = node.value("data"), shape_of(node, "data")
    axes = node.axes("perm") or tuple(reversed(range(len(shape))))
    if sorted(axes) != list(range(len(shape))):
        raise node.fault(f"attribute 'perm' = {list(axes[:8])} is no order of {len(shape)} axes",
                         "export the model again")
    if isinstance(value, Constant):
        return Constant.of_array(value.array(node.place).transpose(axes), node.output)
    if isinstance(value, QuantisedConstant):
        return value.transposed(axes)
    if axes[0] != 0:
        raise node.fault(f"attribute 'perm' = {list(axes)} moves the axis of the frames", FRAMES)
    axes = tuple(axis - 1 for axis in axes[1:])
    if isinstance(value, Hosted):
        order = np.arange(math.prod(value.shape)).reshape(value.shape).transpose(axes)
        return value.then(Rearrange(order.shape, order.reshape(-1)), shape=order.shape)
    try:
        return value.placed(value.layout.transposed(axes))
    except OverflowError as error:
        raise node.fault(str(error), "export in the layout (N, C, H, W)") from None


def _filled(node, target, elements, told):
    """``target`` with its -1 replaced; it must have as many ``elements``."""
    known = math.prod(size for size in target if size != -1)
    if target.count(-1) == 1 and known > 0 and elements % known == 0:
        target = [elements // known if size == -1 else size for size in target]
    if any(size < 1 for size in target) or math.prod(target) != elements:
        raise node.fault(f"{told} does not have the {elements} elements of its input",
                         "export the model again")
    return tuple(target)


def _reshaped(node, name, shape):
    """An input with another shape."""
    value = node.value(name)
    if isinstance(value, Constant):
        return Constant.of_array(value.array(node.place).reshape(shape), node.output)
    if isinstance(value, Sizes):
        return Sizes(value.values.reshape(shape))
    if isinstance(value, QuantisedConstant):
        if value.axis is not None:
            raise node.fault("it reshapes weights that are quantised along an axis",
                             "reshape them before DequantizeLinear")
        return replace(value, codes=value.codes.reshape(shape))
    if isinstance(value, Hosted):
        return value.then(Rearrange(shape[1:]), shape=shape[1:])
    return value.placed(value.layout.reshaped(shape[1:]))


def _given_axes(node):
    """Axes from the attribute (before opset 13) or from the input."""
    axes = node.axes("axes")
    if node.given("axes"):
        axes = tuple(map(int, node.constant("axes", TensorProto.INT64).reshape(-1)))
    if axes is None:
        raise node.fault("its axes are not given", "export with axes")
    if len(axes) > 8:
        raise node.fault(f"it has {len(axes)} axes", "export a 2D network")
    return axes


def _checked_axes(node, axes, rank):
    """Axes of a value of ``rank`` axes, from 0 on; the one of the frames is none of them."""
    first = 1 if has_frames(node.value("data")) else 0
    normal = tuple(axis + rank if axis < 0 else axis for axis in axes)
    if len(set(normal)) != len(normal) or any(not first <= axis < rank for axis in normal):
        raise node.fault(f"axes {list(axes)} are not different ones between {first} and "
                         f"{rank - 1}", FRAMES)
    return normal


def _text(shape):
    return f"({', '.join(map(_size_text, shape))})"


def _size_text(size):
    return "N" if size is None else str(size)
