"""Runs packets through a receiver, and words through a sender, in the Amaranth simulator."""

import random
from collections import namedtuple

from amaranth.hdl import ResetInserter, Signal

from hdl.isa import Destination, Instruction, Opcode, Status
from hdl.memories import FetchedWord
from hdl.ports import Beat, PacketReceiver
from hdl.sender import WordSender
from sim.streams import bits, get, put, send
from tests.hdl.bench import simulate

__all__ = ["FRAME_DONE", "MEMORIES", "WIDTHS", "Failure", "Start", "Write", "closed", "header",
           "packet", "receive", "transmit"]

WIDTHS = {Destination.PROGRAM: 32, Destination.WEIGHTS: 40, Destination.COEFFICIENTS: 72,
          Destination.ACTIVATIONS: 64, Destination.FRAME: 64}
MEMORIES = [Destination.PROGRAM, Destination.WEIGHTS, Destination.COEFFICIENTS,
            Destination.ACTIVATIONS]

Write = namedtuple("Write", "destination address word")
Start = namedtuple("Start", "address frames")
Failure = namedtuple("Failure", "status")
FRAME_DONE = "frame done"


def header(source, destination, address=0):
    """Bits 4 to 15 mean nothing."""
    return destination | source.getrandbits(12) << 4 | address << 16


def packet(source, destination, address, words, widths):
    """Beats of a packet; what fills up its words means nothing."""
    width = widths[destination]
    beats = [header(source, destination, address), len(words)]
    for word in words:
        size = -(-width // 32) * 32
        filled = word | source.getrandbits(size) >> width << width
        beats += [filled >> start & 0xFFFF_FFFF for start in range(0, size, 32)]
    return closed(beats)


def closed(beats):
    """(data, last) of a packet."""
    return [(data, index == len(beats) - 1) for index, data in enumerate(beats)]


class Watch:
    """What a receiver did: ``events`` in order, the cycles in which beats were ``accepted``, those
    of events in ``cycles``, and ``idle`` and ``loading`` of each cycle."""

    def __init__(self, dut):
        self.dut = dut
        self.forget()

    def forget(self):
        self.events, self.cycles, self.accepted, self.idle, self.loading = [], [], [], [], []

    async def observe(self, ctx):
        dut = self.dut
        names = ("write", "address", "word", "write_ready", "start", "frames", "frame_done",
                 "failed", "status", "idle", "loading")
        ports = [getattr(dut, name) for name in names]
        async for _, _, took, *values in ctx.tick().sample(dut.i.valid & dut.i.ready, *ports):
            seen = dict(zip(names, values, strict=True))
            for destination, width in dut.widths.items():
                asked = seen["write"] >> destination & 1
                ready = seen["write_ready"] or destination not in (Destination.ACTIVATIONS,
                                                                   Destination.FRAME)
                if asked and ready:
                    self._happened(Write(destination, seen["address"],
                                         seen["word"] & ((1 << width) - 1)))
            if seen["start"]:
                self._happened(Start(seen["address"], seen["frames"]))
            if seen["frame_done"]:
                self._happened(FRAME_DONE)
            if seen["failed"]:
                self._happened(Failure(Status(seen["status"])))
            if took:
                self.accepted.append(len(self.idle))
            self.idle.append(seen["idle"])
            self.loading.append(seen["loading"])

    def _happened(self, event):
        self.events.append(event)
        self.cycles.append(len(self.idle))


def receive(beats, *, layers=(), gaps=None, layer_gaps=None, write_share=1, busy=0, seed=0,
            widths=None, cut_off=None, after=20):
    """Offer beats and RECEIVE instructions until so many cycles ``after`` the last beat that is
    accepted; return the :class:`Watch`.

    ``cut_off`` is how many beats come first, before a reset.
    """
    dut, reset = PacketReceiver(widths=widths or WIDTHS), Signal()
    watch = Watch(dut)
    source = random.Random(seed)
    begun, ended = [], []

    async def offer(ctx):
        ctx.set(dut.busy, busy)
        payloads = [Beat().const({"data": data, "last": int(last)}).as_bits()
                    for data, last in beats]
        if cut_off:
            for payload in payloads[:cut_off]:
                await put(ctx, bits(dut.i), payload)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await ctx.tick()
            watch.forget()
        begun.append(True)
        await insist(ctx, bits(dut.i), payloads, gaps)

    async def instruct(ctx):
        while not begun:
            await ctx.tick()
        payloads = [Instruction().const({"opcode": Opcode.RECEIVE, **layer}).as_bits()
                    for layer in layers]
        await insist(ctx, bits(dut.layers), payloads, layer_gaps)

    async def insist(ctx, port, payloads, gaps):
        """Send for as long as anybody looks."""
        for payload in payloads:
            for _ in range(next(gaps) if gaps else 0):
                await ctx.tick()
            ctx.set(port.payload, payload)
            ctx.set(port.valid, 1)
            accepted = False
            while not accepted and not ended:
                _, _, accepted = await ctx.tick().sample(port.ready)
            ctx.set(port.valid, 0)

    async def memory(ctx):
        while True:
            ctx.set(dut.write_ready, source.random() < write_share)
            await ctx.tick()

    async def clock(ctx):
        while not begun:
            await ctx.tick()
        while len(watch.idle) < (watch.accepted or [60])[-1] + after:
            await ctx.tick()
        ended.append(True)

    simulate(ResetInserter(reset)(dut), clock, offer, instruct,
             background=[memory, watch.observe])
    return watch


def transmit(channels, layers, words, *, gaps=None, word_gaps=None, layer_gaps=None):
    """Return beats (data, last) of a sender, the cycles of transfers by stream, and its ``idle``
    in each cycle; ``words`` are (codes, live)."""
    dut = WordSender(channels=channels)
    count = sum(layers) * -(-channels // 4)
    beats, idle, cycles = [], [], {"layers": [], "words": [], "o": []}

    async def instruct(ctx):
        payloads = [Instruction().const({"opcode": Opcode.SEND, "pixels": number - 1}).as_bits()
                    for number in layers]
        await send(ctx, bits(dut.layers), payloads, gaps=layer_gaps)

    async def offer(ctx):
        layout = FetchedWord(channels=channels)
        payloads = [layout.const({"codes": codes, "live": int(live)}).as_bits()
                    for codes, live in words]
        await send(ctx, bits(dut.words), payloads, gaps=word_gaps)

    async def take(ctx):
        while len(beats) < count:
            for _ in range(next(gaps) if gaps else 0):
                await ctx.tick()
            beat = await get(ctx, dut.o)
            beats.append((beat.data, beat.last))
        for _ in range(8):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()

    async def observe(ctx):
        ports = [getattr(getattr(dut, name), end) for name in cycles for end in ("valid", "ready")]
        async for _, _, now_idle, *values in ctx.tick().sample(dut.idle, *ports):
            for index, name in enumerate(cycles):
                if values[2 * index] and values[2 * index + 1]:
                    cycles[name].append(len(idle))
            idle.append(now_idle)

    simulate(dut, take, instruct, offer, background=[observe])
    return beats, cycles, idle
