import random
from collections import deque

import pytest

from hdl.faults import FaultKeeper
from hdl.isa import Status
from tests.hdl.bench import simulate

NAMES = ("failed", "failure", "beyond", "wrong", "stopped", "reason", "start")


def run(moments, cycles):
    """Return (status, halt) in each cycle; ``moments`` has inputs that are not zero by cycle."""
    dut = FaultKeeper(sources=3)
    seen = []

    async def bench(ctx):
        for cycle in range(cycles):
            for name in NAMES:
                ctx.set(getattr(dut, name), moments.get(cycle, {}).get(name, 0))
            seen.append((Status(ctx.get(dut.status)), ctx.get(dut.halt)))
            await ctx.tick()

    simulate(dut, bench)
    return seen


FAULTS = (({"failed": 1, "failure": Status.LONG_PACKET}, Status.LONG_PACKET),
          *(({"beyond": 1 << source}, Status.ILLEGAL_ADDRESS) for source in range(3)),
          ({"wrong": 1}, Status.ILLEGAL_INSTRUCTION))


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=str)
def test_a_fault_is_known_in_time_and_stays(fault, status):
    """Whatever comes after it, be it the end of the program or a start."""
    later = {"stopped": 1, "reason": Status.DONE, "start": 1, "wrong": 1, "failed": 1,
             "failure": Status.SHORT_PACKET}
    seen = run({2: fault} | dict.fromkeys(range(3, 12), later), 12)
    known = 2 + FaultKeeper.LATENCY
    # The end of the program is, until then, what is known.
    assert seen[:4] == [(Status.NONE, 0)] * 4
    assert seen[4] == (Status.DONE, 0)
    assert seen[known:] == [(status, 1)] * (12 - known)


def test_of_faults_at_the_same_time_the_first_in_order_counts():
    for first, (fault, status) in enumerate(FAULTS):
        together = {}
        for later, _ in reversed(FAULTS[first:]):
            together |= later
        assert run({1: together | fault}, 6)[-1] == (status, 1)


def test_status_of_programs():
    """The reason comes in the cycle after; a start clears it, unless it is a fault."""
    seen = run({1: {"stopped": 1, "reason": Status.DONE}, 4: {"start": 1},
                6: {"stopped": 1, "reason": Status.ILLEGAL_ADDRESS}, 8: {"start": 1}}, 10)
    assert seen == [(status, int(status > Status.DONE)) for status in (
        *[Status.NONE] * 2, *[Status.DONE] * 3, *[Status.NONE] * 2, *[Status.ILLEGAL_ADDRESS] * 3)]


def test_the_first_fault_counts_at_any_time():
    source = random.Random(4)
    for _ in range(50):
        moments, expected = {}, deque()
        for cycle in range(10):
            fault, status = source.choice([({}, None)] * 4 + list(FAULTS))
            moments[cycle] = fault
            if status:
                expected.append((cycle, status))
        seen = run(moments, 16)
        if expected:
            cycle, status = expected[0]
            known = cycle + FaultKeeper.LATENCY
            assert seen == [(Status.NONE, 0)] * known + [(status, 1)] * (16 - known)
        else:
            assert seen == [(Status.NONE, 0)] * 16
