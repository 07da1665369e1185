"""Runs components in the Amaranth simulator."""

from amaranth.sim import Simulator

__all__ = ["simulate", "trace", "watched_groups"]


#: Seconds.
PERIOD = 1e-8

def simulate(dut, *testbenches, background=(), cycles=20_000):
    """Run ``testbenches`` to their ends, ``background`` beside them.

    The watchdog barks after so many cycles.
    """
    async def watchdog(ctx):
        await ctx.delay(cycles * PERIOD)
        raise TimeoutError(f"not finished after {cycles} cycles")

    sim = Simulator(dut)
    sim.add_clock(PERIOD)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    for testbench in (*background, watchdog):
        sim.add_testbench(testbench, background=True)
    sim.run()


def trace(dut, stimulus, observed, *, cycles=None):
    """Drive a component cycle by cycle and return what it shows in every cycle.

    Parameters
    ----------
    stimulus : iterable of dict
        For each cycle, members and their values; a member keeps its value until it gets another.
    observed : sequence of str
        Members to look at, before the clock edge that ends the cycle.
    cycles : int, optional
        How long to look, by default as long as the stimulus.

    Returns
    -------
    list of tuple
        The values of ``observed`` in each cycle.
    """
    seen = []
    steps = iter(stimulus)

    async def bench(ctx):
        for values in steps:
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            await look(ctx)
        while cycles is not None and len(seen) < cycles:
            await look(ctx)

    async def look(ctx):
        seen.append(tuple(ctx.get(getattr(dut, name)) for name in observed))
        await ctx.tick()

    simulate(dut, bench, cycles=1_000_000)
    return seen


def watched_groups(port, *, found, skip=0):
    """Return a testbench that notes the groups which leave a port of sums.

    Parameters
    ----------
    port : interface of :class:`hdl.layouts.SumGroups`
    found : list
        It receives (sums, slot, renew) of each, in the order in which their tags left.
    skip : int
        Cycles in which to look away at first.
    """
    async def watch(ctx):
        cycle, under_way = -skip, []
        async for _, _, valid, ready, slot, renew, values in ctx.tick().sample(
                port.tag.valid, port.tag.ready, port.tag.p.slot, port.tag.p.renew, port.values):
            if valid and ready and cycle >= 0:
                under_way.append(([], slot, renew))
            cycle += 1
            for sums, *_ in under_way:
                sums.append(values[len(sums)])
            if under_way and len(under_way[0][0]) == len(list(values)):
                sums, slot, renew = under_way.pop(0)
                found.append((tuple(sums), slot, renew))
    return watch
