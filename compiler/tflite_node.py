"""One TFLite operator: its options and tensors, read on demand and checked as they are read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tflite

from compiler.errors import quoted
from compiler.tflite_file import MAX_ELEMENTS
from compiler.tflite_values import Value
from golden.activation import clip_bounds, relu_bounds
from golden.network import Node as NetworkNode
from golden.quantisation import Quantisation

__all__ = ["ACTIVATIONS", "OPERATORS", "Node", "Operator", "operator"]

ACTIVATIONS = {
    "NONE": None,
    "RELU": (0, np.inf),
    "RELU_N1_TO_1": (-1, 1),
    "RELU6": (0, 6),
}
"""Real bounds of the activations that are clips."""

MAX_CONSTANT_BYTES = 1 << 28
"""The most bytes of constants that operators read together, each counted as often as it is read:
a small file may let all operators share a large one."""

_ACTIVATION_NAMES = {value: name for name, value in vars(tflite.ActivationFunctionType).items()
                     if not name.startswith("_")}
_DTYPES = {"int8": np.int8, "uint8": np.uint8, "int32": np.dtype("<i4"), "int64": np.dtype("<i8")}
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Operator:
    """What is known of an operator.

    Members
    -------
    name : str
    inputs : (int, int)
        Fewest and most inputs.
    options : str
        Its table of options.
    optional : bool
        Whether the table may be absent.
    version : int
        The newest version whose meaning is known.
    mapped : str
        What the operator becomes, in a few words.
    limits : str
        What is asked of it beyond its definition, in a few words; may be empty.
    read : callable
        Takes a `Node`, returns the `Value` of its output, or an array of ints.
    """

    name: str
    inputs: tuple
    options: str
    optional: bool
    version: int
    mapped: str
    limits: str
    read: Callable


OPERATORS: dict[str, Operator] = {}
"""Every operator that can be read, by its name in TFLite's schema."""


def operator(name, inputs, *, options, optional=False, version, mapped, limits=""):
    """Decorator that registers the function that reads an operator; see `Operator`."""
    def register(read):
        OPERATORS[name] = Operator(name, inputs, options, optional, version, mapped, limits, read)
        return read
    return register


