"""Networks and concatenation: what flows where, refusals."""

import numpy as np
import pytest

from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer, run_network
from golden.network import Network, Node
from golden.pool import PoolLayer
from tests.golden.refusal import refuses

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
