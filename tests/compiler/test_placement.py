"""Copies where a tensor would have to be in two places, and only there; and other rewrites."""

import re

import numpy as np
import pytest

from compiler.placement import pruned, reordered
from compiler.program import compile_network
from golden.concat import ConcatLayer
from golden.network import Network, Node
from hdl.isa import Opcode
from tests.compiler.checker import check_memory
from tests.compiler.layers import ODD, TINY, VECTOR, addition, conv, pool
from tests.compiler.test_random_networks import outputs


def network(*nodes, shape=(6, 3, 3), output=None):
    """A network of (layer, inputs), each tensor named as its layer."""
    nodes = tuple(Node(layer, tuple(inputs.split()), layer.name) for layer, inputs in nodes)
    return Network(input="in", input_shape=shape, input_unsigned=False, nodes=nodes,
                   output=output or nodes[-1].output)


def concat(name, inputs=2):
    return ConcatLayer(name=name, inputs=inputs)


def point(name, outputs=6, inputs=6):
    """A convolution of single pixels, several blocks of channels long."""
    return conv(name, (outputs, inputs, 1, 1), seed=len(name))


#: Networks of tensors of 6 channels, two words with a gap at the end; and the copies that they
#: take: of whole words, or of single channels.
CASES = {
    "a branch that joins again": (network(
        (point("a"), "in"), (point("b"), "a"), (addition("c"), "a b")), 0, 0),
    "parts that are nowhere else": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a b"), (point("d", 6, 12), "c")),
        0, 0),
    "a part that is read besides": (network(
        (point("a"), "in"), (point("b"), "a"), (concat("c"), "a b"), (point("d", 6, 12), "c")),
        0, 0),
    "the frame as a part": (network(
        (point("a"), "in"), (concat("b"), "in a"), (point("c", 6, 12), "b")), 1, 0),
    "a part of two": (network(
        (point("a"), "in"), (concat("b"), "a a"), (point("c", 6, 12), "b")), 1, 0),
    "a part of several wholes": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a b"), (concat("d", 3), "a b c"),
        (point("e", 6, 24), "d")), 2, 0),
    "a whole as a part": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a b"), (concat("d"), "c in"),
        (point("e", 6, 12), "c"), (addition("f"), "a e"), (point("g", 6, 18), "d"),
        (addition("h"), "f g")), 2, 0),        # The frame, and a, whose pixels are far apart.
    "parts of the same whole": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a b"), (addition("d"), "a b"),
        (point("e", 6, 12), "c"), (addition("f"), "d e")), 0, 0),
    "parts of unequal wholes": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a in"), (concat("d", 3), "b in in"),
        (addition("e"), "a b"), (point("f", 6, 12), "c"), (point("g", 6, 18), "d"),
        (addition("h"), "f g"), (addition("i"), "e h")), 3 + 2, 0),
    "channels in other places": (network(
        (point("a", 3), "in"), (point("b", 3), "in"), (concat("c"), "a b"),
        (addition("d"), "c in")), 0, 1),
    "channels in the same other places": (network(
        (point("a", 3), "in"), (point("b", 3), "in"), (concat("c"), "a b"),
        (pool("d", (2, 2), padding=(0, 0, 1, 1)), "c"), (addition("e"), "c d")), 0, 0),
    "a single pixel": (network(
        (point("a"), "in"), (point("b"), "in"), (concat("c"), "a b"), (point("d", 6, 12), "c"),
        (addition("e"), "a d"), shape=(6, 1, 1)), 0, 0),
    "the output as a part": (network(
        (point("a"), "in"), (point("b"), "a"), (concat("c"), "a b"), output="c"), 0, 0),
}


