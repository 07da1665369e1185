"""Networks and concatenation: what flows where, a residual network against TFLite, refusals."""

import numpy as np
import pytest

from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer, run_network
from golden.network import Network, Node
from golden.pool import PoolLayer
from golden.quantisation import Quantisation
from golden.requant import quantise_multiplier
from golden.tflite_ops import tflite_add, tflite_mean
from tests.golden.refusal import refuses
from tests.golden.tflite_models import Operator, Tensor, build_model, codes_tensor, run_reference

CODES = np.arange(256).astype(np.int8)


def convolution(name="conv", channels=(2, 3), **change):
    rng = np.random.default_rng(5)
    return ConvLayer(**{
        "name": name, "weight": rng.integers(-128, 128, (channels[1], channels[0], 3, 3)),
        "bias": rng.integers(-999, 999, channels[1]), "multiplier": np.full(channels[1], 2**30),
        "shift": np.full(channels[1], 38), "rounding": "tflite", "padding": (1, 1, 1, 1), **change})


def pool(name="pool", **change):
    return PoolLayer(**{"name": name, "kind": "max", "kernel": (3, 3), "padding": (1, 1, 1, 1),
                        **change})


def addition(name="add"):
    return ElementwiseLayer(name=name, tables=np.stack([CODES, 2 * CODES.astype(int)]),
                            input_unsigned=(False, False))


def residual(**change):
    """x → conv → c, x → pool → p, c ++ p → cat → j, j + j → add → y."""
    return Network(**{
        "input": "x", "input_shape": (2, 6, 5), "input_unsigned": False, "output": "y",
        "nodes": (Node(convolution(), ("x",), "c"), Node(pool(), ("x",), "p"),
                  Node(ConcatLayer(name="cat"), ("c", "p"), "j"),
                  Node(addition(), ("j", "j"), "y")), **change})


def frames(shape=(4, 2, 6, 5)):
    return np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)


def test_runs_every_node_on_its_inputs():
    network, codes = residual(), frames()
    c, p = convolution()(codes), pool()(codes)
    j = np.concatenate([c, p], axis=1)
    expected = {"x": codes, "c": c, "p": p, "j": j, "y": np.clip(3 * j.astype(int), -128, 127)}
    tensors = network.run(codes)
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, expected[name])
        assert tensor.dtype == np.int8
        assert network.shapes()[name] == tensor.shape[1:]
    np.testing.assert_array_equal(network(codes), expected["y"])
    assert network.macs() == 3 * 6 * 5 * 2 * 9


def test_chain_names_tensors_by_their_layers():
    layers = [convolution(), pool(input_unsigned=False), convolution("last", (3, 2))]
    network = Network.chain(layers, (2, 6, 5))
    assert network.shapes() == {"input": (2, 6, 5), "conv": (3, 6, 5), "pool": (3, 6, 5),
                                "last": (2, 6, 5)}
    assert not network.input_unsigned
    np.testing.assert_array_equal(network(frames()), run_network(layers, frames())[-1])
    assert Network.chain([pool(input_unsigned=True)], (1, 2, 2)).input_unsigned


def convolution_of(name, source, output, rng, channels):
    """A random 3x3 layer of TFLite's kind, and its two constant tensors."""
    weight = rng.integers(-127, 128, (channels[1], channels[0], 3, 3)).astype(np.int8)
    bias = rng.integers(-3000, 3000, channels[1])
    scales = np.exp2(rng.uniform(-11, -9, channels[1])).astype(np.float32)
    multiplier, shift = quantise_multiplier(source.scale * scales.astype(np.float64)
                                            / output.scale, rounding="tflite")
    layer = ConvLayer(name=name, weight=weight, bias=bias, multiplier=multiplier, shift=shift,
                      rounding="tflite", padding=(1, 1, 1, 1), low=output.zero_point,
                      input_zero_point=source.zero_point, output_zero_point=output.zero_point)
    none = [0] * channels[1]
    return layer, [
        Tensor((channels[1], 3, 3, channels[0]), np.int8, scales, none,
               weight.transpose(0, 2, 3, 1)),
        Tensor((channels[1],), np.int32, np.float32(source.scale) * scales, none, bias)]


