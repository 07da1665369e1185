"""Sizes of tensors, which exporters compute in the graph to give them to a Reshape.

PyTorch writes ``x.view(x.size(0), -1)`` as Shape, Gather, Unsqueeze, Concat and Reshape. All sizes
but that of the batch are known when the graph is read, so nothing of this is left for the engine.
Which inputs may be sizes is in the table of operators; everywhere else they are refused.
"""

import numpy as np
from onnx import TensorProto

from compiler.onnx_node import INT, operator
from compiler.onnx_values import Constant, Hosted, QuantisedConstant, Sizes

__all__ = ["KNOWN", "has_frames", "join", "shape_of", "sizes_of"]

KNOWN = "sizes, known beforehand"
LIMITS = "of sizes, or of int64 constants of one axis; constant positions"
MAX_SIZES = 64
"""The most sizes in a list: a tensor of as many axes is beyond all else that is read."""


@operator("Shape", "data", mapped=KNOWN, sizes="data", start=INT, end=INT)
def shape(node):
    """Sizes of a tensor, or those of some axes: positions beyond the ends are moved to them."""
    end = node.integer("end", 0) if node.has("end") else None
    sizes = shape_of(node, "data")[node.integer("start", 0):end]
    return _made(node, np.array(sizes, object), "data")


@operator("Gather", "data indices", mapped=KNOWN, limits=LIMITS, sizes="data", axis=INT)
def gather(node):
    """Some sizes, or one."""
    sizes = _listed(node, "data")
    _check_axis(node, node.integer("axis", 0))
    indices = node.constant("indices", TensorProto.INT64, TensorProto.INT32)
    if indices.ndim > 1 or indices.size > MAX_SIZES:
        raise node.fault(f"input 'indices' has shape {indices.shape}",
                         f"give one index, or a list of at most {MAX_SIZES}")
    outside = (indices < -len(sizes)) | (indices >= len(sizes))
    if np.any(outside):
        raise node.fault(f"index {indices[outside].flat[0]} is outside a list of {len(sizes)} "
                         "sizes", "export the model again")
    return _made(node, np.array(sizes[indices], object), "data")


@operator("Slice", "data starts ends axes? steps?", mapped=KNOWN, limits=LIMITS, sizes="data")
def slice_(node):
    """Sizes from one position to another."""
    sizes = _listed(node, "data")
    _check_axis(node, _position(node, "axes", 0))
    step = _position(node, "steps", 1)
    if step == 0:
        raise node.fault("input 'steps' is 0", "export the model again")
    # Python moves positions beyond the ends as ONNX does.
    part = slice(_position(node, "starts", 0), _position(node, "ends", 0), step)
    return _made(node, sizes[part], "data")


def join(node, names):
    """Lists of sizes, the inputs ``names`` of a Concat, one behind the other."""
    _check_axis(node, node.integer("axis", 0))
    lists = [_listed(node, name) for name in names]
    count = sum(map(len, lists))
    if count > MAX_SIZES:
        raise node.fault(f"it makes a list of {count} sizes", f"keep lists to {MAX_SIZES}")
    return _made(node, np.concatenate(lists), *names)


def shape_of(node, name):
    """Shape of an input, the axis of frames included: None if it has no fixed size."""
    value = node.value(name)
    if not has_frames(value):
        return tuple(value.shape)
    shape = value.shape if isinstance(value, Hosted) else value.layout.shape
    return (node.reader.frames, *shape)


def has_frames(value):
    """Whether the first axis of a value counts frames."""
    return not isinstance(value, (Constant, QuantisedConstant, Sizes))


def sizes_of(node, name):
    """Input ``name``, `Sizes` or an int64 constant, as an array of objects, shape () or (n,)."""
    value = node.value(name)
    if has_frames(value):
        raise node.wrong(name, "sizes", "compute with sizes that Shape makes, or constants")
    if not isinstance(value, Sizes):
        value = Sizes(node.constant(name, TensorProto.INT64).astype(object))
    if len(value.shape) > 1 or value.values.size > MAX_SIZES:
        raise node.fault(f"input {node.title(name)} has shape {value.shape}",
                         f"give sizes as a list of at most {MAX_SIZES}")
    return value.values


def _listed(node, name):
    """The same, shape (n,)."""
    sizes = sizes_of(node, name)
    if not sizes.ndim:
        raise node.fault(f"input {node.title(name)} is one size, not a list of them",
                         "unsqueeze it before this node")
    return sizes


def _made(node, sizes, *names):
    """What a node makes of its inputs ``names``: a constant, if all of them are constants."""
    values = [node.value(name) for name in names]
    if any(isinstance(value, Sizes) or has_frames(value) for value in values):
        return Sizes(sizes)
    return Constant.of_array(sizes.astype(np.int64), node.output)


def _check_axis(node, axis):
    if axis not in (0, -1):
        raise node.fault(f"axis {axis} of a list of sizes is neither 0 nor -1",
                         "export the model again")


def _position(node, name, default):
    """Input ``name`` of a Slice along one axis."""
    if not node.given(name):
        return default
    values = node.constant(name, TensorProto.INT64, TensorProto.INT32)
    if values.shape != (1,):
        raise node.fault(f"input '{name}' has shape {values.shape}, not (1,)",
                         "slice a list of sizes along its one axis")
    return int(values[0])
