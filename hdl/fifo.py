"""Stream buffers."""

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["StreamBuffer"]


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

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    level : ``Out(range(depth + 1))``
        Payloads in the buffer.
    """

    LATENCY = 2

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
