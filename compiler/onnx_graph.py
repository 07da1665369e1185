"""An ONNX graph while it is read, node by node."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.errors import ModelError, quoted
from compiler.model import Dequantise, Model, Port
from compiler.onnx_host import hosted
from compiler.onnx_network import MAX_ELEMENTS, NetworkBuilder
from compiler.onnx_node import Node
from compiler.onnx_quantise import quantise
from compiler.onnx_sizes import KNOWN
from compiler.onnx_tensor import type_name
from compiler.onnx_values import (
    Codes,
    Constant,
    Deferred,
    Layout,
    Missing,
    QuantisedConstant,
    Raw,
    Real,
    Sizes,
)
from compiler.survey import Row
from golden.quantisation import Quantisation

__all__ = ["Reader"]

_REMEDIES = {
    "DynamicQuantizeLinear": "quantise statically: scales must be known beforehand",
}
_SAME_SHAPE = frozenset((
    "Abs", "BatchNormalization", "Celu", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid",
    "HardSwish", "InstanceNormalization", "LeakyRelu", "LRN", "Mish", "Neg", "PRelu", "Relu",
    "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu"))
"""Operators whose output looks like their input, so that what follows can be looked at even if they
are refused."""


MAX_CONSTANTS = 1 << 31
"""Bytes that weights and other constants may take, each as often as nodes read or make it."""


class Reader:
    """A graph while it is read.

    Parameters
    ----------
    graph : compiler.onnx_file.Graph
    calibration : compiler.calibrate.Calibration, or None
        What quantises a float model; None if the model must be quantised already.

    Attributes
    ----------
    network : NetworkBuilder
    values : dict of str to value
        What is known so far, by the names of the graph; see `compiler.onnx_values`.
    frames : int or None
        Size of the input's first axis; None if it may vary.
    """

    def __init__(self, graph, calibration=None):
        self.graph = graph
        self.calibration: Any = calibration
        place = graph.place.at(f"input {quoted(graph.input.name)}")
        self.frames, frame = _frame(graph.input, place)
        self.network = NetworkBuilder(frame, place)
        self.values: dict[str, Any] = {
            name: Constant.of_tensor(tensor) for name, tensor in graph.constants.items()}
        # A Shape reads no value.
        self._consumers = Counter([graph.output.name, *(
            name for node in graph.nodes for name in node.input if node.op_type != "Shape")])
        self._kept = 0
        self._layers, self._tensors = set(), {
            name for node in graph.nodes for name in (*node.input, *node.output)}
        self.values[graph.input.name] = self._opened(frame)

    def _opened(self, frame):
        """The value of the model's input."""
        port, raw = self.graph.input, Raw(Layout(frame))
        if port.elem_type != TensorProto.FLOAT:
            return self.network.start(port.name, port.elem_type == TensorProto.UINT8)
        return raw if self.calibration is None else self._quantised(raw, port.name)

    # Names

    def unique(self, *names):
        """The first of ``names`` that no layer has, else that of them with a number; now taken."""
        count, name = 1, next((name for name in names if name not in self._layers), names[0])
        while name in self._layers:
            count += 1
            name = f"{names[0]}:{count}"
        self._layers.add(name)
        return name

    def unique_tensor(self, name):
        """``name``, with a number if the graph has such a value."""
        count, made = 1, name
        while made in self._tensors:
            count += 1
            made = f"{name}:{count}"
        self._tensors.add(made)
        return made

    # Nodes

    def read(self, proto):
        """Read one node; return an `_Entry`."""
        title = proto.name or (proto.output[0] if proto.output else "")
        node = fault = None
        try:
            node = Node(proto, self)
            made = next((self.values[name] for name in proto.input if name
                         and isinstance(self.values[name], Missing)), None)
            if made is None:
                made = self._value(node)
        except ModelError as error:
            fault, made = error, self._stand_in(proto, title)
        for name in filter(None, proto.output):
            self.values[name] = made
        return _Entry(title, proto.op_type, node, fault, made)

    def _value(self, node):
        try:
            node.check_sizes()
            made = node.operator.read(node)
            self._kept += _bytes_of(made)
            if self._kept > MAX_CONSTANTS:
                raise node.fault(f"with its constants all are more than {MAX_CONSTANTS} bytes",
                                 "fold constants, and share no weights")
            # What several nodes read becomes codes at once; else each would make its own.
            if (self.calibration is not None and isinstance(made, Deferred)
                    and self._consumers[node.output] > 1):
                made = self._quantised(made, node.output)
        except (OverflowError, TypeError, ValueError) as error:
            if isinstance(error, ModelError):
                raise
            raise node.fault(str(error), "export a model within these limits") from error
        return made

    def _stand_in(self, proto, title):
        """After a fault, what the node's output may be taken for, so that reading can go on."""
        values = [self.values[name] for name in proto.input if name in self.values]
        laid = [value for value in values if not isinstance(value, (Constant, QuantisedConstant))]
        if proto.op_type in _SAME_SHAPE and len(laid) == 1:
            return laid[0]
        return Missing(title)

    # Reals, in a model that is quantised already and in one that is quantised here

    def real(self, node, name):
        """Input ``name`` of ``node`` as a `Real`."""
        value = node.value(name)
        if isinstance(value, Real):
            return value
        if not isinstance(value, (Deferred, Raw)) or getattr(value, "integer", False):
            raise node.wrong(name, "float", "dequantise it")
        if self.calibration is not None:
            return self._quantised(value, node.inputs[name])
        raise node.fault(f"input {node.title(name)} is float where codes are needed",
                         "quantise the model to int8, or give calibration images"
                         if isinstance(value, Raw) else
                         "put QuantizeLinear and DequantizeLinear before this node")

    def affine(self, node, name):
        """The same, with a table that is that of a DequantizeLinear."""
        real = self.real(node, name)
        if real.quantisation is not None:
            return real
        if self.calibration is None:
            raise node.fault(f"input {node.title(name)} was changed since it was dequantised",
                             "put QuantizeLinear and DequantizeLinear before this node")
        tensor = node.inputs[name]
        made = self.calibration.quantisation(tensor)
        return Real.dequantised(quantise(node, real, made, tensor), made)

    def part(self, node, name):
        """Input ``name`` of ``node`` as a `Real`, or a `Deferred` as it is."""
        value = node.value(name)
        if isinstance(value, Deferred) and not getattr(value, "integer", False):
            return value
        return self.real(node, name)

    def _quantised(self, value, tensor):
        """A `Raw` or `Deferred` of a model that is quantised here, as tensor ``tensor``."""
        quantisation = self.calibration.quantisation(tensor)
        if isinstance(value, Raw):
            codes = self.network.start(tensor, quantisation.unsigned)
            self.network.learn(tensor, quantisation)
        else:
            codes = quantise(value.node, value, quantisation, tensor)
        return Real.dequantised(codes, quantisation)

    def quantise_input(self, node, raw, quantisation):
        """Codes of the model's float input."""
        network = self.network
        if not network.input:
            network.start(node.output, quantisation.unsigned)
            network.learn(node.output, quantisation)
        elif network.quantisation(network.input) != quantisation:
            raise node.fault("the model's input is quantised in two ways", "quantise it once")
        return Codes(network.input, raw.layout, quantisation.unsigned)

    def sums_fields(self, channels):
        """Keywords of a `compiler.onnx_sums.Sums` that say whether a BatchNorm may follow."""
        if self.calibration is None:
            return {}
        return {"gain": np.ones(channels), "shift": np.zeros(channels)}

    def remedy(self, domain, operator):
        """What to do about an operator that is not supported."""
        remedy = _REMEDIES.get(operator) if not domain else None
        return remedy or "export with operators that docs/support.md lists"

    # The end

    def finish(self):
        """The `Model`, once all nodes have been read."""
        sink = self.graph.output
        place = self.graph.place.at(f"output {quoted(sink.name)}")
        final = self._result(place)
        if sink.elem_type != final.elem_type:
            raise place.fault(f"it is declared {type_name(sink.elem_type)} but made as "
                              f"{type_name(final.elem_type)}", "declare the type that is made")
        made, declared = (self.frames, *final.shape), sink.shape
        if declared is not None and (len(declared) != len(made) or any(
                None not in pair and pair[0] != pair[1]
                for pair in zip(declared, made, strict=True))):
            raise place.fault(f"it is declared with shape {_text(declared)} but made with shape "
                              f"{_text(made)}", "declare the shape that is made")
        network = self.network.finish(final.base.tensor)
        entry, end = (self.network.quantisation(name) or Quantisation(1.0, 0, unsigned)
                      for name, unsigned in ((self.network.input, network.input_unsigned),
                                             (final.base.tensor, final.base.unsigned)))
        return Model(
            file=self.graph.place.file, network=network,
            host=_needed(final, end),
            input=_port(self.graph.input, self.network.frame, entry,
                        channels_last=self.network.channels_last),
            output=_port(sink, final.shape, end, channels_last=False))

    def _result(self, place):
        """What the output is: `compiler.onnx_values.Hosted`."""
        value = self.values[self.graph.output.name]
        if isinstance(value, Deferred) and self.calibration is not None:
            value = self._quantised(value, self.graph.output.name)
        if isinstance(value, (Deferred, Raw)):
            raise place.fault("it is float and not quantised",
                              "end with QuantizeLinear, or that and DequantizeLinear")
        if isinstance(value, (Constant, QuantisedConstant)):
            raise place.fault("it does not depend on the input", "there is nothing to accelerate")
        if isinstance(value, Sizes):
            raise place.fault("it is made of sizes of tensors", "there is nothing to accelerate")
        return hosted(self.network, value)


