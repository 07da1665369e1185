# amaranth: UnusedElaboratable=no

import itertools
from unittest.mock import patch

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl import windowlines
from hdl.blockmemory import BlockMemory
from hdl.operands import window_steps
from hdl.window import WindowUnit
from sim.streams import random_gaps
from tests.hdl.bench import simulate
from tests.hdl.window_bench import Layer, random_layer, run, schedule

LONGEST = 7
SIZES = pytest.mark.parametrize(("channels", "lanes", "columns"), [
    (2, 1, 2), (4, 4, 4), (8, 2, 4), (8, 8, 16), (16, 8, 16)])


def unit(channels, lanes, columns):
    return WindowUnit(channels=channels, lanes=lanes, columns=columns, slots=channels // lanes,
                      width=LONGEST)


def plain_layer(**shape):
    """A layer of one block and one frame that gives a pixel for every word it can."""
    return random_layer(np.random.default_rng(1), longest=LONGEST, **{
        "channels": 4, "blocks": 1, "frames": 1, "strides": (1, 1), "rows": 1} | shape)


def expected(layers, lanes):
    return [group for layer in layers for group in layer.groups(lanes)]


def paces(seed, **longest):
    return {name: random_gaps(seed * 8 + index, longest=gap)
            for index, (name, gap) in enumerate(longest.items())}


@SIZES
def test_sums_are_right_for_words_of_any_size(channels, lanes, columns):
    seed = channels + lanes
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    layers = [random_layer(rng, channels=channels, longest=LONGEST, unsigned=index, blocks=2)
              for index in range(2)]
    result = run(unit(channels, lanes, columns), layers,
                 gaps=paces(seed, words=2, weights=2, sums=2))
    assert result.groups == expected(layers, lanes)
    assert result.wrong is None


@pytest.mark.parametrize("slow", ["layers", "words", "weights", "sums"])
@pytest.mark.parametrize("lanes", [1, 2])
def test_sums_are_right_at_any_pace(slow, lanes):
    print(f"seed {lanes}")
    rng = np.random.default_rng(lanes)
    layers = [random_layer(rng, channels=2, longest=LONGEST) for _ in range(3)]
    result = run(unit(2, lanes, 2), layers,
                 gaps=paces(lanes, **{"words": 1, "weights": 1, "sums": 1} | {slow: 25}))
    assert result.groups == expected(layers, lanes)
    assert result.wrong is None


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), before=st.integers(0, 2), lanes=st.sampled_from([1, 2]),
       height=st.integers(3, 6), width=st.integers(3, LONGEST), frames=st.integers(1, 3),
       strides=st.tuples(st.integers(1, 4), st.integers(1, 4)), rows=st.integers(1, 8),
       pause=st.sampled_from([0, 3, 12]))
def test_any_shape(seed, before, lanes, pause, **shape):
    """After some other layers."""
    rng = np.random.default_rng(seed)
    layers = [random_layer(rng, channels=2, longest=LONGEST) for _ in range(before)]
    layers.append(random_layer(rng, channels=2, longest=LONGEST, **shape))
    result = run(unit(2, lanes, 2), layers, gaps=paces(seed % 1000, sums=pause) if pause else {})
    assert result.groups == expected(layers, lanes)
    assert result.wrong is None


@pytest.mark.parametrize(("channels", "lanes", "columns"), [
    (1, 1, 9), (2, 1, 2), (4, 4, 4), (8, 1, 4), (4, 4, 16)])
def test_cycles_are_as_documented(channels, lanes, columns):
    """Every transfer on every stream happens in the cycle that the contract gives."""
    seed = channels * lanes
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    dut = unit(channels, lanes, columns)
    layers = [random_layer(rng, channels=channels, longest=LONGEST, rows=rows, strides=strides)
              for rows, strides in ((4, (1, 1)), (1, (2, 2)), (3, (1, 3)))]
    result = run(dut, layers)
    assert result.groups == expected(layers, lanes)
    assert result.cycles == schedule(dut, layers)


