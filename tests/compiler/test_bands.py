"""Layers in bands: nothing is overwritten that is still read, no margin is wider than it must be,
and programs in little memory compute what golden does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.allocate import Buffer
from compiler.bands import Cut, distances, margins
from compiler.program import compile_network
from golden.network import Network, Node
from hdl.isa import Opcode
from tests.compiler.checker import check_memory
from tests.compiler.layers import LARGE, TINY, VECTOR, addition, conv, pool
from tests.compiler.test_random_networks import CONFIGURATIONS, outputs
from tests.cosim.networks import random_network
from tests.cosim.small_memory import squeezed

DRAWN = settings(deadline=None, print_blob=True)


@st.composite
def cuts(draw, dense=False):
    """Layers of one input: any stride, padding and kernel, up to three frames. If ``dense``, every
    input line up to the last one read is under some kernel, and none sees padding alone."""
    stride, in_height = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    span = draw(st.integers(stride if dense else 1, 6))
    top = draw(st.integers(0, span - 1 if dense else 8))
    out_height = draw(st.integers(1, (in_height - 1 + top) // stride + (1 if dense else 4)))
    return Cut(step=0, inputs={"in": draw(st.integers(1, 9))}, output="out",
               out_words=draw(st.integers(1, 9)), frames=draw(st.integers(1, 3)),
               in_height=in_height, out_height=out_height, stride=stride, top=top, span=span)


def spoils(cut, bands, distance):
    """Whether, if the output begins ``distance`` words behind the input, some band's results lie
    where itself or a later one reads."""
    reads, writes = [], []
    for first, end in bands:
        read = set()
        for line in range(first, end):
            frame, row = divmod(line, cut.out_height)
            for tap in range(cut.span):
                y = row * cut.stride - cut.top + tap
                if 0 <= y < cut.in_height:
                    start = (frame * cut.in_height + y) * cut.inputs["in"]
                    read.update(range(start, start + cut.inputs["in"]))
        reads.append(read)
        writes.append(set(range(distance + first * cut.out_words, distance + end * cut.out_words)))
    return any(written & read for index, written in enumerate(writes) for read in reads[index:])


@DRAWN
@given(cuts(), st.integers(1, 40), st.integers(0, 30), st.booleans())
def test_bands_never_spoil_what_is_read(cut, lines, spare, upwards):
    """From the least distance on, in either direction, wherever there is any band."""
    distance = cut.above("in", lines) if upwards else -cut.below("in", lines)
    distance += spare if upwards else -spare
    bands = cut.divided({"in": 1000, "out": 1000 + distance})
    assert not spoils(cut, bands, distance)
    covered = sorted(line for first, end in bands for line in range(first, end))
    assert covered == list(range(cut.lines))
    for first, end in bands:
        of_one_frame = first // cut.out_height == (end - 1) // cut.out_height
        assert of_one_frame or first % cut.out_height == end % cut.out_height == 0
    # No more than were allowed for.
    assert len(bands) <= len(cut.bands(lines))


@DRAWN
@given(cuts(dense=True), st.booleans())
def test_margins_of_single_lines_are_the_least(cut, upwards):
    """A word nearer, and the compiler itself refuses it; rightly, since something is spoilt."""
    nearer = cut.above("in", 1) - 1 if upwards else 1 - cut.below("in", 1)
    if nearer:
        with pytest.raises(AssertionError):
            cut.divided({"in": 1000, "out": 1000 + nearer})
        lines = cut.bands(1)
        assert spoils(cut, lines[::-1] if upwards else lines, nearer)


def test_what_lies_apart_is_not_cut():
    cut = Cut(step=0, inputs={"in": 4}, output="out", out_words=3, frames=2, in_height=5,
              out_height=5, stride=1, top=1, span=3)
    assert cut.divided({"in": 0, "out": 40}) == cut.divided({"in": 30, "out": 0}) == [(0, 10)]
    assert cut.divided({"in": 0, "out": 39}) == [(5, 10), (0, 5)]
    assert cut.divided({"in": 29, "out": 0}) == [(0, 5), (5, 10)]


@pytest.mark.parametrize(("last", "pairs"), [
    (1, {("out", "a"), ("out", "b")}),      # Both ways might be needed at a time.
    (2, {("out", "a"), ("a", "out")}),
])
def test_which_tensors_may_overlap(last, pairs):
    """Those whose last step is the output's first one."""
    cut = Cut(step=1, inputs={"a": 4, "b": 4}, output="out", out_words=4, frames=1, in_height=5,
              out_height=5, stride=1, top=0, span=1)
    buffers = [Buffer("a", 20, ((0, 1),)), Buffer("b", 20, ((0, last),)),
               Buffer("out", 20, ((1, 2),))]
    apart = distances(margins([cut], parts=5), buffers)
    assert apart == dict.fromkeys(pairs, 4)
    # The next frame comes in while the output is needed.
    buffers[0] = Buffer("a", 20, ((0, 1), (2, 2)))
    assert not any("a" in pair for pair in distances(margins([cut], parts=5), buffers))


