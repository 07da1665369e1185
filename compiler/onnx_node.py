"""One ONNX node: its attributes and inputs, read on demand and checked as they are read."""

import numpy as np
from onnx import AttributeProto, TensorProto

from compiler.errors import quoted
from compiler.onnx_file import MICROSOFT, node_place
from compiler.onnx_operator import FLOAT, INT, INTS, OPERATORS, STRING, TENSOR, Operator, operator
from compiler.onnx_tensor import element_type, type_name
from compiler.onnx_values import Codes, Constant, Sizes, describe
from golden.base import code_type
from golden.quantisation import Quantisation

__all__ = ["FLOAT", "INT", "INTS", "OPERATORS", "STRING", "TENSOR", "Node", "Operator",
           "operator"]

class Node:
    """A node of a known operator, with the values of its inputs.

    Attributes
    ----------
    proto : onnx.NodeProto
    operator : Operator
    reader : compiler.onnx_graph.Reader
        Whose network the node adds to.
    place : Place
    layers : list of str
        Names of the layers that the node has become so far.
    """

    def __init__(self, proto, reader):
        self.proto, self.reader, self.place = proto, reader, node_place(reader.graph.place, proto)
        self.layers = []
        self.operator = self._operator()
        names = self.operator.inputs
        if self.operator.variadic:
            names = (*names[:-1], *(f"{names[-1]}{index}" for index in
                                    range(len(proto.input) - len(names) + 1)))
        self._inputs = {name: given for name, given in zip(names, proto.input, strict=False)
                        if given}
        self._attributes = {}
        for attribute in proto.attribute:
            self._check_attribute(attribute)
            self._attributes[attribute.name] = attribute

    @property
    def network(self):
        """The network that is being built."""
        return self.reader.network

    @property
    def output(self):
        """Name of the tensor that the node makes."""
        return self.proto.output[0]

    @property
    def opset(self):
        """Version of the standard operators."""
        return self.reader.graph.opset

    def layer_name(self):
        """A name that no layer has yet: the node's or, if it has none, that of what it makes."""
        return self.reader.unique(self.proto.name or self.output, self.output)

    def fault(self, what, remedy):
        """The `ModelError` that says ``what`` is wrong with this node."""
        return self.place.fault(what, remedy)

    # Inputs

    @property
    def inputs(self):
        """Names of the tensors that are given, by the inputs' names in the operator."""
        return self._inputs

    def given(self, name):
        """Whether input ``name`` is there."""
        return name in self._inputs

    def value(self, name):
        """What input ``name`` stands for."""
        return self.reader.values[self._inputs[name]]

    def wrong(self, name, wanted, remedy):
        """The error of an input that is not of the kind that is wanted."""
        return self.fault(f"input {self.title(name)} is {describe(self.value(name))}, not "
                          f"{wanted}", remedy)

    def title(self, name):
        """Both names of an input."""
        return f"'{name}' ({quoted(self._inputs[name])})"

    def codes(self, name):
        """Input ``name``, which must be codes."""
        value = self.value(name)
        if not isinstance(value, Codes):
            raise self.wrong(name, "int8 or uint8 codes", "quantise the model")
        return value

    def real(self, name):
        """Input ``name`` as a `Real`: what DequantizeLinear makes."""
        return self.reader.real(self, name)

    def affine(self, name):
        """Input ``name`` as a `Real` that DequantizeLinear makes, as it came from there."""
        return self.reader.affine(self, name)

    def integer_codes(self, name, zero_point):
        """Input ``name``, codes, and the zero point from another input; 0 if that is absent."""
        codes = self.codes(name)
        if not self.given(zero_point):
            return codes, 0
        return codes, int(self.vector(zero_point, 1, element_type(code_type(codes.unsigned)))[0])

    def constant(self, name, *types):
        """Input ``name`` as an array; its ONNX type must be one of ``types``."""
        value = self.value(name)
        if not isinstance(value, Constant):
            raise self.fault(f"input {self.title(name)} is not an initialiser",
                             "export it as a constant of the model")
        if value.elem_type not in types:
            wanted = " or ".join(type_name(kind) for kind in types)
            raise self.fault(f"input '{name}' has type {type_name(value.elem_type)}, not {wanted}",
                             f"export it as {wanted}")
        return value.array(self.place)

    def vector(self, name, channels, *types):
        """Input ``name`` as one value per channel; a scalar stands for all of them."""
        values = self.constant(name, *types)
        if values.shape not in ((), (1,), (channels,)):
            allowed = f"a scalar or {channels} values" if channels > 1 else "a scalar"
            raise self.fault(f"input '{name}' has shape {values.shape}, not {allowed}",
                             "quantise per tensor, or weights per output channel")
        return np.broadcast_to(values.reshape(-1), (channels,))

    def scales(self, name, channels=1):
        """Input ``name`` as checked float32 scales, one per channel."""
        values = self.vector(name, channels, TensorProto.FLOAT)
        self.check_scales(f"input '{name}'", values)
        return values

    def check_scales(self, title, values):
        """Refuse scales that are not positive, finite and normal float32 numbers."""
        wrong = ~(np.isfinite(values) & (values >= np.finfo(np.float32).tiny))
        if np.any(wrong):
            channel = int(np.argmax(wrong))
            raise self.fault(f"{title} of channel {channel} is {values.reshape(-1)[channel]}",
                             "scales must be positive, finite and not denormal: calibrate again")

    def quantisation(self, scale, zero_point):
        """`Quantisation` of a tensor from the names of two inputs; no zero point is uint8's 0."""
        step = float(self.scales(scale)[0])
        if step * 256 > float(np.finfo(np.float32).max):
            raise self.fault(f"input '{scale}' is {step}: codes are beyond float32",
                             "calibrate again")
        if not self.given(zero_point):
            return Quantisation(step, 0, unsigned=True)
        code = self.vector(zero_point, 1, TensorProto.INT8, TensorProto.UINT8)[0]
        return Quantisation(step, int(code), code.dtype == np.uint8)

    def quantised(self, name, scale, zero_point):
        """Input ``name``, codes, and their `Quantisation` from two more inputs."""
        codes, quantisation = self.codes(name), self.quantisation(scale, zero_point)
        if codes.unsigned != quantisation.unsigned:
            made, told = (np.dtype(code_type(each.unsigned)) for each in (codes, quantisation))
            title = f"'{zero_point}'" if self.given(zero_point) else "an absent zero point"
            raise self.fault(f"input {title} has type {told}, input '{name}' {made}",
                             "give both the same type")
        self.network.learn(codes.tensor, quantisation)
        return codes, quantisation

    # Attributes

    def has(self, name):
        """Whether attribute ``name`` is there."""
        return name in self._attributes

    def integers(self, name, length, *, low, default, remedy="export a 2D network"):
        """Attribute ``name`` as a tuple of ``length`` integers, each at least ``low``."""
        if name not in self._attributes:
            return default
        values = tuple(self._attributes[name].ints)
        if len(values) != length or any(value < low for value in values):
            raise self.fault(f"attribute '{name}' = {list(values[:8])} is not {length} "
                             f"integers of at least {low}", remedy)
        return values

    def axes(self, name):
        """Attribute ``name`` as a tuple of any integers; None if it is absent."""
        return tuple(self._attributes[name].ints) if self.has(name) else None

    def integer(self, name, default):
        """Attribute ``name`` as an integer."""
        return self._attributes[name].i if self.has(name) else default

    def number(self, name, default):
        """Attribute ``name`` as a finite float, or infinite if the default is."""
        value = self._attributes[name].f if self.has(name) else default
        if np.isnan(value) or (np.isinf(value) and not np.isinf(default)):
            raise self.fault(f"attribute '{name}' is {value}", "give a finite number")
        return value

    def flag(self, name, default=0):
        """Attribute ``name`` as 0 or 1."""
        value = self.integer(name, default)
        if value not in (0, 1):
            raise self.fault(f"attribute '{name}' = {value} is not 0 or 1",
                             "export the model again")
        return value

    def must_be(self, name, value, remedy):
        """Refuse an attribute whose value is not ``value``, its default."""
        given = self.integer(name, value)
        if given != value:
            raise self.fault(f"attribute '{name}' = {given} is not supported", remedy)

    def text(self, name, allowed):
        """Attribute ``name``, one of ``allowed``, of which the first is the default."""
        if name not in self._attributes:
            return allowed[0]
        value = self._attributes[name].s.decode("utf-8", "replace")
        if value not in allowed:
            raise self.fault(f"attribute '{name}' = {quoted(value)} is unknown",
                             f"use one of {', '.join(allowed)}")
        return value

    def tensor(self, name):
        """Attribute ``name``, a tensor."""
        return self._attributes[name].t

    # Checks

    def check_sizes(self):
        """Refuse sizes of tensors where the operator takes values."""
        known = self.operator
        for name in self._inputs:
            # The last input of a variadic operator has a number behind its name.
            kind = known.inputs[-1] if known.variadic and name not in known.inputs else name
            if isinstance(self.value(name), Sizes) and kind not in known.sizes:
                raise self.wrong(name, "a value", "give the shape of the Reshape as a constant")

    def _operator(self):
        proto = self.proto
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        if domain not in ("", MICROSOFT):
            raise self.fault(f"operator domain {quoted(domain)} is not supported",
                             "export standard ONNX operators only")
        known = OPERATORS.get((domain, proto.op_type))
        if known is None:
            raise self.fault("operator is not supported", self.reader.remedy(domain, proto.op_type))
        if proto.overload or proto.device_configurations:
            raise self.fault("overloads and device configurations are not supported",
                             "export the node without them")
        most = len(proto.input) if known.variadic else len(known.inputs)
        counts = (str(known.required) if most == known.required
                  else f"{known.required} or more" if known.variadic
                  else f"{known.required} to {most}")
        if not known.required <= len(proto.input) <= most or len(proto.output) != 1:
            raise self.fault(f"it has {len(proto.input)} input(s) and {len(proto.output)} "
                             f"output(s)", f"give {counts} input{'s' * (counts != '1')} and 1 "
                             "output")
        named = zip(known.inputs, proto.input, strict=False)
        if not proto.output[0] or (known.variadic and not all(proto.input)) or any(
                not given and name not in known.optional for name, given in named):
            raise self.fault("a required input or the output has no name", "connect it")
        return known

    def _check_attribute(self, attribute):
        title, kinds = f"attribute {quoted(attribute.name)}", self.operator.attributes
        if attribute.name not in kinds:
            known = f"use only {', '.join(sorted(kinds))}" if kinds else "it has none"
            raise self.fault(f"{title} is unknown", known)
        if attribute.name in self._attributes:
            raise self.fault(f"{title} is given twice", "give it once")
        if attribute.ref_attr_name:
            raise self.fault(f"{title} refers to one of a function",
                             "export the model without functions")
        if attribute.type != kinds[attribute.name]:
            kind = AttributeProto.AttributeType.Name(kinds[attribute.name])
            raise self.fault(f"{title} is not of type {kind}", "export the model again")
