"""Element by element: Add, Relu, Clip, and arithmetic with constants."""

from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto

from compiler.onnx_arithmetic import arithmetic, is_constant
from compiler.onnx_file import MICROSOFT
from compiler.onnx_node import FLOAT, INT, operator
from compiler.onnx_sums import Sums
from compiler.onnx_values import Codes, Constant, Deferred, QuantisedConstant, Real, Sizes
from golden.onnx_ops import onnx_add, onnx_requantise
from golden.quantisation import Quantisation

__all__ = ["Total"]

BOUNDS = "bounds of the layer before, or a table"
SUM = "sum of two tables"


@dataclass(frozen=True, eq=False, kw_only=True)
class Total(Deferred):
    """Sum of two values of one shape, to be quantised.

    Members
    -------
    first, second : Real
        That DequantizeLinear makes.
    """

    first: Real
    second: Real

    def settle(self, output, quantisation):
        """Add the layer that makes the codes to the network, as tensor ``output``.

        Ties are those of QLinearAdd where ONNX Runtime makes that of it.
        """
        sources = self.first.quantisation, self.second.quantisation
        try:
            layer = onnx_add(self.node.layer_name(), *sources, quantisation,
                             fused=self.is_fused(quantisation, *sources),
                             **self.bounds(quantisation))
        except ValueError as error:
            raise self.node.fault(str(error), "calibrate again") from error
        return self.node.network.add(self.node, layer, (self.first.codes, self.second.codes),
                                     output, layout=self.layout, quantisation=quantisation)


def total(node, first, second):
    """The `Total` of two reals that lie alike."""
    shapes = [real.layout.shape for real in (first, second)]
    if shapes[0] != shapes[1]:
        raise node.fault(f"its operands have shapes (N, {_text(shapes[0])}) and (N, "
                         f"{_text(shapes[1])})", "give them one shape: nothing is broadcast")
    if not node.network.same_place(first.codes, second.codes):
        raise node.fault("the elements of its operands lie in different orders",
                         "remove the Reshape or Transpose before it")
    return Total(node=node, layout=node.network.placed(first.codes), first=first, second=second)


@operator("Add", "A B", mapped=f"{SUM}; with a constant, a bias",
          limits="equal shapes, or a constant per tensor or channel")
def add(node):
    """Sum of two values, or of a value and a constant."""
    if any(is_constant(node.value(name)) for name in ("A", "B")):
        return arithmetic(node, np.add)
    return total(node, node.affine("A"), node.affine("B"))


@operator("QLinearAdd", "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?",
          domain=MICROSOFT, mapped=SUM, limits="equal shapes, no constants")
def qlinear_add(node):
    """Sum of codes, quantised."""
    first, second = (Real.dequantised(*node.quantised(name, f"{name}_scale", f"{name}_zero_point"))
                     for name in ("A", "B"))
    made = node.quantisation("C_scale", "C_zero_point")
    return total(node, first, second).settle(node.output, made)


@operator("Relu", "X", mapped=BOUNDS)
def relu(node):
    """Maximum with 0."""
    return _clipped(node, "X", 0.0, np.inf)


@operator("Clip", "input min? max?", mapped=BOUNDS, limits="constant bounds",
          min=FLOAT, max=FLOAT)
def clip(node):
    """Values limited to an interval."""
    low, high = _bound(node, "min", -np.inf), _bound(node, "max", np.inf)
    if not low <= high:
        raise node.fault(f"min = {low} is not at most max = {high}", "export the model again")
    return _clipped(node, "input", low, high)


@operator("Cast", "input", mapped="layout only: no element moves",
          limits="int32 accumulators to float, sizes to int64", sizes="input", to=INT, saturate=INT)
def cast(node):
    """Accumulators as reals; or sizes, which are int64 already."""
    node.must_be("saturate", 1, "leave it out")
    value = node.value("input")
    if node.integer("to", 0) == TensorProto.INT64:
        if isinstance(value, Sizes):
            return value
        if isinstance(value, Constant):
            kinds = TensorProto.INT64, TensorProto.INT32
            return Constant.of_array(node.constant("input", *kinds).astype(np.int64), node.output)
    if node.integer("to", 0) == TensorProto.FLOAT and not isinstance(value, Sizes):
        if isinstance(value, Sums) and value.integer:
            return replace(value, integer=False)
        if isinstance(value, Constant):
            return Constant.of_array(value.array(node.place).astype(np.float32), node.output)
    raise node.fault("only int32 accumulators may be cast, to float, and sizes, to int64",
                     "export without Cast")


def _clipped(node, name, low, high):
    value = node.value(name)
    if isinstance(value, Codes):
        limits = np.iinfo(np.uint8 if value.unsigned else np.int8)
        low, high = (int(min(max(bound, limits.min), limits.max)) for bound in (low, high))
        same = Quantisation(1.0, 0, value.unsigned)
        layer = onnx_requantise(node.layer_name(), same, same, low=low, high=high)
        return node.network.add(node, layer, (value,), node.output,
                                layout=node.network.placed(value),
                                quantisation=node.network.quantisation(value.tensor))
    if isinstance(value, Deferred) and not getattr(value, "integer", False):
        return value.clipped(low, high)
    return node.real(name).clipped(low, high)


def _bound(node, name, default):
    """A bound of Clip: an attribute before opset 11, then an input."""
    if not node.given(name):
        return node.number(name, default)
    value = node.value(name)
    if isinstance(value, QuantisedConstant) and value.codes.size == 1:
        steps = value.codes.reshape(()).astype(np.int64) - value.zero_point.reshape(())
        return float(np.float32(steps) * value.scale.reshape(()))
    kinds = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8)
    bound = node.constant(name, *kinds)
    told = node.value("input")
    if isinstance(told, Codes) == (bound.dtype == np.float32) or bound.size != 1:
        raise node.fault(f"input '{name}' is no single number of the type of its input",
                         "export the model again")
    if np.isnan(bound.reshape(())):
        raise node.fault(f"input '{name}' is NaN", "export the model again")
    return bound.reshape(()).item()


def _text(shape):
    return ", ".join(map(str, shape))
