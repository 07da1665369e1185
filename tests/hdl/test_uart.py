# amaranth: UnusedElaboratable=no

import random

import pytest

from hdl.uart import UartReceiver, UartTransmitter
from sim.streams import random_gaps, send
from tests.hdl.bench import PERIOD, simulate
from tests.hdl.uart_line import drive, listen

DIVISORS = [4, 5, 8, 25, 50]


def received(dut, stimulus, *, cycles=40_000):
    """Bytes and errors that come out of a receiver during ``stimulus(ctx)``."""
    seen = []

    async def watch(ctx):
        async for _, _, valid, byte, error in ctx.tick().sample(
                dut.o.valid, dut.o.p.data, dut.o.p.error):
            if valid:
                seen.append((byte, error))

    async def bench(ctx):
        await stimulus(ctx)
        await ctx.delay(2 * dut.divisor * PERIOD)

    simulate(dut, bench, background=[watch], cycles=cycles)
    return seen


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_receives_from_a_clock_that_is_off(divisor, off):
    """By as much as the receiver says, bytes without a pause, from any moment within a cycle."""
    dut = UartReceiver(divisor=divisor)
    data = [0x00, 0xFF, 0x55, 0xAA, *random.Random(divisor).randbytes(30)]
    cycles = divisor * (1 + off * (0.05 - 0.2 / divisor) * 0.98)

    async def stimulus(ctx):
        await ctx.delay((3 + random.Random(off).random()) * PERIOD)
        await drive(ctx, dut.rx, data, cycles=cycles)

    assert received(dut, stimulus) == [(byte, 0) for byte in data]


@pytest.mark.parametrize("divisor", DIVISORS)
def test_no_stop_bit_is_an_error_and_a_break_is_one_byte(divisor):
    dut = UartReceiver(divisor=divisor)

    async def stimulus(ctx):
        await drive(ctx, dut.rx, b"\x31", cycles=divisor, stop=0)
        await ctx.delay(divisor * PERIOD)
        ctx.set(dut.rx, 0)
        await ctx.delay(50 * divisor * PERIOD)
        ctx.set(dut.rx, 1)
        await ctx.delay(divisor * PERIOD)
        await drive(ctx, dut.rx, b"\x32", cycles=divisor)

    assert received(dut, stimulus) == [(0x31, 1), (0x00, 1), (0x32, 0)]


@pytest.mark.parametrize("divisor", [8, 25])
def test_a_glitch_of_a_cycle_changes_nothing(divisor):
    """Not on an idle line, nor in the middle of any bit."""
    dut = UartReceiver(divisor=divisor)

    async def stimulus(ctx):
        for glitched in range(11):
            await ctx.delay(2 * divisor * PERIOD)
            ctx.set(dut.rx, 0 if glitched == 10 else 1)
            await ctx.delay(PERIOD)
            ctx.set(dut.rx, 1)
            await ctx.delay(2 * divisor * PERIOD)
            for index, bit in enumerate([0, 1, 1, 0, 0, 1, 0, 1, 0, 1]):
                for cycle in range(divisor):
                    ctx.set(dut.rx, bit ^ (index == glitched and cycle == divisor // 2))
                    await ctx.delay(PERIOD)

    assert received(dut, stimulus) == [(0b01010011, 0)] * 11


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("longest", [0, 300])
def test_transmits_at_any_pace(divisor, longest):
    dut = UartTransmitter(divisor=divisor)
    data = random.Random(divisor).randbytes(20)

    async def host(ctx):
        await send(ctx, dut.i, data, gaps=random_gaps(1, longest=longest) if longest else None)

    async def line(ctx):
        assert await listen(ctx, dut.tx, len(data), divisor=divisor) == data

    simulate(dut, host, line, cycles=40_000)


def test_transmitter_leaves_no_pause_between_bytes():
    dut = UartTransmitter(divisor=6)

    async def host(ctx):
        begun = None
        ctx.set(dut.i.valid, 1)
        cycle = taken = 0
        while taken < 5:
            ready = ctx.get(dut.i.ready)
            await ctx.tick()
            if ready:
                assert begun is None or cycle - begun == 60
                begun, taken = cycle, taken + 1
            cycle += 1

    simulate(dut, host)


@pytest.mark.parametrize("component", [UartReceiver, UartTransmitter])
def test_divisor_is_checked(component):
    with pytest.raises(ValueError, match="Divisor must be 4 to 65535, not 3"):
        component(divisor=3)
    with pytest.raises(TypeError, match="Divisor must be an integer, not 4.5"):
        component(divisor=4.5)