class Node:
    """An operator of a graph that is being read.

    Parameters
    ----------
    raw : compiler.tflite_file.Operator
    graph : compiler.tflite_reader.Graph
    """

    def __init__(self, raw, graph):
        self.raw, self.graph = raw, graph
        made = graph.file.tensors[raw.outputs[0]].name if raw.outputs else ""
        self.place = graph.file.place.at(f"node {raw.index} {quoted(made)} ({raw.name})")
        self.layer_name = f"{raw.name.lower()}_{raw.index}"
        self.layers = []

    def fault(self, what, remedy):
        """The `ModelError` that says ``what`` is wrong with this node and the ``remedy``."""
        return self.place.fault(what, remedy)

    def check(self):
        """Return what is known of the operator; refuse it if it is none that can be read."""
        raw = self.raw
        known = OPERATORS.get(raw.name)
        if known is None:
            raise self.fault("the operator is not supported", "replace it with one that "
                             "docs/support.md lists, or cut the model before it")
        if not 1 <= raw.version <= known.version:
            raise self.fault(f"version {raw.version} of the operator is not supported",
                             f"convert the model to version {known.version} or older")
        if raw.odd:
            raise self.fault(raw.odd, "convert the model with standard operators only")
        fewest, most = known.inputs
        if not fewest <= len(raw.inputs) <= most or len(raw.outputs) != 1:
            raise self.fault(f"it has {len(raw.inputs)} input(s) and {len(raw.outputs)} output(s)",
                             "convert the model again: the file is damaged")
        if -1 in raw.inputs[:fewest]:
            raise self.fault(f"input {raw.inputs.index(-1)} is not given", "connect it")
        for tensor in (*(self.tensor(index) for index in range(len(raw.inputs))), self.output):
            if tensor is not None and tensor.odd:
                what, remedy = tensor.odd
                raise self.fault(f"tensor {quoted(tensor.name)} {what}", remedy)
        if raw.options_type not in (known.options, "NONE"):
            raise self.fault(f"it has {raw.options_type[:40]}, not {known.options}",
                             "convert the model again")
        if raw.options is None and not known.optional:
            raise self.fault(f"its {known.options} are not given", "convert the model again")
        return known

    # Options

    def option(self, name, *, low=None, high=None):
        """Option ``name`` as an integer in [low, high]."""
        value = int(getattr(self.raw.options, name)())
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"in [{low}, {high}]"
            raise self.fault(f"option {name} = {value} is not {bounds}", "convert the model again")
        return value

    def pair(self, names, *, low=1, high=1 << 20):
        """Two options as a tuple (height, width)."""
        return tuple(self.option(name, low=low, high=high) for name in names)

    def same_padding(self):
        """Whether option Padding is SAME rather than VALID."""
        return self.option("Padding", low=0, high=1) == tflite.Padding.SAME

    def bounds(self, quantisation, activation=None):
        """Code bounds of an activation, by default the fused one, as keywords of a layer."""
        if activation is None:
            number = self.option("FusedActivationFunction")
            activation = _ACTIVATION_NAMES.get(number, f"activation {number}")
        if activation not in ACTIVATIONS:
            raise self.fault(f"option FusedActivationFunction = {activation} is not supported",
                             f"use one of {', '.join(ACTIVATIONS)}")
        limits = ACTIVATIONS[activation]
        if limits is None:
            return {}
        if activation == "RELU":
            low, high = relu_bounds(quantisation.dtype, quantisation.zero_point)
        else:
            low, high = clip_bounds(limits[0], limits[1], quantisation.scale,
                                    quantisation.zero_point, quantisation.dtype)
        return {"low": low, "high": high}

    # Tensors

    @property
    def output(self):
        """The tensor that it makes, as the file declares it."""
        return self.graph.file.tensors[self.raw.outputs[0]]

    def tensor(self, position):
        """The tensor of an input as the file declares it; None if it is not given."""
        if position >= len(self.raw.inputs) or self.raw.inputs[position] < 0:
            return None
        return self.graph.file.tensors[self.raw.inputs[position]]

    def title(self, position):
        """How an input is called in messages."""
        return f"input {position} {quoted(self.graph.file.tensors[self.raw.inputs[position]].name)}"

    def value(self, position=0):
        """The `Value` of an input, or the array of ints that it is."""
        index = self.raw.inputs[position]
        if index not in self.graph.values:
            tensor = self.graph.file.tensors[index]
            raise self.fault(f"{self.title(position)} is a constant" if tensor.data is not None
                             else f"{self.title(position)} is used before it is made",
                             "make it of the model's input")
        value = self.graph.values[index]
        if not isinstance(value, Value):
            raise self.fault(f"{self.title(position)} is a shape", "make it of the model's input")
        return value

    def codes(self, position=0):
        """The `Value` of an input that the engine has as codes."""
        value = self.value(position)
        if value.is_real:
            raise self.fault(f"{self.title(position)} is float32, not int8 or uint8",
                             "quantise the model in full, inputs and operators alike")
        if value.host is not None:
            raise self.fault(f"{self.title(position)} is made on the host",
                             "let SOFTMAX and DEQUANTIZE be the last operators")
        return value

    def map(self, position=0):
        """The codes of an input (N, H, W, C), with channels last in the network as in TFLite."""
        value = self.codes(position)
        if len(value.shape) != 4:
            raise self.fault(f"{self.title(position)} has shape {value.shape}, not 4 sizes",
                             "reshape it to (N, height, width, channels)")
        return self.placed(position, value, value.shape[1:])

    def placed(self, position, value, sizes):
        """``value`` if its sizes (H, W, C) are the network's, else a fault."""
        value.extent.settle(sizes, turned=value.turned)
        if value.extent.sizes != tuple(sizes) or not value.straight:
            raise self.fault(f"{self.title(position)} is reshaped or transposed in a way that "
                             f"moves data: from {value.extent.sizes} to {tuple(sizes)}",
                             "keep height, width and channels between layers as they are")
        return value

    def constant(self, position, *types):
        """An input as a constant array of one of the ``types``."""
        tensor = self.tensor(position)
        computed = self.graph.values.get(self.raw.inputs[position])
        if isinstance(computed, np.ndarray) and "int32" in types:
            return computed
        if tensor is None or tensor.data is None or computed is not None:
            raise self.fault(f"{self.title(position)} is not a constant",
                             "export it as a constant of the model")
        if tensor.type not in types:
            raise self.fault(f"{self.title(position)} has type {tensor.type}, not "
                             f"{' or '.join(types)}", "quantise the model to int8")
        dtype = np.dtype(_DTYPES[tensor.type])
        if tensor.data.size != int(np.prod(tensor.shape, dtype=np.int64)) * dtype.itemsize:
            raise self.fault(f"{self.title(position)} of shape {tensor.shape} holds "
                             f"{tensor.data.size} bytes",
                             "convert the model again: the file is damaged")
        self.graph.constant_bytes += tensor.data.size
        if self.graph.constant_bytes > MAX_CONSTANT_BYTES:
            raise self.fault("the constants read so far have more than "
                             f"{MAX_CONSTANT_BYTES} bytes", "share no large constant")
        values = np.ascontiguousarray(tensor.data).view(dtype).reshape(tensor.shape)
        return values.astype(dtype.newbyteorder("="))

    def scales(self, tensor, count, axis):
        """Scales of a constant, float32, one for each of ``count`` channels along ``axis``."""
        scale = tensor.scale
        if scale.size not in (1, count):
            raise self.fault(f"tensor {quoted(tensor.name)} has {scale.size} scales, not 1 or "
                             f"{count}", "quantise the weights per tensor or per output channel")
        if scale.size > 1 and tensor.axis != axis:
            raise self.fault(f"tensor {quoted(tensor.name)} has quantized_dimension {tensor.axis}, "
                             f"not {axis}", "quantise the weights per output channel")
        self.check_scale(tensor)
        return np.broadcast_to(scale, (count,))

    def check_scale(self, tensor):
        """Refuse scales that are none."""
        wrong = ~(np.isfinite(tensor.scale) & (tensor.scale >= _TINY))
        if np.any(wrong):
            channel = int(np.argmax(wrong))
            where = f" of channel {channel}" if tensor.scale.size > 1 else ""
            raise self.fault(f"tensor {quoted(tensor.name)}: the scale{where} is "
                             f"{tensor.scale[channel]}",
                             "scales must be positive, finite and not denormal: calibrate again")

    def quantisation(self, tensor):
        """The `Quantisation` of a tensor of codes that has one scale."""
        name = quoted(tensor.name)
        if tensor.type not in ("int8", "uint8"):
            raise self.fault(f"tensor {name} is {tensor.type}, not int8 or uint8",
                             "quantise the model in full to 8 bits")
        if tensor.scale.size != 1 or tensor.zero_point.size != 1:
            raise self.fault(f"tensor {name} has {tensor.scale.size} scales and "
                             f"{tensor.zero_point.size} zero points, not one of each",
                             "quantise activations per tensor")
        self.check_scale(tensor)
        limits, zero_point = np.iinfo(_DTYPES[tensor.type]), int(tensor.zero_point[0])
        if not limits.min <= zero_point <= limits.max:
            raise self.fault(f"tensor {name} has zero point {zero_point}, outside {tensor.type}",
                             "calibrate again")
        return Quantisation(float(tensor.scale[0]), zero_point, tensor.type == "uint8")

    def same_quantisation(self, *positions):
        """The common `Quantisation` of the output and the given inputs."""
        output = self.quantisation(self.output)
        for position in positions:
            source = self.codes(position).quantisation
            if source != output:
                raise self.fault(
                    f"{self.title(position)} and the output differ in scale, zero point or type",
                    "quantise both sides alike, as TFLite's converter does")
        return output

    # Results

    def emit(self, layer, inputs, shape, extent, *, turned=False):
        """Add a layer to the network; return the `Value` that it makes.

        Parameters
        ----------
        layer : golden.base.Layer
        inputs : sequence of Value
        shape : tuple of ints
            Of the output, as TFLite has it.
        extent : Extent
        turned : bool
            As in `Value`.
        """
        shape = tuple(int(size) for size in shape)
        if np.prod(shape, dtype=np.float64) > MAX_ELEMENTS:
            raise self.fault(f"its output of shape {shape} is too large",
                             f"keep tensors to {MAX_ELEMENTS} elements")
        name = self.graph.tensor_name(self.output)
        self.graph.nodes.append(NetworkNode(layer, tuple(value.source for value in inputs), name))
        self.layers.append(layer.name)
        return Value(shape=shape, source=name, quantisation=self.quantisation(self.output),
                     extent=extent, turned=turned)
