# amaranth: UnusedElaboratable=no

import numpy as np
import pytest

from hdl.leanarray import LeanArray
from hdl.vendor import FAMILIES
from tests.hdl.bench import trace
from tests.hdl.test_array import codes, wrapped


def stimulus_of(tiles, dut, *, spacing, idle=1):
    """Operands and tags of ``tiles``, pairs of (length, rows) and (length, columns) codes; and the
    cycle of each capture. Each is followed by ``idle`` cycles without activations, and captured in
    the first of them; its results move on every ``spacing`` cycles. Idle weights are rubbish."""
    starts = np.cumsum([8, *(len(x) + idle for x, _ in tiles)]).tolist()
    cycles = starts[-1] + spacing * dut.rows * dut.columns + dut.rows + dut.LATENCY + 2
    x = np.zeros((cycles, dut.rows), int)
    w = codes(np.random.default_rng(1), (cycles, dut.columns))
    # What was there before is cleared.
    x[0], clear = 127, np.arange(cycles) < starts[0]
    capture, shift = np.zeros(cycles, bool), np.zeros(cycles, bool)
    captures = []
    for begin, (activations, weights) in zip(starts, tiles, strict=False):
        end = begin + len(activations)
        for row in range(dut.rows):
            x[begin + row:end + row, row] = activations[:, row]
        w[begin:end] = weights
        clear[end] = capture[end] = True
        shift[end + spacing:end + spacing * dut.rows * dut.columns:spacing] = True
        captures.append(end)
    return [{"x": x[t].tolist(), "w": w[t].tolist(),
             "tags": {"clear": int(clear[t]), "capture": int(capture[t]), "shift": int(shift[t])}}
            for t in range(cycles)], captures


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (4, 1), (2, 2), (3, 4)])
@pytest.mark.parametrize(("spacing", "idle"), [(2, 1), (3, 2)])
def test_multiplies_matrices(family, rows, columns, spacing, idle):
    """One result after the other, each at the published time."""
    rng = np.random.default_rng(rows * 10 + columns)
    dut = LeanArray(rows=rows, columns=columns, family=family)
    tiles = [(codes(rng, (length, rows)), codes(rng, (length, columns)))
             for length in spacing * rows * columns + rng.integers(0, 9, 6)]
    stimulus, captures = stimulus_of(tiles, dut, spacing=spacing, idle=idle)

    seen = [result for result, in trace(dut, stimulus, ["result"])]

    for capture, (x, w) in zip(captures, tiles, strict=True):
        for index, total in enumerate((x.T @ w).flat):
            cycle = capture + index * spacing + dut.LATENCY
            assert seen[cycle] % 65536 == total % 65536, (capture, index)
            assert seen[cycle + 1] == total, (capture, index)


@pytest.mark.parametrize("width", [18, 24, 32])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_wrap_at_their_width(width, sign):
    """The greatest products and those of least magnitude lead out of 16, 18 and 24 bits and back,
    by every residue at which a half may carry or borrow."""
    lengths = (1, 2, 3, 4, 5, 8, 9, 1100)
    dut = LeanArray(rows=1, columns=2, accumulator_width=width)
    rng = np.random.default_rng(width)
    tiles = []
    for length in lengths:
        x = np.full((length, 1), -128)
        w = np.stack([np.full(length, -128 if sign > 0 else 127),
                      rng.choice([-128, -1, 1, 127], length)], axis=1)
        tiles.append((x, w))
    stimulus, captures = stimulus_of(tiles, dut, spacing=2, idle=8)

    seen = [result for result, in trace(dut, stimulus, ["result"])]

    for capture, (x, w) in zip(captures, tiles, strict=True):
        for index, total in enumerate((x.T @ w).flat):
            assert seen[capture + 2 * index + dut.LATENCY + 1] == wrapped(total, width)


SIZE = {"rows": 2, "columns": 2}


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"rows": 0}, ValueError, r"^Rows must be 1 to 64, not 0$"),
    ({"columns": 65}, ValueError, r"^Columns must be 1 to 64, not 65$"),
    ({"columns": "4"}, TypeError, r"^Columns must be an integer, not '4'$"),
    ({"accumulator_width": 17}, ValueError, r"^Accumulator width must be 18 to 32, not 17$"),
])
def test_bad_parameters(changes, error, message):
    with pytest.raises(error, match=message):
        LeanArray(**SIZE | changes)
