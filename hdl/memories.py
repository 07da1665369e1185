"""Activation memory: words of channels, read whole, written whole or in parts."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH
from .layouts import OPERAND_WIDTH
from .reader import ReadRequest, Route

__all__ = ["ActivationMemory", "ActivationWrite", "FetchedWord", "block_memory"]


def block_memory(*, width, depth):
    """Return a memory that becomes block RAM with one read and one write port.

    A word that is read while it is written is undefined in silicon; whoever shares an address
    between the ports has to wait. In return synthesis adds no logic for that case.
    """
    return memory.Memory(shape=width, depth=depth, init=[],
                         attrs={"ram_style": "block", "no_rw_check": 1})


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

    Padding comes as words of the layer's padding code. The word leaves two cycles after its
    request was accepted.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word.
    lanes : :class:`int`, a divisor of ``channels``
        Codes that can be written alone.
    depth : :class:`int`, 2 to 65536
        Words.

    Members
    -------
    requests : ``In(stream.Signature(ReadRequest()))``
    words : ``Out(stream.Signature(FetchedWord(...)))``
    write_en, write : ``In``
        A write, and its :class:`ActivationWrite`.
    """

    def __init__(self, *, channels, lanes, depth):
        check_range("Channels", channels, 1, 64)
        check_range("Lanes", lanes, 1, channels)
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        if channels % lanes:
            raise ValueError(f"Lanes must divide channels ({channels}), not {lanes}")
        self.channels = channels
        self.lanes = lanes
        self.depth = depth
        super().__init__({
            "requests": In(stream.Signature(ReadRequest())),
            "words": Out(stream.Signature(FetchedWord(channels=channels))),
            "write_en": In(1),
            "write": In(ActivationWrite(channels=channels, lanes=lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        advance = ~self.words.valid | self.words.ready
        m.d.comb += self.requests.ready.eq(advance)

        # Stage 1: read. One memory for each part that can be written alone.
        part_width = self.lanes * OPERAND_WIDTH
        codes = []
        for part in range(self.channels // self.lanes):
            m.submodules[f"part{part}"] = storage = block_memory(width=part_width,
                                                                 depth=self.depth)
            write, read = storage.write_port(), storage.read_port()
            m.d.comb += [
                write.addr.eq(self.write.address),
                write.data.eq(Value.cast(self.write.codes).word_select(part, part_width)),
                write.en.eq(self.write_en & self.write.enable[part]),
                read.addr.eq(self.requests.p.address),
                read.en.eq(advance),
            ]
            codes.append(read.data)
        valid = Signal()
        request = Signal(ReadRequest())
        # Stage 2: padding. Block RAM is slow to give its data, so they are registered at once.
        word = self.words.payload
        padding = request.pad_code.replicate(self.channels)
        with m.If(advance):
            m.d.sync += [
                valid.eq(self.requests.valid), request.eq(self.requests.payload),
                self.words.valid.eq(valid),
                word.route.eq(request.route), word.live.eq(request.live),
                Value.cast(word.codes).eq(Mux(request.inside, Cat(codes), padding)),
            ]
        return m
