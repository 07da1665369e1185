"""ONNX files: from bytes to a checked graph of nodes between one input and one output."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from compiler.errors import Place, quoted
from compiler.onnx_tensor import type_name
from compiler.onnx_wire import count_parts
from compiler.source import read_limited

__all__ = ["MICROSOFT", "Graph", "Port", "check_inside", "node_place", "read_graph",
           "run_checker"]

MAX_BYTES = 1 << 29
"""The largest file accepted."""

OLDEST_OPSET = 10
"""The first opset with QLinearConv and QuantizeLinear."""

MAX_PARTS = 1 << 20
"""The most fields that a file may have: nodes, attributes, names, tensors, ..."""

MAX_NODES = 1 << 14
"""The most nodes of a graph."""

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


@dataclass(frozen=True)
class Port:
    """The model's input or output.

    Members
    -------
    name : str
    elem_type : int
        ONNX type: float, int8 or uint8.
    shape : tuple, or None
        None for a symbolic size; None as a whole where an output has no shape.
    """

    name: str
    elem_type: int
    shape: tuple | None


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution, all between the one input and the one output.

    Members
    -------
    place : Place
        The file, for reporting faults.
    input, output : Port
    nodes : tuple of onnx.NodeProto
        At least one; each reads constants, the input and what nodes before it made.
    constants : dict of str to onnx.TensorProto
        Every initialiser by name; none is in an external file.
    opset : int
        Version of the standard operators.
    model : onnx.ModelProto
        What all of these are parts of.
    """

    place: Place
    input: Port
    output: Port
    nodes: tuple
    constants: dict
    opset: int
    model: onnx.ModelProto


def node_place(place, node):
    """Return the place of a node: by its name or, if it has none, by what it makes."""
    name = node.name or (node.output[0] if node.output else "")
    return place.at(f"node {quoted(name)} ({node.op_type[:60] or 'no operator'})")


def read_graph(path):
    """Read an ONNX file.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB.

    Returns
    -------
    Graph
        Its structure is checked; operators, attributes and constants are not yet.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or is no such graph.
    """
    place = Place(Path(path).name)
    model = _parse(path, place)
    opset = _check_versions(model, place)
    graph = model.graph
    for kind in ("functions", "training_info"):
        if len(getattr(model, kind)):
            raise place.fault(f"the model has {kind}", "export an inference model without them")
    if graph.sparse_initializer:
        raise place.at("graph").fault("there are sparse initialisers", "export dense weights")
    constants = _constants(graph, place)
    inputs = [value for value in graph.input if value.name not in constants]
    ends = {"input": inputs, "output": list(graph.output)}
    for kind, values in ends.items():
        if len(values) != 1:
            raise place.at("graph").fault(f"there are {len(values)} {kind}s, not one",
                                          f"export a model with one {kind}")
    source, sink = (_port(kind, values[0], place) for kind, values in ends.items())
    _check_order(graph.node, {source.name, *constants}, place)
    _check_use(graph.node, sink.name, place)
    return Graph(place, source, sink, tuple(graph.node), constants, opset, model)


def _parse(path, place):
    content = read_limited(path, place, MAX_BYTES)
    if count_parts(content, MAX_PARTS) > MAX_PARTS:
        raise place.fault(f"the file has more than {MAX_PARTS} parts",
                          "export the model again, or in several")
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
    """Version of the standard operators, one that is known."""
    if not model.HasField("graph") or not model.graph.node:
        raise place.fault("there is no graph, or it has no nodes", "export the model again")
    if len(model.graph.node) > MAX_NODES:
        raise place.fault(f"the graph has {len(model.graph.node)} nodes",
                          f"keep graphs to {MAX_NODES} nodes")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise place.fault(f"IR version {model.ir_version} is not between 3 and {onnx.IR_VERSION}",
                          "export for one of these")
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(opsets) != 1:
        raise place.fault(f"there are {len(opsets)} default opsets, not one",
                          "export the model again")
    if opsets[0] < OLDEST_OPSET:
        raise place.fault(f"opset {opsets[0]} is older than {OLDEST_OPSET}",
                          f"export with opset {OLDEST_OPSET} or newer")
    if opsets[0] > newest:
        raise place.fault(f"opset {opsets[0]} is newer than {newest}",
                          f"export with opset {newest} or older")
    versions = [entry.version for entry in model.opset_import if entry.domain == MICROSOFT]
    if any(version != 1 for version in versions) or len(versions) > 1:
        raise place.fault(f"opset {versions[0]} of domain {quoted(MICROSOFT)} is not 1",
                          "export for version 1, once")
    return opsets[0]


