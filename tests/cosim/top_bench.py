"""cocotb benches of :class:`hdl.top.AxiEngine`, tiny; run by ``test_top.py``."""

import itertools
import random

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiResp

from hdl.isa import Destination, Status
from hdl.registers import IDENTITY, REGISTERS, VERSION
from sim.engine import load_packets, packet, start_packet
from sim.registers import Registers
from tests.cosim.host import CONFIG, Host, Network

#: Of :class:`hdl.top.AxiEngine`, in cycles: from a program's last cycle to ``irq``, and from the
#: two beats of a START packet to the program's first cycle, whichever comes later.
IRQ_DELAY, START_DELAYS = 4, (10, 7)
bench = cocotb.test(timeout_time=2, timeout_unit="ms")


async def moments(dut, seen):
    """Note the cycles of what goes on at the ports."""
    for cycle in itertools.count():
        await RisingEdge(dut.clk)
        if dut.s_axis_tvalid.value and dut.s_axis_tready.value:
            seen.setdefault("beats", []).append(cycle)
        if dut.irq.value:
            seen.setdefault("irq", cycle)


@bench
@cocotb.parametrize(stall=[0, 0.3, 0.8])
async def runs_match_golden(dut, stall):
    """By register and by packet, one after the other, frames before and after the start."""
    network = Network(1, frames=2)
    host = Host(dut, stall=stall, seed=2)
    await host.start_up()
    await host.load(network)
    await host.frames(network, [0])
    await host.start(3)
    await host.frames(network, [1, 2])
    await host.finish(network, 3)
    await host.send(start_packet(0, 2))
    await host.frames(network, [0, 1])
    await host.finish(network, 2)
    assert (await host.read("FRAMES"))["finished"] == 2


@bench
@cocotb.parametrize(stall=[0, 0.5])
async def cycles_are_those_of_the_clock(dut, stall):
    """From the START packet to the interrupt that ends it, when nothing comes in between."""
    network = Network(3, frames=2)
    host = Host(dut, stall=stall, seed=3)
    await host.start_up()
    await host.load(network)
    await host.write("INTERRUPT_ENABLE", stopped=1)
    seen = {}
    cocotb.start_soon(moments(dut, seen))
    await host.send(start_packet(0, 1))
    await host.source.wait()
    began = max(beat + delay for beat, delay in zip(seen["beats"], START_DELAYS, strict=True))
    await host.send(network.frame_packet(0))
    await host.finish(network, 1)
    low = (await host.read("CYCLES_LOW"))["cycles"]
    await ClockCycles(dut.clk, IRQ_DELAY)
    assert low == seen["irq"] - IRQ_DELAY - began + 1
    assert (await host.read("CYCLES_HIGH"))["cycles"] == 0
    layers = len(network.program.layer_of)
    assert (await host.read("LAYERS"))["done"] == layers
    assert (await host.read("FRAMES"))["finished"] == 1


@bench
async def interrupts_are_enabled_raised_and_cleared(dut):
    network = Network(4, frames=2)
    host = Host(dut)
    await host.start_up()
    await host.load(network)
    await host.frames(network, [0, 1])
    await host.start(2)
    await host.finish(network, 2)
    assert await host.read("INTERRUPT_PENDING") == {"stopped": 1, "frame": 1}
    assert not dut.irq.value
    for name in ("stopped", "frame"):
        await host.write("INTERRUPT_ENABLE", **{name: 1})
        await ClockCycles(dut.clk, 2)
        assert dut.irq.value
        await host.write("INTERRUPT_PENDING", **{name: 1})
        await ClockCycles(dut.clk, 2)
        assert not dut.irq.value
    await host.frames(network, [0, 1])
    await host.start(2)
    await RisingEdge(dut.irq)
    assert (await host.read("STATUS"))["busy"]
    assert await host.read("INTERRUPT_PENDING") == {"stopped": 0, "frame": 1}
    await host.write("INTERRUPT_ENABLE", stopped=1)
    await host.write("INTERRUPT_PENDING", frame=1)
    await host.finish(network, 2)
    await host.write("INTERRUPT_PENDING", stopped=1)
    # A fault after the end of a program is an event of its own.
    await host.send(packet(9, 0, np.zeros((1, 4), np.uint8)))
    await RisingEdge(dut.irq)
    assert (await host.read("STATUS"))["code"] == Status.ILLEGAL_PACKET


@bench
async def configuration_is_read_back(dut):
    """Through the Python class, in a thread of its own as a program on a host would be."""
    host = Host(dut, stall=0.4, seed=5)
    await host.start_up()

    @resume
    async def read(offset):
        return int.from_bytes((await host.axil.read(offset, 4)).data, "little")

    @resume
    async def write(offset, value):
        await host.axil.write(offset, value.to_bytes(4, "little"))

    @bridge
    def check():
        registers = Registers(read, write)
        assert registers.read("ID") == {"id": IDENTITY}
        assert tuple(registers.read("VERSION").values()) == VERSION[::-1]
        assert registers.read("ARRAY") == {
            name: getattr(CONFIG, name) for name in ("rows", "columns", "lanes", "channels")}
        for name in ("activation", "weight", "coefficient", "program"):
            assert registers.read(f"{name.upper()}_MEMORY") == {
                "words": getattr(CONFIG, f"{name}_words")}
        assert registers.read("START_FRAMES") == {"frames": 1}
        registers.write("START_FRAMES", frames=0xFEDC_BA98)
        registers.write("START_ADDRESS", address=0x1234)
        assert registers.read("START_FRAMES") == {"frames": 0xFEDC_BA98}
        assert registers.read("START_ADDRESS") == {"address": 0x1234}
        assert registers.cycles() == 0

    await check()


