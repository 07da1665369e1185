"""Layouts, constants and ends of ONNX graphs against ONNX Runtime; surveys."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from compiler.onnx_reader import read_onnx, survey_onnx
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.fuzzing.onnx_draw import random_codes
from scripts.fuzzing.onnx_oracle import runtime_tensors
from tests.compiler.onnx_build import Graph, check

pytestmark = pytest.mark.usefixtures("exact_runtime")


def test_channels_last_input_and_output(save):
    """What tf2onnx writes: a Transpose at either end."""
    graph = Graph((5, 6, 3))
    value = graph.add("Transpose", [graph.real("x")], perm=[0, 3, 1, 2])
    value = graph.quantised(graph.conv(value, (4, 3, 3, 3), pads=[1, 1, 1, 1]))
    value = graph.add("Transpose", [graph.real(value)], perm=[0, 2, 3, 1])
    graph.output(value, (5, 6, 4), TensorProto.FLOAT)
    model = check(graph, save, kinds=[ConvLayer])
    assert model.input.channels_last
    assert model.network.input_shape == (3, 5, 6)


def test_channels_last_flatten_reorders_the_weights(save):
    graph = Graph((3, 5, 6))
    value = graph.quantised(graph.conv(graph.real("x"), (4, 3, 3, 3)))
    value = graph.add("Transpose", [graph.real(value)], perm=[0, 2, 3, 1])
    value = graph.add("Reshape", [value, graph.constant(np.array([-1, 48], np.int64))])
    graph.output(graph.quantised(graph.dense(value, 48, 5)), (5,))
    model = check(graph, save, kinds=[ConvLayer, ConvLayer])
    assert model.network.nodes[1].layer.weight.shape == (5, 4, 3, 4)


def test_a_vector_becomes_a_map(save):
    """The input of a keyword spotter: (N, 30), which is reshaped to (N, 1, 6, 5)."""
    graph = Graph((30,))
    value = graph.add("Reshape", [graph.real("x"), graph.constant(np.array([-1, 1, 6, 5]))])
    graph.output(graph.quantised(graph.conv(value, (4, 1, 2, 3))), (4, 5, 3))
    model = check(graph, save)
    assert model.network.input_shape == (1, 6, 5)
    assert model.input.shape == (30,)


def test_dense_layers_alone(save):
    graph = Graph((30,))
    value = graph.quantised(graph.dense(graph.real("x"), 30, 7))
    value = graph.quantised(graph.dense(graph.real(value), 7, 2))
    graph.output(value, (2,))
    assert check(graph, save).network.shapes() == {"x": (30, 1, 1), "t3": (7, 1, 1),
                                                   "t7": (2, 1, 1)}


def test_axes_of_one_come_and_go(save):
    graph = Graph((3, 4, 4))
    value = graph.quantised(graph.add("GlobalAveragePool", [graph.real("x")]))
    value = graph.add("Squeeze", [value, graph.constant(np.array([2, -1]))])
    value = graph.add("Unsqueeze", [value, graph.constant(np.array([-1, 2]))])
    value = graph.add("Identity", [value])
    graph.output(graph.quantised(graph.conv(graph.real(value), (5, 3, 1, 1))), (5, 1, 1))
    check(graph, save, kinds=[PoolLayer, ConvLayer])


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2], [3], [-1, 2]])
def test_means_over_one_axis_or_both(axes, keepdims, save):
    graph = Graph((3, 4, 5))
    value = graph.add("ReduceMean", [graph.real("x")], axes=axes, keepdims=keepdims)
    shape = [3, 4, 5]
    for axis in axes:
        shape[axis % 4 - 1] = 1 if keepdims else None
    graph.output(graph.quantised(value), tuple(size for size in shape if size))
    check(graph, save, kinds=[PoolLayer])


@pytest.mark.parametrize(("size", "kernel", "stride", "pads"), [
    ((5, 6), (2, 3), (2, 3), (0, 0, 0, 0)), ((4, 7), (3, 2), (3, 2), (1, 1, 1, 0)),
    ((2, 5), (1, 2), (2, 3), (0, 1, 0, 1)), ((7, 7), (3, 3), (2, 3), (2, 0, 2, 2))])
def test_ceil_mode_as_onnx_runtime_has_it(size, kernel, stride, pads, save):
    """A window that would begin behind the map is left out, whatever ONNX's shapes say."""
    graph = Graph((3, *size))
    value = graph.add("MaxPool", ["x"], kernel_shape=kernel, strides=stride, pads=pads,
                      ceil_mode=1)
    graph.output(value, (3, "H", "W"))
    check(graph, save, kinds=[PoolLayer])