def _constants(graph, place):
    constants = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in constants:
            raise place.at("graph").fault(
                f"initialiser name {quoted(tensor.name)} is empty or used twice",
                "give every initialiser a name of its own")
        check_inside(tensor, place.at(f"tensor {quoted(tensor.name)}"))
        constants[tensor.name] = tensor
    return constants


def check_inside(tensor, place):
    """Refuse a tensor in an external file before anything follows the path that is given."""
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise place.fault("its values are in an external file",
                          "save the model as a single file, with its weights inside")


def _port(kind, value, place):
    here = place.at(f"{kind} {quoted(value.name)}")
    if value.type.WhichOneof("value") != "tensor_type":
        raise here.fault("it is not a tensor", "export with tensors at both ends")
    tensor = value.type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8):
        raise here.fault(f"it has type {type_name(tensor.elem_type)}, not float, int8 or uint8",
                         "export with codes or float32 at both ends")
    if not tensor.HasField("shape"):
        if kind == "input":
            raise here.fault("it has no shape", "export with a shape")
        return Port(value.name, tensor.elem_type, None)
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Port(value.name, tensor.elem_type, shape)


def _check_order(nodes, known, place):
    """Every node must read what is ``known`` or was made before, and make names of its own."""
    makers = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in known:
                raise node_place(place, node).fault(f"output {quoted(name)} is made twice",
                                                    "give every output a name of its own")
            makers[name] = index
    _check_cycles(nodes, makers, place)
    for index, node in enumerate(nodes):
        for name in filter(None, node.input):
            if name in known:
                continue
            if name not in makers:
                raise node_place(place, node).fault(f"nothing makes its input {quoted(name)}",
                                                    "connect it, or add the initialiser")
            if makers[name] >= index:
                raise node_place(place, node).fault(
                    f"it reads {quoted(name)}, which a later node makes",
                    "sort the nodes topologically")


def _check_cycles(nodes, makers, place):
    """Take away nodes that wait for none of the others, until none is left or all wait."""
    sources = [{makers[name] for name in node.input if name in makers} for node in nodes]
    readers = [[] for _ in nodes]
    for index, before in enumerate(sources):
        for source in before:
            readers[source].append(index)
    waiting = [len(before) for before in sources]
    ready = [index for index, count in enumerate(waiting) if not count]
    for index in ready:  # Grows while it is read.
        for reader in readers[index]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(ready) == len(nodes):
        return
    # Whoever waits has a source that waits: going back from one to the next ends up in a cycle.
    index, seen = next(index for index, count in enumerate(waiting) if count), set()
    while index not in seen:
        seen.add(index)
        index = next(source for source in sorted(sources[index]) if waiting[source])
    raise node_place(place, nodes[index]).fault("the node is on a cycle", "remove it")


def _check_use(nodes, sink, place):
    """Refuse an output that no node makes, and nodes that do not lead to it."""
    if not any(sink in node.output for node in nodes):
        raise place.at("graph").fault(f"no node makes the output {quoted(sink)}", "connect it")
    used = {sink}
    for node in reversed(nodes):
        if used.isdisjoint(node.output):
            raise node_place(place, node).fault("the node does not lead to the output",
                                                "remove it")
        used.update(node.input)


def run_checker(graph):
    """Let ONNX's own checker find what is left, such as missing types.

    Last, because it names neither file nor remedy. ``ModelError`` if it finds something.
    """
    try:
        onnx.checker.check_model(graph.model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise graph.place.fault(f"ONNX's checker refuses it: {reason[:200]}",
                                "export the model again") from error
