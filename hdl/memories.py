"""Activation memory: words of channels, read whole, written whole or in parts."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import StreamedMemory
from .checks import check_range
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
    are those of :class:`hdl.blockmemory.StreamedMemory`.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word.
    lanes : :class:`int`, a divisor of ``channels``
        Codes that can be written alone.
    depth : :class:`int`, 2 to 65536
        Words.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    requests : ``In(stream.Signature(ReadRequest()))``
    words : ``Out(stream.Signature(FetchedWord(...)))``
    write_en, write : ``In``
        A write, and its :class:`ActivationWrite`.
    """

    LATENCY = StreamedMemory.LATENCY

    def __init__(self, *, channels, lanes, depth, family="portable"):
        check_range("Channels", channels, 1, 64)
        check_range("Lanes", lanes, 1, channels)
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        if channels % lanes:
            raise ValueError(f"Lanes must divide channels ({channels}), not {lanes}")
        self.channels = channels
        self.lanes = lanes
        self.depth = depth
        self.family = family
        super().__init__({
            "requests": In(stream.Signature(ReadRequest())),
            "words": Out(stream.Signature(FetchedWord(channels=channels))),
            "write_en": In(1),
            "write": In(ActivationWrite(channels=channels, lanes=lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        side = data.StructLayout({"inside": 1, "pad_code": OPERAND_WIDTH, "route": Route,
                                  "live": 1})
        m.submodules.storage = storage = StreamedMemory(
            width=self.channels * OPERAND_WIDTH, depth=self.depth, side=side,
            parts=self.channels // self.lanes, family=self.family)
        request, word = self.requests.payload, self.words.payload
        m.d.comb += [
            storage.write_en.eq(Mux(self.write_en, self.write.enable, 0)),
            storage.write_address.eq(self.write.address),
            storage.write_data.eq(self.write.codes),
            storage.i.valid.eq(self.requests.valid), self.requests.ready.eq(storage.i.ready),
            storage.i.p.address.eq(request.address),
            self.words.valid.eq(storage.o.valid), storage.o.ready.eq(self.words.ready),
        ]
        m.d.comb += [storage.i.p.side[name].eq(request[name]) for name in side.members]

        read = storage.o.p.side
        padding = read.pad_code.replicate(self.channels)
        m.d.comb += [
            word.route.eq(read.route), word.live.eq(read.live),
            Value.cast(word.codes).eq(Mux(read.inside, storage.o.p.word, padding)),
        ]
        return m
