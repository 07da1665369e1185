# amaranth: UnusedElaboratable=no

import random
from collections import deque

import pytest

from hdl.coefficients import CoefficientBank
from hdl.layouts import MULTIPLIER_WIDTH, Coefficients
from sim.streams import random_gaps, send
from tests.hdl.bench import simulate

SIZES = pytest.mark.parametrize(("columns", "lanes", "read_delay"), [
    (1, 1, 1), (4, 1, 3), (4, 4, 8), (6, 3, 5), (6, 2, 1)])


def channel(number, *, last):
    """Coefficients that no other number has, every bit of which is used by some number."""
    source = random.Random(number)
    limit = 1 << (MULTIPLIER_WIDTH - 1)
    return {"bias": source.randrange(-limit, limit), "multiplier": source.randrange(-limit, limit),
            "shift": source.randrange(64), "rounding": source.randrange(4),
            **{name: source.randrange(-256, 256) for name in ("zero", "low", "high")},
            "last": int(last)}


def as_dict(coefficients):
    return {name: coefficients[name] for name in Coefficients().members}


@SIZES
@pytest.mark.parametrize("seed", range(3))
def test_sets_stay_until_their_last_read(columns, lanes, read_delay, seed):
    """Every lane reads every slot of the set in use, and of the one before for `read_delay`; sets
    may be of different sizes."""
    dut = CoefficientBank(columns=columns, lanes=lanes, read_delay=read_delay)
    source = random.Random(seed)
    slots = [source.randint(1, dut.slots) for _ in range(12)]
    sets = [[channel(64 * index + each, last=each == size * lanes - 1)
             for each in range(size * lanes)] for index, size in enumerate(slots)]

    async def producer(ctx):
        await send(ctx, dut.channels, [each for one in sets for each in one],
                   gaps=random_gaps(seed, longest=(0, 2, 30)[seed]))

    async def reader(ctx):
        taken, age, late = 0, 0, 0
        asked = deque([(-1, [0] * lanes)] * lanes, maxlen=lanes)    # In the last cycles.
        while taken < len(sets) or age < 40:
            take = bool(ctx.get(dut.set_ready)) and late == 0
            ctx.set(dut.take, take)
            if take:
                late = source.choice((0, 0, read_delay, 40))
            elif late:
                late -= 1
            # The set of the tile that drains: in the cycle of a take, still the one before.
            wanted = taken - 1 - (source.random() < 0.7 and age <= read_delay)
            asked.appendleft((wanted, [source.randrange(slots[max(wanted, 0)])
                                       for _ in range(lanes)]))
            # A lane is a cycle later than the one before.
            read = [(number, each[lane]) for lane, (number, each) in enumerate(asked)]
            for lane, (number, slot) in enumerate(read):
                ctx.set(dut.bank[lane], (number + 1) % 2)
                ctx.set(dut.slot[lane], slot)
            await ctx.tick()
            for lane, (number, slot) in enumerate(read):
                if number >= 0:
                    assert as_dict(ctx.get(dut.coefficients[lane])) == sets[number][
                        slot * lanes + lane], (number, lane, slot, age)
            taken, age = (taken + 1, 1) if take else (taken, age + 1)

    simulate(dut, producer, reader)


@SIZES
def test_loads_two_sets_ahead_and_the_third_after_the_delay(columns, lanes, read_delay):
    dut = CoefficientBank(columns=columns, lanes=lanes, read_delay=read_delay)
    accepted, ready = [], []

    async def bench(ctx):
        ctx.set(dut.channels.valid, 1)
        ctx.set(dut.channels.p.last, columns == 1)
        for cycle in range(4 * columns + 3 * read_delay + 40):
            # The first set is taken at once, the second much later.
            first = sum(ready) == 0 and ctx.get(dut.set_ready)
            second = cycle == 3 * columns + read_delay + 20
            ctx.set(dut.take, first or second)
            ready.append(first or second)
            accepted.append(ctx.get(dut.channels.ready))
            await ctx.tick()
            ctx.set(dut.channels.p.last, sum(accepted) % columns == columns - 1)

    simulate(dut, bench)
    takes = [t for t, take in enumerate(ready) if take]
    assert len(takes) == 2
    assert takes[0] == 1 + columns
    # One cycle between sets to claim a bank; the second set fills the other bank.
    assert [t for t, yes in enumerate(accepted) if yes] == [
        *range(1, 1 + columns), *range(2 + columns, 2 + 2 * columns),
        *range(takes[1] + read_delay + 2, takes[1] + read_delay + 2 + columns)]


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"columns": 0}, ValueError, r"^Columns must be 1 to 64, not 0$"),
    ({"lanes": 5}, ValueError, r"^Lanes must be 1 to 4, not 5$"),
    ({"lanes": 3}, ValueError, r"^Lanes must divide columns \(4\), not 3$"),
    ({"read_delay": 0}, ValueError, r"^Read delay must be 1 to 255, not 0$"),
    ({"read_delay": 2.5}, TypeError, r"^Read delay must be an integer, not 2\.5$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        CoefficientBank(**({"columns": 4, "lanes": 2, "read_delay": 3} | kwargs))
