"""ONNX files: from bytes to a checked chain of nodes between one input and one output."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from compiler.errors import Place, quoted
from compiler.onnx_tensor import type_name

__all__ = ["Chain", "Port", "node_place", "read_chain", "run_checker"]

MAX_BYTES = 1 << 29
"""The largest file accepted."""

OLDEST_OPSET = 10
"""The first opset with QLinearConv."""

_QUANTISE_REMEDY = ("quantise with onnxruntime's QuantFormat.QOperator and keep the QLinearConv "
                    "nodes only")
_REMEDIES = {
    "Conv": "fold BatchNormalization and Relu into it and quantise it to QLinearConv",
    "BatchNormalization": "fold it into the Conv before it and quantise that to QLinearConv",
    "Relu": "fold it into the QLinearConv before it: saturation at an output zero point of the "
            "lowest code is ReLU",
    "QuantizeLinear": _QUANTISE_REMEDY,
    "DequantizeLinear": _QUANTISE_REMEDY,
    "Constant": "turn constants into initialisers",
}


@dataclass(frozen=True)
class Port:
    """The model's input or output: name, ONNX element type, shape with None for symbolic sizes."""

    name: str
    elem_type: int
    shape: tuple


@dataclass(frozen=True)
class Chain:
    """Nodes in order of execution, each fed by the one before it.

    Members
    -------
    place : Place
        The file, for reporting faults.
    input, output : Port
        What the first node reads and the last one makes.
    nodes : tuple of onnx.NodeProto
        All QLinearConv; at least one.
    constants : dict of str to onnx.TensorProto
        Every initialiser by name; none is in an external file.
    model : onnx.ModelProto
        What all of these are parts of.
    """

    place: Place
    input: Port
    output: Port
    nodes: tuple
    constants: dict
    model: onnx.ModelProto


def node_place(place, node):
    """Return the place of a node: by its name or, if it has none, by what it makes."""
    name = node.name or (node.output[0] if node.output else "")
    return place.at(f"node {quoted(name)} ({node.op_type[:60] or 'no operator'})")


def read_chain(path):
    """Read an ONNX file that is a chain of QLinearConv nodes.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB.

    Returns
    -------
    Chain
        Its structure is checked; attributes and constants are not yet.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or is anything but such a chain.
    """
    place = Place(Path(path).name)
    model = _parse(path, place)
    _check_versions(model, place)
    graph = model.graph
    for kind in ("functions", "training_info"):
        if len(getattr(model, kind)):
            raise place.fault(f"the model has {kind}", "export an inference model without them")
    if graph.sparse_initializer:
        raise place.at("graph").fault("there are sparse initialisers", "export dense weights")
    for node in graph.node:
        _check_operator(node, place)
    constants = _constants(graph, place)
    inputs = [value for value in graph.input if value.name not in constants]
    ends = {"input": inputs, "output": list(graph.output)}
    for kind, values in ends.items():
        if len(values) != 1:
            raise place.at("graph").fault(f"there are {len(values)} {kind}s, not one",
                                          f"export a model with one {kind}")
    source, sink = (_port(kind, values[0], place) for kind, values in ends.items())
    nodes = _ordered(graph, source.name, sink.name, place)
    return Chain(place, source, sink, nodes, constants, model)


def _parse(path, place):
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise place.fault(f"the file has {size} bytes", f"keep models to {MAX_BYTES} bytes")
        content = Path(path).read_bytes()
    except OSError as error:
        raise place.fault(f"cannot be read: {error.strerror}", "check the path") from error
    if not content:
        raise place.fault("the file is empty", "export the model again")
    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise place.fault("this is not an ONNX model, or it is damaged",
                          "export the model again") from error
    # What this version of the format does not know would otherwise be dropped without a word.
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.DiscardUnknownFields()
    if known.ByteSize() != model.ByteSize():
        raise place.fault("the file has fields that ONNX does not define, or is damaged",
                          f"export for IR version {onnx.IR_VERSION} or older")
    if not _is_text(model):
        raise place.fault("a name in the file is not UTF-8 text", "export the model again")
    return model


