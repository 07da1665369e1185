"""AXI4-Lite: registers as seen from a processor."""

from enum import IntEnum

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .registerbank import RegisterBus
from .registers import OFFSET_WIDTH

__all__ = ["AxiLitePort", "AxiLiteSignature", "Response"]


class Response(IntEnum):
    """Values of BRESP and RRESP that occur."""

    OKAY = 0
    SLVERR = 2


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite with 32 bits of data, under the standard's names, as seen by the manager."""

    def __init__(self):
        super().__init__({
            "awaddr": Out(OFFSET_WIDTH), "awprot": Out(3), "awvalid": Out(1),
            "awready": In(1, init=1),
            "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1),
            "wready": In(1, init=1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(OFFSET_WIDTH), "arprot": Out(3), "arvalid": Out(1),
            "arready": In(1, init=1),
            "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })


class AxiLitePort(wiring.Component):
    """An AXI4-Lite subordinate that drives a :class:`hdl.registerbank.RegisterBus`.

    Address and data of a write may come in any order. Bytes without their strobe keep what they
    hold. An access that the bus answers with an error has the response SLVERR and no effect.
    The lowest two bits of an address are ignored, and so is the protection.

    Every output is a register: there is no combinational path through the port. One access is
    made at a time. It begins when it is complete and the response of the one before it in its
    direction has been taken, a write before a read, but no two writes before a read; its response
    comes :attr:`LATENCY` cycles later.

    Members
    -------
    outer : ``In(AxiLiteSignature())``
    bus : ``Out(RegisterBus())``
    """

    LATENCY = RegisterBus.LATENCY + 2

    def __init__(self):
        super().__init__({"outer": In(AxiLiteSignature()), "bus": Out(RegisterBus())})

    def elaborate(self, platform):
        m = Module()
        axi, bus = self.outer, self.bus
        write_address, read_address = Signal.like(bus.address), Signal.like(bus.address)

        # Each channel has one register, whose ready is low while it is full.
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [axi.awready.eq(0), write_address.eq(axi.awaddr[2:])]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [axi.wready.eq(0), bus.data.eq(axi.wdata), bus.strobe.eq(axi.wstrb)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [axi.arready.eq(0), read_address.eq(axi.araddr[2:])]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)

        # The response of a write comes in the cycle in which the next access may begin, so reads
        # cannot starve.
        answering = Signal(RegisterBus.LATENCY)
        idle = ~bus.write & ~bus.read & ~answering.any()
        complete = ~axi.awready & ~axi.wready & ~axi.bvalid
        writes = Signal()       # The access, not a read.
        with m.If(idle):
            m.d.sync += [writes.eq(complete),
                         bus.address.eq(Mux(complete, write_address, read_address))]
        m.d.sync += [
            bus.write.eq(idle & complete),
            bus.read.eq(idle & ~complete & ~axi.arready & ~axi.rvalid),
            answering.eq(Cat(bus.write | bus.read, answering)),
        ]
        response = Mux(bus.error, Response.SLVERR, Response.OKAY)
        with m.If(answering[-1] & writes):
            m.d.sync += [axi.awready.eq(1), axi.wready.eq(1),
                         axi.bvalid.eq(1), axi.bresp.eq(response)]
        with m.If(answering[-1] & ~writes):
            m.d.sync += [axi.arready.eq(1), axi.rvalid.eq(1), axi.rdata.eq(bus.value),
                         axi.rresp.eq(response)]
        return m