@pytest.mark.parametrize("channels", [6, 7, 8])
def test_takes_a_word_a_cycle_if_weights_are_in_time(channels):
    """From the first word that goes on to the last, over rows, frames and blocks. Blocks are just
    as long as the weights of the next one need if there are 7 channels."""
    layer = plain_layer(channels=channels, blocks=4, frames=1, height=3, width=4)
    result = run(unit(channels, channels, 16), [layer])
    assert result.groups == expected([layer], channels)
    words = result.cycles["words"][2:]      # Two were taken before the first went on.
    late = max(0, window_steps(16) * channels + 5 - 12)
    assert words == [words[0] + index + index // 12 * late for index in range(46)]


def test_a_pixel_leaves_so_many_cycles_after_its_last_word():
    layer = plain_layer(height=5, width=LONGEST)
    result = run(unit(4, 4, 8), [layer])
    words = np.array(result.cycles["words"]).reshape(5, LONGEST)
    np.testing.assert_array_equal(result.cycles["sums"],
                                  words[2:, 2:].ravel() + WindowUnit.LATENCY)


def test_nothing_of_a_raster_is_left_in_the_next():
    """Frames, blocks and layers of extremes, and zeros between them."""
    layers = []
    for blocks, frames, width in ((2, 2, LONGEST), (1, 3, 4), (2, 1, LONGEST)):
        codes = np.full((blocks, frames, 4, width, 2), 127, np.int8)
        codes.reshape(-1, 4, width, 2)[1::2] = 0
        weights = np.full((blocks, 3, 3, 2), -128, np.int8)
        layers.append(Layer(codes, weights, (1, 1)))
    result = run(unit(2, 2, 2), layers)
    assert result.groups == expected(layers, 2)
    assert {sums for sums, _, _ in result.groups} == {(0, 0), (-9 * 127 * 128,) * 2}


def test_takes_so_many_words_as_there_is_room_for():
    """Groups that are not taken are not lost, and no more words than go on get lost either."""
    layer = plain_layer(height=8, width=LONGEST)
    result = run(unit(4, 4, 8), [layer], gaps={"sums": itertools.chain([200], itertools.repeat(0))})
    assert result.groups == expected([layer], 4)
    before = [cycle for cycle in result.cycles["words"] if cycle < result.cycles["sums"][0]]
    # Pixels in the buffer, those on their way that were not counted yet, and a word that waits.
    went_on = np.cumsum(layer.completes[0])[len(before) - 2]
    assert WindowUnit.DEPTH - 2 <= went_on <= WindowUnit.DEPTH


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_memory_is_never_read_where_it_is_written(most):
    """Lines of three words are the hardest."""
    memories = []

    def watched(**parameters):
        memories.append(BlockMemory(**parameters))
        return memories[-1]

    async def watch(ctx):
        memory, = memories
        async for _, _, *seen in ctx.tick().sample(memory.write_en, memory.write_address,
                                                   memory.read_en, memory.read_address):
            enabled, written, reading, wanted = seen
            assert not (enabled and reading and written == wanted)
            writes.append(enabled)

    rng, writes = np.random.default_rng(most), []
    layers = [random_layer(rng, channels=1, longest=LONGEST, width=width) for width in (3, 3, 4)]
    with patch.object(windowlines, "BlockMemory", watched):
        result = run(unit(1, 1, 2), layers, gaps=paces(most, words=most), background=[watch])
    assert result.groups == expected(layers, 1)
    assert sum(writes) == sum(layer.live.sum() for layer in layers)


@pytest.mark.parametrize(("changes", "pixels"), [
    # A block has 12.
    ({"out_pixels": 0}, 1),
    ({"out_pixels": 10}, 11),
    ({"out_pixels": 12}, 12),
    ({"out_pixels": 2**20 - 1}, 12),
    ({"frames": 0}, 6),
    ({"frames": 2}, 12),
    ({"window_stride_x": 0}, 0),
    ({"window_stride_y": 0}, 0),
    ({"out_width": LONGEST}, 0),
    ({"out_width": 1}, 0),
    ({"out_width": 0}, 0),
    ({"out_height": 1}, 0),
    ({"out_height": 0}, 0),
    ({"out_width": 4095, "out_height": 4095}, 0),
])
@pytest.mark.parametrize("most", [0, 5])
def test_wrong_layers(changes, pixels, most):
    """They give what they said at most, and what comes afterwards is taken for nothing."""
    layer = plain_layer(channels=1, blocks=2, frames=2, height=5, width=4)
    result = run(unit(1, 1, 2), [layer, layer], changes=changes, count=pixels,
                 gaps=paces(most, words=most, weights=most, sums=most) if most else {})
    assert result.wrong is not None
    assert result.groups == layer.groups(1)[:pixels]


def test_wrong_stays_until_a_reset():
    dut, reset = unit(1, 1, 2), Signal()
    layer = plain_layer(channels=1)

    async def bench(ctx):
        for fault in (1, 0):
            ctx.set(dut.layers.payload, layer.instruction | {"out_height": 1} if fault
                    else layer.instruction)
            ctx.set(dut.layers.valid, 1)
            await ctx.tick().repeat(4)
            for _ in range(20):
                assert ctx.get(dut.wrong) == fault
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert ctx.get(dut.wrong) == 0

    simulate(ResetInserter(reset)(dut), bench)


@pytest.mark.parametrize("cut_off", [1, 2, 5, 17, 18, 30, 41, 60, 75, 90])
def test_a_reset_forgets_everything(cut_off):
    print(f"seed {cut_off}")
    rng = np.random.default_rng(cut_off)
    layers = [random_layer(rng, channels=2, longest=LONGEST, blocks=2) for _ in range(2)]
    result = run(unit(2, 1, 2), layers, cut_off=cut_off)
    assert result.groups == expected(layers, 1)
    assert result.cycles == schedule(unit(2, 1, 2), layers)


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"channels": 0}, ValueError, r"^Channels must be 1 to 64, not 0$"),
    ({"columns": 65}, ValueError, r"^Columns must be 1 to 64, not 65$"),
    ({"columns": 4.0}, TypeError, r"^Columns must be an integer, not 4\.0$"),
    ({"lanes": 3}, ValueError, r"^Lanes must divide columns \(4\), not 3$"),
    ({"channels": 6}, ValueError,
     r"^Channels divided by lanes must be a power of two, not 6 / 2$"),
    ({"slots": 1}, ValueError, r"^Slots must be 2 to 64, not 1$"),
    ({"width": 2}, ValueError, r"^Width must be 3 to 1024, not 2$"),
    ({"width": 1025}, ValueError, r"^Width must be 3 to 1024, not 1025$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        WindowUnit(**({"channels": 4, "columns": 4, "lanes": 2, "slots": 2, "width": 8} | kwargs))
