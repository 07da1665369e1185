"""Programs: what they refuse, in which order they work, and how frames go in and results out."""

import re
from dataclasses import replace

import numpy as np
import pytest

from compiler import planner
from compiler.program import compile_network
from golden.concat import ConcatLayer
from golden.network import Network, Node
from hdl.isa import Opcode
from tests.compiler.layers import LARGE, TINY, VECTOR, addition, conv, pool


def chained(layers, shape, config, **options):
    return compile_network(Network.chain(layers, shape), config, **options)


def refuses(message, layers, shape, config=TINY, **options):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        chained(layers, shape, config, **options)


@pytest.mark.parametrize(("layers", "shape", "config", "message"), [
    ([conv("small", (2, 2, 1, 1)), conv("wide", (64, 2, 9, 9), padding=(4, 4, 4, 4))],
     (2, 4, 4), TINY,
     "The network needs 5186 weight_words (10372 bytes), 5184 (10368 bytes) of them for layer "
     "wide; tiny has 4096 (8192 bytes); it fits icebreaker, ecp5-85f, ecp5-85f-8x8, "
     "ecp5-85f-16x16"),
    ([conv("a", (600, 1, 1, 1))], (1, 1, 1), TINY,
     "The network needs 600 coefficient_words (5400 bytes), 600 (5400 bytes) of them for layer a; "
     "tiny has 512 (4608 bytes); it fits ecp5-25f, ecp5-85f, ecp5-85f-8x8, ecp5-85f-16x16"),
    ([conv("a", (2, 2, 1, 1)), conv("b", (16, 2, 1, 1))], (2, 20, 20),
     replace(TINY, activation_words=1000),
     "The network needs 3220 activation_words (6440 bytes), 3220 (6440 bytes) of them for layer b; "
     "tiny has 1000 (2000 bytes); it fits icebreaker, ecp5-25f, ecp5-85f, ecp5-85f-8x8, "
     "ecp5-85f-16x16"),
    ([conv(f"layer{index}", (2, 2, 1, 1)) for index in range(200)], (2, 2, 2), TINY,
     "The network needs 3264 program_words (13056 bytes), 16 (64 bytes) of them for layer layer0; "
     "tiny has 1024 (4096 bytes); it fits no configuration that ships; one of your own may"),
    ([conv("a", (4096, 1, 8, 8))], (1, 8, 8), TINY,
     "The network needs 131072 weight_words (262144 bytes), 131072 (262144 bytes) of them for "
     "layer a; tiny has 4096 (8192 bytes); no configuration has more than 65536"),
])
def test_what_does_not_fit(layers, shape, config, message):
    refuses(message, layers, shape, config)


def test_more_layers_than_any_program_holds_are_refused_before_they_are_planned(monkeypatch):
    def chain(count):
        return [conv(f"layer{index}", (2, 2, 1, 1)) for index in range(count)]

    monkeypatch.setattr(planner, "LARGEST_MEMORY", 80)
    chained(chain(3), (2, 2, 2), TINY)
    monkeypatch.setattr(planner, "_plans", None)
    refuses("The network has so many layers that its program needs 96 words or more; no "
            "configuration has more than 80", chain(4), (2, 2, 2))


def test_the_batch_is_part_of_what_does_not_fit():
    layers, small = [conv("a", (2, 2, 1, 1))], replace(TINY, activation_words=50)
    chained(layers, (2, 5, 5), small)
    refuses("The network needs 55 activation_words (110 bytes), 55 (110 bytes) of them for layer "
            "a; tiny has 50 (100 bytes); it fits tiny, ecp5-25f, ecp5-85f, ecp5-85f-8x8, "
            "ecp5-85f-16x16", layers, (2, 5, 5), small, batch=2)
    for batch in (0, 257):
        refuses(f"batch must be in [1, 256], not {batch}", layers, (2, 5, 5), batch=batch)


