# amaranth: UnusedElaboratable=no

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.vector import VectorUnit
from sim.streams import random_gaps
from tests.hdl.vector_bench import Layer, random_layer, run, schedule

SHAPES = ((1, 1, 1), (1, 2, 1), (2, 2, 2), (2, 4, 1), (8, 8, 8), (8, 8, 4), (16, 16, 8))
SIZES = pytest.mark.parametrize(("rows", "channels", "lanes"), SHAPES)


def unit(rows, channels, lanes):
    return VectorUnit(rows=rows, channels=channels, lanes=lanes, slots=channels // lanes)


def expected(layers, lanes):
    return [group for layer in layers for group in layer.groups(lanes)]


def paces(seed, **longest):
    return {name: random_gaps(seed * 8 + index, longest=gap)
            for index, (name, gap) in enumerate(longest.items())}


@SIZES
@pytest.mark.parametrize("slow", ["layers", "words", "sums"])
def test_sums_are_right_at_any_pace(rows, channels, lanes, slow):
    """Of sums and maxima, int8 and uint8, one layer after the other."""
    seed = rows + channels + lanes + len(slow)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    layers = [random_layer(rng, rows=rows, channels=channels, taps=rng.integers(1, 4),
                           maximum=maximum, unsigned=unsigned)
              for maximum, unsigned in itertools.product((0, 1), (0, 1))]
    result = run(unit(rows, channels, lanes), layers,
                 gaps=paces(seed, **{"layers": 9, "words": 1, "sums": 1} | {slow: 12}))
    assert result.groups == expected(layers, lanes)


@pytest.mark.parametrize(("rows", "channels", "lanes"), SHAPES[:4])
@pytest.mark.parametrize("maximum", [0, 1])
def test_tables_are_those_of_their_layer(rows, channels, lanes, maximum):
    """Layers with tables and without take turns, and so do the tables of even and odd taps."""
    seed = rows + channels + maximum
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    layers = [random_layer(rng, rows=rows, channels=channels, taps=taps, table=table,
                           maximum=maximum)
              for taps, table in ((2, True), (3, True), (5, False), (9, True))]
    result = run(unit(rows, channels, lanes), layers,
                 gaps=paces(seed, words=2, sums=2, tables=2))
    assert result.groups == expected(layers, lanes)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from(SHAPES[:4]), before=st.integers(0, 2),
       pause=st.sampled_from([0, 3, 40]), blocks=st.integers(1, 3), tiles=st.integers(1, 3),
       taps=st.integers(1, 9), maximum=st.booleans(), unsigned=st.booleans(),
       dead=st.sampled_from([0, None]))
def test_any_shape(seed, size, before, pause, **shape):
    """After some other layers; rows may be live or not as it happens."""
    rng = np.random.default_rng(seed)
    rows, channels, lanes = size
    layers = [random_layer(rng, rows=rows, channels=channels) for _ in range(before)]
    layers.append(random_layer(rng, rows=rows, channels=channels, **shape))
    result = run(unit(*size), layers, gaps=paces(seed % 1000, sums=pause) if pause else {})
    assert result.groups == expected(layers, lanes)
    if not pause:
        assert result.cycles == schedule(unit(*size), layers)


@SIZES
def test_cycles_are_as_documented(rows, channels, lanes):
    """Every transfer on every stream happens in the cycle that the contract gives."""
    seed = rows * channels
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    dut = unit(rows, channels, lanes)
    layers = [random_layer(rng, rows=rows, channels=channels, **shape)
              for shape in ({"taps": 1}, {"taps": 2}, {"table": True, "taps": 3}, {"taps": 4})]
    result = run(dut, layers)
    assert result.groups == expected(layers, lanes)
    assert result.cycles == schedule(dut, layers)
    assert result.loading == [cycle for first in result.cycles["layers"][2:3]
                              for cycle in range(first + 1, result.cycles["tables"][-1] + 1)]


