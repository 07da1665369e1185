"""Properties of the guards, under soft resets at any time."""

from amaranth.hdl import Assert, Assume, Signal

from tests.formal.handshake import Properties, steady

__all__ = ["InputPackets", "OutputPackets"]


def begun(m, name, port, *, reset=0):
    """Return whether a packet has begun at a stream and not ended; ``reset`` forgets it."""
    under_way = Signal(name=f"{name}_under_way")
    with m.If(reset):
        m.d.sync += under_way.eq(0)
    with m.Elif(port.valid & port.ready):
        m.d.sync += under_way.eq(~port.p.last)
    return under_way


class InputPackets(Properties):
    """What comes after a reset begins with the beginning of a packet, and only that is dropped."""

    def state(self, m, dut):
        steady(m, "i", dut.i, Assume)
        outside = begun(m, "outside", dut.i)
        inside = begun(m, "inside", dut.o, reset=dut.reset)
        accepted, passed = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
        m.d.comb += [
            Assert(dut.under_way == outside),
            Assert(outside | ~inside),
            Assert(~dut.o.valid | inside | ~outside),
            Assert(~passed | accepted),
            Assert(~passed | (dut.o.payload.as_value() == dut.i.payload.as_value())),
            # Passed on: the rest of what was begun, and what begins while nothing is discarded.
            Assert(~(accepted & inside) | passed),
            Assert(~(accepted & ~outside & ~dut.discard) | passed),
            # Dropped without delay, to the packet's end, and then no more.
            Assert(~dut.closing | dut.i.ready),
            Assert(dut.closing == (outside & ~inside)),
        ]


class OutputPackets(Properties):
    """Beats stay until they are taken, packets that are cut off end, others pass as they are."""

    def state(self, m, dut):
        steady(m, "i", dut.i, Assume, unless=dut.reset)
        steady(m, "o", dut.o, Assert)
        outside = begun(m, "outside", dut.o)
        taken = dut.o.valid & dut.o.ready
        cut = Signal()
        with m.If(cut), m.If(taken & dut.o.p.last):
            m.d.sync += cut.eq(0)
        with m.Elif(dut.reset):
            # Under way after this cycle, or offered and not taken.
            m.d.sync += cut.eq((taken & ~dut.o.p.last) | (~taken & (outside | dut.i.valid)))
        beats = Signal(2)
        with m.If(~cut):
            m.d.sync += beats.eq(0)
        with m.Elif(taken):
            m.d.sync += beats.eq(beats + 1)
        m.d.comb += [
            Assert(dut.under_way == outside),
            Assert(dut.closing == cut),
            Assert(~cut | (dut.o.valid & ~dut.i.ready)),
            Assert(cut | ((dut.o.valid == dut.i.valid) & (dut.i.ready == dut.o.ready))),
            Assert(cut | (dut.o.payload.as_value() == dut.i.payload.as_value())),
            # At most the beat that was offered and one that ends the packet.
            Assert((beats == 0) | ~cut | ((beats == 1) & dut.o.p.last)),
        ]
