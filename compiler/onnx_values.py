"""What the values of an ONNX graph stand for while it is read.

A constant is a `Constant` or, behind a DequantizeLinear, a `QuantisedConstant`; what Shape makes is
`Sizes`. Every other value is laid out by a `Layout`: the model's float input before it is quantised
is a `Raw`; codes in a tensor of the network are `Codes`; reals that are each given by one are a
`Real`; reals that are still to be quantised are a `Deferred`; what the host computes is a `Hosted`;
and what could not be read is a `Missing`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.onnx_tensor import element_type, read_tensor, type_name
from golden.activation import clip_bounds
from golden.base import code_type
from golden.quantisation import Quantisation

__all__ = ["Codes", "Constant", "Deferred", "Hosted", "Layout", "Missing", "QuantisedConstant",
           "Raw", "Real", "Sizes", "along", "describe", "in_order", "table_of"]

MAX_REORDERED = 1 << 22
"""The largest tensor whose elements' order is followed through a Transpose."""


def table_of(quantisation):
    """Float32 reals of all codes, indexed by the code's byte: DequantizeLinear."""
    return quantisation.dequantise(np.arange(256, dtype=np.uint8).view(quantisation.dtype))


@dataclass(frozen=True)
class Layout:
    """Where the elements of an ONNX tensor lie within a tensor (C, H, W) of the network.

    Members
    -------
    shape : tuple of ints
        Sizes of the ONNX tensor without its first axis, which counts frames.
    order : array of ints, or None
        For each element, in row-major order, its row-major index in (C, H, W); None if the two
        orders are the same.
    """

    shape: tuple
    order: np.ndarray | None = field(default=None, compare=False)

    @property
    def size(self):
        """Elements of one frame."""
        return int(np.prod(self.shape, dtype=object))

    def reshaped(self, shape):
        """The same elements in the same order with other sizes."""
        return replace(self, shape=tuple(shape))

    def transposed(self, axes):
        """``axes`` of the shape in a new order; `OverflowError` if that is too much to follow."""
        shape = tuple(self.shape[axis] for axis in axes)
        moved = [axis for axis in axes if self.shape[axis] > 1]
        if moved == sorted(moved):
            return replace(self, shape=shape)
        if self.size > MAX_REORDERED:
            raise OverflowError(f"{self.size} elements are too many to reorder")
        order = np.arange(self.size) if self.order is None else self.order
        return in_order(shape, order.reshape(self.shape).transpose(axes).reshape(-1))

    def same_order(self, other):
        """Whether the elements lie in the same order as those of ``other``."""
        if self.order is None or other.order is None:
            return self.order is other.order
        return np.array_equal(self.order, other.order)


def in_order(shape, order):
    """A layout whose order is not None unless it has to be."""
    same = np.array_equal(order, np.arange(len(order)))
    return Layout(shape, None if same else order)


def along(values, rank, axis):
    """A vector in a shape of ``rank`` axes that broadcasts along ``axis``."""
    return values.reshape([-1 if each == axis else 1 for each in range(rank)])


@dataclass(frozen=True, eq=False)
class Constant:
    """An initialiser, or what constants alone make."""

    name: str
    elem_type: int
    shape: tuple
    content: TensorProto | np.ndarray

    @classmethod
    def of_tensor(cls, tensor, name=None):
        """Constant of an ONNX tensor, which is not looked into yet."""
        return cls(name or tensor.name, tensor.data_type, tuple(tensor.dims), tensor)

    @classmethod
    def of_array(cls, array, name):
        """Constant of an array, or a number, of a NumPy type that ONNX tensors are read as."""
        return cls(name, element_type(array.dtype), array.shape, np.asarray(array))

    def array(self, place):
        """The values; `ModelError` at ``place`` if the tensor is damaged."""
        if isinstance(self.content, np.ndarray):
            return self.content
        return read_tensor(self.content, place)


