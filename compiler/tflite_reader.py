"""TFLite models as networks of the arithmetic contract."""

from collections import Counter

import numpy as np

import compiler.tflite_conv
import compiler.tflite_elementwise
import compiler.tflite_layout
import compiler.tflite_window
from compiler.errors import ModelError, quoted
from compiler.model import Model, Port
from compiler.survey import Row, Survey
from compiler.tflite_file import read_model_file
from compiler.tflite_node import OPERATORS, Node
from compiler.tflite_values import Value, natural
from golden.network import Network
from golden.quantisation import Quantisation

__all__ = ["OPERATOR_MODULES", "survey_tflite"]

OPERATOR_MODULES = (compiler.tflite_conv, compiler.tflite_window, compiler.tflite_elementwise,
                    compiler.tflite_layout)
"""Modules that fill :data:`compiler.tflite_node.OPERATORS`."""


class Graph:
    """A graph while it is read.

    Members
    -------
    file : compiler.tflite_file.Model
    values : dict of int to Value or array of ints
        What is known so far, by index of tensor.
    nodes : list of golden.network.Node
    entry : (str, Quantisation) or None
        Name and quantisation of the network's input, once it is known.
    exit : Quantisation or None
        Of what the model's last operator dequantises.
    constant_bytes : int
        Bytes of constants that operators have read.
    """

    def __init__(self, file):
        self.file = file
        self.values, self.nodes = {}, []
        self.entry = self.exit = None
        self.constant_bytes = 0
        self._counts = Counter(tensor.name for tensor in file.tensors)

    def tensor_name(self, tensor):
        """Name of a tensor in the network: its own, if no other tensor has it."""
        if tensor.name and self._counts[tensor.name] == 1:
            return tensor.name
        return f"{tensor.name}#{tensor.index}"

    def open(self):
        """Make the `Value` of the model's input, and see that there is one output."""
        _end(self.file, "output")
        place, tensor = _end(self.file, "input")
        if tensor.data is not None:
            raise place.fault("it is a constant", "convert the model again: the file is damaged")
        if any(size != given for size, given in zip(tensor.shape[1:], tensor.signature[1:],
                                                    strict=True)) or not tensor.shape:
            raise place.fault(f"its shape {tensor.signature or tensor.shape} is not fixed",
                              "convert with static sizes; only the first one may vary")
        if tensor.type == "float32":
            if tensor.scale.size:
                raise place.fault("it is float32 and has a scale", "convert the model again")
            quantisation = source = None
        else:
            quantisation = _quantisation(place, tensor)
            source = self.tensor_name(tensor)
            self.entry = source, quantisation
        self.values[tensor.index] = Value(shape=tensor.shape, source=source,
                                          quantisation=quantisation)

    def read(self, raw):
        """Read one operator; return its `Row` and its fault, or None."""
        node = Node(raw, self)
        known = OPERATORS.get(raw.name)
        title = f"{raw.index} {self.file.tensors[raw.outputs[0]].name}" if raw.outputs else str(
            raw.index)
        try:
            made = node.check().read(node)
            self._store(node, made)
        except ModelError as fault:
            self._assume(raw)
            return Row(title, raw.name, None, f"{fault.what}; {fault.remedy}", ()), fault
        return Row(title, raw.name, known.mapped if known else None, None, tuple(node.layers)), None

    def _store(self, node, made):
        """Keep what an operator makes, if that is what the file declares."""
        tensor = node.output
        if tensor.index in self.values or tensor.data is not None:
            raise node.fault(f"tensor {quoted(tensor.name)} is made twice, or a constant",
                             "convert the model again: the file is damaged")
        declared = tensor.type
        if isinstance(made, Value):
            codes = made.quantisation
            wanted = "float32" if codes is None else np.dtype(codes.dtype).name
            if codes is not None and declared == wanted and node.quantisation(tensor) != codes:
                raise node.fault("input and output differ in scale or zero point",
                                 "convert the model again")
        else:
            wanted = "int32"
        if declared != wanted or tensor.shape != tuple(made.shape):
            raise node.fault(f"it makes {wanted} of shape {tuple(made.shape)}, but declares "
                             f"{declared} of shape {tensor.shape}", "convert the model again")
        if any(size != given for size, given in zip(tensor.shape[1:], tensor.signature[1:],
                                                    strict=True)) and isinstance(made, Value):
            raise node.fault(f"its output's shape {tensor.signature} is not fixed",
                             "convert with static sizes; only the first one may vary")
        self.values[tensor.index] = made

    def _assume(self, raw):
        """After a fault, let what the file declares stand in, so that reading can go on."""
        for index in raw.outputs:
            tensor = self.file.tensors[index]
            if index in self.values or tensor.data is not None or not tensor.shape:
                continue
            quantisation = None
            if tensor.type != "float32":
                try:
                    quantisation = _quantisation(self.file.place, tensor)
                except ModelError:
                    quantisation = Quantisation(1.0, 0)
            self.values[index] = Value(shape=tensor.shape, source=self.tensor_name(tensor),
                                       quantisation=quantisation)


