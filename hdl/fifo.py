"""Stream buffers."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["ReadyRegister", "StreamBuffer"]


class StreamBuffer(wiring.Component):
    """First-in first-out buffer that tells how much it holds.

    ``o.payload`` does not change while ``o.valid`` and not ``o.ready``. A payload appears two
    cycles after it went into an empty buffer. Once ``o.valid``, ``level`` payloads can be taken
    in as many cycles.

    Parameters
    ----------
    shape : shape-castable
        Payload.
    depth : :class:`int`, 2 to 65536
        Payloads that it can hold.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    level : ``Out(range(depth + 1))``
        Payloads in the buffer.
    """

    def __init__(self, shape, *, depth):
        check_range("Depth", depth, 2, 65536)
        self.shape = shape
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = buffer = fifo.SyncFIFOBuffered(
            width=Shape.cast(self.shape).width, depth=self.depth)
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
            Value.cast(self.o.payload).eq(buffer.r_data),
            self.o.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(self.o.ready),
            self.level.eq(buffer.level),
        ]
        return m


class ReadyRegister(wiring.Component):
    """Passes a stream on in the same cycle, but gives ``i.ready`` from a register.

    What is refused at ``o`` while ``i`` has been promised to be taken is kept here.

    Parameters
    ----------
    shape : shape-castable
        Payload.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        kept = Signal(self.shape, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full | self.i.valid),
            Value.cast(self.o.payload).eq(Mux(full, Value.cast(kept),
                                              Value.cast(self.i.payload))),
        ]
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        with m.If(~full):
            m.d.sync += Value.cast(kept).eq(Value.cast(self.i.payload))
        return m