def test_softmax_is_on_the_host(save):
    graph = Graph((3, 4, 4))
    value = graph.quantised(graph.conv(graph.real("x"), (10, 3, 4, 4)))
    value = graph.add("Softmax", [graph.add("Flatten", [graph.real(value)])], axis=1)
    value = graph.real(graph.quantised(value, 1 / 256, -128), 1 / 256, -128)
    graph.output(value, (10,), TensorProto.FLOAT)
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    assert len(model.network.nodes) == 1
    x = random_codes(np.random.default_rng(1), model.input, 50)
    expected, _ = runtime_tensors(content, x, optimise=False)
    made = model.run(x)
    assert made.dtype == np.float32
    # A step of 1/256 where the exponentials' last bits tip a tie.
    assert np.abs(made - expected).max() <= 1 / 256
    assert np.mean(made != expected) < 0.01


@pytest.mark.parametrize(("opset", "axis"), [(11, None), (11, 2), (13, None), (13, 1)])
def test_softmax_axes(opset, axis, save):
    graph = Graph((3, 4, 2), opset=opset)
    value = graph.quantised(graph.add("MaxPool", [graph.real("x")], kernel_shape=[1, 1]))
    options = {} if axis is None else {"axis": axis}
    graph.output(graph.add("Softmax", [graph.real(value)], **options), (3, 4, 2),
                 TensorProto.FLOAT)
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(1), model.input, 5)
    np.testing.assert_allclose(model.run(x), runtime_tensors(content, x)[0], rtol=1e-5)


def test_weights_may_be_quantised_in_the_graph(save):
    """What PyTorch's quantisation-aware training exports: float weights, then both nodes."""
    graph = Graph((3, 5, 5))
    weight = graph.rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    scale = graph.constant(np.abs(weight).max(axis=(1, 2, 3)) / np.float32(127))
    zero = graph.constant(np.zeros(4, np.int8))
    codes = graph.add("QuantizeLinear", [graph.constant(weight), scale, zero], axis=0)
    real = graph.add("DequantizeLinear", [codes, scale, zero], axis=0)
    value = graph.add("Relu", [graph.add("Conv", [graph.real("x"), real])])
    graph.output(graph.quantised(value, 0.5, -128), (4, 3, 3))
    layer = check(graph, save).network.nodes[0].layer
    assert np.abs(layer.weight).max() == 127
    assert layer.low == -128


def test_constants_may_be_nodes(save):
    graph = Graph((3, 5, 5), opset=12)
    names = [graph.add("Constant", [], value=numpy_helper.from_array(value)) for value in (
        np.float32(0.25), np.int8(3))]
    codes = graph.add("QuantizeLinear", [graph.add("Relu", [graph.real("x")]), *names])
    graph.output(codes, (3, 5, 5))
    check(graph, save, kinds=[ElementwiseLayer])


def test_a_number_may_be_quantised_in_the_graph(save):
    """Shape (): NumPy makes numbers of such arrays, which are not read as initialisers are."""
    graph = Graph((3, 5, 5))
    scale, zero = graph.constant(np.float32(0.5)), graph.constant(np.int8(0))
    codes = graph.add("QuantizeLinear", [graph.constant(np.float32(1.5)), scale, zero])
    number = graph.add("DequantizeLinear", [codes, scale, zero])
    value = graph.add("Add", [graph.real("x"), number])
    graph.output(graph.quantised(value), (3, 5, 5))
    check(graph, save, kinds=[ElementwiseLayer])


