"""TFLite's operators that only name the same elements anew, and shapes computed by the graph."""

from dataclasses import replace
from math import prod

import numpy as np

from compiler.tflite_file import MAX_RANK
from compiler.tflite_node import operator

__all__ = []


@operator("RESHAPE", (1, 2), options="ReshapeOptions", optional=True, version=1,
          mapped="nothing: the data stay", limits="only where no data move; frames stay apart")
def read_reshape(node):
    """RESHAPE to a constant or computed shape, one size of which may be -1."""
    value = node.value()
    shape = None
    if node.tensor(1) is not None:
        given = node.constant(1, "int32")
        shape = given if given.ndim == 1 else None
    if shape is None:
        # TFLite does not look at a shape that is no vector either.
        if node.raw.options is None or node.raw.options.NewShapeIsNone():
            raise node.fault("the new shape is not given", "export it as a vector")
        shape = node.raw.options.NewShapeAsNumpy()
    if shape.size > MAX_RANK:
        raise node.fault(f"the new shape has {shape.size} sizes", f"use at most {MAX_RANK}")
    shape, total = [int(size) for size in shape], prod(value.shape)
    if shape.count(-1) == 1:
        rest = prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = total // rest if rest else 0
    if prod(shape) != total or min(shape, default=1) < 1:
        raise node.fault(f"shape {value.shape} cannot become {tuple(shape)}",
                         "make the numbers of elements agree")
    return _reshaped(node, value, shape)


@operator("SQUEEZE", (1, 1), options="SqueezeOptions", version=2,
          mapped="nothing: the data stay", limits="frames stay apart")
def read_squeeze(node):
    """SQUEEZE of axes of size 1: those given, or all."""
    value = node.value()
    rank, options = len(value.shape), node.raw.options
    given = [] if options.SqueezeDimsIsNone() else options.SqueezeDimsAsNumpy()[:64].tolist()
    if any(not -rank <= axis < rank or value.shape[axis] != 1 for axis in given):
        raise node.fault(f"option SqueezeDims = {given} of shape {value.shape} is not of size 1",
                         "squeeze axes of size 1")
    axes = ({axis % rank for axis in given} if given
            else {axis for axis, size in enumerate(value.shape) if size == 1})
    return _reshaped(node, value, [size for axis, size in enumerate(value.shape)
                                   if axis not in axes])


@operator("EXPAND_DIMS", (2, 2), options="ExpandDimsOptions", optional=True, version=1,
          mapped="nothing: the data stay", limits="frames stay apart")
def read_expand_dims(node):
    """EXPAND_DIMS at a constant axis."""
    value = node.value()
    axis, rank = node.constant(1, "int32", "int64"), len(value.shape)
    if axis.size != 1 or not -rank - 1 <= axis.reshape(-1)[0] <= rank:
        raise node.fault(f"axis {axis.reshape(-1)[:8].tolist()} does not exist",
                         "give one axis of the output")
    shape = list(value.shape)
    shape.insert(int(axis.reshape(-1)[0]) % (rank + 1), 1)
    return _reshaped(node, value, shape)


@operator("TRANSPOSE", (2, 2), options="TransposeOptions", optional=True, version=7,
          mapped="nothing: the data stay",
          limits="between channels first and last at the model's ends and before a "
                 "FULLY_CONNECTED, or of axes of size 1")
def read_transpose(node):
    """TRANSPOSE that moves no data, or that the host or a layer's weights undo."""
    value = node.value()
    axes, rank = node.constant(1, "int32").reshape(-1)[:64].tolist(), len(value.shape)
    if sorted(axes) != list(range(rank)):
        raise node.fault(f"{axes} is not an order of {rank} axes", "convert the model again")
    shape = [value.shape[axis] for axis in axes]
    moved = [axis for axis in axes if value.shape[axis] > 1]
    if moved == sorted(moved):
        return _reshaped(node, value, shape)
    if axes == [0, 2, 3, 1]:
        value.extent.settle(shape[1:], turned=not value.turned)
        fits = not value.straight and value.extent.sizes == tuple(shape[1:])
    elif axes == [0, 3, 1, 2]:
        value.extent.settle(value.shape[1:], turned=value.turned)
        fits = value.straight and value.extent.sizes == value.shape[1:]
    else:
        fits = False
    if not fits or value.host:
        raise node.fault(f"order {axes} of shape {value.shape} moves data",
                         "transpose on the host, before or after the model")
    return replace(value, shape=tuple(shape), turned=not value.turned)


@operator("SHAPE", (1, 1), options="ShapeOptions", optional=True, version=1,
          mapped="a constant", limits="as the shape of a RESHAPE")
def read_shape(node):
    """SHAPE, which is known beforehand."""
    return np.array(node.value().shape, np.int32)


@operator("STRIDED_SLICE", (4, 4), options="StridedSliceOptions", version=8,
          mapped="a constant", limits="of shapes, to compute the shape of a RESHAPE")
def read_strided_slice(node):
    """STRIDED_SLICE of a vector of ints."""
    values = _ints(node, 0)
    limits = [node.constant(position, "int32") for position in (1, 2, 3)]
    if values.ndim != 1 or any(limit.shape != (1,) for limit in limits):
        raise node.fault("it does not slice a vector", "slice shapes only")
    for name in ("EllipsisMask", "NewAxisMask", "Offset"):
        node.option(name, low=0, high=0)
    begin, end, step = (int(limit[0]) for limit in limits)
    if step < 1:
        raise node.fault(f"step {step} is not positive", "slice forwards")
    if node.option("ShrinkAxisMask") & 1:
        if not -len(values) <= begin < len(values):
            raise node.fault(f"element {begin} does not exist", "convert the model again")
        return np.array(values[begin])
    return values[slice(None if node.option("BeginMask") & 1 else begin,
                        None if node.option("EndMask") & 1 else end, step)]


@operator("PACK", (1, MAX_RANK), options="PackOptions", version=4,
          mapped="a constant", limits="of shapes, to compute the shape of a RESHAPE")
def read_pack(node):
    """PACK of ints into a vector."""
    parts = [_ints(node, position) for position in range(len(node.raw.inputs))]
    node.option("ValuesCount", low=len(parts), high=len(parts))
    if any(part.ndim for part in parts) or node.option("Axis") not in (0, -1):
        raise node.fault("it does not pack numbers into a vector", "pack shapes only")
    return np.array(parts, np.int32)


def _ints(node, position):
    """Ints that the graph computes, or constants."""
    return np.asarray(node.constant(position, "int32"))


def _reshaped(node, value, shape):
    """``value`` with another shape that keeps the frames apart."""
    shape = tuple(shape)
    frames = value.shape[0]
    if shape[:1] != (frames,):
        raise node.fault(f"shape {value.shape} becomes {shape}: the first axis, of frames, is lost",
                         f"keep {frames} as the first size")
    return value.reshaped(shape)