@pytest.mark.parametrize(("changed", "size", "message"), [
    ({"stride": (1, 300)}, (1, 301), "stride_x is 300, more than the 255 of an instruction"),
    ({"stride": (256, 1)}, (257, 1), "stride_y is 256, more than the 255 of an instruction"),
    ({"padding": (0, 256, 0, 0)}, (1, 1), "pad_left is 256, more than the 255 of an instruction"),
    ({"padding": (256, 0, 0, 0)}, (1, 1), "pad_top is 256, more than the 255 of an instruction"),
    ({"weight": np.ones((2, 2, 1, 2), int), "dilation": (1, 256)}, (1, 257),
     "dilation_x is 256, more than the 255 of an instruction"),
    ({"padding": (0, 0, 0, 4096)}, (1, 1),
     "out_width is 4097, more than the 4096 of an instruction"),
    ({}, (4096, 1), "in_height is 4096, more than the 4095 of an instruction"),
    ({"weight": np.ones((2, 2, 1, 257), int), "padding": (0, 0, 0, 256)}, (1, 1),
     "kernel_width is 257, more than the 256 of an instruction"),
    ({"weight": np.ones((2, 2, 18, 1), int), "dilation": (255, 1), "padding": (255, 0, 255, 0)},
     (4000, 1), "the dilated kernel's height is 4336, more than the 4096 of the engine"),
])
def test_what_no_instruction_can_say(changed, size, message):
    """The layer is not the first one, whose kernel the host could fold."""
    unlimited = replace(TINY, activation_words=65536, weight_words=65536)
    first = pool("first", kind="sum", kernel=(1, 1), bias=1)
    refuses(f"Layer {'first' if 'in_height' in message else 'a'}: {message}",
            [first, conv("a", (2, 2, 1, 1), **changed)], (2, *size), unlimited)


def test_what_does_not_matter_need_not_fit_a_field():
    """Strides of a single output pixel, dilations of a single tap."""
    layers = [conv("a", (2, 2, 1, 1)), conv("b", (2, 2, 1, 1), stride=(1, 300), dilation=(999, 1))]
    program = chained(layers, (2, 1, 1), TINY)
    fields = program.instructions[2]
    assert (fields["opcode"], fields["stride_x"], fields["dilation_y"]) == (Opcode.CONV, 1, 1)


def test_sums_that_leave_narrow_accumulators():
    narrow = replace(TINY, accumulator_width=18)
    weight = np.full((2, 8, 1, 1), 127)
    chained([conv("a", (2, 8, 1, 1), weight=weight)], (8, 1, 1), narrow)
    weight[0, 0] = 128 - 256
    weight = np.concatenate([weight, weight[:, :1]], axis=1)
    refuses("Layer a: sums of up to 146560 do not fit the 18 bit accumulators of tiny; "
            "one with accumulator_width 19 would do",
            [conv("a", (2, 9, 1, 1), weight=weight)], (9, 1, 1), narrow)


def test_frames_are_received_sent_and_begun_anew():
    layers = [conv("a", (3, 2, 2, 2)), conv("b", (4, 3, 1, 1)), conv("c", (2, 4, 1, 1))]
    program = chained(layers, (2, 5, 5), TINY)
    opcodes = [fields["opcode"] for fields in program.instructions]
    # The next frame is let in behind the instruction that waits for the frame's last reader.
    assert opcodes == [Opcode.RECEIVE, Opcode.CONV, Opcode.CONV, Opcode.RECEIVE, Opcode.CONV,
                       Opcode.SEND, Opcode.END]
    assert [fields.get("next", 0) for fields in program.instructions] == [0, 0, 0, 1, 0, 0, 0]
    assert [fields.get("wait", 0) for fields in program.instructions] == [0, 1, 1, 0, 1, 1, 0]
    assert [fields.get("wait_input", 0) for fields in program.instructions] == [
        0, 1, 0, 0, 0, 0, 0]
    assert program.layer_of == (0, 1, 2)


@pytest.mark.parametrize(("words", "place", "wait"), [
    (60, 3, 0),     # The frame has a place of its own, beside the largest two in use together.
    (58, 5, 0),     # Under the third tensor, as soon as that one has been read.
    (52, 6, 0),     # Behind SEND, while the output leaves.
    (40, 6, 1),     # When the output has left from there.
])
def test_the_next_frame_comes_as_early_as_memory_allows(words, place, wait):
    """Tensors of 20, 18, 22, 12 and 26 words."""
    layers = [conv("a", (18, 20, 1, 1)), conv("b", (22, 18, 1, 1)), conv("c", (12, 22, 1, 1)),
              conv("d", (26, 12, 1, 1))]
    for room in range(words, words + 2):
        program = chained(layers, (20, 1, 2), replace(TINY, activation_words=room))
        receive = program.instructions[place]
        assert (receive["opcode"], receive["next"]) == (Opcode.RECEIVE, 1)
        assert receive.get("wait", 0) == wait
    with pytest.raises(ValueError, match="activation_words"):
        chained(layers, (20, 1, 2), replace(TINY, activation_words=39))


