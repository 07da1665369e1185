# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.hdl import Value
from amaranth.lib.wiring import In

from hdl.axi import AxiLitePort
from hdl.config import load
from hdl.top import WishboneEngine
from hdl.wishbone import WishbonePort
from sim.registers import Registers
from tests.hdl.bench import simulate


@pytest.mark.parametrize("port", [AxiLitePort, WishbonePort])
def test_no_path_through_the_port(port):
    """Whatever the inputs do within a cycle, no output of the bus moves."""
    dut = port()
    chance = random.Random(1)
    inputs = [Value.cast(value) for _, member, value in dut.signature.flatten(dut)
              if member.flow is In]
    outputs = [getattr(dut.outer, name) for name, member in dut.outer.signature.members.items()
               if member.flow is not In]
    assert inputs
    assert outputs

    async def bench(ctx):
        moved = set()
        before = None
        for _ in range(300):
            seen = set()
            for _ in range(4):
                for value in inputs:
                    ctx.set(value, chance.getrandbits(len(value)))
                seen.add(tuple(ctx.get(output) for output in outputs))
            assert len(seen) == 1
            moved |= {index for index, pair in enumerate(zip(*seen, before or (), strict=False))
                      if pair[0] != pair[1]}
            before, = seen
            await ctx.tick()
        assert moved == set(range(len(outputs)))

    simulate(dut, bench)


@pytest.mark.parametrize("pipelined", [False, True])
def test_wishbone_ends_each_access_once(pipelined):
    """A classic initiator holds its access until the end, a pipelined one until it is taken."""
    dut = WishbonePort()
    chance = random.Random(2)
    accesses = [(chance.randrange(8), chance.random() < 0.5, chance.getrandbits(32),
                 chance.randrange(16)) for _ in range(200)]
    taken, ended = [], []

    async def initiator(ctx):
        port = dut.outer
        ctx.set(port.cyc, 1)
        for address, writing, word, select in accesses:
            while chance.random() < 0.3:
                ctx.set(port.stb, 0)
                await ctx.tick()
            for name, value in (("stb", 1), ("adr", address), ("we", writing), ("dat_w", word),
                                ("sel", select)):
                ctx.set(getattr(port, name), value)
            if pipelined:
                await ctx.tick().until(~port.stall)
            else:
                await ctx.tick().until(port.ack | port.err)
        ctx.set(port.stb, 0)

    async def target(ctx):
        async for _, _, write, read, address, data, strobe in ctx.tick().sample(
                dut.bus.write, dut.bus.read, dut.bus.address, dut.bus.data, dut.bus.strobe):
            if write or read:
                taken.append((address, bool(write), data, strobe))

    async def answers(ctx):
        while True:
            address = ctx.get(dut.bus.address)
            ctx.set(dut.bus.error, address >= 6)
            ctx.set(dut.bus.value, address * 3)
            await ctx.changed(dut.bus.address)

    async def monitor(ctx):
        async for _, _, ack, err, word in ctx.tick().sample(
                dut.outer.ack, dut.outer.err, dut.outer.dat_r):
            assert not (ack and err)
            if ack or err:
                ended.append((bool(err), word))

    async def last(ctx):
        await initiator(ctx)
        await ctx.tick().repeat(1 + WishbonePort.LATENCY)

    simulate(dut, last, background=(target, answers, monitor))
    assert taken == accesses
    assert ended == [(address >= 6, address * 3) for address, *_ in accesses]


def test_wishbone_engine_has_its_registers():
    """Constants, a start that runs, one that is refused, and what lies nowhere."""
    config = load("tiny")
    dut = WishboneEngine(config)

    async def access(ctx, name, **fields):
        """Write if there are ``fields``; else return what is read, or None for an error."""
        word = Registers.encode(name, **fields)
        offset = Registers.offset(name)
        for port, value in (("cyc", 1), ("stb", 1), ("adr", offset // 4), ("sel", 15),
                            ("we", bool(fields)), ("dat_w", word)):
            ctx.set(getattr(dut, f"wb_{port}"), value)
        error, word = await ctx.tick().sample(dut.wb_err, dut.wb_dat_r).until(
            dut.wb_ack | dut.wb_err)
        ctx.set(dut.wb_stb, 0)
        return None if error else Registers.decode(name, word)

    async def bench(ctx):
        assert (await access(ctx, "ARRAY"))["columns"] == config.columns
        assert await access(ctx, "ID", id=1) is None
        assert not (await access(ctx, "STATUS"))["busy"]
        await access(ctx, "CONTROL", start=1)
        await ctx.tick().repeat(3)
        assert (await access(ctx, "STATUS"))["busy"]
        await access(ctx, "CONTROL", start=1)
        assert (await access(ctx, "STATUS"))["refused"]
        await access(ctx, "CONTROL", reset=1)
        assert not any((await access(ctx, "STATUS")).values())

    simulate(dut, bench)
