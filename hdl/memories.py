"""Activation memory: words of channels, read whole, written whole or in parts."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import Places, SteadyMemory, StreamedMemory
from .checks import check_range
from .fifo import StreamBuffer
from .isa import ADDRESS_WIDTH
from .layouts import OPERAND_WIDTH
from .reader import ReadRequest, Route

__all__ = ["ActivationMemory", "ActivationWrite", "FetchedWord"]


class ActivationWrite(data.StructLayout):
    """A write of some parts of a word, each of ``lanes`` codes."""

    def __init__(self, *, channels, lanes):
        super().__init__({
            "address": ADDRESS_WIDTH,
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

    Padding comes as words of the layer's padding code. Latency and what a write has to wait for
    are those of :class:`hdl.blockmemory.StreamedMemory`. Words wait in a buffer for each route, so
    who takes them has no other's in the way; together they have :attr:`ROOM` places. Whoever asks
    for a word claims its place before, and then need not wait. For a request a cycle, a place must
    not be claimed more than eight cycles before its request comes.

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
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    claim : ``In(1)``
        A place for a word is claimed, which the cycle before has allowed.
    credit : ``Out(1)``
        A place can be claimed in the next cycle.
    requests : ``In(stream.Signature(ReadRequest()))``
        Always ready.
    words : ``Out(stream.Signature(FetchedWord(...)))``, one for each :class:`hdl.reader.Route`
    write_en, write : ``In``
        A write, and its :class:`ActivationWrite`.
    """

    LATENCY = StreamedMemory.LATENCY
    ROOM = StreamedMemory.ROOM

    def __init__(self, *, channels, lanes, depth, routes=tuple(Route), family="portable"):
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
            "requests": In(stream.Signature(ReadRequest())),
            "words": Out(stream.Signature(FetchedWord(channels=channels))).array(len(Route)),
            "write_en": In(1),
            "write": In(ActivationWrite(channels=channels, lanes=lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        side = data.StructLayout({"inside": 1, "pad_code": OPERAND_WIDTH, "route": Route,
                                  "live": 1})
        m.submodules.storage = storage = SteadyMemory(
            width=self.channels * OPERAND_WIDTH, depth=self.depth, side=side,
            parts=self.channels // self.lanes, family=self.family)
        m.submodules.places = places = Places(self.ROOM, exits=len(self.routes))
        request = self.requests.payload
        m.d.comb += [
            storage.write_en.eq(Mux(self.write_en, self.write.enable, 0)),
            storage.write_address.eq(self.write.address),
            storage.write_data.eq(self.write.codes),
            self.credit.eq(places.free_next), places.claim.eq(self.claim),
            self.requests.ready.eq(1), storage.request_en.eq(self.requests.valid),
            storage.request.address.eq(request.address),
        ]
        m.d.comb += [storage.request.side[name].eq(request[name]) for name in side.members]

        read = storage.word.side
        padding = read.pad_code.replicate(self.channels)
        word = Signal(FetchedWord(channels=self.channels))
        m.d.comb += [
            word.route.eq(read.route), word.live.eq(read.live),
            Value.cast(word.codes).eq(Mux(read.inside, storage.word.word, padding)),
        ]
        for index, route in enumerate(self.routes):
            m.submodules[route.name.lower()] = buffer = StreamBuffer(word.shape(), depth=self.ROOM)
            port = self.words[route]
            wiring.connect(m, buffer.o, wiring.flipped(port))
            m.d.comb += [
                buffer.i.payload.eq(word),
                buffer.i.valid.eq(storage.word_en & (read.route == route)),
                places.left[index].eq(port.valid & port.ready),
            ]
        return m
