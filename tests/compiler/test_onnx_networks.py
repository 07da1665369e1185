"""Random graphs and single rules against ONNX Runtime, tensor by tensor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from compiler.onnx_reader import read_onnx
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.fuzzing import onnx_cases
from scripts.fuzzing.onnx_cases import drawn
from scripts.fuzzing.onnx_draw import random_codes
from scripts.fuzzing.onnx_oracle import compare, runtime_tensors
from tests.compiler.cases import compare_drawn
from tests.compiler.onnx_build import Graph, check
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


def test_an_int32_bias_of_another_scale_is_scaled(save):
    """ONNX Runtime's fusion takes it for accumulators all the same; the nodes say otherwise."""
    graph = Graph((3, 5, 5))
    inputs = [graph.constant(np.int32([300, -500, 700])), graph.constant(np.float32(0.013 * 0.5))]
    value = graph.conv(graph.real("x"), (3, 3, 3, 3), bias=graph.add("DequantizeLinear", inputs))
    graph.output(graph.quantised(value, 0.5), (3, 3, 3))
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    assert model.network.nodes[0].layer.bias.tolist() == [600, -1000, 1400]
    x = random_codes(np.random.default_rng(2), model.input, 20)
    compare(model, content, x, optimise=False, rounded_bias=True)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_scales_product_and_bias(transposed, save):
    graph = Graph((12,))
    bias = graph.constant(graph.rng.normal(0, 1, (1, 5)).astype(np.float32))
    value = graph.add("Gemm", [graph.real("x"), graph.weights((5, 12) if transposed else (12, 5)),
                               bias], alpha=0.7, beta=-2.5, transB=transposed)
    graph.output(graph.quantised(value, 0.11, -3), (5,))
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(2), model.input, 300)
    differ, count = compare(model, content, x, optimise=False, rounded_bias=True)
    assert differ < count / 20


def test_averages_leave_padding_out_where_all_windows_have_as_much(save):
    graph = Graph((3, 6, 6))
    value = graph.add("AveragePool", [graph.real("x")], kernel_shape=[4, 4], strides=[4, 4],
                      pads=[1, 1, 1, 1])
    graph.output(graph.quantised(value, 0.04, 0), (3, 2, 2))
    check(graph, save, frames=40, kinds=[PoolLayer])


def test_dilated_averages(save):
    """Unfused: ONNX Runtime refuses what its own fusion makes of them."""
    graph = Graph((3, 9, 9), opset=19)
    value = graph.add("AveragePool", [graph.real("x")], kernel_shape=[2, 3], dilations=[2, 2],
                      strides=[1, 2], pads=[1, 1, 0, 1], count_include_pad=1)
    graph.output(graph.quantised(value, 0.03, 1), (3, 8, 4))
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(2), model.input, 20)
    differ, count = compare(model, content, x, optimise=False)
    assert differ < count / 50


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
