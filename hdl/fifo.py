"""Stream buffers."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["ReservedBuffer", "StreamBuffer", "StreamRegister", "counted", "counted_within",
           "following"]


def counted(count, up, down):
    """Return ``count`` with one more if ``up``, and one less if ``down``.

    Both neighbours are there before it is known which is wanted, so those two may come late.
    """
    return Mux(up & ~down, count + 1, Mux(down & ~up, count - 1, count))


def counted_within(count, up, down, most):
    """Return whether :func:`counted` is at most ``most``, as soon after ``up`` and ``down``."""
    return Mux(up & ~down, count <= most - 1, Mux(down & ~up, count <= most + 1, count <= most))


def following(place, places):
    """Return the place after ``place`` of so many, after the last of which comes the first."""
    if places == 1 << len(place):
        return (place + 1)[:len(place)]
    return Mux(place == places - 1, 0, place + 1)


class StreamBuffer(wiring.Component):
    """First-in first-out buffer that tells how much it holds.

    ``o.payload`` does not change while ``o.valid`` and not ``o.ready``. A payload appears
    :attr:`LATENCY` cycles after it went into an empty buffer. Once ``o.valid``, ``level`` payloads
    can be taken in as many cycles.

    Parameters
    ----------
    shape : shape-castable
        Payload.
    depth : :class:`int`, 2 to 65536
        Payloads that it can hold.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`. On iCE40, which has no LUT RAM, payloads are in block
        RAM, whose own register is the output.
    reserved : :class:`bool`
        Whether whoever fills it keeps count and never offers more than it can hold. Then nothing
        has to be decided when a payload comes, and ``i.ready`` is always high.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    level : ``Out(range(depth + 1))``
        Payloads in the buffer.
    """

    LATENCY = 2

    def __init__(self, shape, *, depth, family="portable", reserved=False):
        check_range("Depth", depth, 2, 65536)
        self.reserved = reserved
        self.shape = shape
        self.depth = depth
        self.family = family
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })
        # Of the memory in front of the register at the output: the next place to be written and to
        # be read, whether anything is in it, and whether there is room. Here, not below, since
        # proofs refer to them.
        self.written, self.read = Signal(range(depth - 1)), Signal(range(depth - 1))
        self.some = Signal()
        self.free = Signal(init=1)

    def elaborate(self, platform):
        m = Module()
        places = self.depth - 1
        in_block = self.family == "ice40"
        m.submodules.storage = storage = memory.Memory(
            shape=Shape.cast(self.shape).width, depth=places, init=[],
            attrs={"ram_style": "block", "no_rw_check": 1} if in_block else {})
        write = storage.write_port()
        read = storage.read_port(domain="sync" if in_block else "comb")
        payload = Signal(Shape.cast(self.shape).width, reset_less=True)
        some, free = self.some, self.free
        written_after, read_after = (following(place, places)
                                     for place in (self.written, self.read))
        push, pop, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(1 if self.reserved else free),
            push.eq(self.i.valid & self.i.ready),
            taken.eq(self.o.valid & self.o.ready),
            pop.eq(some & (~self.o.valid | self.o.ready)),
            write.addr.eq(self.written), write.data.eq(self.i.payload), write.en.eq(push),
            read.addr.eq(self.read), Value.cast(self.o.payload).eq(payload),
        ]
        # Registers, since both ends hang on them. No word is read while it is written.
        m.d.sync += [
            some.eq(push | (some & ~(pop & (read_after == self.written)))),
            free.eq(pop | (free & ~(push & (written_after == self.read)))),
            self.level.eq(counted(self.level, push, taken)),
        ]
        with m.If(push):
            m.d.sync += self.written.eq(written_after)
        with m.If(pop):
            m.d.sync += self.read.eq(read_after)
        if in_block:
            m.d.comb += [read.en.eq(pop), payload.eq(read.data)]
        with m.If(pop):
            m.d.sync += self.o.valid.eq(1)
            if not in_block:
                m.d.sync += payload.eq(read.data)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class ReservedBuffer(wiring.Component):
    """First-in first-out buffer for whoever keeps count and never offers more than it can hold.

    Nothing has to be decided when a payload comes, and none is moved once it is there: it stays in
    LUT RAM until it is taken, so no enable has to reach all its bits. It comes out a little later
    than from a register, and is to go into one.

    Parameters
    ----------
    shape, depth, family
        As of :class:`StreamBuffer`, which it is on iCE40.

    Members
    -------
    i, o, level
        As of :class:`StreamBuffer`; ``i.ready`` is always high. A payload appears
        :meth:`latency` cycles after it went into an empty buffer.
    """

    def __init__(self, shape, *, depth, family="portable"):
        check_range("Depth", depth, 2, 65536)
        self.shape = shape
        self.depth = depth
        self.family = family
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })
        # Places of the next payload to come and the next to go. Here, since proofs refer to them.
        self.written = Signal(range(depth))
        self.read = Signal(range(depth))

    @staticmethod
    def latency(family):
        """Return that of a buffer on a device of ``family``."""
        return StreamBuffer.LATENCY if family == "ice40" else 1

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        m.d.comb += taken.eq(self.o.valid & self.o.ready)
        m.d.sync += self.level.eq(counted(self.level, self.i.valid, taken))
        if self.family == "ice40":
            # Of one more, so that its memory has as many places.
            m.submodules.buffer = buffer = StreamBuffer(
                self.shape, depth=self.depth + 1, family=self.family, reserved=True)
            wiring.connect(m, wiring.flipped(self.i), buffer.i)
            wiring.connect(m, buffer.o, wiring.flipped(self.o))
            return m
        m.submodules.storage = storage = memory.Memory(
            shape=Shape.cast(self.shape).width, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        m.d.comb += [
            self.i.ready.eq(1), write.en.eq(self.i.valid), write.data.eq(self.i.payload),
            Value.cast(self.o.payload).eq(read.data),
            write.addr.eq(self.written), read.addr.eq(self.read),
        ]
        m.d.sync += self.o.valid.eq(
            self.i.valid | (self.o.valid & ~(taken & (self.level == 1))))
        for place, step in ((self.written, self.i.valid), (self.read, taken)):
            with m.If(step):
                m.d.sync += place.eq(following(place, self.depth))
        return m


class StreamRegister(wiring.Component):
    """Cuts every path through a stream.

    A payload appears one cycle after it went in, and one a cycle goes through. ``o.payload`` does
    not change while ``o.valid`` and not ``o.ready``.

    Parameters
    ----------
    shape : shape-castable
        Payload.
    wide : sequence of :class:`str`
        Fields of a payload that are in LUT RAM, a place of which is written in each cycle, in place
        of registers whose enable would have to reach all bits. They come out a little later.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    #: In LUT RAM: the two that there can be, and one that is free to be written.
    _PLACES = 4

    def __init__(self, shape, *, wide=()):
        self.shape = shape
        self.wide = wide
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform):
        m = Module()
        # Whether one waits behind the output.
        waiting, waiting_next, ready = Signal(), Signal(), Signal(init=1)
        moves = Signal()
        m.d.comb += [
            self.i.ready.eq(ready), moves.eq(~self.o.valid | self.o.ready),
            waiting_next.eq(~moves & (waiting | self.i.valid)),
        ]
        m.d.sync += [waiting.eq(waiting_next), ready.eq(~waiting_next)]
        with m.If(moves):
            m.d.sync += self.o.valid.eq(waiting | self.i.valid)
        if not self.wide:
            self._registers(m, "payload", self.i.payload, self.o.payload, moves, waiting, ready)
            return m
        for name, _ in self.shape:
            i, o = self.i.payload[name], self.o.payload[name]
            if name in self.wide:
                self._places(m, name, i, o)
            else:
                self._registers(m, name, i, o, moves, waiting, ready)
        return m

    def _registers(self, m, name, i, o, moves, waiting, ready):
        value = Value.cast(i)
        spare = Signal(len(value), name=f"spare_{name}", reset_less=True)
        payload = Signal(len(value), name=name, reset_less=True)
        m.d.comb += Value.cast(o).eq(payload)
        with m.If(moves):
            m.d.sync += payload.eq(Mux(waiting, spare, value))
        # Were it by `waiting` too, Yosys would have both registers behind one table, which can be
        # beside one of them only.
        with m.If(ready):
            m.d.sync += spare.eq(value)

    def _places(self, m, name, i, o):
        m.submodules[name] = places = memory.Memory(
            shape=len(Value.cast(i)), depth=self._PLACES, init=[])
        write, read = places.write_port(), places.read_port(domain="comb")
        m.d.comb += [write.en.eq(1), write.data.eq(i), Value.cast(o).eq(read.data)]
        m.d.sync += [write.addr.eq(write.addr + (self.i.valid & self.i.ready)),
                     read.addr.eq(read.addr + (self.o.valid & self.o.ready))]