@bench
@cocotb.parametrize(stall=[0, 0.6])
async def soft_reset_at_any_time(dut, stall):
    """A run that is cut off leaves nothing behind, and the streams' packets stay whole."""
    network = Network(6, frames=2)
    host = Host(dut, stall=stall, seed=6)
    await host.start_up()
    chance = random.Random(6)
    for _ in range(12):
        await host.load(network)
        await host.frames(network, [0, 1, 0])
        await host.start(3)
        await ClockCycles(dut.clk, chance.randrange(6000))
        await host.write("CONTROL", reset=1, discard=1)
        await host.source.wait()
        await host.write("CONTROL")
        while (await host.read("STATUS"))["closing"]:
            pass
        assert await host.read("STATUS") == {
            "busy": 0, "loading": 0, "refused": 0, "closing": 0, "code": Status.NONE}
        while not host.sink.empty():
            host.sink.recv_nowait()
        assert host.sink.idle()
    await host.frames(network, [0, 1])
    await host.start(2)
    await host.finish(network, 2)


@bench
async def refused_starts_change_nothing(dut):
    network = Network(7, frames=2)
    host = Host(dut)
    await host.start_up()
    await host.load(network)
    for control in ({"start": 1, "reset": 1}, {"start": 1}):    # The second one for no frames.
        await host.write("START_FRAMES", frames=0)
        await host.write("CONTROL", **control)
        status = await host.read("STATUS")
        assert (status["refused"], status["busy"], status["code"]) == (1, 0, Status.NONE)
    await host.start(2)
    assert not (await host.read("STATUS"))["refused"]
    await host.write("START_ADDRESS", address=5)
    await host.write("CONTROL", start=1)
    assert (await host.read("STATUS"))["refused"]
    await host.frames(network, [0, 1])
    await host.finish(network, 2)
    assert (await host.read("STATUS"))["refused"]
    await host.write("START_ADDRESS", address=0)

    # While a memory is being filled.
    await host.send(load_packets(network.program))
    await RisingEdge(dut.s_axis_tvalid)
    await host.write("CONTROL", start=1)
    status = await host.read("STATUS")
    assert (status["loading"], status["refused"], status["busy"]) == (1, 1, 0)
    await host.source.wait()
    await host.frames(network, [0])
    await host.start(1)
    await host.finish(network, 1)
    assert not (await host.read("STATUS"))["refused"]


@bench
async def faults_stop_and_a_reset_mends(dut):
    """A packet while a program runs; one that is too short, or too long, of any kind."""
    network = Network(8, frames=1)
    host = Host(dut)
    await host.start_up()
    words = np.zeros((4, 4), np.uint8)
    short, long = packet(Destination.PROGRAM, 0, words)[:-1], packet(Destination.PROGRAM, 0, words)
    short[-1, 4] = 1
    long[0:2] = packet(Destination.PROGRAM, 0, words[:2])[:2]
    for start, beats, code in ((True, start_packet(0, 1), Status.ILLEGAL_PACKET),
                               (True, load_packets(network.program), Status.ILLEGAL_PACKET),
                               (False, short, Status.SHORT_PACKET),
                               (False, long, Status.LONG_PACKET),
                               (False, start_packet(0, 0), Status.SHORT_PACKET)):
        await host.load(network)
        if start:
            await host.start(1)
        await host.send(beats)
        while (await host.read("STATUS"))["code"] <= Status.DONE:
            pass
        assert (await host.read("STATUS"))["code"] == code
        await host.write("CONTROL", start=1)
        status = await host.read("STATUS")
        assert (status["refused"], status["code"]) == (1, code)
        await host.write("CONTROL", reset=1, discard=1)
        await host.source.wait()
        await host.write("CONTROL")
        await host.load(network)
        await host.start(1)
        await host.frames(network, [0])
        await host.finish(network, 1)


@bench
async def accesses_that_miss_are_refused(dut):
    """SLVERR and no effect; bytes go where their addresses say."""
    host = Host(dut, stall=0.3, seed=9)
    await host.start_up()
    mapped = {register.offset: register for register in REGISTERS}
    for offset in [*range(0, 0x60, 4), 0x100, 0x800, 0xFFC]:
        register = mapped.get(offset)
        answer = await host.axil.read(offset, 4)
        assert answer.resp == (AxiResp.OKAY if register else AxiResp.SLVERR)
        if not register or not register.writable:
            assert (await host.axil.write(offset, b"\xff" * 4)).resp == AxiResp.SLVERR
    await host.write("START_FRAMES", frames=0x4433_2211)
    frames = Registers.offset("START_FRAMES")
    await host.axil.write(frames + 1, b"\xaa\xbb")
    assert (await host.read("START_FRAMES"))["frames"] == 0x44BB_AA11
    assert (await host.axil.read(frames + 2, 2)).data == b"\xbb\x44"
    # A transfer over the end of a register is two accesses, and the second one misses.
    assert (await host.axil.write(Registers.offset("START_FRAMES") + 3, b"\x55\x66")).resp \
        == AxiResp.SLVERR
    assert (await host.read("START_FRAMES"))["frames"] == 0x55BB_AA11
    assert not (await host.read("STATUS"))["busy"]