@dataclass(frozen=True)
class _Entry:
    """A node that has been read: its `Row` can be made once its layers are known."""

    title: str
    operator: str
    node: Node | None
    fault: ModelError | None
    made: Any

    def row(self):
        """What becomes of the node."""
        reason = None
        if self.fault is not None:
            reason = f"{self.fault.what}; {self.fault.remedy}"
        elif isinstance(self.made, Missing):
            reason = (f"not looked at: it needs what node {quoted(self.made.cause)} makes; "
                      "mend that one first")
        mapped = self.node.operator.mapped if self.node and reason is None else None
        if isinstance(self.made, Sizes) and reason is None:
            mapped = KNOWN
        layers = tuple(self.node.layers) if self.node else ()
        return Row(self.title, self.operator, mapped, reason, layers)


def _bytes_of(value):
    """Memory that a value keeps."""
    array = getattr(value, "weight", getattr(value, "codes", getattr(value, "content", None)))
    return array.nbytes if isinstance(array, np.ndarray) else 0


def _frame(port, place):
    """Size of the first axis, None if it may vary, and the sizes of one frame."""
    shape = port.shape
    if len(shape) < 2:
        raise place.fault(f"it has shape {_text(shape)}", "export with a first axis for the batch "
                          "and others for the frame")
    if any(size is None or size < 1 for size in shape[1:]) or (
            shape[0] is not None and shape[0] < 1):
        raise place.fault(f"its shape {_text(shape)} is not fixed and positive",
                          "export with fixed channels, height and width; only the batch may vary")
    if math.prod(shape[1:]) > MAX_ELEMENTS:
        raise place.fault(f"its shape {_text(shape)} is too large",
                          f"keep feature maps to {MAX_ELEMENTS} elements")
    return shape[0], shape[1:]


def _port(port, shape, quantisation, *, channels_last):
    dtype = {TensorProto.FLOAT: np.float32, TensorProto.INT8: np.int8,
             TensorProto.UINT8: np.uint8}[port.elem_type]
    return Port(name=port.name, shape=tuple(shape), dtype=dtype, channels_last=channels_last,
                scale=quantisation.scale, zero_point=quantisation.zero_point)


def _needed(final, quantisation):
    """The host's steps without what `Model.decode` does by itself."""
    first, *steps = final.steps
    if first.order is not None or first.shape != final.shape:
        return final.steps
    if steps == [Dequantise(quantisation.scale, quantisation.zero_point)]:
        return ()
    return tuple(steps)


def _text(shape):
    """``shape`` as text, with ? for symbolic sizes."""
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
