# amaranth: UnusedElaboratable=no

import random
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from hdl.config import load
from hdl.control import EngineControl
from hdl.isa import Status
from hdl.registerbank import RegisterBank, RegisterBus
from hdl.registers import REGISTERS, VERSION, Access, Register, RegisterField, check_registers
from sim.registers import Registers
from tests.hdl.bench import simulate

FIELD = RegisterField("a", 0, 4, Access.READ, "")


async def write(ctx, dut, name, *, strobe=15, **fields):
    ctx.set(dut.bus.address, Registers.offset(name) // 4)
    ctx.set(dut.bus.data, Registers.encode(name, **fields))
    ctx.set(dut.bus.strobe, strobe)
    ctx.set(dut.bus.write, 1)
    await ctx.tick()
    ctx.set(dut.bus.write, 0)
    await ctx.tick().repeat(RegisterBus.LATENCY)


async def read(ctx, dut, name):
    ctx.set(dut.bus.address, Registers.offset(name) // 4)
    ctx.set(dut.bus.read, 1)
    await ctx.tick()
    ctx.set(dut.bus.read, 0)
    await ctx.tick().repeat(RegisterBus.LATENCY - 1)
    word = ctx.get(dut.bus.value)
    await ctx.tick()
    return Registers.decode(name, word)


def test_bank_behaves_as_the_map_says():
    """Random accesses of all kinds against a model of every field."""
    chance = random.Random(1)
    dut = RegisterBank(REGISTERS)
    state = {(register.name, field.name): field.reset
             for register in REGISTERS for field in register.fields}

    def model_write(register, data, mask):
        for field in register.fields:
            bits, ones = (word >> field.low & (1 << field.width) - 1
                          for word in (mask, data & mask))
            key = register.name, field.name
            if field.access is Access.READ_WRITE:
                state[key] = state[key] & ~bits | ones
            elif field.access is Access.CLEAR:
                state[key] &= ~ones

    def change(ctx):
        """Draw what the bank is given from outside for a cycle; return the events."""
        events = {}
        for register in REGISTERS:
            for field in register.fields:
                member = dut.member(register, field)
                if field.access is Access.READ:
                    state[register.name, field.name] = chance.getrandbits(field.width)
                    ctx.set(getattr(dut, member), state[register.name, field.name])
                elif field.access is Access.CLEAR:
                    events[register.name, field.name] = chance.random() < 0.2
                    ctx.set(getattr(dut, f"{member}_set"), events[register.name, field.name])
        return events

    def happened(events):
        for key, event in events.items():
            state[key] |= event

    async def bench(ctx):
        pulses = [(dut.member(register, field), field, register.name) for register in REGISTERS
                  for field in register.fields if field.access is Access.PULSE]
        for _ in range(2000):
            offset = chance.choice([*(each.offset for each in REGISTERS), 0x1C, 0x48, 0xFFC])
            register = next((each for each in REGISTERS if each.offset == offset), None)
            writing, strobe = chance.random() < 0.5, chance.randrange(16)
            data = chance.getrandbits(32)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            for name, value in (("address", offset // 4), ("data", data), ("strobe", strobe),
                                ("write", writing), ("read", not writing)):
                ctx.set(getattr(dut.bus, name), value)
            events = change(ctx)
            await ctx.tick()
            happened(events)

            ctx.set(dut.bus.write, 0)
            ctx.set(dut.bus.read, 0)
            legal = register is not None and (register.writable or not writing)
            events = change(ctx)
            word = sum(state[register.name, field.name] << field.low
                       for field in register.fields if field.access is not Access.PULSE
                       ) if register else 0
            for each in REGISTERS:
                assert ctx.get(getattr(dut, f"{each.name.lower()}_taken")) == (
                    each is register and not writing)
            if legal and writing:
                model_write(register, data, mask)
            await ctx.tick()
            happened(events)

            assert ctx.get(dut.bus.error) == (not legal)
            if legal and not writing:
                assert ctx.get(dut.bus.value) == word
            for member, field, name in pulses:
                assert ctx.get(getattr(dut, member)) == (
                    legal and writing and register.name == name and (data & mask) >> field.low & 1)
            events = change(ctx)
            await ctx.tick()
            happened(events)

    simulate(dut, bench)


def test_counters_and_latch():
    """CYCLES counts busy cycles over 32 bits; reading one half keeps the other."""
    dut = EngineControl(load("tiny"))

    async def bench(ctx):
        for cycles in (7, 12):
            ctx.set(dut.busy, 1)
            for cycle in range(cycles):
                ctx.set(dut.layer_done, cycle % 3 == 2)
                ctx.set(dut.frame_done, cycle == 5)
                await ctx.tick()
            ctx.set(dut.busy, 0)
            ctx.set(dut.layer_done, 0)
            ctx.set(dut.frame_done, 0)
            await ctx.tick().repeat(2)
            assert await read(ctx, dut, "CYCLES_LOW") == {"cycles": cycles}
            assert await read(ctx, dut, "CYCLES_HIGH") == {"cycles": 0}
            assert await read(ctx, dut, "LAYERS") == {"done": cycles // 3}
            assert await read(ctx, dut, "FRAMES") == {"finished": 1}

    simulate(dut, bench)


@pytest.mark.parametrize("before", range(5))
def test_high_half_is_of_the_low_halfs_time(before):
    """Also when the low half runs over in between, or just then."""
    dut = EngineControl(load("tiny"))

    async def bench(ctx):
        ctx.set(dut.busy, 1)
        await ctx.tick().repeat(3)
        # It is looked at in the next cycle.
        ctx.set(dut.cycles, (7 << 32) - before)
        low = (await read(ctx, dut, "CYCLES_LOW"))["cycles"]
        await ctx.tick().repeat(5)
        high = (await read(ctx, dut, "CYCLES_HIGH"))["cycles"]
        assert high << 32 | low == (7 << 32) - before + 1
        assert (await read(ctx, dut, "CYCLES_LOW"))["cycles"] > 5
        assert await read(ctx, dut, "CYCLES_HIGH") == {"cycles": 7}

    simulate(dut, bench)


def test_stop_events():
    """Whatever ends a program, and a fault after that; not the start, and not a reset."""
    dut = EngineControl(load("tiny"))
    events = []

    async def bench(ctx):
        for status in (Status.NONE, Status.DONE, Status.DONE, Status.LONG_PACKET, Status.NONE,
                       Status.ILLEGAL_ADDRESS, Status.NONE):
            ctx.set(dut.status, status)
            await ctx.tick().repeat(3)
            events.append((await read(ctx, dut, "INTERRUPT_PENDING"))["stopped"])
            await write(ctx, dut, "INTERRUPT_PENDING", stopped=1)

    simulate(dut, bench)
    assert events == [0, 1, 0, 1, 0, 1, 0]


def test_a_reset_comes_before_a_start():
    """Of both in one write, only the reset reaches the engine, two cycles later."""
    dut = EngineControl(load("tiny"))

    async def bench(ctx):
        ctx.set(dut.bus.address, Registers.offset("CONTROL") // 4)
        ctx.set(dut.bus.strobe, 15)
        for start, reset in ((1, 0), (0, 1), (1, 1)):
            ctx.set(dut.bus.data, Registers.encode("CONTROL", start=start, reset=reset))
            ctx.set(dut.bus.write, 1)
            await ctx.tick()
            ctx.set(dut.bus.write, 0)
            assert not ctx.get(dut.start)
            assert not ctx.get(dut.reset)
            await ctx.tick()
            assert (ctx.get(dut.start), ctx.get(dut.reset)) == (start and not reset, reset)
            await ctx.tick()
        assert (await read(ctx, dut, "STATUS"))["refused"]

    simulate(dut, bench)


def test_version_is_the_projects():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    version = tomllib.loads(text)["project"]["version"]
    assert tuple(map(int, version.split(".dev")[0].split("."))) == VERSION


@pytest.mark.parametrize(("registers", "message"), [
    ([Register("A", 2, "", (FIELD,))],
     r"^Register A must lie at a multiple of 4 below 4096, not at 2$"),
    ([Register("A", 4096, "", (FIELD,))],
     r"^Register A must lie at a multiple of 4 below 4096, not at 4096$"),
    ([Register("A", 0, "", (FIELD,)), Register("B", 0, "", (FIELD,))],
     r"^Register B must have a name and offset of its own$"),
    ([Register("A", 0, "", (FIELD, replace(FIELD, low=3)))],
     r"^Register A field a must lie within bits 4 to 31, not at 3$"),
    ([Register("A", 0, "", (replace(FIELD, low=30),))],
     r"^Register A field a must lie within bits 0 to 31, not at 30$"),
])
def test_faulty_maps(registers, message):
    with pytest.raises(ValueError, match=message):
        check_registers(registers)


def test_python_access():
    words = {Registers.offset("START_FRAMES"): 0, Registers.offset("CYCLES_LOW"): 5,
             Registers.offset("CYCLES_HIGH"): 2, Registers.offset("STATUS"): 0x51}
    registers = Registers(words.get, words.__setitem__)
    registers.write("START_FRAMES", frames=9)
    assert registers.read("START_FRAMES") == {"frames": 9}
    assert registers.cycles() == 2 << 32 | 5
    assert registers.read("STATUS") == {"busy": 1, "loading": 0, "refused": 0, "closing": 0,
                                        "code": Status.SHORT_PACKET}
    with pytest.raises(ValueError, match=r"^Register CONTROL has no field 'go'$"):
        registers.write("CONTROL", go=1)
    with pytest.raises(ValueError, match=r"^Register START_ADDRESS field address must be 0 to "
                                         r"65535, not 65536$"):
        registers.write("START_ADDRESS", address=65536)


def test_bad_parameters():
    with pytest.raises(TypeError, match=r"^Configuration must be a Configuration, not 'tiny'$"):
        EngineControl("tiny")
