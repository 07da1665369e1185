"""Activation memory: words of channels, read whole, written whole or in parts."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import Places, SteadyMemory
from .checks import check_range
from .fifo import ReservedBuffer
from .isa import ADDRESS_WIDTH, Instruction
from .layouts import OPERAND_WIDTH
from .reader import ReadRequest, Route
from .singleport import SinglePortMemory

__all__ = ["ActivationMemory", "ActivationWrite", "FetchedWord"]


class ActivationWrite(data.StructLayout):
    """A write of some parts of a word, each of ``lanes`` codes."""

    def __init__(self, *, channels, lanes, instruction=None):
        super().__init__({
            "address": (instruction or Instruction()).address_width,
            "enable": channels // lanes,
            "codes": data.ArrayLayout(OPERAND_WIDTH, channels),
        })


class FetchedWord(data.StructLayout):
    """An activation word, where it goes, and whether a pixel that exists needs it."""

    def __init__(self, *, channels):
        super().__init__({
            "codes": data.ArrayLayout(OPERAND_WIDTH, channels),
            "route": Route,
            "live": 1,
        })


class ActivationMemory(wiring.Component):
    """Serves read requests, in order, and takes one write a cycle.

    Padding comes as words of the layer's padding code. What a read has to wait for after a write
    is that of :class:`hdl.blockmemory.SteadyMemory`. Words wait in a buffer for each route, so who
    takes them has no other's in the way; together they have :attr:`ROOM` places. Whoever asks for
    a word claims its place before, and then need not wait. For a request a cycle, a place must not
    be claimed more than four cycles before its request comes. :meth:`latency` is how long it takes.

    On iCE40, memory is SPRAM, which either reads or writes: requests wait while there is a write.
    There one buffer serves all routes, and a word waits until those before it have been taken.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word.
    lanes : :class:`int`, a divisor of ``channels``
        Codes that can be written alone.
    depth : :class:`int`, 2 to 65536
        Words.
    routes : sequence of :class:`hdl.reader.Route`
        Those that lead somewhere.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`. On iCE40 it is in SPRAM, which has one port.
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

    Members
    -------
    claim : ``In(1)``
        A place for a word is claimed, which the cycle before has allowed.
    credit : ``Out(1)``
        A place can be claimed in the next cycle.
    requests : ``In(stream.Signature(ReadRequest()))``
        Always ready, or on iCE40 while there is no write.
    words : ``Out(stream.Signature(FetchedWord(...)))``, one for each :class:`hdl.reader.Route`
    write_en, write : ``In``
        A write, and its :class:`ActivationWrite`.
    writing : ``In(1)``
        There is a write, or it has to be reckoned with: no request is taken on iCE40.
    """

    #: What a LUT RAM of 16 words can hold.
    ROOM = 16

    def __init__(self, *, channels, lanes, depth, routes=tuple(Route), family="portable",
                 instruction=None):
        check_range("Channels", channels, 1, 64)
        check_range("Lanes", lanes, 1, channels)
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        if channels % lanes:
            raise ValueError(f"Lanes must divide channels ({channels}), not {lanes}")
        self.channels = channels
        self.lanes = lanes
        self.depth = depth
        self.routes = tuple(routes)
        self.family = family
        super().__init__({
            "claim": In(1),
            "credit": Out(1),
            "requests": In(stream.Signature(ReadRequest(instruction))),
            "words": Out(stream.Signature(FetchedWord(channels=channels))).array(len(Route)),
            "write_en": In(1),
            "writing": In(1),
            "write": In(ActivationWrite(channels=channels, lanes=lanes,
                                        instruction=instruction)),
        })

    @staticmethod
    def latency(family):
        """Return the cycles from a request that is taken to its word being offered."""
        return (ReservedBuffer.latency(family)
                + (SinglePortMemory.LATENCY if family == "ice40" else SteadyMemory.LATENCY + 1))

    def elaborate(self, platform):
        m = Module()
        side = data.StructLayout({"inside": 1, "pad_code": OPERAND_WIDTH, "route": Route,
                                  "live": 1})
        fetched_en, stored, read = (
            self._single_port(m, side) if self.family == "ice40" else self._two_ports(m, side))
        # In SPRAM words are few, and one buffer serves all.
        groups = [self.routes] if self.family == "ice40" else [[route] for route in self.routes]
        m.submodules.places = places = Places(self.ROOM, exits=len(groups))
        m.d.comb += [self.credit.eq(places.soon), places.claim.eq(self.claim)]

        padding = read.pad_code.replicate(self.channels)
        word = Signal(FetchedWord(channels=self.channels), reset_less=True)
        comes = Signal(len(groups))
        # On their way to buffers that may be far from here, but in a small device.
        late = m.d.comb if self.family == "ice40" else m.d.sync
        late += [
            word.route.eq(read.route), word.live.eq(read.live),
            Value.cast(word.codes).eq(Mux(read.inside, stored, padding)),
            comes.eq(Cat(fetched_en & Cat(read.route == route for route in routes).any()
                         for routes in groups)),
        ]
        for index, routes in enumerate(groups):
            m.submodules[routes[0].name.lower()] = buffer = ReservedBuffer(
                word.shape(), depth=self.ROOM, family=self.family)
            m.d.comb += [
                buffer.i.payload.eq(word),
                buffer.i.valid.eq(comes[index]),
                places.left[index].eq(buffer.o.valid & buffer.o.ready),
            ]
            if len(routes) == 1:
                wiring.connect(m, buffer.o, wiring.flipped(self.words[routes[0]]))
            else:
                self._share(m, buffer, routes)
        return m

    def _share(self, m, buffer, routes):
        """Give the words of one buffer to whom each is for."""
        for route in routes:
            port, here = self.words[route], Signal(name=f"to_{route.name.lower()}")
            m.d.comb += [here.eq(buffer.o.p.route == route), port.payload.eq(buffer.o.payload),
                         port.valid.eq(buffer.o.valid & here)]
            with m.If(here):
                m.d.comb += buffer.o.ready.eq(port.ready)

    def _two_ports(self, m, side):
        """Return, of a word that has been read, whether there is one, it, and its ``side``."""
        m.submodules.storage = storage = SteadyMemory(
            width=self.channels * OPERAND_WIDTH, depth=self.depth, side=side,
            parts=self.channels // self.lanes, family=self.family)
        request = self.requests.payload
        m.d.comb += [
            storage.write_en.eq(Mux(self.write_en, self.write.enable, 0)),
            storage.write_address.eq(self.write.address),
            storage.write_data.eq(self.write.codes),
            self.requests.ready.eq(1), storage.request_en.eq(self.requests.valid),
            storage.request.address.eq(request.address),
            *(storage.request.side[name].eq(request[name]) for name in side.members),
        ]
        return storage.word_en, storage.word.word, storage.word.side

    def _single_port(self, m, side):
        """The same, where a request has to wait while there is a write."""
        m.submodules.storage = storage = SinglePortMemory(
            width=self.channels * OPERAND_WIDTH, depth=self.depth,
            parts=self.channels // self.lanes, family=self.family)
        request = self.requests.payload
        read, fetched = Signal(side, reset_less=True), Signal()
        m.d.comb += [
            self.requests.ready.eq(~self.writing),
            storage.en.eq(self.write_en | self.requests.valid),
            storage.write.eq(Mux(self.write_en, self.write.enable, 0)),
            storage.address.eq(Mux(self.write_en, self.write.address, request.address)),
            storage.write_data.eq(self.write.codes),
        ]
        m.d.sync += [fetched.eq(self.requests.valid & ~self.writing),
                     *(read[name].eq(request[name]) for name in side.members)]
        return fetched, storage.read_data, read
