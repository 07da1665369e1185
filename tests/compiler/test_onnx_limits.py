"""What hostile files could ask for: each is bounded before it is spent."""

import time

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import onnx_file, onnx_graph
from compiler.errors import ModelError
from compiler.onnx_reader import read_onnx
from compiler.onnx_wire import count_parts
from scripts.digits import float_model_path, model_path
from scripts.fuzzing.onnx_cases import drawn
from tests.compiler.onnx_build import Graph
from tests.golden.conv_cases import SEARCH
from tests.golden.refusal import refuses


def parts_of(message):
    """Fields of a parsed message, as `count_parts` counts them in its bytes."""
    count = 0
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        if field.type == field.TYPE_MESSAGE:
            count += sum(1 + parts_of(part) for part in values)
        else:
            packed = field.is_repeated and field.has_options and field.GetOptions().packed
            count += 1 if packed else len(values)
    return count


@pytest.mark.parametrize("content", [model_path().read_bytes(), float_model_path().read_bytes(),
                                     drawn(3)[1], b""], ids=["int8", "float", "drawn", "empty"])
def test_parts_are_counted_as_they_are_parsed(content):
    expected = parts_of(onnx.ModelProto.FromString(content))
    assert count_parts(content, 1 << 20) == expected
    assert count_parts(content, 5) == min(expected, 6)


@SEARCH
@given(st.binary(max_size=200))
def test_any_bytes_are_counted(content):
    assert 0 <= count_parts(content, 1000) <= len(content)


def test_a_bomb_of_empty_nodes_is_not_parsed(save):
    """Two bytes each, of which a parser would make a hundred."""
    inner = b"\x0a\x00" * (8 << 20)
    size = len(inner)
    header = bytes([0x3A, size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128,
                    size >> 21])
    start = time.perf_counter()
    with refuses(ModelError, "model.onnx: the file has more than 1048576 parts; export the model "
                 "again, or in several"):
        read_onnx(save(header + inner))
    assert time.perf_counter() - start < 20


def test_too_many_nodes(save, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_NODES", 2)
    graph = Graph((3, 4, 4))
    graph.output(graph.quantised(graph.add("Relu", [graph.real("x")]), 0.5), (3, 4, 4))
    with refuses(ModelError, "model.onnx: the graph has 3 nodes; keep graphs to 2 nodes"):
        read_onnx(save(graph.model()))


def test_constants_that_are_made_again_and_again(save, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MAX_CONSTANTS", 10_000)
    graph = Graph((3, 4, 4))
    value = ones = graph.constant(np.ones((10, 20), np.float32))
    for _ in range(14):
        value = graph.add("Mul", [value, ones])
    graph.output(value, (20,))
    with refuses(ModelError, "model.onnx: node 'n12' (Mul): with its constants all are more than "
                 "10000 bytes; fold constants, and share no weights"):
        read_onnx(save(graph.model()))


@pytest.mark.parametrize("operator", ["Add", "Mul", "Sub", "Div"])
def test_constants_that_broadcast_to_a_huge_one(operator, save):
    """Two of 4 MB, 4 TB together."""
    graph = Graph((3, 4, 4))
    names = [graph.constant(np.ones(shape, np.float32)) for shape in ((1 << 20, 1), (1, 1 << 20))]
    graph.output(graph.add("Add", [graph.real("x"), graph.add(operator, names)]), (3, 4, 4))
    with refuses(ModelError, f"model.onnx: node 'n1' ({operator}): it makes a constant of "
                 "1099511627776 elements; keep tensors to 67108864 elements"):
        read_onnx(save(graph.model()))


def test_weights_that_many_layers_share(save, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MAX_CONSTANTS", 1000)
    graph = Graph((3, 4, 4))
    value, weights = graph.real("x"), graph.weights((3, 3, 3, 3))
    for _ in range(12):
        value = graph.quantised(graph.add("Conv", [value, weights], pads=[1] * 4))
        value = graph.real(value)
    graph.output(value, (3, 4, 4), onnx.TensorProto.FLOAT)
    # 81 bytes of codes, then as many for each convolution.
    with refuses(ModelError, "model.onnx: node 'n35' (Conv): with its constants all are more than "
                 "1000 bytes; fold constants, and share no weights"):
        read_onnx(save(graph.model()))


def test_maps_that_double_and_double(save):
    graph = Graph((1 << 18, 4, 4))
    value = "x"
    for _ in range(10):
        value = graph.add("Concat", [value, value], axis=1)
    graph.output(value, (1 << 28, 4, 4))
    with refuses(ModelError, "model.onnx: node 'n6' (Concat): its output of 536870912 elements is "
                 "too large; keep feature maps to 268435456 elements"):
        read_onnx(save(graph.model()))


def test_orders_too_long_to_follow(save):
    graph = Graph((3, 2048, 2048))
    value = graph.add("MaxPool", [graph.real("x")], kernel_shape=[1, 1])
    value = graph.add("Transpose", [value], perm=[0, 3, 2, 1])
    graph.output(graph.quantised(value), (2048, 2048, 3))
    with refuses(ModelError, "model.onnx: node 'n2' (Transpose): 12582912 elements are too many to "
                 "reorder; export in the layout (N, C, H, W)"):
        read_onnx(save(graph.model()))