@pytest.mark.parametrize(("drawn", "words", "channels"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("batch", [1, 2])
def test_copies(drawn, words, channels, batch):
    program = compile_network(drawn, VECTOR, batch=batch)
    copies = [node for node in program.network.nodes if node.layer.name.startswith("copy")]
    counted = [sum(type(node.layer).__name__ == kind for node in copies)
               for kind in ("PoolLayer", "ConvLayer")]
    # Of two frames even a single pixel is stepped over.
    assert counted == [words + (batch == 2 and drawn.input_shape[1:] == (1, 1)), channels]
    check_memory(program)
    frames = np.random.default_rng(1).integers(-128, 128, (3, *drawn.input_shape)).astype(np.int8)
    np.testing.assert_array_equal(outputs(program, frames), drawn(frames))


def test_without_a_vector_unit_convolutions_copy():
    drawn = CASES["a part of several wholes"][0]
    program = compile_network(drawn, ODD)
    assert {fields["opcode"] for fields in program.instructions} == {
        Opcode.RECEIVE, Opcode.CONV, Opcode.SEND, Opcode.END}
    frames = np.arange(108).astype(np.int8).reshape(2, 6, 3, 3)
    np.testing.assert_array_equal(outputs(program, frames), drawn(frames))


def test_names_of_copies_are_new():
    nodes = (Node(point("copy of in"), ("in",), "copy 2 of in"),
             Node(concat("c", 3), ("in", "in", "copy 2 of in"), "c"))
    drawn = Network(input="in", input_shape=(6, 2, 2), input_unsigned=False, nodes=nodes,
                    output="c")
    program = compile_network(drawn, VECTOR)
    assert [node.layer.name for node in program.network.nodes] == [
        "copy of in", "copy 3 of in", "copy 4 of in", "c"]


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize(("kind", "kernel"), [("sum", (3, 2)), ("sum", (1, 1)), ("max", (1, 1))])
def test_without_a_vector_unit_convolutions_add_up(kind, kernel, unsigned):
    layer = pool("a", kernel, kind, padding=(1, 2, 0, 1), stride=(2, 1), bias=7, multiplier=-3,
                 shift=2, pad_code=100, input_unsigned=unsigned, output_zero_point=9)
    drawn = Network.chain([layer], (5, 4, 6))
    frames = np.random.default_rng(2).integers(0, 256, (2, 5, 4, 6)).astype(np.uint8)
    frames = frames.view(layer.input_types[0])
    np.testing.assert_array_equal(outputs(compile_network(drawn, ODD), frames), drawn(frames))


@pytest.mark.parametrize(("layer", "what"), [
    (pool("a", (2, 1)), "maximum pooling"), (addition("a"), "elementwise arithmetic")])
def test_what_only_a_vector_unit_can_do(layer, what):
    inputs = " ".join(["in"] * len(layer.input_types))
    with pytest.raises(ValueError, match=(
            f"^Layer a: {what} needs a vector unit, and tiny has none; .*"
            f"{re.escape('set vector = true in a configuration of your own')}$")):
        compile_network(network((layer, inputs)), TINY)


def test_nodes_without_use_are_left_out():
    drawn = network((point("a"), "in"), (point("b"), "a"), (point("c"), "a"), (point("d"), "b"),
                    output="d")
    assert [node.output for node in pruned(drawn).nodes] == ["a", "b", "d"]


def test_an_order_that_takes_less_memory():
    """Branches one after the other, not side by side."""
    wide = 40
    drawn = network((point("a", wide), "in"), (point("b", wide), "in"),
                    (point("c", 6, wide), "a"), (point("d", 6, wide), "b"), (addition("e"), "c d"))
    assert [node.output for node in reordered(drawn, VECTOR).nodes] == ["a", "c", "b", "d", "e"]
    roomy, tight = (compile_network(drawn, type(VECTOR)(**{
        **vars(VECTOR), "activation_words": words})) for words in (198, 197))
    assert [node.output for node in roomy.network.nodes] == ["a", "b", "c", "d", "e"]
    assert [node.output for node in tight.network.nodes] == ["a", "c", "b", "d", "e"]
    check_memory(tight)


def test_sums_take_the_place_of_an_operand():
    program = compile_network(CASES["a branch that joins again"][0], VECTOR)
    regions = program.regions
    assert regions["c"].base in (regions["a"].base, regions["b"].base)