@dataclass(frozen=True, eq=False)
class QuantisedConstant:
    """Constant codes and what they stand for.

    Members
    -------
    codes : array of int8, uint8 or int32
    scale : array of float32, shape () or (n,)
    zero_point : array of ints, the shape of ``scale``
    axis : int or None
        The axis of ``codes`` that the n scales belong to.
    """

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None

    @property
    def shape(self):
        """Of the codes."""
        return self.codes.shape

    def along(self, values):
        """``values``, scales or zero points, in a shape that broadcasts over the codes."""
        return values if self.axis is None else along(values, self.codes.ndim, self.axis)

    def reals(self):
        """What DequantizeLinear makes, float32."""
        steps = self.codes.astype(np.int64) - self.along(self.zero_point)
        return steps.astype(np.float32) * self.along(self.scale)

    def transposed(self, axes):
        """Axes in a new order."""
        axis = None if self.axis is None else list(axes).index(self.axis)
        return replace(self, codes=self.codes.transpose(axes), axis=axis)


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of tensors, int64 in the graph.

    Members
    -------
    values : array of objects, shape () or (n,)
        Ints, and None for the batch if that may vary.
    """

    values: np.ndarray

    @property
    def shape(self):
        """Of the list."""
        return self.values.shape


@dataclass(frozen=True, eq=False)
class Raw:
    """The model's float input, not quantised yet."""

    layout: Layout

    def placed(self, layout):
        """The same elements, seen through another layout."""
        return replace(self, layout=layout)


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes in a tensor of the network."""

    tensor: str
    layout: Layout
    unsigned: bool

    def placed(self, layout):
        """The same elements, seen through another layout."""
        return replace(self, layout=layout)


@dataclass(frozen=True, eq=False)
class Real:
    """Float32 reals, each given by a code.

    Members
    -------
    codes : Codes
    table : array of float32, shape (256,)
        The real of every code, indexed by the code's byte.
    quantisation : golden.quantisation.Quantisation or None
        With which the table is a DequantizeLinear; None if it is another function.
    """

    codes: Codes
    table: np.ndarray
    quantisation: Quantisation | None

    @classmethod
    def dequantised(cls, codes, quantisation):
        """What DequantizeLinear makes of codes."""
        return cls(codes, table_of(quantisation), quantisation)

    @property
    def layout(self):
        """That of the codes."""
        return self.codes.layout

    def placed(self, layout):
        """The same elements, seen through another layout."""
        return replace(self, codes=replace(self.codes, layout=layout))

    def clipped(self, low, high):
        """The reals limited to [low, high]."""
        return self.mapped(lambda table: np.clip(table, np.float32(low), np.float32(high)))

    def mapped(self, function):
        """``function``, from a float32 array to one of its shape, of every real."""
        table = function(self.table).astype(np.float32)
        same = np.array_equal(table, self.table)
        return replace(self, table=table, quantisation=self.quantisation if same else None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Deferred:
    """Reals that become codes of the network when they are quantised.

    Members
    -------
    node : compiler.onnx_node.Node
        Which the layer that will make them is named after, and which faults are reported at.
    layout : Layout
        Of the tensor that the layer will make.
    low, high : float
        What the reals are clipped to; infinite for no limit.
    """

    node: Any
    layout: Layout
    low: float = -np.inf
    high: float = np.inf

    def placed(self, layout):
        """The same elements, seen through another layout."""
        return replace(self, layout=layout)

    def clipped(self, low, high):
        """The reals limited to [low, high]."""
        return replace(self, low=min(max(self.low, low), high),
                       high=max(min(self.high, high), low))

    def bounds(self, quantisation) -> dict[str, Any]:
        """The least and the greatest code, as keywords of a golden layer."""
        low, high = clip_bounds(self.low, self.high, quantisation.scale, quantisation.zero_point,
                                quantisation.dtype, rounding="half_even")
        return {"low": low, "high": high}

    def is_fused(self, quantisation, *sources):
        """Whether ONNX Runtime makes one operator on codes of DequantizeLinear, this and
        QuantizeLinear, if it has one: unless it is told not to, where ``sources``, `Quantisation`,
        and the result have one type and a clip in between does nothing."""
        limits = np.iinfo(quantisation.dtype)
        return (all(source.unsigned == quantisation.unsigned for source in sources)
                and self.bounds(quantisation) == {"low": limits.min, "high": limits.max})

    def settle(self, output, quantisation) -> Codes:
        """Add the layer that makes the codes to the network, as tensor ``output``."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Hosted:
    """What the host computes from the network's output.

    Members
    -------
    base : Codes
        The network's output.
    steps : tuple of callables
        Each takes and returns an array (N, ...); the first one takes the codes in their layout.
    shape : tuple of ints
        Of what the last step returns, without the axis of frames.
    elem_type : int
        Its ONNX type.
    """

    base: Codes
    steps: tuple
    shape: tuple
    elem_type: int

    def then(self, step, *, shape=None, elem_type=None):
        """With one more step; shape and type stay what they are unless they are given."""
        return replace(self, steps=(*self.steps, step),
                       shape=self.shape if shape is None else tuple(shape),
                       elem_type=self.elem_type if elem_type is None else elem_type)


@dataclass(frozen=True)
class Missing:
    """Stands for what could not be read.

    Members
    -------
    cause : str
        The node that is at fault.
    """

    cause: str


def describe(value):
    """What kind of value this is, in the words of an error message."""
    if isinstance(value, Constant):
        return f"a constant of type {type_name(value.elem_type)}"
    if isinstance(value, QuantisedConstant):
        return "a dequantised constant"
    if isinstance(value, Sizes):
        return "made of sizes of tensors"
    if isinstance(value, Codes):
        return f"{np.dtype(code_type(value.unsigned))} codes"
    if isinstance(value, Hosted):
        return "computed on the host"
    if getattr(value, "integer", False):
        return "int32 accumulators"
    return "float"
