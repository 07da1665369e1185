# amaranth: UnusedElaboratable=no

import random
from collections import deque

import pytest

from hdl.resultqueue import ResultQueue
from tests.hdl.bench import simulate


def run(lanes, flight, interval, family, *, claim, accept, seed, count=150):
    """Claim places for ``count`` groups, each of which comes ``flight`` cycles later; return the
    groups that went in and came out, and the cycles of both.

    ``claim`` and ``accept`` are the shares of cycles in which a place is wanted, and a group is
    taken. Never does a group come for which there is no place, since the queue counts.
    """
    dut = ResultQueue(lanes=lanes, flight=flight, interval=interval, family=family)
    source = random.Random(seed)
    sent, received, entered, left = [], [], [], []

    async def bench(ctx):
        coming = deque([None] * (flight + lanes), maxlen=flight + lanes)
        since, held = interval, None
        for cycle in range(60 * count):
            if len(received) == count:
                break
            for lane in range(lanes):
                group = coming[flight - 1 + lane]
                ctx.set(dut.codes[lane], group[lane] if group else source.randrange(256))
            ctx.set(dut.valid, coming[flight - 1] is not None)
            if coming[flight - 1]:
                entered.append(cycle)
            since += 1
            claims = (len(sent) < count and since >= interval and ctx.get(dut.credit)
                      and source.random() < claim)
            ctx.set(dut.claim, claims)
            group = None
            if claims:
                since = 0
                group = [source.randrange(256) for _ in range(lanes)]
                sent.append(group)
            coming.appendleft(group)
            ctx.set(dut.o.ready, source.random() < accept)
            offered = list(ctx.get(dut.o.payload)) if ctx.get(dut.o.valid) else None
            assert held is None or offered == held
            held = offered
            if offered and ctx.get(dut.o.ready):
                received.append(offered)
                left.append(cycle)
                held = None
            await ctx.tick()

    simulate(dut, bench, cycles=60 * count + 10)
    return sent, received, entered, left


@pytest.mark.parametrize("family", ["portable", "ice40"])
@pytest.mark.parametrize(("lanes", "flight", "interval"), [
    (1, 1, 1), (1, 20, 8), (2, 7, 1), (3, 5, 2), (8, 17, 1), (16, 20, 1)])
@pytest.mark.parametrize(("claim", "accept"), [(1, 1), (1, 0.3), (0.3, 1), (0.6, 0.6)])
def test_results_come_in_order_whatever_waits(lanes, flight, interval, family, claim, accept):
    sent, received, entered, left = run(lanes, flight, interval, family, claim=claim, accept=accept,
                                        seed=lanes)
    assert len(received) == 150
    assert received == sent
    if accept == 1:
        # None waits for another; and with places for all, one comes in every interval.
        latency = ResultQueue.latency(lanes, family)
        assert left == [cycle + latency for cycle in entered]
        if claim == 1:
            assert left[-1] - left[0] == interval * (len(left) - 1)


def test_bad_parameters():
    for name, value, message in (("lanes", 0, r"^Lanes must be 1 to 64, not 0$"),
                                 ("flight", 129, r"^Flight must be 1 to 128, not 129$"),
                                 ("interval", 33, r"^Interval must be 1 to 32, not 33$")):
        with pytest.raises(ValueError, match=message):
            ResultQueue(**{"lanes": 1, "flight": 1, "interval": 1} | {name: value})
