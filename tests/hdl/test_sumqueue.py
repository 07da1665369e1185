# amaranth: UnusedElaboratable=no

import random
from collections import deque

import pytest

from hdl.sumqueue import SumQueue
from tests.hdl.bench import simulate


def run(units, lanes, *, offer, accept, seed, count=200):
    """Send ``count`` groups through a queue; return those that went in and those that came out,
    each (slot, renew, sums), and the cycles of both.

    ``offer`` and ``accept`` are the shares of cycles in which units begin to offer a group, and in
    which one is taken.
    """
    dut = SumQueue(lanes=lanes, slots=4, units=units)
    source = random.Random(seed)
    sent, received, entered, left = [], [], [], []

    def group():
        return (source.randrange(4), source.randrange(2),
                [source.randrange(-1 << 31, 1 << 31) for _ in range(lanes)])

    async def bench(ctx):
        offered = [None] * units
        shown = [deque([[0] * lanes] * lanes, maxlen=lanes) for _ in range(units)]
        asked = deque([None] * (lanes + 1), maxlen=lanes + 1)
        for cycle in range(40 * count):
            if len(received) == count and not any(asked):
                break
            for index, port in enumerate(dut.groups):
                if offered[index] is None and source.random() < offer:
                    offered[index] = group()
                slot, renew, sums = offered[index] or (0, 0, shown[index][0])
                shown[index].appendleft(sums)
                ctx.set(port.tag.valid, offered[index] is not None)
                ctx.set(port.tag.p.slot, slot)
                ctx.set(port.tag.p.renew, renew)
                for lane in range(lanes):
                    ctx.set(port.values[lane], shown[index][lane][lane])
            ctx.set(dut.o.ready, source.random() < accept and len(received) < count)
            # Lane l is asked l + 1 cycles after the group left.
            for lane in range(lanes):
                if asked[lane]:
                    ctx.set(dut.read[lane], asked[lane][0])
                    asked[lane][1].append(ctx.get(dut.sums[lane]))
            for index, port in enumerate(dut.groups):
                if offered[index] and ctx.get(port.tag.ready):
                    sent.append(offered[index])
                    entered.append(cycle)
                    offered[index] = None
            asked.appendleft(None)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                sums = []
                asked[0] = (ctx.get(dut.place), sums)
                received.append((ctx.get(dut.o.p.slot), ctx.get(dut.o.p.renew), sums))
                left.append(cycle)
            await ctx.tick()

    simulate(dut, bench, cycles=40 * count + 10)
    return sent, received, entered, left


@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize(("offer", "accept"), [(1, 1), (1, 0.3), (0.3, 1), (0.6, 0.6)])
def test_sums_stay_with_their_tags(units, lanes, offer, accept):
    """In order, at any pace, from either unit, though every lane has its own time."""
    sent, received, entered, left = run(units, lanes, offer=offer, accept=accept, seed=lanes)
    assert len(received) == 200
    assert received == sent[:200]
    if offer == accept == 1:
        # A cycle after they came, one a cycle.
        assert left == [cycle + 1 for cycle in entered[:200]] == list(range(1, 201))


def test_the_first_of_two_goes_first():
    dut = SumQueue(lanes=1, slots=4, units=2)

    async def bench(ctx):
        for slot, unit in enumerate(dut.groups):
            ctx.set(unit.tag.valid, 1)
            ctx.set(unit.tag.p.slot, slot)
        assert [ctx.get(unit.tag.ready) for unit in dut.groups] == [1, 0]
        await ctx.tick()
        assert ctx.get(dut.o.p.slot) == 0
        ctx.set(dut.groups[0].tag.valid, 0)
        assert ctx.get(dut.groups[1].tag.ready) == 1

    simulate(dut, bench)


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"lanes": 0}, ValueError, r"^Lanes must be 1 to 64, not 0$"),
    ({"units": 3}, ValueError, r"^Units must be 1 to 2, not 3$"),
    ({"units": 1.5}, TypeError, r"^Units must be an integer, not 1\.5$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        SumQueue(**({"lanes": 2, "slots": 2, "units": 1} | kwargs))
