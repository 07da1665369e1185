"""Memory in block RAM, with registers at its output; and the same between streams."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fifo import ReservedBuffer, StreamRegister, counted, following
from .vendormemory import block_memory

__all__ = ["BlockMemory", "Places", "SteadyMemory", "StoredWord", "StreamedMemory", "WordRequest"]


class BlockMemory(wiring.Component):
    """Memory with one port to write and one to read, whose data are registered twice: once in
    the block RAM as it is read, and once behind it, since block RAM is slow to give its data.

    A word that is read while it is written is undefined in silicon; whoever shares an address
    between the ports has to wait. So are words that have never been written.

    Parameters
    ----------
    width : :class:`int`, 1 to 1024
        Bits of a word.
    depth : :class:`int`, 2 to 65536
        Words.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.
    registered : :class:`bool`
        Whether two registers come first, since addresses and data may have far to go to many block
        RAMs, of which each bank has its own enable. Then ``read_en`` has to be high always.

    Members
    -------
    write_en, write_address, write_data : ``In``
        A write; its word can be read from the next cycle on.
    read_en : ``In(1)``
        Both registers take something new. While it is low nothing moves on.
    read_address : ``In``
    read_data : ``Out(width)``
        Word of the address of :attr:`latency` cycles ago, counting those of ``read_en``.
    """

    #: Without registers in front.
    LATENCY = 2
    #: Registers in front, if there are any.
    FRONT = 2

    def __init__(self, *, width, depth, family="portable", registered=False):
        check_range("Width", width, 1, 1024)
        check_range("Depth", depth, 2, 65536)
        self.width = width
        self.depth = depth
        self.family = family
        self.registered = registered
        self.latency = self.LATENCY + (self.FRONT if registered else 0)
        super().__init__({
            "write_en": In(1),
            "write_address": In(range(depth)),
            "write_data": In(width),
            "read_en": In(1),
            "read_address": In(range(depth)),
            "read_data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        block_memory(m, platform, self.family, self)
        return m


class WordRequest(data.StructLayout):
    """Address of a word, and what is to come out beside it."""

    def __init__(self, *, depth, side):
        super().__init__({"address": range(depth), "side": side})


class StoredWord(data.StructLayout):
    """A word, and what was asked for beside it."""

    def __init__(self, *, width, side):
        super().__init__({"word": width, "side": side})


def _check_sizes(width, depth, parts):
    check_range("Width", width, 1, 1024)
    check_range("Depth", depth, 2, 65536)
    check_range("Parts", parts, 1, width)
    if width % parts:
        raise ValueError(f"Parts must divide width ({width}), not {parts}")


class SteadyMemory(wiring.Component):
    """Block memory for a request a cycle, in which nothing ever waits; written in whole words or
    parts. A write can be read from :attr:`WRITING` cycles after it on.

    Parameters
    ----------
    width, depth, family
        As of :class:`BlockMemory`.
    parts : :class:`int`, a divisor of ``width``
        Parts of a word that can be written alone.
    side : shape-castable
        What goes through beside the words.

    Members
    -------
    write_en : ``In(parts)``
        For each part, whether it is written; the lowest bits of the word are the first.
    write_address, write_data : ``In``
    request_en, request : ``In``
        A request, and its :class:`WordRequest`.
    word_en, word : ``Out``
        A word, :attr:`LATENCY` cycles after its request, and its :class:`StoredWord`.
    """

    #: The memory, with registers in front, and a register for the word.
    LATENCY = BlockMemory.FRONT + BlockMemory.LATENCY + 1
    WRITING = 1

    def __init__(self, *, width, depth, side, parts=1, family="portable"):
        _check_sizes(width, depth, parts)
        self.width = width
        self.depth = depth
        self.parts = parts
        self.side = side
        self.family = family
        super().__init__({
            "write_en": In(parts),
            "write_address": In(range(depth)),
            "write_data": In(width),
            "request_en": In(1),
            "request": In(WordRequest(depth=depth, side=side)),
            "word_en": Out(1),
            "word": Out(StoredWord(width=width, side=side)),
        })

    def elaborate(self, platform):
        m = Module()
        part_width = self.width // self.parts
        # Block RAMs may lie all over the device: so registers come first, and one behind, once it
        # is known which of them gives the word.
        word = Signal(self.width, reset_less=True)
        for part in range(self.parts):
            m.submodules[f"part{part}"] = storage = BlockMemory(
                width=part_width, depth=self.depth, family=self.family, registered=True)
            m.d.comb += [
                storage.write_en.eq(self.write_en[part]),
                storage.write_address.eq(self.write_address),
                storage.write_data.eq(self.write_data.word_select(part, part_width)),
                storage.read_en.eq(1), storage.read_address.eq(self.request.address),
            ]
            m.d.sync += word.word_select(part, part_width).eq(storage.read_data)

        valid, side = self.request_en, Value.cast(self.request.side)
        for stage in range(self.LATENCY):
            valid_next = Signal(name=f"valid{stage}")
            side_next = Signal(len(side), name=f"side{stage}", reset_less=True)
            m.d.sync += [valid_next.eq(valid), side_next.eq(side)]
            valid, side = valid_next, side_next
        m.d.comb += [self.word_en.eq(valid), self.word.word.eq(word),
                     Value.cast(self.word.side).eq(side)]
        return m


class Places(wiring.Component):
    """Counts the places of buffers behind something in which nothing can wait: who puts something
    in has to claim a place first.

    Parameters
    ----------
    count : :class:`int`, 2 to 255
        Places.
    exits : :class:`int`
        From where places come back.

    Members
    -------
    claim : ``In(1)``
        A place is claimed.
    left : ``In(exits)``
        At each exit, whether a place is left. It can be claimed three cycles later.
    free, free_next : ``Out(1)``
        A place can be claimed, in this cycle and, known from the one before, in the next one.
    soon : ``Out(1)``
        A place can be claimed in the next cycle, even if one is in this; and that is a register,
        so there may be one although this says no.
    """

    def __init__(self, count, *, exits=1):
        self.count = count
        super().__init__({"claim": In(1), "left": In(exits), "free": Out(1, init=1),
                          "free_next": Out(1), "soon": Out(1)})

    def elaborate(self, platform):
        m = Module()
        room = Signal(range(self.count + 1), init=self.count)
        returned = Signal(range(len(self.left) + 1))
        # One of two neighbours is chosen faster than a sum is made.
        after = (counted(room, returned, self.claim) if len(self.left) == 1
                 else room + (returned - self.claim))
        m.d.sync += [returned.eq(sum(self.left)), room.eq(after),
                     self.free.eq(self.free_next),
                     self.soon.eq((room > 2) | ((room == 2) & ~self.claim))]
        m.d.comb += self.free_next.eq((room > 1) | ((room == 1) & ~self.claim))
        return m


class StreamedMemory(wiring.Component):
    """:class:`SteadyMemory` between streams.

    A request is taken if there is room for its word in a buffer behind the memory: so what takes
    the words need not reach the memory's many enables. A request a cycle can be taken, if the
    words are.

    Parameters
    ----------
    width, depth, side, parts, family
        As of :class:`SteadyMemory`.
    wide : sequence of :class:`str`
        Fields of ``side`` that come out of LUT RAM, as the word does. All else is in a register,
        since it decides what becomes of the word.

    Members
    -------
    write_en, write_address, write_data : ``In``
        As of :class:`SteadyMemory`.
    i : ``In(stream.Signature(WordRequest(...)))``
    o : ``Out(stream.Signature(StoredWord(...)))``
        The first word is offered :attr:`LATENCY` cycles after its request was taken.
    i_ready_next : ``Out(1)``
        What ``i.ready`` will be in the next cycle.
    """

    LATENCY = SteadyMemory.LATENCY + ReservedBuffer.latency("portable") + 1
    WRITING = SteadyMemory.WRITING
    #: Words that the buffer holds: what a LUT RAM of 16 words can; more than come and go meanwhile.
    ROOM = 16

    def __init__(self, *, width, depth, side, parts=1, family="portable", wide=()):
        _check_sizes(width, depth, parts)
        self.width = width
        self.depth = depth
        self.parts = parts
        self.side = side
        self.wide = wide
        self.family = family
        super().__init__({
            "write_en": In(parts),
            "write_address": In(range(depth)),
            "write_data": In(width),
            "i": In(stream.Signature(WordRequest(depth=depth, side=side))),
            "o": Out(stream.Signature(StoredWord(width=width, side=side))),
            "i_ready_next": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = SteadyMemory(
            width=self.width, depth=self.depth, side=self.side, parts=self.parts,
            family=self.family)
        # Of the two that are filled together, only the buffer of what decides is counted.
        kept, told = self._divided(storage.word.side)
        m.submodules.beside = beside = ReservedBuffer(len(told), depth=self.ROOM)
        m.submodules.first = first = StreamRegister(len(told))
        m.submodules.places = places = Places(self.ROOM)
        wiring.connect(m, beside.o, first.i)
        taken = first.o.valid & self.o.ready
        word = self._ring(m, storage.word_en, Cat(storage.word.word, kept), taken)
        m.d.comb += [
            storage.write_en.eq(self.write_en), storage.write_address.eq(self.write_address),
            storage.write_data.eq(self.write_data),
            self.i_ready_next.eq(places.free_next), self.i.ready.eq(places.free),
            places.claim.eq(self.i.valid & places.free), places.left.eq(taken),
            storage.request_en.eq(places.claim), storage.request.eq(self.i.payload),
            beside.i.valid.eq(storage.word_en), beside.i.payload.eq(told),
            self.o.valid.eq(first.o.valid), first.o.ready.eq(self.o.ready),
            self.o.p.word.eq(word[:self.width]),
            Cat(self._divided(self.o.p.side)).eq(Cat(word[self.width:], first.o.payload)),
        ]
        return m

    def _ring(self, m, comes, word, taken):
        """Keep each ``word`` that comes until it is ``taken``; return the oldest."""
        m.submodules.buffer = buffer = memory.Memory(shape=len(word), depth=self.ROOM, init=[])
        write, read = buffer.write_port(), buffer.read_port(domain="comb")
        m.d.comb += [write.en.eq(comes), write.data.eq(word)]
        for port, step in ((write, comes), (read, taken)):
            with m.If(step):
                m.d.sync += port.addr.eq(following(port.addr, self.ROOM))
        return read.data

    def _divided(self, side):
        """Return the fields of ``side`` that are in LUT RAM, and the others."""
        if not self.wide:
            return Cat(), Value.cast(side)
        return [Cat(side[name] for name in self.side.members if (name in self.wide) == wide)
                for wide in (True, False)]
