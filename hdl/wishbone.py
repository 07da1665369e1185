"""Wishbone B4: registers as seen from a processor."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .registerbank import RegisterBus
from .registers import OFFSET_WIDTH

__all__ = ["WishbonePort", "WishboneSignature"]


class WishboneSignature(wiring.Signature):
    """Wishbone B4 with 32 bits of data in bytes, as seen by the initiator.

    ``adr`` counts words of 32 bits, as the standard has it for a port of that size.
    """

    def __init__(self):
        super().__init__({
            "cyc": Out(1), "stb": Out(1), "we": Out(1),
            "adr": Out(OFFSET_WIDTH - 2), "dat_w": Out(32), "sel": Out(4),
            "dat_r": In(32), "ack": In(1), "err": In(1), "stall": In(1),
        })


class WishbonePort(wiring.Component):
    """A Wishbone target that drives a :class:`hdl.registerbank.RegisterBus`.

    Every access ends with ``ack``, or with ``err`` and no effect, :attr:`LATENCY` cycles after it
    was taken; or with neither, if ``cyc`` falls before. ``stall`` is high until then, that cycle
    included, in which a classic initiator still shows the access that has ended and a pipelined
    one perhaps the next: so both kinds work. Outputs are registers. Bytes that ``sel`` leaves out
    keep what they hold.

    Members
    -------
    outer : ``In(WishboneSignature())``
    bus : ``Out(RegisterBus())``
    """

    LATENCY = RegisterBus.LATENCY + 2

    def __init__(self):
        super().__init__({"outer": In(WishboneSignature()), "bus": Out(RegisterBus())})

    def elaborate(self, platform):
        m = Module()
        wishbone, bus = self.outer, self.bus
        taken = wishbone.cyc & wishbone.stb & ~wishbone.stall
        answering = Signal(RegisterBus.LATENCY)
        wanted = Signal()       # The initiator has been there since it made the access.
        with m.If(~wishbone.stall):
            m.d.sync += [bus.address.eq(wishbone.adr), bus.data.eq(wishbone.dat_w),
                         bus.strobe.eq(wishbone.sel)]
        ended = answering[-1]
        m.d.sync += [
            bus.write.eq(taken & wishbone.we), bus.read.eq(taken & ~wishbone.we),
            answering.eq(Cat(bus.write | bus.read, answering)),
            wanted.eq(taken | (wanted & wishbone.cyc)),
            wishbone.ack.eq(ended & wanted & wishbone.cyc & ~bus.error),
            wishbone.err.eq(ended & wanted & wishbone.cyc & bus.error),
            wishbone.dat_r.eq(bus.value),
            wishbone.stall.eq(taken | bus.write | bus.read | answering.any()),
        ]
        return m
