"""Programs: what they refuse, and that everything lies where the engine looks for it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from compiler.layout import plan_chain, unfold, weight_words
from compiler.program import compile_chain
from golden.layer import ConvLayer
from hdl.config import CONFIGURATIONS, Configuration
from hdl.isa import Opcode, disassemble
from sim.machine import read_addresses

#: The smallest array that ships, with room for the networks below.
TINY = replace(CONFIGURATIONS["tiny"], activation_words=4096, weight_words=4096,
               coefficient_words=512, program_words=1024)
LARGE = CONFIGURATIONS["ecp5-85f"]
ODD = Configuration(name="odd", device="any", rows=2, columns=3, lanes=1, channels=4)


def layer(name, shape, *, seed=1, **parameters):
    rng = np.random.default_rng(seed)
    channels = shape[0]
    return ConvLayer(**{
        "name": name, "weight": rng.integers(-128, 128, shape),
        "bias": rng.integers(-9, 9, channels), "multiplier": np.full(channels, 2**30),
        "shift": np.full(channels, 40), "rounding": "half_even", **parameters})


def chain(seed):
    """Three layers, grouped in every way, and the shape of their input."""
    rng = np.random.default_rng(seed)
    group = int(rng.choice([1, 2, 3, 5, 6]))
    inputs, outputs = (group * int(rng.integers(1, 6)) for _ in range(2))
    return [
        layer("first", (inputs, int(rng.integers(1, 6)), 3, 2), padding=(1, 0, 2, 3)),
        layer("second", (outputs, inputs // group, 2, 3), group=group, stride=(1, 2)),
        layer("third", (outputs, 1, 1, 2), group=outputs, dilation=(1, 3), padding=(0, 3, 0, 3)),
    ], (5, 7)


def compiled(seed, config):
    layers, size = chain(seed)
    return compile_chain(layers, (layers[0].weight.shape[1], *size), config)


def refuses(message, layers, shape, config=TINY):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        compile_chain(layers, shape, config)


@pytest.mark.parametrize(("layers", "shape", "config", "message"), [
    ([layer("small", (2, 2, 1, 1)), layer("wide", (64, 2, 9, 9), padding=(4, 4, 4, 4))],
     (2, 4, 4), TINY,
     "The network needs 5186 weight_words, 5184 of them for layer wide; tiny has 4096; it fits "
     "ecp5-85f, ecp5-85f-8x8, ecp5-85f-16x16"),
    ([layer("a", (600, 1, 1, 1))], (1, 1, 1), TINY,
     "The network needs 600 coefficient_words, 600 of them for layer a; tiny has 512; it fits "
     "ecp5-25f, ecp5-85f, ecp5-85f-8x8, ecp5-85f-16x16"),
    ([layer("a", (2, 2, 1, 1)), layer("b", (16, 2, 1, 1))], (2, 20, 20), TINY,
     "The network needs 4000 activation_words, 3600 of them for layer b; tiny has 1000; it fits "
     "ecp5-25f, ecp5-85f, ecp5-85f-8x8, ecp5-85f-16x16"),
    ([layer(f"layer{index}", (2, 2, 1, 1)) for index in range(200)], (2, 2, 2), TINY,
     "The network needs 3264 program_words, 16 of them for layer layer0; tiny has 1024; it fits "
     "no configuration that ships; one of your own may"),
])
def test_what_does_not_fit(layers, shape, config, message):
    if "tiny has 1000" in message:
        config = replace(config, activation_words=1000)
    refuses(message, layers, shape, config)


@pytest.mark.parametrize(("changed", "size", "message"), [
    ({"stride": (1, 300)}, (1, 1), "stride_x is 300, more than the 255 of an instruction"),
    ({"stride": (256, 1)}, (1, 1), "stride_y is 256, more than the 255 of an instruction"),
    ({"padding": (0, 256, 0, 0)}, (1, 1), "pad_left is 256, more than the 255 of an instruction"),
    ({"padding": (256, 0, 0, 0)}, (1, 1), "pad_top is 256, more than the 255 of an instruction"),
    ({"dilation": (1, 256)}, (1, 1), "dilation_x is 256, more than the 255 of an instruction"),
    ({"padding": (0, 0, 0, 4096)}, (1, 1),
     "out_width is 4097, more than the 4096 of an instruction"),
    ({}, (4096, 1), "in_height is 4096, more than the 4095 of an instruction"),
    ({"weight": np.ones((2, 2, 1, 257), int), "padding": (0, 0, 0, 256)}, (1, 1),
     "kernel_width is 257, more than the 256 of an instruction"),
    ({"weight": np.ones((2, 2, 18, 1), int), "dilation": (255, 1), "padding": (255, 0, 255, 0)},
     (4000, 1), "the dilated kernel's height is 4336, more than the 4096 of the engine"),
])
def test_what_no_instruction_can_say(changed, size, message):
    unlimited = replace(TINY, activation_words=65536, weight_words=65536)
    refuses(f"Layer a: {message}", [layer("a", (2, 2, 1, 1), **changed)], (2, *size), unlimited)


def test_sums_that_leave_narrow_accumulators():
    narrow = replace(TINY, accumulator_width=18)
    weight = np.full((2, 8, 1, 1), 127)
    compile_chain([layer("a", (2, 8, 1, 1), weight=weight)], (8, 1, 1), narrow)
    weight[0, 0] = 128 - 256
    weight = np.concatenate([weight, weight[:, :1]], axis=1)
    refuses("Layer a: sums of up to 146560 do not fit the 18 bit accumulators of tiny",
            [layer("a", (2, 9, 1, 1), weight=weight)], (9, 1, 1), narrow)


def test_layers_that_do_not_follow_each_other():
    refuses("Layer b: codes must have 3 channels, not 2",
            [layer("a", (2, 2, 1, 1)), layer("b", (2, 3, 1, 1))], (2, 1, 1))


@pytest.mark.parametrize(("shape", "group", "folded"), [
    ((4, 3, 3, 3), 1, True),        # 27 channels in 4 words, not 9 of 3.
    ((4, 8, 3, 3), 1, False),       # Full words as they are.
    ((4, 9, 3, 3), 1, True),        # 81 channels in 11 words, not 18.
    ((4, 3, 1, 1), 1, False),
    ((3, 1, 3, 3), 3, False),       # Groups stay what they are.
])
def test_first_layers_are_folded_where_that_saves_words(shape, group, folded):
    first = layer("a", shape, group=group, padding=(1, 1, 1, 1), stride=(2, 1))
    program = compile_chain([first, layer("b", (2, shape[0], 3, 3))],
                            (shape[1] * group, 9, 9), LARGE)
    assert (program.fold is first) == folded
    assert program.layers[0].weight.shape == ((shape[0], np.prod(shape[1:]), 1, 1) if folded
                                              else shape)
    assert program.layers[1].weight.shape[2:] == (3, 3)


def test_unfolded_codes_are_those_under_the_kernel():
    rng = np.random.default_rng(2)
    first = layer("a", (1, 3, 2, 3), padding=(1, 0, 2, 3), stride=(2, 1), dilation=(1, 2),
                  input_zero_point=-7)
    codes = rng.integers(-128, 128, (3, 5, 6)).astype(np.int8)
    height, width = first.output_shape((1, 3, 5, 6))[2:]

    unfolded = unfold(first, codes)

    assert unfolded.shape == (3 * 2 * 3, height, width)
    for channel, ky, kx, y, x in np.ndindex(3, 2, 3, height, width):
        row, column = 2 * y + ky - 1, x + 2 * kx
        inside = 0 <= row < 5 and 0 <= column < 6
        assert unfolded[(channel * 2 + ky) * 3 + kx, y, x] == (
            codes[channel, row, column] if inside else -7)


@pytest.mark.parametrize("config", [TINY, ODD, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(12))
def test_blocks_read_all_that_their_channels_see(seed, config):
    """Every output channel is in one block, and every input that it sees under one weight."""
    layers, size = chain(seed)
    plan = plan_chain(layers, (layers[0].weight.shape[1], *size), config)
    for each, blocks in zip(plan.layers, plan.blocks, strict=True):
        outputs, inputs = len(each.weight) // each.group, each.weight.shape[1]
        covered = []
        for block in blocks:
            assert block.first % config.channels == 0
            words = weight_words(each, block, config).view(np.int8).reshape(
                block.blocks, *each.weight.shape[2:], -1, config.columns)
            assert words.shape[3] == block.words * config.channels
            assert words.size == block.weight_count(each, config) * config.columns
            for index, column in np.ndindex(block.blocks, config.columns):
                channel = block.first + index * config.columns + column
                expected = np.zeros(words.shape[1:4], np.int8)
                if channel < len(each.weight):
                    covered.append(channel)
                    first = (block.word + index * block.step) * config.channels
                    start = channel // outputs * inputs - first
                    assert 0 <= start <= expected.shape[2] - inputs
                    expected[:, :, start:start + inputs] = each.weight[channel].transpose(1, 2, 0)
                np.testing.assert_array_equal(words[index, ..., column], expected)
        assert covered == list(range(len(each.weight)))


@pytest.mark.parametrize(("shape", "group", "config", "instructions"), [
    ((8, 8, 1, 1), 1, TINY, 1),
    ((8, 1, 3, 3), 8, TINY, 1),      # Depthwise: two channels a block and a word.
    ((8, 2, 1, 1), 4, TINY, 1),      # Two outputs for two inputs.
    ((8, 2, 1, 1), 2, TINY, 4),      # Two blocks read the first word, then two the second.
    ((9, 3, 1, 1), 3, TINY, 5),
    ((12, 1, 1, 1), 12, ODD, 1),     # Blocks of three channels, words of four.
])
def test_grouped_layers_are_split_where_blocks_do_not_advance_evenly(shape, group, config,
                                                                     instructions):
    plan = plan_chain([layer("a", shape, group=group)], (shape[1] * group, 4, 4), config)
    assert len(plan.blocks[0]) == instructions


@pytest.mark.parametrize("config", [TINY, ODD, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(12))
def test_tensors_in_use_together_do_not_overlap(seed, config):
    """The frame is in use all the time, since the next one arrives meanwhile."""
    program = compiled(seed, config)
    spans = [set(range(region.base, region.base + region.size)) for region in program.regions]
    for index, span in enumerate(spans[1:], 1):
        assert span.isdisjoint(spans[0])
        if index > 1:
            assert span.isdisjoint(spans[index - 1])
    assert max(map(max, spans)) < config.activation_words


@pytest.mark.parametrize("config", [TINY, ODD, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(12))
def test_instructions_keep_to_their_tensors(seed, config):
    """What is read lies in the layer's input, what is written in its output."""
    program = compiled(seed, config)
    words = np.array(program.words()).reshape(-1, 16).tolist()
    convolutions = [fields for fields in map(disassemble, words)
                    if fields["opcode"] == Opcode.CONV]
    weights = coefficients = 0
    for fields, index in zip(convolutions, program.layer_of, strict=True):
        source, target = program.regions[index:index + 2]
        for block in range(fields["blocks"] + 1):
            addresses, inside = read_addresses(fields, block)
            read = addresses[inside]
            # A block of filler channels at the end may read on, of words that it ignores.
            assert read.min() >= source.base
            assert read.max() < source.base + source.size
        last = (fields["out_base"] + fields["pixels"] * fields["out_step"]
                + fields["out_groups"] // (config.channels // config.lanes))
        assert target.base <= fields["out_base"] <= last < target.base + target.size
        assert (fields["weight_base"], fields["coefficient_base"]) == (weights, coefficients)
        blocks = fields["blocks"] + 1
        weights += blocks * (fields["last_step"] + 1) * config.channels
        coefficients += blocks * config.columns
    assert (len(program.weights), len(program.coefficients)) == (weights, coefficients)


def test_frames_are_received_sent_and_begun_anew():
    program = compiled(1, TINY)
    opcodes = [fields["opcode"] for fields in program.instructions]
    assert opcodes[0] == Opcode.RECEIVE
    assert opcodes[-1] == Opcode.END
    assert opcodes.count(Opcode.SEND) == 1
    convolutions = [fields for fields in program.instructions if fields["opcode"] == Opcode.CONV]
    assert [fields["wait_input"] for fields in convolutions] == [1] + [0] * (
        len(convolutions) - 1)
    # The first instruction of every layer waits for the layer before; the others need not.
    begins = [index == 0 or layer != program.layer_of[index - 1]
              for index, layer in enumerate(program.layer_of)]
    assert [bool(fields["wait"]) for fields in convolutions] == begins


@pytest.mark.parametrize("unsigned", [False, True])
def test_packed_words_hold_channels_in_order(unsigned):
    kind = np.uint8 if unsigned else np.int8
    last = layer("a", (5, 3, 1, 1), output_unsigned=unsigned, input_unsigned=unsigned)
    program = compile_chain([last], (3, 2, 2), TINY)
    codes = np.arange(250, 262).astype(np.uint8).view(kind).reshape(3, 2, 2)
    words = program.pack(codes)
    assert words.dtype == np.uint8
    assert words[:4].tolist() == [[250, 254], [2, 0], [251, 255], [3, 0]]
    sent = np.arange(24, dtype=np.uint8).reshape(12, 2)
    unpacked = program.unpack(sent)
    assert unpacked.dtype == kind
    assert unpacked[:, 0, 1].tolist() == [6, 7, 8, 9, 10]