@pytest.mark.parametrize("axis", [2, 3, -1])
def test_maps_are_joined_along_any_axis_if_a_product_follows(axis, save):
    graph = Graph((3, 4, 5))
    parts = [graph.add("MaxPool", [graph.real("x")], kernel_shape=[1, 1]),
             graph.add("Relu", [graph.real("x")])]
    value = graph.quantised(graph.add("Concat", parts, axis=axis))
    value = graph.add("Flatten", [graph.real(value)])
    graph.output(graph.quantised(graph.dense(value, 120, 4)), (4,))
    check(graph, save, kinds=[PoolLayer, ElementwiseLayer, ConcatLayer, ConvLayer])


def test_reals_that_two_nodes_quantise_alike_are_one_tensor(save):
    graph = Graph((3, 5, 5))
    value = graph.conv(graph.real("x"), (3, 3, 3, 3), pads=[1] * 4)
    first, second = graph.quantised(value, 0.5, 3), graph.quantised(value, 0.5, 3)
    third = graph.quantised(value, 0.25, 3)
    value = graph.add("Add", [graph.real(first, 0.5, 3), graph.real(second, 0.5, 3)])
    value = graph.quantised(value, 0.7, 1)
    value = graph.add("Add", [graph.real(value, 0.7, 1), graph.real(third, 0.25, 3)])
    graph.output(graph.quantised(value, 1.5, 0), (3, 5, 5))
    model = check(graph, save, kinds=[ConvLayer, ConvLayer, ElementwiseLayer, ElementwiseLayer])
    assert [node.layer.name for node in model.network.nodes[:2]] == ["n2", "t2"]


def test_every_node_that_does_not_map_is_in_the_survey(save):
    graph = Graph((3, 5, 5))
    value = graph.add("Sigmoid", [graph.real("x")])
    value = graph.quantised(graph.add("LSTM", [graph.quantised(value)]))
    value = graph.add("MaxPool", [graph.real(value)], kernel_shape=[2, 2])
    other = graph.add("MaxPool", [graph.real("x")], kernel_shape=[9, 9])
    graph.output(graph.add("Add", [value, other]), (3, 4, 4), TensorProto.FLOAT)
    found = survey_onnx(save(graph.model()))
    assert found.model is None
    assert [fault.where for fault in found.faults] == [
        "node 'n1' (Sigmoid)", "node 'n3' (LSTM)", "node 'n8' (MaxPool)"]
    rows = {row.node: row for row in found.rows}
    assert rows["n0"].mapped_to is not None
    assert rows["n2"].mapped_to is not None  # As if the Sigmoid were not there.
    assert rows["n3"].reason == ("operator is not supported; export with operators that "
        "docs/support.md lists")
    for node, cause in (("n4", "n3"), ("n5", "n3"), ("n6", "n3"), ("n9", "n3")):
        assert rows[node].reason == (f"not looked at: it needs what node '{cause}' makes; mend "
                                     "that one first")
    assert rows["n8"].reason == ("the kernel spans 9 elements of 5; reduce kernel or dilation, or "
                                 "pad more")


def test_the_survey_says_what_every_node_becomes(save):
    graph = Graph((3, 5, 5))
    value = graph.add("Relu", [graph.conv(graph.real("x"), (4, 3, 3, 3))])
    graph.output(graph.quantised(value), (4, 3, 3))
    found = survey_onnx(save(graph.model()))
    assert [(row.operator, row.mapped_to, row.layer_names) for row in found.rows] == [
        ("DequantizeLinear", "the scale of codes or weights, or the host at the end", ()),
        ("DequantizeLinear", "the scale of codes or weights, or the host at the end", ()),
        ("Conv", "convolution", ("n2",)),
        ("Relu", "bounds of the layer before, or a table", ()),
        ("QuantizeLinear", "output codes of the layer before, the input's codes, or a table", ())]
