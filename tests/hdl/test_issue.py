# amaranth: UnusedElaboratable=no

import random

import pytest

from hdl.issue import StepIssuer
from tests.hdl.bench import simulate

SEEN = ("start", "active", "first", "clear", "unsigned", "finished", "renew", "operands_ready",
        "capture")


def issue(channels, tiles, *, ready_share=1, offer_share=1, capture_after=lambda: 0, seed=1,
          gap=False):
    """Issue ``tiles`` (steps, renew, unsigned); return what is seen in every cycle.

    A finished tile is captured ``capture_after()`` cycles after it first shows.
    """
    dut = StepIssuer(channels=channels, gap=gap)
    source = random.Random(seed)
    seen = []

    async def bench(ctx):
        waiting = list(tiles)
        captured, wait, offered = 0, None, False
        while captured < len(tiles):
            # A stream's valid stays up until it is answered.
            offered = bool(waiting) and (offered or source.random() < offer_share)
            ctx.set(dut.tiles.valid, offered)
            if offered:
                steps, renew, unsigned = waiting[0]
                ctx.set(dut.tiles.payload,
                        {"last_step": steps - 1, "renew": renew, "unsigned": unsigned})
            ctx.set(dut.operands_ready, source.random() < ready_share)
            if ctx.get(dut.finished):
                wait = capture_after() if wait is None else wait - 1
            capture = wait == 0
            ctx.set(dut.capture, capture)
            if capture:
                captured, wait = captured + 1, None
            seen.append({name: ctx.get(getattr(dut, name)) for name in SEEN})
            if offered and ctx.get(dut.tiles.ready):
                waiting.pop(0)
                offered = False
            await ctx.tick()

    simulate(dut, bench)
    return seen


def check(seen, channels, tiles):
    """Every tile has its steps, every step its cycles, and no tile runs into another's sums."""
    starts = [t for t, cycle in enumerate(seen) if cycle["start"]]
    firsts = [t for t, cycle in enumerate(seen) if cycle["first"]]
    captures = [t for t, cycle in enumerate(seen) if cycle["capture"]]
    assert all(seen[t]["operands_ready"] for t in starts)
    assert set(firsts) <= set(starts)
    active = {t + k for t in starts for k in range(channels)}
    assert active == {t for t, cycle in enumerate(seen) if cycle["active"]}
    assert len(active) == len(starts) * channels, "steps overlap"

    assert len(firsts) == len(tiles)
    for k, (steps, renew, unsigned) in enumerate(tiles):
        begin = firsts[k]
        following = firsts[k + 1] if k + 1 < len(firsts) else len(seen)
        own = [t for t in starts if begin <= t < following]
        assert len(own) == steps
        assert all(seen[t]["unsigned"] == unsigned for t in range(own[0], own[-1] + channels))
        done = own[-1] + channels
        assert done <= captures[k] <= following
        finished = [t for t in range(begin + 1, following + 1)
                    if t < len(seen) and seen[t]["finished"] and t <= captures[k]]
        assert finished == list(range(done, captures[k] + 1))
        assert all(seen[t]["renew"] == renew for t in finished)


def random_tiles(seed, count=40):
    source = random.Random(seed)
    return [(source.choice((1, 1, 2, 3, 7)), source.randint(0, 1), source.randint(0, 1))
            for _ in range(count)]


@pytest.mark.parametrize("longest_wait", [0, 5])
@pytest.mark.parametrize("channels", [2, 4])
def test_sums_are_cleared_from_a_capture_to_the_next_tile(channels, longest_wait):
    """And in at least one cycle, in which there is no operand."""
    source, tiles = random.Random(channels), random_tiles(channels)
    seen = issue(channels, tiles, ready_share=0.7, offer_share=0.7, gap=True,
                 capture_after=lambda: source.randint(0, longest_wait))
    check(seen, channels, tiles)
    under_way = False
    for cycle in seen:
        assert not (under_way and cycle["first"]), "no gap"
        under_way |= cycle["first"]
        assert cycle["clear"] == (cycle["capture"] or not under_way)
        under_way &= not cycle["capture"]


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_steps_are_whole_at_any_pace(channels, seed):
    tiles = random_tiles(seed)
    source = random.Random(seed)
    seen = issue(channels, tiles, seed=seed, ready_share=(1, 0.6, 0.1, 0.3)[seed],
                 offer_share=(1, 0.2, 1, 0.5)[seed],
                 capture_after=lambda: source.choice((0, 0, 1, 9)))
    check(seen, channels, tiles)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_no_cycle_is_lost_when_nothing_is_late(channels):
    """From the first step on, which follows its tile, every cycle is one of a step."""
    tiles = random_tiles(9)
    seen = issue(channels, tiles)
    check(seen, channels, tiles)
    cycles = sum(steps for steps, _, _ in tiles) * channels
    assert [cycle["active"] for cycle in seen] == [0] + [1] * cycles + [0]


def test_next_tile_begins_in_the_cycle_of_the_capture():
    """Neither before, nor after."""
    seen = issue(2, [(1, 0, 0), (1, 0, 0)], capture_after=lambda: 5)
    assert [t for t, cycle in enumerate(seen) if cycle["first"]] == [1, 1 + 2 + 5]


def test_reduction_can_be_long():
    """The topmost bit of `last_step` counts."""
    steps = 32769
    dut = StepIssuer(channels=1)
    active = 0

    async def bench(ctx):
        nonlocal active
        ctx.set(dut.tiles.valid, 1)
        ctx.set(dut.tiles.payload, {"last_step": steps - 1})
        ctx.set(dut.operands_ready, 1)
        while not ctx.get(dut.finished):
            active += ctx.get(dut.active)
            await ctx.tick()
            ctx.set(dut.tiles.valid, 0)

    simulate(dut, bench, cycles=steps + 10)
    assert active == steps


@pytest.mark.parametrize(("channels", "error", "message"), [
    (0, ValueError, r"^Channels must be 1 to 64, not 0$"),
    (65, ValueError, r"^Channels must be 1 to 64, not 65$"),
    ("8", TypeError, r"^Channels must be an integer, not '8'$"),
])
def test_bad_channels(channels, error, message):
    with pytest.raises(error, match=message):
        StepIssuer(channels=channels)