@SIZES
@pytest.mark.parametrize("taps", [1, 2, 5])
def test_takes_a_word_whenever_it_can(rows, channels, lanes, taps):
    """From the first word that goes on to the last, over taps, tiles and blocks; and how long the
    last group takes is as documented."""
    rng = np.random.default_rng(taps)
    parts = channels // lanes
    dead = rng.integers(rows)
    layer = random_layer(rng, rows=rows, channels=channels, blocks=2, tiles=2, taps=taps, dead=dead)
    result = run(unit(rows, channels, lanes), [layer])
    assert result.groups == expected([layer], lanes)

    live = layer.word_lives.ravel()
    words = np.array(result.cycles["words"])
    costs = np.where(live, parts, 1)
    np.testing.assert_array_equal(np.diff(words[2:]), costs[1:-2])
    last = 2 + costs[:np.flatnonzero(live)[-1]].sum()       # When its first group goes.
    left = (rows - dead) * parts + max(0, dead * (parts + 1 - taps))
    after = parts + 6 if taps == 1 else parts + 3 + max(3, left)
    assert result.cycles["sums"][-1] == last + after


def test_a_group_leaves_every_cycle_with_one_tap():
    layer = random_layer(np.random.default_rng(0), rows=4, channels=4, blocks=3, tiles=3, taps=1,
                         dead=0)
    for lanes in (1, 4):
        dut = unit(4, 4, lanes)
        result = run(dut, [layer])
        assert result.groups == expected([layer], lanes)
        first = result.cycles["words"][2] - dut.parts + dut.LATENCY - 1
        assert result.cycles["sums"] == list(range(first, first + 36 * 4 // lanes))


@pytest.mark.parametrize("taps", [1, 2, 5])
def test_takes_so_many_words_as_there_is_room_for(taps):
    """Groups that are not taken are not lost, and no more words than go on get lost either."""
    layer = random_layer(np.random.default_rng(taps), rows=4, channels=4, blocks=1, tiles=9,
                         taps=taps, dead=0)
    dut = unit(4, 4, 4)
    result = run(dut, [layer], gaps={"sums": itertools.chain([400], itertools.repeat(0))})
    assert result.groups == expected([layer], 4)
    before = [cycle for cycle in result.cycles["words"] if cycle < result.cycles["sums"][0]]
    # Two words wait; of the others, those of the first tap have begun a sum.
    begun = sum(index // 4 % taps == 0 for index in range(len(before) - 2))
    assert begun == dut.depth


@pytest.mark.parametrize("maximum", [False, True])
def test_sums_wrap_and_maxima_do_not(maximum):
    """Extremes of table entries, whose differences do not fit 32 bits."""
    low, high = -2**31, 2**31 - 1
    codes = np.zeros((1, 1, 3, 2, 1), np.uint8)
    codes[0, 0, :, 0, 0] = [0, 1, 1]
    codes[0, 0, :, 1, 0] = [1, 1, 0]
    table = np.zeros((2, 256), np.int32)
    table[:, :2] = [[low, high], [low, high]]
    layer = Layer(codes, np.ones((1, 2), bool), maximum, table)
    sums = [group for (group,), _, _ in run(unit(2, 1, 1), [layer]).groups]
    assert sums == ([high, high] if maximum else [low + high + high, high + high + low])


@pytest.mark.parametrize("cut_off", [1, 2, 4, 7, 8, 11, 19, 40, 77, 300, 528, 541])
def test_a_reset_forgets_everything(cut_off):
    print(f"seed {cut_off}")
    rng = np.random.default_rng(cut_off)
    layers = [random_layer(rng, rows=2, channels=4, table=table, taps=3)
              for table in (cut_off > 100, False)]
    result = run(unit(2, 4, 2), layers, cut_off=cut_off)
    assert result.groups == expected(layers, 2)
    assert result.cycles == schedule(unit(2, 4, 2), layers)


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"rows": 0}, ValueError, r"^Rows must be 1 to 64, not 0$"),
    ({"rows": "4"}, TypeError, r"^Rows must be an integer, not '4'$"),
    ({"channels": 65}, ValueError, r"^Channels must be 1 to 64, not 65$"),
    ({"lanes": 5}, ValueError, r"^Lanes must be 1 to 4, not 5$"),
    ({"lanes": 3}, ValueError,
     r"^Channels must be a power of two times lanes \(3\), not 4$"),
    ({"channels": 6}, ValueError,
     r"^Channels must be a power of two times lanes \(2\), not 6$"),
    ({"slots": 1}, ValueError, r"^Slots must be 2 to 64, not 1$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        VectorUnit(**({"rows": 2, "channels": 4, "lanes": 2, "slots": 2} | kwargs))
