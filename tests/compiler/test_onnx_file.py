"""Files and graphs that are refused, word for word."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import ModelError
from compiler.onnx_reader import read_onnx
from scripts.digits import float_model_path
from tests.compiler.models import constant, put
from tests.golden.refusal import refuses

NEWEST = onnx.defs.onnx_opset_version()


def dimension(kind, index, **field):
    """Change: one dimension of the model's input or output; no field makes it symbolic."""
    def change(model):
        dim = getattr(model.graph, kind)[0].type.tensor_type.shape.dim[index]
        dim.Clear()
        for name, value in field.items():
            setattr(dim, name, value)
    return change


def ports(kind, value):
    def change(model):
        del getattr(model.graph, kind)[:]
        getattr(model.graph, kind).extend(value)
    return change


def branch(model):
    node = model.graph.node.add()
    node.CopyFrom(model.graph.node[1])
    node.name, node.output[0] = "third", "z"


def cycle(model):
    branch(model)
    model.graph.node[2].input[0] = "z"


def cycle_of_two(model):
    model.graph.node[0].input[0] = "y"


def unused(model):
    model.graph.node[0].input[0], model.graph.node[1].input[0] = "elsewhere", "x"
    put("second_w", np.ones((4, 4, 1, 1), np.int8))(model)


def external(model):
    tensor = constant(model, "first_w")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../etc/passwd")


