"""Hosts of the engine's top modules for cocotb benches, and what they run."""

import random

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamSink,
    AxiStreamSource,
)
from cocotbext.wishbone.driver import WBOp, WishboneMaster

from compiler.program import compile_network
from golden.layer import ConvLayer
from golden.network import Network as GoldenNetwork
from hdl.config import load
from hdl.isa import Destination, Status
from sim.engine import activation_words, load_packets, packet
from sim.registers import Registers

__all__ = ["CONFIG", "Host", "Network", "WishboneHost"]

CONFIG = load("tiny")


class Network:
    """Two layers with random weights, some frames, and what golden makes of them."""

    def __init__(self, seed, *, frames):
        rng = np.random.default_rng(seed)
        layers = [ConvLayer(
            name=f"layer {index}", weight=rng.integers(-128, 128, shape),
            bias=rng.integers(-999, 999, shape[0]), multiplier=rng.integers(2**30, 2**31, shape[0]),
            shift=np.full(shape[0], 40), rounding="half_even", padding=(1, 1, 1, 1), low=0)
            for index, shape in enumerate([(5, 3, 3, 3), (4, 5, 3, 3)])]
        self.frames = rng.integers(-128, 128, (frames, 3, 4, 5)).astype(np.int8)
        chain = GoldenNetwork.chain(layers, self.frames.shape[1:])
        self.outputs = chain(self.frames)
        assert len(np.unique(self.outputs)) > 10
        self.program = compile_network(chain, CONFIG)

    def frame_packet(self, index):
        codes = self.frames[index % len(self.frames)]
        return packet(Destination.FRAME, 0, self.program.pack(codes[None]))

    def results(self, data):
        """Codes in an output packet's bytes."""
        beats = np.frombuffer(bytes(data), np.uint8).reshape(-1, 4)
        return self.program.unpack(activation_words(beats, CONFIG.channels))[0]


def pauses(seed, stall):
    """Yield for ever whether to pause."""
    source = random.Random(seed)
    while True:
        yield source.random() < stall


class Host:
    """Both streams and the registers, on AXI4-Lite, of a design under test."""

    def __init__(self, dut, *, stall=0, seed=1):
        Clock(dut.clk, 10, unit="ns").start()
        self.dut = dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        channels = [self.source, self.sink, *self._registers()]
        if stall:
            chance = random.Random(seed)
            for channel in channels:
                channel.set_pause_generator(pauses(chance.random(), stall))

    def _registers(self):
        """Take hold of the registers' port; return its channels that can pause."""
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(self.dut, "s_axil"), self.dut.clk,
                                  self.dut.rst)
        return (self.axil.write_if.aw_channel, self.axil.write_if.w_channel,
                self.axil.write_if.b_channel, self.axil.read_if.ar_channel,
                self.axil.read_if.r_channel)

    async def start_up(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def read(self, name):
        answer = await self.axil.read(Registers.offset(name), 4)
        assert answer.resp == AxiResp.OKAY
        return Registers.decode(name, int.from_bytes(answer.data, "little"))

    async def write(self, name, **fields):
        word = Registers.encode(name, **fields).to_bytes(4, "little")
        answer = await self.axil.write(Registers.offset(name), word)
        assert answer.resp == AxiResp.OKAY

    async def send(self, beats):
        """Queue packets, given as beats."""
        for part in np.split(beats, np.flatnonzero(beats[:, 4])[:-1] + 1):
            await self.source.send(part[:, :4].tobytes())

    async def load(self, network):
        await self.send(load_packets(network.program))
        await self.source.wait()
        while (await self.read("STATUS"))["loading"]:
            pass

    async def start(self, frames):
        await self.write("START_FRAMES", frames=frames)
        await self.write("CONTROL", start=1)

    async def finish(self, network, frames, code=Status.DONE):
        """Results of all frames are right, and the program then stops."""
        for index in range(frames):
            data = (await self.sink.recv(compact=False)).tdata
            np.testing.assert_array_equal(network.results(data),
                                          network.outputs[index % len(network.frames)])
        while (status := await self.read("STATUS"))["busy"]:
            pass
        assert status["code"] == code
        assert self.sink.empty()

    async def frames(self, network, indices):
        for index in indices:
            await self.send(network.frame_packet(index))


class WishboneHost(Host):
    """The same with the registers on Wishbone.

    Parameters
    ----------
    classic : bool
        Whether the initiator knows no ``stall``, and shows an access until it has ended.
    """

    def __init__(self, dut, *, classic=False, stall=0, seed=1):
        self.classic = classic
        self.chance = random.Random(seed)
        self.stall = stall
        super().__init__(dut, stall=stall, seed=seed)

    def _registers(self):
        names = ["cyc", "stb", "we", "adr", "sel", "ack", "err"]
        signals = {name: name for name in names + ["stall"] * (not self.classic)}
        self.wishbone = WishboneMaster(
            self.dut, "wb", self.dut.clk, timeout=100,
            signals_dict=signals | {"datwr": "dat_w", "datrd": "dat_r"})
        return ()

    async def access(self, address, data=None, *, sel=0xF):
        """Return (whether it was acknowledged, word) of an access to byte ``address``."""
        idle = self.chance.randrange(4) if self.chance.random() < self.stall else 0
        answer, = await self.wishbone.send_cycle(
            [WBOp(adr=address // 4, dat=data, sel=sel, idle=idle)])
        return answer.ack == 1, int(answer.datrd)

    async def read(self, name):
        done, word = await self.access(Registers.offset(name))
        assert done
        return Registers.decode(name, word)

    async def write(self, name, **fields):
        done, _ = await self.access(Registers.offset(name), Registers.encode(name, **fields))
        assert done
