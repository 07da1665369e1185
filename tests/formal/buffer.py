"""Properties of the buffers of :mod:`hdl.fifo`: nothing is lost, doubled or reordered."""

from amaranth.hdl import Assert, Assume, Mux, Signal

from tests.formal.handshake import Handshakes, Properties

__all__ = ["BufferCounts", "BufferOrder", "ReservedPlaces"]


class BufferCounts(Properties):
    """``level`` is what went in less what came out, and what is held is soon offered."""

    def state(self, m, dut):
        held = Signal(range(dut.depth + 2))
        places = dut.depth - 1
        between = Mux(dut.written >= dut.read, dut.written - dut.read,
                      dut.written - dut.read + places)
        hidden = Signal(2)
        m.d.sync += [
            held.eq(held + (dut.i.valid & dut.i.ready) - (dut.o.valid & dut.o.ready)),
            hidden.eq((held != 0) & ~dut.o.valid),
        ]
        m.d.comb += [
            Assert(held == dut.level),
            Assert(held <= dut.depth),
            Assert(dut.i.ready | (held == dut.depth)),
            Assert(~dut.o.valid | (held != 0)),
            Assert(~hidden | dut.o.valid),
            # What the proof by induction needs to know of the registers inside.
            Assert((dut.written < places) & (dut.read < places)),
            Assert(dut.some | dut.free),
            Assert(~(dut.some & dut.free) | (dut.written != dut.read)),
            Assert((dut.some & dut.free) | (dut.written == dut.read)),
            Assert(dut.level == dut.o.valid + Mux(dut.free, between, places)),
        ]


class BufferOrder(Properties):
    """Any one payload comes out in its turn, and once.

    The buffer treats all payloads alike. So it is enough that a one, which goes in at any time
    among zeros, comes out after as many zeros as went in before.
    """

    def state(self, m, dut):
        accepted, taken = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
        ahead = Signal(range(dut.depth + 2))    # Of the one, or of what goes in next.
        inside, over = Signal(), Signal()
        one = inside & (ahead == 0)
        m.d.comb += Assume(dut.i.payload == (self.choice & ~inside & ~over))
        with m.If(accepted & dut.i.payload):
            m.d.sync += inside.eq(1)
        m.d.sync += ahead.eq(ahead + (accepted & ~inside & ~dut.i.payload) - (taken & ~one))
        with m.If(taken & one):
            m.d.sync += [inside.eq(0), over.eq(1)]
        with m.If(~over & dut.o.valid):
            m.d.comb += Assert(dut.o.payload == one)
        with m.If(over & dut.o.valid):
            m.d.comb += Assert(~dut.o.payload)


class ReservedPlaces(Handshakes):
    """Whoever never offers more than there is room for finds what it offered, until it is taken.

    Of a buffer whose depth is a power of two.
    """

    def state(self, m, dut):
        super().state(m, dut)
        m.d.comb += [
            Assume(~dut.i.valid | (dut.level != dut.depth)),
            Assert(dut.level <= dut.depth),
            Assert(dut.o.valid == (dut.level != 0)),
            # What the proof by induction needs to know of the registers inside.
            Assert(dut.written == (dut.read + dut.level)[:len(dut.read)]),
        ]
