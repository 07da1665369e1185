"""Top module behind a serial line: the engine and the board's end of the host link."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .link import LinkEndpoint
from .top import RegisterEngine
from .uart import UartReceiver, UartTransmitter

__all__ = ["SerialEngine"]


class SerialEngine(wiring.Component):
    """The engine, driven by a host over two wires (:mod:`hdl.linkformat`).

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    divisor : :class:`int`, 4 to 65535
        Clock cycles of a bit on the line.

    Members
    -------
    rx : ``In(1)``
        From the host, high when idle.
    tx : ``Out(1)``
        To the host.
    """

    def __init__(self, config, *, divisor):
        self.config = config
        self.divisor = divisor
        self.engine = RegisterEngine(config)
        self.receiver = UartReceiver(divisor=divisor)
        self.transmitter = UartTransmitter(divisor=divisor)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.receiver = receiver = self.receiver
        m.submodules.transmitter = transmitter = self.transmitter
        m.submodules.link = link = LinkEndpoint()
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx),
            engine.s_axis_tdata.eq(link.packets.p.data),
            engine.s_axis_tlast.eq(link.packets.p.last),
            engine.s_axis_tvalid.eq(link.packets.valid),
            link.packets.ready.eq(engine.s_axis_tready),
            link.results.p.data.eq(engine.m_axis_tdata),
            link.results.p.last.eq(engine.m_axis_tlast),
            link.results.valid.eq(engine.m_axis_tvalid),
            engine.m_axis_tready.eq(link.results.ready),
        ]
        for name, member in link.registers.signature.members.items():
            inner, outer = getattr(link.registers, name), getattr(engine, f"bus_{name}")
            m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        return m
