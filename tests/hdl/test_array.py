# amaranth: UnusedElaboratable=no

import numpy as np
import pytest

from hdl.array import ProcessingElement, SystolicArray, array_latency
from hdl.multiplier import Ecp5Multiplier, Ice40Multiplier, LutMultiplier, PortableMultiplier
from hdl.vendor import FAMILIES
from tests.hdl.bench import trace

MULTIPLIERS = pytest.mark.parametrize(
    "multiplier", [PortableMultiplier, LutMultiplier, Ecp5Multiplier, Ice40Multiplier])
FAMILY = pytest.mark.parametrize("family", FAMILIES)


def wrapped(values, width):
    """Two's complement of ``width`` bits."""
    half = 1 << (width - 1)
    return (np.asarray(values) + half) % (2 * half) - half


def codes(rng, shape):
    """Operand codes, every third of them an extreme."""
    return np.where(rng.random(shape) < 1 / 3, rng.choice([-128, 127, 0], shape),
                    rng.integers(-128, 128, shape))


@FAMILY
@pytest.mark.parametrize("width", [18, 24, 32])
def test_element_accumulates_under_its_tags(family, width):
    """A sum of products from `first` to `capture`, wrapped to its width."""
    rng = np.random.default_rng(width)
    dut = ProcessingElement(accumulator_width=width, family=family)
    lengths = [1, 1, 2, 9, 40]
    starts = np.cumsum([0, *lengths])
    products = codes(rng, starts[-1]) * codes(rng, starts[-1])
    products[-40:] = 128 * 128      # Beyond 18 bits.
    stimulus = [{"product": 0, "tags": {"first": 0, "capture": 0, "shift": 0}, "below": -5}
                for _ in range(starts[-1] + 8)]
    for cycle in range(starts[-1]):
        stimulus[cycle + 1] |= {"product": int(products[cycle])}
    for begin in starts.tolist():
        stimulus[begin]["tags"] = {
            "first": int(begin != starts[-1]), "capture": int(begin != 0), "shift": 0}
    # Capture wins over a shift, and a shift alone takes what is below.
    stimulus[starts[1]]["tags"] |= {"shift": 1}
    stimulus[starts[-1] + 2]["tags"] |= {"shift": 1}

    seen = trace(dut, stimulus, ["result"])

    for begin, end in zip(starts[:-1], starts[1:], strict=True):
        total = wrapped(products[begin:end].sum(), width)
        assert seen[end + 2][0] == total, f"products {begin} to {end}"
    assert seen[starts[-1] + 4][0] == -5


def test_element_hands_operands_on_after_a_cycle():
    stimulus = [{"x": k, "w": -k, "tags": {"first": k & 1, "capture": k >> 1 & 1, "shift": k > 3}}
                for k in range(9)]
    seen = trace(ProcessingElement(), stimulus, ["x_next", "w_next", "tags_next"])
    for before, (x, w, tags) in zip(stimulus, seen[1:], strict=False):
        assert (x, w) == (before["x"], before["w"])
        assert {name: tags[name] for name in before["tags"]} == before["tags"]


def tile_stimulus(rng, dut, lengths, *, spacing):
    """Return operands and tags of tiles of ``lengths``, and each tile's capture and sums.

    A tile is captured as the next one begins, and ``rows - 1`` shifts follow ``spacing`` cycles
    apart. Where there is no operand there is rubbish in the weights, and zero in the activations.
    """
    starts = np.cumsum([0, *lengths]).tolist()
    cycles = starts[-1] + spacing * dut.rows + dut.LATENCY + dut.rows + dut.columns + 2
    x = np.zeros((cycles, dut.rows), int)
    w = codes(rng, (cycles, dut.columns))
    first, capture, shift = (np.zeros(cycles, int) for _ in range(3))
    tiles = []
    for begin, end in zip(starts[:-1], starts[1:], strict=True):
        activations = codes(rng, (end - begin, dut.rows))
        weights = codes(rng, (end - begin, dut.columns))
        for row in range(dut.rows):
            x[begin + row:end + row, row] = activations[:, row]
        for column in range(dut.columns):
            late = column % dut.lanes
            w[begin + late:end + late, column] = weights[:, column]
        first[begin] = capture[end] = 1
        shift[end + spacing:end + spacing * dut.rows:spacing] = 1
        tiles.append((end, activations.T @ weights))
    return [{"x": x[t].tolist(), "w": w[t].tolist(),
             "tags": {"first": first[t], "capture": capture[t], "shift": shift[t]}}
            for t in range(cycles)], tiles


@MULTIPLIERS
@pytest.mark.parametrize(("rows", "columns", "lanes"), [
    (1, 1, 1), (1, 4, 1), (1, 4, 4), (4, 1, 1), (2, 3, 3), (3, 2, 1), (4, 6, 3)])