@pytest.mark.parametrize("seed", range(8))
def test_a_residual_network_equals_tflite(seed):
    """Convolutions x → a → b, the sum a + b → c, the mean of c over height and width."""
    rng = np.random.default_rng(seed)
    x, a, b, c, y = (Quantisation(scale, int(rng.integers(-128, 100)))
                     for scale in np.exp2(rng.uniform(-5, -4, 5)))
    first, first_tensors = convolution_of("first", x, a, rng, (3, 8))
    second, second_tensors = convolution_of("second", a, b, rng, (8, 8))
    network = Network(
        input="x", input_shape=(3, 9, 7), input_unsigned=False, output="y",
        nodes=(Node(first, ("x",), "a"), Node(second, ("a",), "b"),
               Node(tflite_add("add", a, b, c), ("a", "b"), "c"),
               Node(tflite_mean("mean", c, y, size=(9, 7)), ("c",), "y")))
    options = {"Padding": "SAME", "StrideH": 1, "StrideW": 1, "DilationHFactor": 1,
               "DilationWFactor": 1, "FusedActivationFunction": "RELU"}
    maps = [codes_tensor((2, 9, 7, channels), (side.scale, side.zero_point))
            for side, channels in ((x, 3), (a, 8), (b, 8), (c, 8))]
    model = build_model(
        [*maps, codes_tensor((2, 8), (y.scale, y.zero_point)), *first_tensors, *second_tensors,
         Tensor((2,), np.int32, data=[1, 2])],
        [Operator("CONV_2D", [0, 5, 6], [1], "Conv2D", options),
         Operator("CONV_2D", [1, 7, 8], [2], "Conv2D", options),
         Operator("ADD", [1, 2], [3], "Add"),
         Operator("MEAN", [3, 9], [4], "Reducer", {"KeepDims": False})], [0], [4])
    codes = rng.integers(-128, 128, (2, 3, 9, 7)).astype(np.int8)
    output = network(codes)
    assert len(np.unique(output)) > 4
    np.testing.assert_array_equal(output[:, :, 0, 0],
                                  run_reference(model, codes.transpose(0, 2, 3, 1)))


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"nodes": ()}, ValueError, "Network: nodes must not be empty"),
    ({"input_shape": (2, 6)}, ValueError, "Network: input_shape must have 3 values, not (2, 6)"),
    ({"input_shape": (2, 0, 5)}, ValueError, "Network: input_shape must be at least 1, not 0"),
    ({"input_unsigned": 0}, TypeError, "Network: input_unsigned must be a bool, not 0"),
    ({"output": "z"}, ValueError, "Network: no node makes the output tensor z"),
    ({"output": "x"}, ValueError, "Network: no node makes the output tensor x"),
    ({"input_unsigned": True}, TypeError,
     "Network, node conv: tensor x must be int8, not uint8"),
    ({"input_shape": (4, 6, 5)}, ValueError, "Layer conv: codes must have 2 channels, not 4"),
    ({"nodes": (Node(addition(), ("x", "z"), "y"),)}, ValueError,
     "Network, node add: tensor z is not made before it"),
    ({"nodes": (Node(addition(), ("x",), "y"),)}, ValueError, "Layer add: takes 2 inputs, not 1"),
    ({"nodes": (Node(pool(), ("x",), "x"),)}, ValueError,
     "Network, node pool: tensor x is already made"),
    ({"nodes": (Node(pool(), ("x",), "p"), Node(pool(), ("p",), "y"))}, ValueError,
     "Network, node pool: the name comes twice"),
    ({"nodes": (Node(pool(output_unsigned=True), ("x",), "p"), Node(addition(), ("x", "p"), "y"))},
     TypeError, "Network, node add: tensor p must be int8, not uint8"),
    ({"nodes": (Node(pool(stride=(2, 1)), ("x",), "p"), Node(addition(), ("x", "p"), "y"))},
     ValueError, "Layer add: inputs must have equal shapes, not (1, 2, 6, 5) and (1, 2, 3, 5)"),
])
def test_refuses(change, error, message):
    with refuses(error, message):
        residual(**change)


@pytest.mark.parametrize(("codes", "error", "message"), [
    (np.zeros((1, 2, 6, 5), np.uint8), TypeError, "Network: codes must be int8, not uint8"),
    (np.zeros((1, 2, 5, 5), np.int8), ValueError,
     "Network: codes must be frames of shape (2, 6, 5), not of shape (1, 2, 5, 5)"),
    (np.zeros((2, 6, 5), np.int8), ValueError,
     "Network: codes must be frames of shape (2, 6, 5), not of shape (2, 6, 5)"),
])
def test_refuses_codes(codes, error, message):
    with refuses(error, message):
        residual().run(codes)


def test_refuses_an_empty_chain():
    with refuses(ValueError, "Network: layers must not be empty"):
        Network.chain([], (1, 2, 2))


def test_concatenation():
    layer = ConcatLayer(name="cat", inputs=3, unsigned=True)
    assert layer.input_types == (np.uint8,) * 3
    assert layer.output_type is np.uint8
    parts = [np.full((2, channels, 3, 4), channels, np.uint8) for channels in (1, 5, 2)]
    output = layer(*parts)
    assert output.shape == layer.output_shape(*(part.shape for part in parts)) == (2, 8, 3, 4)
    np.testing.assert_array_equal(output[0, :, 0, 0], [1, 5, 5, 5, 5, 5, 2, 2])
    with refuses(ValueError, "Layer cat: inputs must have equal shapes but for the channels, "
                             "not (2, 1, 3, 4) and (2, 5, 3, 3)"):
        layer(parts[0], parts[1][..., :3], parts[2])
    with refuses(ValueError, "Layer cat: inputs must be at least 1, not 0"):
        ConcatLayer(name="cat", inputs=0)
    with refuses(TypeError, "Layer cat: unsigned must be a bool, not 1"):
        ConcatLayer(name="cat", unsigned=1)
