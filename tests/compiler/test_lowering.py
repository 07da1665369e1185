"""Weights and coefficients lie where the units look for them, and units do what they do best."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.layout import Layout
from compiler.lower_conv import conv_blocks, conv_jobs
from compiler.lower_depthwise import DepthwiseJob, suits_window
from compiler.lower_vector import VectorJob
from compiler.program import compile_network
from golden.fold import fold_zero_point
from golden.network import Network
from hdl.isa import Opcode
from tests.compiler.layers import LARGE, ODD, TINY, VECTOR, addition, conv, pool

#: Channels in words of two, four and eight, with a gap behind each third one.
GAPS = {size: Layout(-(-4 * count // size), np.array([c + c // 3 for c in range(3 * count)]))
        for size, count in ((2, 8), (4, 8), (8, 8))}


def plain(layer, config):
    return Layout.plain(layer.weight.shape[1] * layer.group, config.channels)


def grouped(seed):
    """A layer, grouped in some way."""
    rng = np.random.default_rng(seed)
    group = int(rng.choice([1, 2, 3, 6, 12, 24]))
    outputs = group * int(rng.integers(1, 6))
    return conv("a", (outputs, 24 // group, 2, 3), group=group)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("config", [TINY, ODD, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(12))
def test_blocks_read_all_that_their_channels_see(seed, config, gaps):
    """Every output channel is in one block, and every input that it sees under one weight."""
    layer = grouped(seed)
    source = GAPS[config.channels] if gaps else plain(layer, config)
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    covered = []
    for job in conv_jobs(layer, source, config):
        block = job.block
        assert block.first % config.channels == 0
        words = job.weights().view(np.int8).reshape(
            block.blocks, *layer.weight.shape[2:], -1, config.columns)
        assert words.shape[3] == block.words * config.channels
        assert words.size == job.weight_count * config.columns
        assert len(job.coefficients()) == job.coefficient_count == block.blocks * config.columns
        for index, column in np.ndindex(block.blocks, config.columns):
            channel = block.first + index * config.columns + column
            expected = np.zeros(words.shape[1:4], np.int8)
            if channel < len(layer.weight):
                covered.append(channel)
                first = (block.word + index * block.step) * config.channels
                for number in range(inputs):
                    place = source.places[channel // outputs * inputs + number] - first
                    assert 0 <= place < expected.shape[2]
                    expected[:, :, place] = layer.weight[channel, number]
            np.testing.assert_array_equal(words[index, ..., column], expected)
    assert covered == list(range(len(layer.weight)))


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
    layer = conv("a", shape, group=group)
    assert len(conv_blocks(layer, plain(layer, config), config)) == instructions


@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("config", [TINY, VECTOR, LARGE], ids=lambda config: config.name)
def test_window_weights_are_dense(config, kernel, gaps):
    layer = conv("a", (24, 1, *kernel), group=24, input_zero_point=3, padding=(1, 1, 1, 1))
    source = GAPS[config.channels] if gaps else plain(layer, config)
    job = DepthwiseJob(layer, source, config)
    words = job.weights()
    # Nine taps of all channels of a word, in whole steps of as many words as a word has channels.
    steps = -(-9 // config.columns)
    assert words.shape == (job.weight_count, config.columns)
    assert job.weight_count == source.words * steps * config.channels
    blocks = words.view(np.int8).reshape(source.words, -1)
    taps = blocks[:, :9 * config.channels].reshape(source.words, 3, 3, config.channels)
    assert not blocks[:, 9 * config.channels:].any()
    records = job.coefficients()
    assert len(records) == job.coefficient_count == source.words * config.channels
    expected = np.zeros_like(taps)
    bias = fold_zero_point(layer.weight, layer.bias, 3)
    for channel, place in enumerate(source.places.tolist()):
        word, code = divmod(place, config.channels)
        expected[word, :kernel[0], :kernel[1], code] = layer.weight[channel, 0]
        assert records[place]["bias"] == bias[channel]
    np.testing.assert_array_equal(taps, expected)
    assert [record for index, record in enumerate(records) if index not in source.places] == (
        [{}] * (len(records) - 24))


def test_tables_come_before_the_channels():
    layer = addition("a")
    records = VectorJob(layer, Layout.plain(5, 4), VECTOR).coefficients()
    assert len(records) == 256 + 8
    assert [record["bias"] for record in records[:256]] == layer.tables[0].tolist()
    assert [record["multiplier"] for record in records[:256]] == layer.tables[1].tolist()
    assert records[256:] == [{"bias": 0, "multiplier": 1, "shift": 0, "rounding": 0}] * 8
    assert len(VectorJob(pool("b"), Layout.plain(5, 4), VECTOR).coefficients()) == 8


@pytest.mark.parametrize(("changed", "size", "suits"), [
    ({}, (9, 9), True),
    ({"weight": np.ones((8, 1, 4, 1), int)}, (9, 9), False),
    ({"weight": np.ones((8, 1, 1, 2), int), "dilation": (7, 1)}, (9, 9), True),
    ({"dilation": (1, 2)}, (9, 9), False),
    ({"group": 4, "weight": np.ones((8, 2, 3, 3), int)}, (9, 9), False),
    ({"weight": np.ones((16, 1, 3, 3), int)}, (9, 9), False),       # Two outputs a channel.
    ({}, (99, 12), True),
    ({}, (12, 13), False),                                          # Longer than a line.
    ({"padding": (0, 2, 0, 1)}, (9, 9), True),
    ({"padding": (0, 2, 0, 2)}, (9, 9), False),
    ({"stride": (3, 3)}, (9, 9), True),
    ({"stride": (9, 9)}, (11, 11), True),                           # A single output pixel.
    ({"stride": (9, 1)}, (300, 3), False),      # So few rows that the array is faster.
    ({"stride": (16, 1)}, (40, 12), False),                         # More than its field holds.
])
def test_the_window_takes_what_it_can_do_well(changed, size, suits):
    layer = conv("a", changed.get("weight", np.ones((8, 1, 3, 3))).shape,
                 **{"group": 8, **changed})
    shape = 8, *size
    out_shape = layer.output_shape((1, *shape))[1:]
    assert suits_window(layer, shape, out_shape, VECTOR, 1) == suits
    assert not suits_window(layer, shape, out_shape, replace(VECTOR, window_width=0), 1)


def test_the_walk_of_a_window_ends_with_the_last_one():
    """What lies behind the last stride is not read; a smaller kernel is filled up with zeros."""
    layer = conv("a", (4, 1, 2, 3), group=4, stride=(3, 2), padding=(1, 0, 2, 0))
    fields = compile_network(Network.chain([layer], (4, 7, 8)), VECTOR).instructions[1]
    assert fields["opcode"] == Opcode.DEPTHWISE
    # Rows -1, 2 and 5 to 7 of 7, columns 0, 2 and 4 to 6 of 8.
    assert (fields["out_height"] + 1, fields["out_width"] + 1) == (9, 7)
    assert (fields["window_stride_y"], fields["window_stride_x"]) == (3, 2)
    assert fields["out_pixels"] + 1 == 9
    assert (fields["in_height"], fields["pad_top"], fields["stride_y"]) == (7, 1, 1)