def _is_text(message):
    """Whether all strings are text: protobuf returns those that are not as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            if not all(_is_text(part) for part in (value if field.is_repeated else (value,))):
                return False
        elif field.type == field.TYPE_STRING:
            texts = value if field.is_repeated else (value,)
            if not all(isinstance(text, str) for text in texts):
                return False
    return True


def _check_versions(model, place):
    if not model.HasField("graph") or not model.graph.node:
        raise place.fault("there is no graph, or it has no nodes", "export the model again")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise place.fault(f"IR version {model.ir_version} is not between 3 and {onnx.IR_VERSION}",
                          "export for one of these")
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(opsets) != 1:
        raise place.fault(f"there are {len(opsets)} default opsets, not one",
                          "export the model again")
    if opsets[0] < OLDEST_OPSET:
        raise place.fault(f"opset {opsets[0]} has no QLinearConv",
                          f"export with opset {OLDEST_OPSET} or newer")
    if opsets[0] > newest:
        raise place.fault(f"opset {opsets[0]} is newer than {newest}",
                          f"export with opset {newest} or older")


def _check_operator(node, place):
    here = node_place(place, node)
    if node.domain not in ("", "ai.onnx"):
        raise here.fault(f"operator domain {quoted(node.domain)} is not supported",
                         "export standard ONNX operators only")
    if node.op_type != "QLinearConv":
        raise here.fault("operator is not supported",
                         _REMEDIES.get(node.op_type, "export a chain of QLinearConv nodes"))
    if node.overload or node.device_configurations:
        raise here.fault("overloads and device configurations are not supported",
                         "export the node without them")
    if len(node.input) not in (8, 9) or len(node.output) != 1:
        raise here.fault(f"it has {len(node.input)} input(s) and {len(node.output)} output(s)",
                         "give 8 inputs, or 9 with a bias, and 1 output")
    if not all(node.input[:8]) or not node.output[0]:
        raise here.fault("a required input or the output has no name", "connect it")


def _constants(graph, place):
    constants = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise place.at("graph").fault(
                f"initialiser name {quoted(tensor.name)} is empty or used twice",
                "give every initialiser a name of its own")
        # Refused before anything follows the path that the file gives.
        if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
            raise place.at(f"tensor {quoted(tensor.name)}").fault(
                "its values are in an external file",
                "save the model as a single file, with its weights inside")
        constants[tensor.name] = tensor
    return constants


def _port(kind, value, place):
    here = place.at(f"{kind} {quoted(value.name)}")
    if value.type.WhichOneof("value") != "tensor_type":
        raise here.fault("it is not a tensor", "export with tensors at both ends")
    tensor = value.type.tensor_type
    if tensor.elem_type not in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
        raise here.fault(f"it has type {type_name(tensor.elem_type)}, not int8 or uint8",
                         "export with quantised codes at both ends")
    if not tensor.HasField("shape"):
        raise here.fault("it has no shape", "export with shapes at both ends")
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Port(value.name, tensor.elem_type, shape)


def _ordered(graph, source, sink, place):
    """Return the nodes from value ``source`` to value ``sink``, each reading the one before."""
    readers, makers = {}, {}
    for node in graph.node:
        here = node_place(place, node)
        readers.setdefault(node.input[0], []).append(node)
        if node.output[0] in makers or node.output[0] == source:
            raise here.fault(f"output {quoted(node.output[0])} is made twice",
                             "give every output a name of its own")
        makers[node.output[0]] = node
    value, nodes = source, []
    # No value is made twice, so the walk meets no node twice and ends.
    while value in readers:
        if len(readers[value]) > 1 or value == sink:
            other = "the output" if value == sink else "another"
            raise place.at("graph").fault(f"{quoted(value)} feeds a node and {other}",
                                          "export a chain: branches are not supported")
        nodes.append(readers[value][0])
        value = nodes[-1].output[0]
    if value != sink:
        raise place.at("graph").fault(
            f"the chain from the input ends at {quoted(value)}, not at the output {quoted(sink)}",
            "connect input and output through QLinearConv nodes")
    on_path = {node.output[0] for node in nodes}
    for node in graph.node:
        if node.output[0] not in on_path:
            raise node_place(place, node).fault(
                "the node is on a cycle or not between input and output", "remove it")
    return tuple(nodes)


def run_checker(chain):
    """Let ONNX's own checker find what is left, such as nodes out of order.

    Last, because it names neither file nor remedy. ``ModelError`` if it finds something.
    """
    try:
        onnx.checker.check_model(chain.model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise chain.place.fault(f"ONNX's checker refuses it: {reason[:200]}",
                                "export the model again") from error
