"""What the host computes behind the network: Softmax, and what changes type or layout there.

Every step is a callable from an array (N, ...) to another, as `compiler.model.Model.host` has them.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from compiler.model import Dequantise
from compiler.onnx_file import MICROSOFT
from compiler.onnx_node import INT, operator
from compiler.onnx_tensor import element_type
from compiler.onnx_values import Codes, Hosted
from golden.base import code_type
from golden.quantisation import Quantisation

__all__ = ["Lookup", "Quantise", "Rearrange", "Softmax", "hosted"]


@dataclass(frozen=True, eq=False)
class Rearrange:
    """Elements of every frame in another order and with other sizes.

    Members
    -------
    shape : tuple of ints
        Of one frame.
    order : array of ints, or None
        Index in row-major order of the element that comes at each place; None keeps the order.
    """

    shape: tuple
    order: np.ndarray | None = None

    def __call__(self, values):
        """Return array (N, *shape)."""
        flat = np.asarray(values).reshape(len(values), math.prod(self.shape))
        flat = flat if self.order is None else flat[:, self.order]
        return flat.reshape(len(values), *self.shape)


@dataclass(frozen=True, eq=False)
class Lookup:
    """A float32 real for every code.

    Members
    -------
    table : array of float32, shape (256,)
        Indexed by the code's byte.
    """

    table: np.ndarray

    def __call__(self, codes):
        """Return reals in the shape of ``codes``."""
        return self.table[np.asarray(codes).view(np.uint8)]


@dataclass(frozen=True)
class Quantise:
    """QuantizeLinear."""

    quantisation: Quantisation

    def __call__(self, reals):
        """Return codes in the shape of ``reals``."""
        return self.quantisation.quantise(reals, rounding="half_even")


@dataclass(frozen=True)
class Softmax:
    r"""Softmax in float32.

    .. math:: y_i = \frac{e^{x_i - \max x}}{\sum_j e^{x_j - \max x}}

    over some axes. Exponential and sum are rounded their own way by every runtime: results agree
    with ONNX Runtime's to some units in the last place of a float32, not bit for bit. Its
    QLinearSoftmax, which it also makes of DequantizeLinear - Softmax - QuantizeLinear, takes
    ⌊1 / y_scale⌋ for 1 / y_scale, and may be off by a step more.

    Members
    -------
    axes : tuple of ints
        Counted with that of the frames, which is none of them.
    """

    axes: tuple

    def __call__(self, reals):
        """Return reals in the same shape."""
        reals = np.asarray(reals, np.float32)
        powers = np.exp(reals - reals.max(axis=self.axes, keepdims=True))
        return powers / powers.sum(axis=self.axes, keepdims=True, dtype=np.float32)


def hosted(network, value):
    """What the host has of a value: `Codes` of the network, a `Real`, or what it is already."""
    if isinstance(value, Hosted):
        return value
    if isinstance(value, Codes):
        steps, kind = (), element_type(code_type(value.unsigned))
        codes = value
    else:
        codes, kind = value.codes, TensorProto.FLOAT
        given = value.quantisation
        steps = (Lookup(value.table) if given is None
                 else Dequantise(given.scale, given.zero_point),)
    shape, order = codes.layout.shape, network.order(codes)
    return Hosted(codes, (Rearrange(shape, order), *steps), shape, kind)


@operator("Softmax", "input", axis=INT, mapped="the host, at the end of the network",
          limits="only layout, QuantizeLinear and DequantizeLinear may follow")
def softmax(node):
    """Softmax of reals, on the host."""
    value = node.value("input")
    if not isinstance(value, Hosted):
        value = hosted(node.network, node.real("input"))
    if value.elem_type != TensorProto.FLOAT:
        raise node.wrong("input", "float", "dequantise it")
    return value.then(Softmax(_softmax_axes(node, len(value.shape) + 1, legacy=node.opset < 13)))


@operator("QLinearSoftmax", "X X_scale x_zero_point? y_scale y_zero_point", domain=MICROSOFT,
          axis=INT, opset=INT, mapped="the host, at the end of the network",
          limits="only layout and DequantizeLinear may follow")
def qlinear_softmax(node):
    """Softmax of what codes stand for, quantised again: on the host."""
    codes, quantisation = node.quantised("X", "X_scale", "x_zero_point")
    made = node.quantisation("y_scale", "y_zero_point")
    value = hosted(node.network, codes)
    axes = _softmax_axes(node, len(value.shape) + 1, legacy=node.integer("opset", 13) < 13)
    for step in (Dequantise(quantisation.scale, quantisation.zero_point), Softmax(axes)):
        value = value.then(step)
    return value.then(Quantise(made), elem_type=element_type(made.dtype))


def _softmax_axes(node, rank, *, legacy):
    """The axes to sum over: one, or before opset 13 all from it on."""
    axis = node.integer("axis", 1 if legacy else -1)
    if not -rank <= axis < rank or axis % rank == 0:
        raise node.fault(f"attribute 'axis' = {axis} is not between 1 and {rank - 1}",
                         "give one of these")
    return tuple(range(axis % rank, rank)) if legacy else (axis % rank,)