def test_layers_wait_only_for_what_they_read():
    branches = Network(input="input", input_shape=(4, 3, 3), input_unsigned=False, nodes=(
        Node(conv("a", (4, 4, 1, 1)), ("input",), "a"),
        Node(conv("b", (4, 4, 1, 1)), ("input",), "b"),
        Node(conv("c", (4, 4, 1, 1)), ("a",), "c"),
        Node(conv("d", (4, 4, 1, 1)), ("b",), "d"),     # Written long ago: c has waited.
        Node(ConcatLayer(name="join"), ("c", "d"), "join"),
        Node(conv("e", (4, 4, 1, 1)), ("b",), "e"),
        Node(conv("f", (4, 8, 1, 1)), ("join",), "f"),
        Node(addition("g"), ("f", "e"), "g"),
        Node(pool("h", (1, 1), kind="sum", bias=1), ("f",), "h"),
        Node(ConcatLayer(name="out"), ("g", "h"), "out")), output="out")
    program = compile_network(branches, VECTOR)
    names = [program.network.nodes[index].layer.name for index in program.layer_of]
    waits = [fields["wait"] for fields in program.instructions
             if fields["opcode"] in (Opcode.CONV, Opcode.VECTOR)]
    assert dict(zip(names, waits, strict=True)) == {
        "a": 1, "b": 0, "c": 1, "d": 0, "e": 0, "f": 1, "g": 1, "h": 0}


def test_nothing_is_computed_that_the_output_does_not_need():
    nodes = (Node(conv("a", (4, 4, 1, 1)), ("input",), "a"),
             Node(conv("unused", (4, 4, 1, 1)), ("a",), "unused"),
             Node(conv("b", (4, 4, 1, 1)), ("a",), "b"))
    network = Network(input="input", input_shape=(4, 1, 1), input_unsigned=False, nodes=nodes,
                      output="b")
    assert [node.layer.name for node in compile_network(network, TINY).network.nodes] == ["a", "b"]


@pytest.mark.parametrize("unsigned", [False, True])
def test_packed_words_hold_channels_in_order(unsigned):
    kind = np.uint8 if unsigned else np.int8
    last = conv("a", (5, 3, 1, 1), output_unsigned=unsigned, input_unsigned=unsigned)
    program = chained([last], (3, 2, 2), TINY)
    codes = np.arange(250, 262).astype(np.uint8).view(kind).reshape(1, 3, 2, 2)
    words = program.pack(codes)
    assert words.dtype == np.uint8
    assert words[:4].tolist() == [[250, 254], [2, 0], [251, 255], [3, 0]]
    assert program.input_words == len(words) == 8
    sent = np.arange(24, dtype=np.uint8).reshape(12, 2)
    assert program.output_words == len(sent)
    unpacked = program.unpack(sent)
    assert unpacked.dtype == kind
    assert unpacked[0, :, 0, 1].tolist() == [6, 7, 8, 9, 10]


def test_parts_of_a_concatenation_begin_with_a_word():
    """The output has gaps, which are sent and left out."""
    nodes = (Node(conv("a", (3, 4, 1, 1)), ("input",), "a"),
             Node(conv("b", (2, 4, 1, 1)), ("input",), "b"),
             Node(ConcatLayer(name="c"), ("a", "b"), "c"))
    network = Network(input="input", input_shape=(4, 1, 2), input_unsigned=False, nodes=nodes,
                      output="c")
    program = compile_network(network, VECTOR)
    assert program.output_words == 4
    words = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert program.unpack(words)[0, :, 0].T.tolist() == [[0, 1, 2, 4, 5], [8, 9, 10, 12, 13]]
    regions = program.regions
    assert regions["b"].base == regions["a"].base + 1 == regions["c"].base + 1
    assert {regions[name].step for name in "abc"} == {2}


def test_batches_go_in_together():
    program = chained([conv("a", (3, 4, 1, 1))], (4, 1, 1), VECTOR, batch=3)
    frames = np.arange(20, dtype=np.int8).reshape(5, 4, 1, 1)
    batches = [program.pack(codes) for codes in program.batches(frames)]
    assert [batch.tolist() for batch in batches] == [
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]],
        [[12, 13, 14, 15], [16, 17, 18, 19], [0, 0, 0, 0]]]
    fields = program.instructions[1]
    assert (fields["frames"], fields["pixels"], fields["tiles"]) == (2, 2, 0)
    with pytest.raises(TypeError, match="^Frames must be int8, not uint8$"):
        program.pack(frames[:1].view(np.uint8))
    with pytest.raises(ValueError, match=re.escape("There must be 1 to 3 frames, not 4")):
        program.pack(frames[:4])
    with pytest.raises(ValueError, match=re.escape(
            "Frames must have shape (4, 1, 1), not (4, 1, 2)")):
        program.pack(np.zeros((1, 4, 1, 2), np.int8))


def test_only_networks_are_compiled():
    with pytest.raises(TypeError, match="^Network must be a Network, not 3$"):
        compile_network(3, LARGE)