CASES = {
    "operator": (lambda m: setattr(m.graph.node[1], "op_type", "LSTM"),
        "node 'second' (LSTM): operator is not supported; export with operators that "
        "docs/support.md lists"),
    "dynamic": (lambda m: setattr(m.graph.node[1], "op_type", "DynamicQuantizeLinear"),
        "node 'second' (DynamicQuantizeLinear): operator is not supported; quantise statically: "
        "scales must be known beforehand"),
    "domain": (lambda m: setattr(m.graph.node[1], "domain", "com.example"),
        "node 'second' (QLinearConv): operator domain 'com.example' is not supported; export"
        " standard ONNX operators only"),
    "operator of another domain": (
        lambda m: setattr(m.graph.node[1], "domain", "com.microsoft"),
        "node 'second' (QLinearConv): operator is not supported; export with operators that "
        "docs/support.md lists"),
    "overload": (lambda m: setattr(m.graph.node[1], "overload", "a"),
        "node 'second' (QLinearConv): overloads and device configurations are not supported; "
        "export the node without them"),
    "input count": (lambda m: m.graph.node[0].input.append("x"),
        "node 'first' (QLinearConv): it has 10 input(s) and 1 output(s); give 8 to 9 inputs "
        "and 1 output"),
    "input name": (lambda m: m.graph.node[0].input.__setitem__(3, ""),
        "node 'first' (QLinearConv): a required input or the output has no name; connect it"),
    "no nodes": (lambda m: m.graph.ClearField("node"),
        "there is no graph, or it has no nodes; export the model again"),
    "no graph": (lambda m: m.ClearField("graph"),
        "there is no graph, or it has no nodes; export the model again"),
    "IR version": (lambda m: setattr(m, "ir_version", 99),
        f"IR version 99 is not between 3 and {onnx.IR_VERSION}; export for one of these"),
    "old opset": (lambda m: setattr(m.opset_import[0], "version", 9),
        "opset 9 is older than 10; export with opset 10 or newer"),
    "new opset": (lambda m: setattr(m.opset_import[0], "version", 999),
        f"opset 999 is newer than {NEWEST}; export with opset {NEWEST} or older"),
    "no opset": (lambda m: m.ClearField("opset_import"),
        "there are 0 default opsets, not one; export the model again"),
    "functions": (lambda m: m.functions.add(),
        "the model has functions; export an inference model without them"),
    "training": (lambda m: m.training_info.add(),
        "the model has training_info; export an inference model without them"),
    "sparse": (lambda m: m.graph.sparse_initializer.add(),
        "graph: there are sparse initialisers; export dense weights"),
    "constant twice": (lambda m: m.graph.initializer.append(m.graph.initializer[0]),
        "graph: initialiser name 'first_x_scale' is empty or used twice; give every "
        "initialiser a name of its own"),
    "two inputs": (lambda m: m.graph.input.add(name="more"),
        "graph: there are 2 inputs, not one; export a model with one input"),
    "no output": (ports("output", []),
        "graph: there are 0 outputs, not one; export a model with one output"),
    "branch": (branch,
        "node 'third' (QLinearConv): the node does not lead to the output; remove it"),
    "branch to output": (lambda m: m.graph.output[0].__setattr__("name", "first_out"),
        "node 'second' (QLinearConv): the node does not lead to the output; remove it"),
    "cycle": (cycle,
        "node 'third' (QLinearConv): the node is on a cycle; remove it"),
    "cycle of two": (cycle_of_two,
        "node 'first' (QLinearConv): the node is on a cycle; remove it"),
    "dead end": (lambda m: m.graph.output[0].__setattr__("name", "nowhere"),
        "graph: no node makes the output 'nowhere'; connect it"),
    "input that nothing makes": (unused,
        "node 'first' (QLinearConv): nothing makes its input 'elsewhere'; connect it, or add the "
        "initialiser"),
    "made twice": (lambda m: m.graph.node[1].output.__setitem__(0, "x"),
        "node 'second' (QLinearConv): output 'x' is made twice; give every output a name of "
        "its own"),
    "node order": (lambda m: m.graph.node.reverse(),
        "node 'second' (QLinearConv): it reads 'first_out', which a later node makes; sort the "
        "nodes topologically"),
    "float input": (ports("input", [helper.make_tensor_value_info("x", 1, [1, 4, 5, 5])]),
        "node 'first' (QLinearConv): input 'x' ('x') is float, not int8 or uint8 codes; quantise "
        "the model"),
    "int32 input": (ports("input", [helper.make_tensor_value_info("x", 6, [1, 4, 5, 5])]),
        "input 'x': it has type int32, not float, int8 or uint8; export with codes or float32 at "
        "both ends"),
    "sequence input": (ports("input", [helper.make_tensor_sequence_value_info("x", 3, None)]),
        "input 'x': it is not a tensor; export with tensors at both ends"),
    "no input shape": (ports("input", [helper.make_tensor_value_info("x", 3, None)]),
        "input 'x': it has no shape; export with a shape"),
    "flat input": (ports("input", [helper.make_tensor_value_info("x", 3, ["N", 4])]),
        "node 'first' (QLinearConv): its input has shape (N, 4), not (N, channels, height, "
        "width); export a 2D network"),
    "input without a frame": (ports("input", [helper.make_tensor_value_info("x", 3, [4])]),
        "input 'x': it has shape (4); export with a first axis for the batch and others for the "
        "frame"),
    "huge input": (dimension("input", 2, dim_value=2**31),
        "input 'x': its shape (?, 4, 2147483648, 5) is too large; keep feature maps to 268435456 "
        "elements"),
    "dynamic channels": (dimension("input", 1, dim_param="C"),
        "input 'x': its shape (?, ?, 5, 5) is not fixed and positive; export with fixed "
        "channels, height and width; only the batch may vary"),
    "dynamic height": (dimension("input", 2),
        "input 'x': its shape (?, 4, ?, 5) is not fixed and positive; export with fixed "
        "channels, height and width; only the batch may vary"),
    "zero width": (dimension("input", 3, dim_value=0),
        "input 'x': its shape (?, 4, 5, 0) is not fixed and positive; export with fixed "
        "channels, height and width; only the batch may vary"),
    "zero batch": (dimension("input", 0, dim_value=0),
        "input 'x': its shape (0, 4, 5, 5) is not fixed and positive; export with fixed "
        "channels, height and width; only the batch may vary"),
    "output type": (ports("output", [helper.make_tensor_value_info("y", 2, [None] * 4)]),
        "output 'y': it is declared uint8 but made as int8; declare the type that is made"),
    "output shape": (dimension("output", 2, dim_value=7),
        "output 'y': it is declared with shape (?, 4, 7, 5) but made with shape (?, 4, 5, 5); "
        "declare the shape that is made"),
    "external": (external,
        "tensor 'first_w': its values are in an external file; save the model as a single "
        "file, with its weights inside"),
    "control characters": (lambda m: setattr(m.graph.node[1], "op_type", "Evil\n\x1b[31m" + "x" *
        9),
        "node 'second' (Evil ?[31mxxxxxxxxx): operator is not supported; export with "
        "operators that docs/support.md lists"),
    "long name": (lambda m: (setattr(m.graph.node[1], "op_type", "Relu"), setattr(m.graph.node[1],
        "name", "n" * 500)),
        "node 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…' (Relu): it has 9 "
        "input(s) and 1 output(s); give 1 input and 1 output"),
    "opset of ONNX Runtime": (
        lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 2)),
        "opset 2 of domain 'com.microsoft' is not 1; export for version 1, once"),
}


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=list(CASES))
def test_refuses(change, message, model, save):
    change(model)
    with refuses(ModelError, f"model.onnx: {message}"):
        read_onnx(save(model))


