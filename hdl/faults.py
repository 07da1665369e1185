"""Faults: why the engine stopped."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .isa import Status

__all__ = ["FaultKeeper"]


class FaultKeeper(wiring.Component):
    """Keeps the first reason to stop.

    What comes at the same time counts in this order: a wrong packet, an address beyond its
    memory, a wrong instruction, the end of the program. Faults come from all over the device, so
    they pass :attr:`LATENCY` registers to ``status``, all of them as many.

    Parameters
    ----------
    sources : :class:`int`, 1 or more
        Bits of ``beyond``.

    Members
    -------
    failed, failure : ``In``
        A packet is wrong in this cycle, and how (:class:`hdl.isa.Status`).
    beyond : ``In(sources)``
        An address is beyond its memory in this cycle, by who uses it.
    wrong : ``In(1)``
        An instruction is wrong in this cycle.
    stopped, reason : ``In``
        The program's last cycle, and why. This comes into ``status`` in the next cycle.
    start : ``In(1)``
        A program starts. Only before any fault.
    status : ``Out(4)``
        The reason: NONE from a start on. After anything but DONE it stays until a reset.
    halt : ``Out(1)``
        It is a fault.
    """

    LATENCY = 3

    def __init__(self, *, sources):
        self.sources = sources
        super().__init__({
            "failed": In(1),
            "failure": In(4),
            "beyond": In(sources),
            "wrong": In(1),
            "stopped": In(1),
            "reason": In(4),
            "start": In(1),
            "status": Out(4),
            "halt": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        beyond, wrong = Signal(self.sources), Signal()
        failed, failure = Signal(), Signal(4)
        fault, code = Signal(), Signal(4)
        m.d.sync += [
            # Stage 1: from wherever they are.
            beyond.eq(self.beyond), wrong.eq(self.wrong), failed.eq(self.failed),
            failure.eq(self.failure),
            # Stage 2: the first in their order.
            fault.eq(failed | beyond.any() | wrong),
            code.eq(Mux(failed, failure, Mux(beyond.any(), Status.ILLEGAL_ADDRESS,
                                             Status.ILLEGAL_INSTRUCTION))),
        ]
        # Stage 3.
        with m.If(~self.halt):
            with m.If(fault):
                m.d.sync += [self.status.eq(code), self.halt.eq(1)]
            with m.Elif(self.stopped):
                m.d.sync += [self.status.eq(self.reason),
                             self.halt.eq(self.reason != Status.DONE)]
            with m.Elif(self.start):
                m.d.sync += self.status.eq(Status.NONE)
        return m
