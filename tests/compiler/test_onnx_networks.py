"""Random graphs and hand-made layouts against ONNX Runtime, tensor by tensor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from compiler.onnx_reader import read_onnx, survey_onnx
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.fuzzing import onnx_cases
from scripts.fuzzing.onnx_cases import drawn
from scripts.fuzzing.onnx_draw import random_codes
from scripts.fuzzing.onnx_oracle import compare, runtime_tensors
from tests.compiler.cases import compare_drawn
from tests.compiler.onnx_build import Graph
from tests.golden.conv_cases import SEARCH

pytestmark = pytest.mark.usefixtures("exact_runtime")


@SEARCH
@given(st.integers(0, 2**32 - 1))
def test_random_graphs_equal_onnx_runtime_but_for_ties(tmp_path_factory, seed):
    compare_drawn(onnx_cases, seed, tmp_path_factory.mktemp("onnx"))


def test_random_graphs_hold_layers_of_every_kind(save):
    seen = set()
    for seed in range(30):
        for node in read_onnx(save(drawn(seed)[1])).network.nodes:
            kind = getattr(node.layer, "kind", len(node.inputs))
            seen.add((type(node.layer), kind if kind in ("max", "sum") else min(kind, 2)))
    assert seen == {(ConvLayer, 1), (PoolLayer, "max"), (PoolLayer, "sum"), (ConcatLayer, 2),
                    (ElementwiseLayer, 1), (ElementwiseLayer, 2)}


def test_differences_are_rare(tmp_path):
    """Without scales that are powers of two, next to nothing is next to a tie."""
    differ = count = 0
    for seed in range(1, 60):
        if seed % 3:
            made = compare_drawn(onnx_cases, seed, tmp_path)
            differ, count = differ + made[0], count + made[1]
    assert count > 50_000
    assert differ <= count // 10_000


def check(graph, save, *, frames=3, seed=0, kinds=None):
    """Read a `Graph`, compare it in both modes of the runtime, and return the model."""
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(seed), model.input, frames)
    for optimise in (True, False):
        compare(model, content, x, optimise=optimise)
    if kinds is not None:
        assert [type(node.layer) for node in model.network.nodes] == kinds
    return model


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


@pytest.mark.parametrize("zero_point", [3, 4])
@pytest.mark.parametrize("operator", ["Add", "AveragePool"])
def test_ties_go_where_onnx_runtime_sends_them(operator, zero_point, save):
    """To the even code where it fuses three nodes into one, which it does unless told not to."""
    def build(clipped):
        graph = Graph((4, 16, 16))
        value = (graph.add("Add", [graph.real("x")] * 2) if operator == "Add" else
                 graph.add(operator, [graph.real("x")], kernel_shape=[2, 2], strides=[2, 2]))
        if clipped:  # A clip that does something keeps it from that.
            value = graph.add("Clip", [value, graph.constant(np.float32(-20))])
        graph.output(graph.quantised(value, 1.0 if operator == "Add" else 0.25, zero_point),
                     (4, 16, 16) if operator == "Add" else (4, 8, 8))
        return graph.model().SerializeToString()

    for clipped in (False, True):
        content = build(clipped)
        model = read_onnx(save(content))
        x = random_codes(np.random.default_rng(0), model.input, 8)
        made = model.run(x)
        np.testing.assert_array_equal(made, runtime_tensors(content, x)[0])
        raw = runtime_tensors(content, x, optimise=False)[0]
        share = np.mean(made != raw)
        assert share > 0.05 if zero_point % 2 and not clipped else share == 0


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


def test_a_bias_of_another_scale_is_rounded_to_accumulators(save):
    """Within half an accumulator: far from where that tips a code, all are equal."""
    graph = Graph((3, 5, 5))
    bias = graph.rng.normal(0, 40, 6).astype(np.float32)
    value = graph.conv(graph.real("x"), (6, 3, 3, 3), bias=graph.constant(bias))
    graph.output(graph.quantised(value, 0.5), (6, 3, 3))
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(2), model.input, 20)
    expected, _ = runtime_tensors(content, x, optimise=False)
    layer = model.network.nodes[0].layer
    scale = np.ldexp(layer.multiplier.astype(float), -layer.shift)[:, None, None]
    exact = layer.accumulate(x) * scale
    near = np.abs(exact - np.floor(exact) - 0.5) <= 0.51 * scale
    made = model.run(x)
    assert np.array_equal(made[~near], expected[~near])
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert np.mean(near) < 0.1


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


def test_parts_of_a_concatenation_are_quantised_as_its_output(save):
    """Convolutions that nobody quantises before the Concat, and maps of other scales."""
    graph = Graph((3, 5, 5))
    parts = [graph.conv(graph.real("x"), (2, 3, 3, 3), pads=[1] * 4) for _ in range(2)]
    value = graph.add("Relu", [graph.add("Concat", [*parts, graph.real("x")], axis=1)])
    graph.output(graph.quantised(value, 0.5, 3), (7, 5, 5))
    check(graph, save, kinds=[ConvLayer, ConvLayer, ElementwiseLayer, ConcatLayer])


def test_pad_and_clip_of_codes(save):
    graph = Graph((3, 5, 5), unsigned=True)
    value = graph.add("Clip", ["x", graph.constant(np.uint8(20)), graph.constant(np.uint8(200))])
    value = graph.add("Pad", [value, graph.constant(np.array([0, 0, 1, 2, 0, 0, 3, 0])),
                              graph.constant(np.uint8(77))])
    graph.output(value, (3, 9, 7))
    model = check(graph, save, kinds=[ElementwiseLayer, PoolLayer])
    assert model.network.nodes[1].layer.pad_code == 77


def test_relu_of_codes_is_at_zero_whatever_the_zero_point(save):
    graph = Graph((3, 5, 5), opset=14)
    graph.output(graph.add("Relu", ["x"]), (3, 5, 5))
    check(graph, save, kinds=[ElementwiseLayer])


def test_two_products_with_numbers_are_a_table(save):
    graph = Graph((3, 5, 5))
    value = graph.add("Sub", [graph.real("x"), graph.constant(np.float32(0.3))])
    value = graph.add("Mul", [graph.constant(np.float32([-1.7])), value])
    graph.output(graph.quantised(value, 0.4, -3), (3, 5, 5))
    check(graph, save, kinds=[ElementwiseLayer])


def test_product_and_bias_of_matrices(save):
    """MatMul, then Add of a real bias; uint8 codes by int8 weights of their own zero point."""
    graph = Graph((20,), unsigned=True)
    weight = graph.rng.integers(-100, 101, (20, 6)).astype(np.int8)
    scales = graph.rng.uniform(0.01, 0.02, 6).astype(np.float32)
    zeros = graph.rng.integers(-20, 21, 6).astype(np.int8)
    weights = graph.add("DequantizeLinear", [graph.constant(weight), graph.constant(scales),
                                             graph.constant(zeros)], axis=1)
    value = graph.add("MatMul", [graph.real("x"), weights])
    bias = np.arange(-3, 3).astype(np.int32) * 1000
    factor = (np.float32(graph.scale) * scales).astype(np.float32)
    value = graph.add("Add", [graph.add("DequantizeLinear", [
        graph.constant(bias), graph.constant(factor)], axis=0), value])
    graph.output(graph.quantised(value, 0.5, 128), (6,))
    layer = check(graph, save).network.nodes[0].layer
    np.testing.assert_array_equal(layer.bias, bias)
    np.testing.assert_array_equal(layer.weight[:, :, 0, 0], (weight - zeros).T)


def test_accumulators_take_an_integer_bias(save):
    graph = Graph((4, 5, 5), unsigned=True)
    weight = graph.constant(graph.rng.integers(-60, 60, (3, 4, 3, 3)).astype(np.int8))
    value = graph.add("ConvInteger", ["x", weight, graph.constant(np.uint8(graph.zero))])
    bias = graph.constant(np.int32([5000, -7000, 100]).reshape(3, 1, 1))
    value = graph.add("Cast", [graph.add("Add", [value, bias])], to=TensorProto.FLOAT)
    value = graph.add("Relu", [graph.add("Mul", [graph.constant(np.float32(0.001)), value])])
    graph.output(graph.quantised(value, 0.03, 5), (3, 3, 3))
    check(graph, save, kinds=[ConvLayer])


def test_gemm_on_codes_may_return_reals(save):
    """QGemm without an output scale, quantised by a node of its own."""
    graph = Graph((12,), unsigned=True)
    weight = graph.constant(graph.rng.integers(-60, 60, (5, 12)).astype(np.int8))
    bias = graph.constant(graph.rng.integers(-999, 999, 5).astype(np.int32))
    inputs = ["x", *graph.parameters(graph.scale, graph.zero), weight,
              *graph.parameters(0.02, 0, np.int8), bias]
    value = graph.add("QGemm", inputs, domain="com.microsoft", transB=1, alpha=0.5)
    graph.output(graph.quantised(value, 0.3, 100), (5,))
    check(graph, save, kinds=[ConvLayer])


def test_zero_points_of_weights_are_taken_off(save):
    graph = Graph((4, 5, 5))
    weight = graph.rng.integers(-100, 101, (3, 4, 3, 3)).astype(np.int8)
    inputs = ["x", *graph.parameters(graph.scale, graph.zero), graph.constant(weight),
              graph.constant(np.float32([0.01, 0.02, 0.03])),
              graph.constant(np.full(3, 20, np.int8)), *graph.parameters(0.9, -4)]
    graph.output(graph.add("QLinearConv", inputs), (3, 3, 3))
    layer = check(graph, save).network.nodes[0].layer
    np.testing.assert_array_equal(layer.weight, weight - 20)


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
