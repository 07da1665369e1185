# amaranth: UnusedElaboratable=no

import random

import pytest

from hdl.config import Configuration
from hdl.drain import DrainController
from tests.hdl.bench import simulate

SIZES = pytest.mark.parametrize(("rows", "slots", "interval"), [
    (1, 1, 1), (1, 4, 1), (1, 1, 4), (4, 1, 1), (4, 1, 2), (2, 4, 1), (3, 2, 4), (2, 1, 32)])


def drain(rows, slots, interval, renews, *, credit=lambda: 1, late=lambda: 0, set_late=lambda: 0,
          singly=False):
    """Let tiles finish, ``late()`` cycles after the capture of the one before; return the trace.

    One entry a cycle: (capture, shift, valid, slot, bank, credit). ``renews`` tells which tiles
    want a new set, there ``set_late()`` cycles after the tile has finished.
    """
    dut = DrainController(rows=rows, slots=slots, interval=interval, singly=singly)
    seen = []

    async def bench(ctx):
        waiting, tile_in, set_in = list(renews), 0, set_late()
        while waiting or sum(valid for _, _, valid, *_ in seen) < len(renews) * rows * slots:
            finished = bool(waiting) and tile_in == 0
            set_there = finished and set_in == 0
            ctx.set(dut.finished, finished)
            ctx.set(dut.renew, finished and waiting[0])
            ctx.set(dut.set_ready, set_there)
            ctx.set(dut.credit, credit())
            capture = ctx.get(dut.capture)
            assert not capture or set_there or not waiting[0], "there is no new set"
            seen.append((capture, ctx.get(dut.shift), ctx.get(dut.valid), ctx.get(dut.token.slot),
                         ctx.get(dut.token.bank), ctx.get(dut.credit)))
            if capture:
                waiting.pop(0)
                tile_in, set_in = late(), set_late()
            elif finished:
                set_in = max(0, set_in - 1)
            else:
                tile_in = max(0, tile_in - 1)
            await ctx.tick()

    simulate(dut, bench)
    return seen


def check(seen, rows, slots, interval, renews):
    """Slots in order, in the right bank, paced; shifts between rows, and never too close."""
    captures = [t for t, cycle in enumerate(seen) if cycle[0]]
    moves = [t for t, cycle in enumerate(seen) if cycle[0] or cycle[1]]
    assert len(captures) == len(renews)
    assert all(cycle[5] for cycle in seen if cycle[2]), "a result left without credit"
    assert not any(cycle[0] and cycle[1] for cycle in seen)
    if rows > 1:
        assert all(after - before >= 2 for before, after in zip(moves, moves[1:], strict=False))
    valids = [t for t, cycle in enumerate(seen) if cycle[2]]
    assert all(after - before >= interval
               for before, after in zip(valids, valids[1:], strict=False))
    bank = 0
    for k, renew in enumerate(renews):
        bank ^= renew
        end = captures[k + 1] if k + 1 < len(captures) else len(seen) - 1
        own = range(captures[k] + 1, end + 1)
        assert [(seen[t][3], seen[t][4]) for t in own if seen[t][2]] == [
            (slot, bank) for _ in range(rows) for slot in range(slots)]
        # A row moves up after its last slot has left, and in time for the first of the next.
        left = shifted = 0
        for t in own:
            assert not seen[t][2] or left // slots == shifted, "left from the wrong row"
            left += seen[t][2]
            if seen[t][1]:
                shifted += 1
                assert left == shifted * slots, "moved up with results that had not left"
        assert shifted == (rows - 1)


@SIZES
def test_tile_takes_drain_cycles(rows, slots, interval):
    """With tiles always waiting, from capture to capture, on a fixed schedule."""
    renews = [1, 0, 1, 1, 0]
    seen = drain(rows, slots, interval, renews)
    check(seen, rows, slots, interval, renews)
    period = Configuration(
        name="of the test", device="any", rows=rows, columns=slots, lanes=1, channels=rows,
        lane_interval=interval).drain_cycles
    row_cycles = period // rows
    assert [t for t, cycle in enumerate(seen) if cycle[0]] == [k * period for k in range(5)]
    assert [t for t, cycle in enumerate(seen) if cycle[2]] == [
        1 + tile * period + row * row_cycles + slot * interval
        for tile in range(5) for row in range(rows) for slot in range(slots)]
    assert [t for t, cycle in enumerate(seen) if cycle[1]] == [
        tile * period + row * row_cycles for tile in range(5) for row in range(1, rows)
        if tile * period + row * row_cycles < len(seen)]


@SIZES
@pytest.mark.parametrize("seed", range(3))
def test_order_holds_at_any_pace(rows, slots, interval, seed):
    """Credits, tiles and coefficient sets come when they like."""
    source = random.Random(seed)
    renews = [source.randint(0, 1) for _ in range(20)]
    seen = drain(rows, slots, interval, renews,
                 credit=lambda: source.random() < (0.2, 0.9, 0.5)[seed],
                 late=lambda: source.choice((0, 0, 1, 30)),
                 set_late=lambda: source.choice((0, 0, 1, 30)))
    check(seen, rows, slots, interval, renews)


def test_waits_for_a_set_only_if_it_wants_one():
    seen = drain(1, 1, 1, [0, 1], set_late=lambda: 7)
    assert [t for t, cycle in enumerate(seen) if cycle[0]] == [0, 1 + 7]


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"rows": 65}, ValueError, r"^Rows must be 1 to 64, not 65$"),
    ({"slots": 0}, ValueError, r"^Slots must be 1 to 64, not 0$"),
    ({"interval": 33}, ValueError, r"^Interval must be 1 to 32, not 33$"),
    ({"interval": 12}, ValueError, r"^Interval must be a power of two, not 12$"),
    ({"interval": 1.5}, TypeError, r"^Interval must be an integer, not 1\.5$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        DrainController(**({"rows": 1, "slots": 1, "interval": 1} | kwargs))


@pytest.mark.parametrize(("rows", "slots", "interval"), [(4, 4, 16), (1, 2, 2), (3, 1, 8)])
def test_results_move_behind_each_of_them(rows, slots, interval):
    """In the last of its cycles, whenever there was credit for it."""
    source = random.Random(interval)
    renews = [source.randint(0, 1) for _ in range(6)]
    seen = drain(rows, slots, interval, renews, credit=lambda: source.random() < 0.6, singly=True)
    valids = [t for t, cycle in enumerate(seen) if cycle[2]]
    shifts = [t for t, cycle in enumerate(seen) if cycle[1]]
    assert len(valids) == len(renews) * rows * slots
    assert shifts == [t + interval - 1 for t in valids if t + interval <= len(seen)]