@pytest.mark.parametrize("name", CONFIGURATIONS)
@settings(max_examples=60, deadline=None, print_blob=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_programs_in_little_memory_compute_what_golden_does(name, seed):
    rng = np.random.default_rng(seed)
    drawn, frames = random_network(rng, CONFIGURATIONS[name], macs=20_000, most=6)
    batch = int(rng.choice([1, 1, 2, 3]))
    program = squeezed(rng, drawn, CONFIGURATIONS[name], batch)
    if program is None:
        return      # Of single lines, or too large for other memories.
    np.testing.assert_array_equal(outputs(program, frames), drawn(frames))
    check_memory(program)


@pytest.mark.parametrize(("words", "bands"), [(32, 1), (31, 2), (24, 3)])
def test_as_few_bands_as_will_do(words, bands):
    """4x4 pixels of a word: input and output have 16 words."""
    layer = conv("b", (2, 2, 3, 3), padding=(1, 1, 1, 1))
    network = Network.chain([conv("a", (2, 2, 1, 1)), layer], (2, 4, 4))
    program = compile_network(network, replace(TINY, activation_words=words))
    assert program.layer_of.count(1) == bands
    check_memory(program)
    with pytest.raises(ValueError, match="^The network needs 24 activation_words"):
        compile_network(network, replace(TINY, activation_words=23))


def test_weights_are_stored_once_and_every_band_waits():
    layer = conv("a", (8, 2, 3, 3), padding=(1, 1, 1, 1), group=2)
    network = Network.chain([conv("first", (4, 4, 1, 1)), layer], (4, 8, 8))
    whole = compile_network(network, TINY)
    cut = compile_network(network, replace(TINY, activation_words=290))
    np.testing.assert_array_equal(whole.weights, cut.weights)
    assert whole.coefficients == cut.coefficients
    layers = [fields for fields in cut.instructions if fields["opcode"] == Opcode.CONV]
    blocks = whole.layer_of.count(1)
    assert blocks > 1
    assert len(layers) > len(whole.layer_of)
    second = [fields for fields, index in zip(layers, cut.layer_of, strict=True) if index == 1]
    assert [fields["wait"] for fields in second] == [1, *[0] * (blocks - 1)] * (
        len(second) // blocks)
    assert len({fields["weight_base"] for fields in second}) == blocks


@pytest.mark.parametrize(("layer", "least"), [
    # What a kernel of three rows needs, a line each, lies between input and output.
    (conv("a", (8, 8, 3, 3), padding=(1, 1, 1, 1)), 288),
    (conv("a", (8, 1, 3, 3), padding=(1, 1, 1, 1), group=8), 288),
    (pool("a", (3, 3), padding=(1, 1, 1, 1)), 288),
    (conv("a", (8, 8, 5, 5), padding=(2, 2, 2, 2)), 304),
    # Four times the channels: the input lies at the end of the output.
    (conv("a", (32, 8, 1, 1)), 1040),
])
def test_how_little_memory_does(layer, least):
    """16x16 pixels of a word, behind a layer that copies."""
    network = Network.chain([conv("copy", (8, 8, 1, 1)), layer], (8, 16, 16))
    program = compile_network(network, replace(LARGE, activation_words=least))
    assert program.layer_of.count(1) > 1
    check_memory(program)
    with pytest.raises(ValueError, match=f"^The network needs {least} activation_words"):
        compile_network(network, replace(LARGE, activation_words=least - 1))


def test_both_operands_of_a_sum_are_given_up():
    """The frame is no place for a result that is to stay; but in bands, it is for this one."""
    nodes = (Node(conv("a", (4, 4, 1, 1)), ("input",), "a"),
             Node(addition("b"), ("a", "input"), "b"),
             Node(conv("c", (8, 4, 1, 1)), ("b",), "c"))
    network = Network(input="input", input_shape=(4, 6, 6), input_unsigned=False, nodes=nodes,
                      output="c")
    program = compile_network(network, replace(VECTOR, activation_words=80))
    check_memory(program)