@pytest.mark.parametrize("spacing", [2, 3])
def test_array_multiplies_matrices(multiplier, rows, columns, lanes, spacing):
    """Each column gives row 0, 1, 2, … of every tile's product, at the published time."""
    rng = np.random.default_rng(rows * 100 + columns * 10 + lanes)
    dut = SystolicArray(rows=rows, columns=columns, lanes=lanes, multiplier=multiplier)
    lengths = (spacing * rows + rng.integers(0, 4, 6)).tolist()
    stimulus, tiles = tile_stimulus(rng, dut, lengths, spacing=spacing)

    seen = [row[0] for row in trace(dut, stimulus, ["results"])]

    for captured, sums in tiles:
        for row in range(rows):
            for column in range(columns):
                cycle = captured + row * spacing + dut.LATENCY + column % lanes
                assert seen[cycle][column] == sums[row, column], (captured, row, column)


@MULTIPLIERS
@pytest.mark.parametrize("lut_rows", [1, 2, 3])
def test_rows_may_multiply_in_different_ways(multiplier, lut_rows):
    """All kinds of multipliers have one latency, so the skew is the same in a mixed array."""
    rng = np.random.default_rng(lut_rows)
    dut = SystolicArray(rows=3, columns=2, lanes=1, multiplier=multiplier, lut_rows=lut_rows)
    stimulus, tiles = tile_stimulus(rng, dut, [6, 7, 9], spacing=2)
    seen = [row[0] for row in trace(dut, stimulus, ["results"])]
    for captured, sums in tiles:
        for row, column in np.ndindex(3, 2):
            assert seen[captured + 2 * row + dut.LATENCY][column] == sums[row, column]


def test_single_row_captures_every_cycle():
    """Nothing shifts in an array of one row, so tiles of one cycle are no special case."""
    rng = np.random.default_rng(5)
    dut = SystolicArray(rows=1, columns=2, lanes=2)
    stimulus, tiles = tile_stimulus(rng, dut, [1] * 12, spacing=1)
    seen = [row[0] for row in trace(dut, stimulus, ["results"])]
    for captured, sums in tiles:
        for column in range(2):
            assert seen[captured + dut.LATENCY + column][column] == sums[0, column]


@pytest.mark.parametrize("width", [18, 32])
def test_array_keeps_the_accumulator_width(width):
    """Eight products of -128 · -128 leave 18 bits exactly, and wrap to the least value."""
    dut = SystolicArray(rows=2, columns=1, lanes=1, accumulator_width=width)
    stimulus = [{"x": [-128 if r <= t < 8 + r else 0 for r in range(2)], "w": [-128],
                 "tags": {"first": t == 0, "capture": t == 8, "shift": t == 10}}
                for t in range(20)]
    seen = [row[0][0] for row in trace(dut, stimulus, ["results"])]
    expected = wrapped(8 * 128 * 128, width)
    assert seen[8 + dut.LATENCY] == seen[10 + dut.LATENCY] == expected


@MULTIPLIERS
def test_latency_follows_from_the_multiplier(multiplier):
    array = SystolicArray(rows=1, columns=1, lanes=1, multiplier=multiplier)
    assert array.LATENCY == array_latency(multiplier) == multiplier.LATENCY + 1


SIZE = {"rows": 2, "columns": 4, "lanes": 2}


@pytest.mark.parametrize(("component", "kwargs", "error", "message"), [
    (ProcessingElement, {"accumulator_width": 17}, ValueError,
     r"^Accumulator width must be 18 to 32, not 17$"),
    (ProcessingElement, {"accumulator_width": "32"}, TypeError,
     r"^Accumulator width must be an integer, not '32'$"),
    (SystolicArray, SIZE | {"rows": 0}, ValueError, r"^Rows must be 1 to 64, not 0$"),
    (SystolicArray, SIZE | {"rows": None}, TypeError, r"^Rows must be an integer, not None$"),
    (SystolicArray, SIZE | {"columns": 65}, ValueError, r"^Columns must be 1 to 64, not 65$"),
    (SystolicArray, SIZE | {"lanes": 5}, ValueError, r"^Lanes must be 1 to 4, not 5$"),
    (SystolicArray, SIZE | {"lanes": 3}, ValueError, r"^Lanes must divide columns \(4\), not 3$"),
    (SystolicArray, SIZE | {"lut_rows": 3}, ValueError, r"^LUT rows must be 0 to 2, not 3$"),
    (SystolicArray, SIZE | {"lut_rows": -1}, ValueError, r"^LUT rows must be 0 to 2, not -1$"),
    (SystolicArray, SIZE | {"accumulator_width": 33}, ValueError,
     r"^Accumulator width must be 18 to 32, not 33$"),
])
def test_bad_parameters(component, kwargs, error, message):
    with pytest.raises(error, match=message):
        component(**kwargs)
