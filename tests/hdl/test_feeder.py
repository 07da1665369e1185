# amaranth: UnusedElaboratable=no

import numpy as np
import pytest

from hdl.feeder import RowFeeder, WeightFeeder
from tests.hdl.bench import simulate, trace


def outputs(seen):
    """Shape (cycles, members) of a trace of one array member."""
    return np.array([list(row[0]) for row in seen])


@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (1, 4), (2, 2), (3, 5), (4, 4), (8, 8)])
@pytest.mark.parametrize("longest_gap", [0, 3])
@pytest.mark.parametrize("unsigned", [0, 1])
def test_serialises_rows_in_their_skew(rows, channels, longest_gap, unsigned):
    """Row r's code k comes r + k + 1 cycles after the start, and zeros where there is none."""
    rng = np.random.default_rng(rows * 100 + channels)
    starts = np.cumsum([0, *(channels + rng.integers(0, longest_gap + 1, 9))]).tolist()
    cycles = starts[-1] + rows + channels + 4
    stimulus = [{"start": 0, "unsigned": int(rng.integers(2))} for _ in range(cycles)]
    expected = np.zeros((cycles, rows), int)
    for start in starts:
        stimulus[start] |= {"start": 1}
        for row in range(rows):
            codes = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))], channels)
            stimulus[start + row] |= {"word": codes.tolist(), "unsigned": unsigned}
            values = codes - 128 if unsigned else (codes ^ 128) - 128
            first = start + row + RowFeeder.LATENCY
            expected[first:first + channels, row] = values

    seen = trace(RowFeeder(rows=rows, channels=channels), stimulus, ["x"])

    np.testing.assert_array_equal(outputs(seen), expected)


@pytest.mark.parametrize(("columns", "lanes"), [(1, 1), (4, 1), (4, 4), (6, 3), (6, 2)])
@pytest.mark.parametrize("depth", [2, 3, 16])
def test_keeps_weights_and_delays_them_by_their_column(columns, lanes, depth):
    """A word can be taken when the level says so, and comes to each column in its time."""
    rng = np.random.default_rng(columns)
    words = rng.integers(0, 256, (60, columns))
    words[3:5] = [[0], [255]]
    dut = WeightFeeder(columns=columns, lanes=lanes, depth=depth)
    taken, seen = [], []

    async def bench(ctx):
        level, sent = 0, 0
        for cycle in range(250):
            come = sent < len(words) and level < depth and rng.random() < 0.7
            take = level > 0 and rng.random() < 0.6
            ctx.set(dut.i.payload, words[min(sent, len(words) - 1)].tolist())
            ctx.set(dut.i.valid, come)
            ctx.set(dut.take, take)
            assert ctx.get(dut.level) == level
            seen.append(list(ctx.get(dut.w)))
            taken.extend([cycle] if take else [])
            sent += come
            level += come - take
            await ctx.tick()

    simulate(dut, bench)
    assert len(taken) == len(words)
    for column in range(columns):
        times = np.array(taken) + WeightFeeder.LATENCY + column % lanes
        np.testing.assert_array_equal(
            np.array(seen)[times, column], (words[:, column] ^ 128) - 128, f"column {column}")


@pytest.mark.parametrize(("feeder", "kwargs", "error", "message"), [
    (RowFeeder, {"rows": 0, "channels": 1}, ValueError, r"^Rows must be 1 to 64, not 0$"),
    (RowFeeder, {"rows": 2.0, "channels": 2}, TypeError, r"^Rows must be an integer, not 2\.0$"),
    (RowFeeder, {"rows": 4, "channels": 3}, ValueError, r"^Channels must be 4 to 64, not 3$"),
    (RowFeeder, {"rows": 4, "channels": 65}, ValueError, r"^Channels must be 4 to 64, not 65$"),
    (WeightFeeder, {"columns": 65, "lanes": 1, "depth": 2}, ValueError,
     r"^Columns must be 1 to 64, not 65$"),
    (WeightFeeder, {"columns": 4, "lanes": 5, "depth": 2}, ValueError,
     r"^Lanes must be 1 to 4, not 5$"),
    (WeightFeeder, {"columns": 4, "lanes": 3, "depth": 2}, ValueError,
     r"^Lanes must divide columns \(4\), not 3$"),
    (WeightFeeder, {"columns": 4, "lanes": 4, "depth": 1}, ValueError,
     r"^Depth must be 2 to 256, not 1$"),
    (WeightFeeder, {"columns": 4, "lanes": True, "depth": 2}, TypeError,
     r"^Lanes must be an integer, not True$"),
])
def test_bad_parameters(feeder, kwargs, error, message):
    with pytest.raises(error, match=message):
        feeder(**kwargs)
