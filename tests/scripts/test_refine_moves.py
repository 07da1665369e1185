"""Times, delays that are learned, and moves by them."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.refine.delays import Delays
from scripts.refine.moves import Moves
from scripts.refine.slices import Slices
from scripts.refine.timing import Timing
from tests.scripts.placed import assert_legal, flip_flop, sdf, table, timing_of


def test_arrivals_by_hand():
    timing = Timing(sdf([(r"first\[0\]", "Q", "near", "A", 400), ("near", "F", "last", "M", 1000),
                         (r"first\[0\]", "Q", "far", "A", 900), ("far", "F", "last", "M", 300),
                         ("last", "Q", r"first\[0\]", "CLK", 5000)],
                        ["near", "far"], [r"first\[0\]", "last"]))
    assert timing.longest == 525 + 400 + 236 + 1000 + 100
    ends, lengths = timing.lengths()
    assert (timing.pins[ends[0]], lengths[0]) == (("last", "M"), timing.longest)
    pins = [timing.pins[timing.sink[arc]] for arc in timing.path(int(ends[0]))]
    assert pins == [("first[0]", "Q"), ("near", "A"), ("near", "F"), ("last", "M")]
    through = timing.arrival + timing.left
    assert through[timing.pins.index(("far", "F"))] == 525 + 900 + 236 + 300 + 100
    near = [timing.pins[pin] for pin in timing.sink[:timing.wires]].index(("near", "A"))
    timing.delay[near] = 0
    timing.run()
    assert timing.longest == 525 + 900 + 236 + 300 + 100


def test_cells_have_the_delays_of_another_file():
    wires = [("begin", "Q", "carry", "FCI", 0), ("carry", "FCO", "end", "M", 0)]
    text = [sdf(wires, ["carry"], ["begin", "end"], carry=carry) for carry in (71, 0)]
    assert Timing(text[0]).longest == 525 + 71 + 100
    assert Timing(text[0], text[1]).longest == 525 + 100
    assert Timing(text[1], text[0]).longest == 525 + 71 + 100


def controlled(tile, place, **signals):
    """A flip-flop whose enable and reset are those of its slice and its tile."""
    return flip_flop(tile, place, CE=2 + place // 2 % 2, LSR=4 + sum(tile) % 2, **signals)


@st.composite
def designs(draw):
    """Pipelines of a register, a table and a register, scattered over few tiles."""
    sites = [((x, y), place) for x in range(2, 8) for y in range(2, 6) for place in range(8)]
    chosen = draw(st.randoms(use_true_random=False)).sample(sites, draw(st.integers(4, 60)) * 3)
    cells = {}
    for index, (begin, middle, end) in enumerate(zip(*[iter(chosen)] * 3, strict=True)):
        bits = 100 + 2 * index, 101 + 2 * index
        cells[f"begin{index}"] = controlled(*begin)
        cells[f"begin{index}"]["connections"]["Q"] = [bits[0]]
        cells[f"begin{index}"]["port_directions"]["Q"] = "output"
        cells[f"table{index}"] = table(*middle, [("A", bits[0])], bits[1])
        cells[f"end{index}"] = controlled(*end, M=bits[1])
    return cells


@settings(max_examples=30, deadline=None)
@given(designs())
def test_moves_shorten_paths_and_keep_to_the_rules(cells):
    before = deepcopy(cells)
    timing = timing_of(cells)
    first = timing.longest
    moves = Moves(timing, Slices(cells))
    moves.run()
    assert_legal(cells)
    for name, each in cells.items():
        assert (each["connections"], each["parameters"]) == (
            before[name]["connections"], before[name]["parameters"])
        assert (each["attributes"] == before[name]["attributes"]) or name in moves.moved
    assert timing_of(cells).longest <= first


def test_others_give_way():
    """Between two cells that stay all tiles are full, of tables that need not be there."""
    cells = {"begin": flip_flop((2, 2), 0), "end": flip_flop((10, 2), 0, M=101),
             "table": table((6, 9), 0, [("A", 100)], 101)}
    cells["begin"]["connections"]["Q"] = [100]
    for name, x in (("begin", 2), ("end", 10)):
        cells[name]["attributes"]["NEXTPNR_BEL"] = f"X{x}/Y2/MULT18_0"
    cells |= {f"full{x}_{y}_{place}": table((x, y), place, [("A", 100)])
              for x in range(2, 11) for y in (2, 3) for place in range(8)}
    timing = timing_of(cells)
    first = timing.longest
    moves = Moves(timing, Slices(cells))
    moves.run()
    assert_legal(cells)
    assert timing_of(cells).longest < first - 1000
    assert "table" in moves.moved
    assert any(name.startswith("full") for name in moves.moved)


def test_delays_are_learned():
    cells = {f"t{x}": table((x, 2), 0, [("A", 100 + x)], 101 + x) for x in range(40)}
    at = Slices(cells).at
    wires = [("t0", "F", f"t{x}", "A", 200 + 50 * x) for x in range(1, 40)]
    delays = Delays(Timing(sdf(wires, cells, ["ff"])), at)
    assert list(delays("A", np.array([1, 10, 20, 39]))) == pytest.approx([250, 700, 1200, 2150])
    assert delays("A", 100) == pytest.approx(200 + 50 * 100)