def survey_tflite(path):
    """Read a TFLite model, and say of every operator what becomes of it.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB.

    Returns
    -------
    Survey
        Tensors of the network have the names of the file's; where two share a name, the index
        follows after "#". Every tensor of it equals TFLite's reference kernels bit for bit.

    Raises
    ------
    ModelError
        If the file cannot be read or is damaged. What is wrong with its operators, or at its ends,
        is in the survey.
    """
    file = read_model_file(path)
    graph = Graph(file)
    rows, faults = [], []
    try:
        graph.open()
    except ModelError as fault:
        return Survey(file.place.file, (), None, (fault,))
    for raw in file.operators:
        row, fault = graph.read(raw)
        rows.append(row)
        faults += [fault] if fault else []
    model = None
    if not faults:
        try:
            _check_use(graph)
            model = _model(graph)
        except ModelError as fault:
            faults.append(fault)
    return Survey(file.place.file, tuple(rows), model, tuple(faults))


def _end(file, kind):
    """(place, tensor) of the model's only input or output."""
    indices = getattr(file, f"{kind}s")
    if len(indices) != 1:
        raise file.place.at("graph").fault(f"there are {len(indices)} {kind}s, not one",
                                           f"export a model with one {kind}")
    tensor = file.tensors[indices[0]]
    return file.place.at(f"{kind} {quoted(tensor.name)}"), tensor


def _quantisation(place, tensor):
    """The `Quantisation` of the model's input."""
    if tensor.type not in ("int8", "uint8"):
        raise place.fault(f"it is {tensor.type}, not int8, uint8 or float32",
                          "convert the model with an input of one of these")
    if tensor.scale.size != 1 or tensor.zero_point.size != 1:
        raise place.fault(f"it has {tensor.scale.size} scales and {tensor.zero_point.size} zero "
                          "points, not one of each", "quantise the model in full")
    scale, limits = tensor.scale[0], np.iinfo(tensor.type)
    if not (np.isfinite(scale) and scale >= np.finfo(np.float32).tiny):
        raise place.fault(f"its scale is {scale}",
                          "scales must be positive, finite and not denormal: calibrate again")
    if not limits.min <= tensor.zero_point[0] <= limits.max:
        raise place.fault(f"its zero point is {tensor.zero_point[0]}, outside {tensor.type}",
                          "calibrate again")
    return Quantisation(float(scale), int(tensor.zero_point[0]), tensor.type == "uint8")


def _check_use(graph):
    """Refuse operators whose results nobody uses."""
    used = {index for raw in graph.file.operators for index in raw.inputs}
    used.update(graph.file.outputs)
    for raw in graph.file.operators:
        if not used.issuperset(raw.outputs):
            raise Node(raw, graph).fault("nobody uses what it makes", "remove it from the model")


def _model(graph):
    file = graph.file
    place, sink = _end(file, "output")
    value = graph.values.get(sink.index)
    if not isinstance(value, Value):
        raise place.fault("no operator makes it", "export a model whose operators make its output")
    source = file.tensors[file.inputs[0]]
    taken = graph.values[source.index]
    taken.extent.settle(natural(source.shape), turned=taken.turned)
    if graph.entry is None or value.source is None or value.source == graph.entry[0]:
        raise place.fault("nothing is left for the engine to compute",
                          "export a model with a layer between input and output")
    name, quantisation = graph.entry
    height, width, channels = taken.extent.sizes
    try:
        network = Network(input=name, input_shape=(channels, height, width),
                          input_unsigned=quantisation.unsigned, nodes=tuple(graph.nodes),
                          output=value.source)
    except (TypeError, ValueError) as error:
        raise file.place.at("graph").fault(str(error), "convert the model again") from error
    if value.extent.sizes is None:
        value.extent.settle(network.shapes()[value.source])
    made = value.quantisation or graph.exit
    return Model(
        file=file.place.file, network=network, host=value.host or (),
        input=_port(source, taken, quantisation), output=_port(sink, value, made))


def _port(tensor, value, quantisation):
    dtype = np.float32 if tensor.type == "float32" else quantisation.dtype
    return Port(name=tensor.name, shape=tuple(tensor.shape[1:]), dtype=dtype,
                channels_last=value.straight, scale=quantisation.scale,
                zero_point=quantisation.zero_point, rounding="tflite")
