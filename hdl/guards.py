"""Guards at the engine's streams: packets stay whole outside when a soft reset cuts a run off."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .ports import Beat

__all__ = ["InputGuard", "OutputGuard"]


class InputGuard(wiring.Component):
    """Drops the rest of a packet of which a soft reset has made the engine forget the beginning.

    No latency, no stall of its own.

    Members
    -------
    i : ``In(stream.Signature(Beat()))``
    o : ``Out(stream.Signature(Beat()))``
    reset : ``In(1)``
        What has passed is forgotten, this cycle's beat included.
    discard : ``In(1)``
        Packets that begin now are dropped whole.
    closing : ``Out(1)``
        The rest of a packet is still to be dropped.
    under_way : ``Out(1)``
        At ``i``, a packet has begun and not ended.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "o": Out(stream.Signature(Beat())),
            "reset": In(1),
            "discard": In(1),
            "closing": Out(1),
            "under_way": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        under_way_next = Signal()
        dropping = self.closing | (self.discard & ~self.under_way)
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & ~dropping),
            self.i.ready.eq(self.o.ready | dropping),
            under_way_next.eq(self.under_way),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.comb += under_way_next.eq(~self.i.p.last)
        m.d.sync += [
            self.under_way.eq(under_way_next),
            self.closing.eq((dropping | self.reset) & under_way_next),
        ]
        return m


class OutputGuard(wiring.Component):
    """Ends the packet that a soft reset has cut off.

    A beat that has been offered stays until it is taken; then, if the packet has begun and that
    beat was not its last, a last beat of zero follows. Otherwise beats pass without latency.

    Members
    -------
    i : ``In(stream.Signature(Beat()))``
        After a reset, nothing is taken until the packet has ended.
    o : ``Out(stream.Signature(Beat()))``
    reset : ``In(1)``
        The source forgets what it offers after this cycle.
    closing : ``Out(1)``
        A packet has still to be ended.
    under_way : ``Out(1)``
        At ``o``, a packet has begun and not ended.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "o": Out(stream.Signature(Beat())),
            "reset": In(1),
            "closing": Out(1),
            "under_way": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        under_way_next = Signal()
        kept = Signal(Beat())
        offered = self.i.valid & ~self.o.ready
        m.d.comb += [
            self.o.payload.eq(Mux(self.closing, kept, self.i.payload)),
            self.o.valid.eq(self.i.valid | self.closing),
            self.i.ready.eq(self.o.ready & ~self.closing),
            under_way_next.eq(self.under_way),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.comb += under_way_next.eq(~self.o.p.last)
        m.d.sync += self.under_way.eq(under_way_next)
        with m.If(self.closing & self.o.ready):
            m.d.sync += [kept.data.eq(0), kept.last.eq(1), self.closing.eq(~kept.last)]
        with m.Elif(self.reset & ~self.closing):
            m.d.sync += [
                kept.data.eq(Mux(offered, self.i.p.data, 0)),
                kept.last.eq(~offered | self.i.p.last),
                self.closing.eq(offered | under_way_next),
            ]
        return m
