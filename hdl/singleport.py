"""Memory that reads or writes one word a cycle; and one whose words wait where they were read."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import StoredWord, WordRequest
from .checks import check_range
from .config import LARGE
from .vendormemory import single_port_memory

__all__ = ["HeldMemory", "SinglePortMemory"]


class SinglePortMemory(wiring.Component):
    """Memory with one port. Words that have never been written are undefined in silicon.

    Parameters
    ----------
    width : :class:`int`, 1 to 1024
        Bits of a word.
    depth : :class:`int`, 2 to 65536
        Words.
    parts : :class:`int`, a divisor of ``width``
        Parts of a word that can be written alone.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    en : ``In(1)``
        Something is done in this cycle.
    write : ``In(parts)``
        For each part, whether it is written; a cycle in which none is reads.
    address, write_data : ``In``
    read_data : ``Out(width)``
        What was read, :attr:`LATENCY` cycle later and until the next ``en``.
    """

    LATENCY = 1

    def __init__(self, *, width, depth, parts=1, family="portable"):
        check_range("Width", width, 1, 1024)
        check_range("Depth", depth, 2, 65536)
        check_range("Parts", parts, 1, width)
        if width % parts:
            raise ValueError(f"Parts must divide width ({width}), not {parts}")
        self.width = width
        self.depth = depth
        self.parts = parts
        self.family = family
        super().__init__({
            "en": In(1),
            "write": In(parts),
            "address": In(range(depth)),
            "write_data": In(width),
            "read_data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        single_port_memory(m, platform, self.family, self)
        return m


class HeldMemory(wiring.Component):
    """Memory of an iCE40 that is read by a stream of addresses and holds the word that waits.

    For memories that are filled while nobody reads them. What takes the words reaches the enable of
    the memory in the same cycle, which is no great way in a small device, and there is no buffer.

    Parameters and members are those of :class:`hdl.blockmemory.StreamedMemory`, but that a part
    has :attr:`PART` bits and the last one what is left. Only memories in block RAM have parts. No
    word may wait, or be asked for, while another one is written. A request a cycle can be taken,
    if the words are; the first word is offered :attr:`LATENCY` cycle after its request was taken.
    """

    PART = 32

    LATENCY = 1

    def __init__(self, *, width, depth, side, parts=1, family="ice40"):
        check_range("Width", width, 1, 1024)
        check_range("Depth", depth, 2, 65536)
        if parts not in (1, -(-width // self.PART)) or (parts > 1 and depth > LARGE):
            raise ValueError(f"Parts must be 1, or as many as there are {self.PART} bits in block "
                             f"RAM, not {parts}")
        self.parts = parts
        self.width = width
        self.depth = depth
        self.side = side
        self.family = family
        super().__init__({
            "write_en": In(parts),
            "write_address": In(range(depth)),
            "write_data": In(width),
            "i": In(stream.Signature(WordRequest(depth=depth, side=side))),
            "o": Out(stream.Signature(StoredWord(width=width, side=side))),
        })

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        side = Signal(Shape.cast(self.side), reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            taken.eq(self.i.valid & self.i.ready),
            Value.cast(self.o.p.side).eq(side),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(taken):
            m.d.sync += side.eq(Value.cast(self.i.p.side))
        if self.depth > LARGE:
            m.submodules.storage = storage = SinglePortMemory(
                width=self.width, depth=self.depth, family=self.family)
            m.d.comb += [
                storage.en.eq(self.write_en | taken), storage.write.eq(self.write_en),
                storage.address.eq(Mux(self.write_en, self.write_address, self.i.p.address)),
                storage.write_data.eq(self.write_data), self.o.p.word.eq(storage.read_data),
            ]
            return m
        for part in range(self.parts):
            bits = slice(None) if self.parts == 1 else slice(self.PART * part,
                                                             self.PART * (part + 1))
            m.submodules[f"part{part}"] = storage = memory.Memory(
                shape=len(self.write_data[bits]), depth=self.depth, init=[],
                attrs={"ram_style": "block", "no_rw_check": 1})
            write, read = storage.write_port(), storage.read_port()
            m.d.comb += [
                write.addr.eq(self.write_address), write.data.eq(self.write_data[bits]),
                write.en.eq(self.write_en[part]), read.addr.eq(self.i.p.address),
                read.en.eq(taken), self.o.p.word[bits].eq(read.data),
            ]
        return m