def test_the_model_that_the_changes_start_from_is_read(model, save):
    assert len(read_onnx(save(model)).network.nodes) == 2


def test_float_model_is_refused_with_its_remedy():
    with refuses(ModelError, "digits_float.onnx: node 'conv1' (Conv): input 'X' ('image') is "
                 "float where codes are needed; quantise the model to int8, or give calibration "
                 "images"):
        read_onnx(float_model_path())


@pytest.mark.parametrize(("content", "message"), [
    (b"", "the file is empty; export the model again"),
    (b"\x07" * 40, "this is not an ONNX model, or it is damaged; export the model again"),
    (b"# A page of text.\n", "this is not an ONNX model, or it is damaged; export the model again"),
], ids=["empty", "random", "text"])
def test_refuses_what_is_no_model(content, message, save):
    with refuses(ModelError, f"model.onnx: {message}"):
        read_onnx(save(content))


def test_refuses_half_a_model(model, save):
    content = model.SerializeToString()
    with refuses(ModelError, "model.onnx: this is not an ONNX model, or it is damaged; "
                 "export the model again"):
        read_onnx(save(content[:len(content) // 2]))


def test_refuses_fields_that_are_not_of_onnx(model, save):
    """Field 1000 of the model, a varint: protobuf would drop it without a word."""
    with refuses(ModelError, "model.onnx: the file has fields that ONNX does not define, or is "
                 f"damaged; export for IR version {onnx.IR_VERSION} or older"):
        read_onnx(save(model.SerializeToString() + b"\xc0\x3e\x01"))


def test_refuses_names_that_are_not_text(model, save):
    content = model.SerializeToString().replace(b"first_out", b"first_\xff\xfet")
    with refuses(ModelError, "model.onnx: a name in the file is not UTF-8 text; "
                 "export the model again"):
        read_onnx(save(content))


def test_refuses_a_file_that_is_not_there(tmp_path):
    with refuses(ModelError, "none.onnx: cannot be read: No such file or directory; "
                 "check the path"):
        read_onnx(tmp_path / "none.onnx")
    with refuses(ModelError, f"{tmp_path.name}: cannot be read: Is a directory; check the path"):
        read_onnx(tmp_path)


def test_refuses_a_huge_file_unread(tmp_path):
    path = tmp_path / "huge.onnx"
    path.touch()
    os.truncate(path, 2**40)
    with refuses(ModelError, "huge.onnx: the file has 1099511627776 bytes; "
                 "keep models to 536870912 bytes"):
        read_onnx(path)
