# amaranth: UnusedElaboratable=no

import random
from collections import deque

import pytest
from amaranth.hdl import Value
from amaranth.lib import data

from hdl.fifo import ReservedBuffer, StreamBuffer, StreamRegister
from tests.hdl.bench import simulate

#: Of the register, whose fields may be in different places.
PAYLOAD = data.StructLayout({"narrow": 3, "wide": 5})
FAMILIES = pytest.mark.parametrize("family", ["portable", "ice40"])


def transfers(dut, offer, accept, *, cycles):
    """Offer 0, 1, 2, … and return, of each cycle, (accepted, taken, valid, level).

    ``offer`` and ``accept`` tell from the cycle number whether each end is willing. ``accepted``
    and ``taken`` are payloads or None.
    """
    seen = []

    async def bench(ctx):
        number = 0
        for cycle in range(cycles):
            ctx.set(dut.i.valid, offer(cycle))
            ctx.set(Value.cast(dut.i.payload), number % 256)
            ctx.set(dut.o.ready, accept(cycle))
            valid = ctx.get(dut.o.valid)
            accepted = number % 256 if offer(cycle) and ctx.get(dut.i.ready) else None
            taken = ctx.get(Value.cast(dut.o.payload)) if valid and accept(cycle) else None
            number += accepted is not None
            seen.append((accepted, taken, valid,
                         ctx.get(dut.level) if hasattr(dut, "level") else None))
            await ctx.tick()

    simulate(dut, bench)
    return seen


@FAMILIES
@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize(("i_share", "o_share"), [(1, 1), (1, 0.2), (0.2, 1), (0.5, 0.5)])
def test_keeps_order_at_any_pace(depth, i_share, o_share, family):
    """Nothing is lost, repeated or reordered, and the level counts what is inside."""
    source = random.Random(depth)
    offered = [source.random() < i_share for _ in range(400)]
    accepting = [source.random() < o_share for _ in range(400)]
    inside, most, total = deque(), 0, 0
    for accepted, taken, _, level in transfers(
            StreamBuffer(8, depth=depth, family=family), offered.__getitem__,
            accepting.__getitem__, cycles=400):
        assert level == len(inside)
        if taken is not None:
            assert taken == inside.popleft()
            total += 1
        if accepted is not None:
            inside.append(accepted)
        most = max(most, len(inside))
    assert most <= depth
    assert total > 50


@FAMILIES
@pytest.mark.parametrize("depth", [2, 5, 17])
def test_takes_all_that_has_its_place(depth, family):
    """Whoever keeps count fills the buffer to its last place, and never has to wait."""
    source = random.Random(depth)
    dut = ReservedBuffer(8, depth=depth, family=family)
    levels, received = [], []

    async def bench(ctx):
        sent = 0
        for _ in range(400):
            assert ctx.get(dut.i.ready)
            assert ctx.get(dut.level) == sent - len(received)
            offered, accepting = sent - len(received) < depth, source.random() < 0.6
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, sent % 256)
            ctx.set(dut.o.ready, accepting)
            if ctx.get(dut.o.valid) and accepting:
                received.append(ctx.get(dut.o.payload))
            sent += offered
            levels.append(sent - len(received))
            await ctx.tick()

    simulate(dut, bench)
    assert max(levels) == depth
    assert received == [number % 256 for number in range(len(received))]
    assert len(received) > 100


@FAMILIES
def test_what_has_its_place_comes_out_as_soon_as_documented(family):
    seen = transfers(ReservedBuffer(8, depth=5, family=family), lambda _: 1, lambda _: 1, cycles=30)
    latency = ReservedBuffer.latency(family)
    assert [taken for _, taken, *_ in seen] == [None] * latency + list(range(30 - latency))


@pytest.mark.parametrize(("i_share", "o_share"), [(1, 1), (1, 0.2), (0.2, 1), (0.5, 0.5)])
@pytest.mark.parametrize("wide", [(), ("wide",)])
def test_register_keeps_order_at_any_pace(i_share, o_share, wide):
    """A payload shows one cycle after it went in, if those before it have left."""
    source = random.Random(3)
    offered = [source.random() < i_share for _ in range(400)]
    accepting = [source.random() < o_share for _ in range(400)]
    inside, total = deque(), 0
    for accepted, taken, valid, _ in transfers(
            StreamRegister(PAYLOAD, wide=wide), offered.__getitem__, accepting.__getitem__,
            cycles=400):
        assert valid == bool(inside)
        if taken is not None:
            assert taken == inside.popleft()
            total += 1
        if accepted is not None:
            inside.append(accepted)
        assert len(inside) <= 2
    assert total > 50
    if i_share == o_share == 1:
        assert total == 399


@FAMILIES
@pytest.mark.parametrize("depth", [2, 5, 8])
def test_holds_its_depth(depth, family):
    seen = transfers(StreamBuffer(8, depth=depth, family=family), lambda _: 1, lambda _: 0,
                     cycles=depth + 9)
    assert [accepted for accepted, *_ in seen if accepted is not None] == list(range(depth))
    assert seen[-1][3] == depth


@FAMILIES
@pytest.mark.parametrize("depth", [2, 4, 7])
def test_full_rate_after_two_cycles(depth, family):
    """The first payload shows two cycles after it went in; then one a cycle goes through."""
    seen = transfers(StreamBuffer(8, depth=depth, family=family), lambda _: 1, lambda _: 1,
                     cycles=30)
    taken = [payload for _, payload, _, _ in seen]
    assert taken[:3] == [None, None, 0]
    if depth > 2:
        assert taken[2:] == list(range(28))


@FAMILIES
@pytest.mark.parametrize("depth", [4, 16])
def test_level_payloads_can_be_taken_in_as_many_cycles(depth, family):
    """What the issuer relies on: once valid, the level is a promise."""
    source = random.Random(depth)
    offered = [source.random() < 0.5 for _ in range(300)]
    promised = 0
    bursts = []

    def accept(cycle):
        # Bursts with waits between them, in which nothing is taken.
        return cycle % (2 * depth) >= depth

    for cycle, (_, taken, valid, level) in enumerate(transfers(
            StreamBuffer(8, depth=depth, family=family), offered.__getitem__, accept, cycles=300)):
        if accept(cycle) and not accept(cycle - 1):
            promised = level if valid else 0
            bursts.append(promised)
        if accept(cycle) and promised:
            assert taken is not None, f"cycle {cycle}"
            promised -= 1
    assert max(bursts) > depth // 2


@pytest.mark.parametrize(("depth", "error", "message"), [
    (1, ValueError, r"^Depth must be 2 to 65536, not 1$"),
    (65537, ValueError, r"^Depth must be 2 to 65536, not 65537$"),
    (4.0, TypeError, r"^Depth must be an integer, not 4\.0$"),
])
def test_bad_depth(depth, error, message):
    with pytest.raises(error, match=message):
        StreamBuffer(8, depth=depth)
