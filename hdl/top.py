"""Top modules: the engine with registers, behind the ports of common buses."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLitePort
from .control import EngineControl
from .engine import Engine
from .guards import InputGuard, OutputGuard
from .registerbank import RegisterBus
from .wishbone import WishbonePort

__all__ = ["CONTROLS", "AxiEngine", "RegisterEngine", "WishboneEngine"]


class _DirectPort(wiring.Component):
    """A front end that does nothing."""

    def __init__(self):
        super().__init__({"outer": In(RegisterBus()), "bus": Out(RegisterBus())})

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.outer), wiring.flipped(self.bus))
        return m


class _TopEngine(wiring.Component):
    """Common to all top modules; ``port`` is the front end, ``prefix`` begins its ports' names."""

    #: Whether packets stay whole at the output when a soft reset cuts them off.
    OUTPUT_GUARD = True

    def __init__(self, config, *, port, prefix):
        self.config = config
        self.control = EngineControl(config)
        self.engine = Engine(config)
        self.port = port
        self.prefix = prefix
        super().__init__({
            "s_axis_tdata": In(32), "s_axis_tvalid": In(1), "s_axis_tready": Out(1),
            "s_axis_tlast": In(1),
            "m_axis_tdata": Out(32), "m_axis_tvalid": Out(1), "m_axis_tready": In(1),
            "m_axis_tlast": Out(1),
            # As the front end has them: what is an input there is one here.
            **{f"{prefix}_{name}": member.flow(member.shape)
               for name, member in port.outer.signature.members.items()},
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.control = control = self.control
        m.submodules.port = port = self.port
        wiring.connect(m, port.bus, control.bus)
        for name, member in port.outer.signature.members.items():
            inner, outer = getattr(port.outer, name), getattr(self, f"{self.prefix}_{name}")
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.comb += [
            engine.start.eq(control.start),
            engine.start_address.eq(control.start_address),
            engine.start_frames.eq(control.start_frames),
            engine.reset.eq(control.reset),
            control.refused.eq(engine.refused),
            control.busy.eq(engine.busy),
            control.loading.eq(engine.loading),
            control.status.eq(engine.status),
            control.layer_done.eq(engine.layer_done),
            self.irq.eq(control.irq),
        ]
        self._streams(m, engine, control)
        return m

    def _streams(self, m, engine, control):
        m.submodules.input_guard = before = InputGuard()
        wiring.connect(m, before.o, engine.i)
        results, closing = engine.o, C(0, 1)
        if self.OUTPUT_GUARD:
            m.submodules.output_guard = after = OutputGuard()
            wiring.connect(m, engine.o, after.i)
            m.d.comb += after.reset.eq(control.reset)
            results, closing = after.o, after.closing
        m.d.comb += [
            before.i.p.data.eq(self.s_axis_tdata), before.i.p.last.eq(self.s_axis_tlast),
            before.i.valid.eq(self.s_axis_tvalid), self.s_axis_tready.eq(before.i.ready),
            self.m_axis_tdata.eq(results.p.data), self.m_axis_tlast.eq(results.p.last),
            self.m_axis_tvalid.eq(results.valid), results.ready.eq(self.m_axis_tready),
            before.reset.eq(control.reset), before.discard.eq(control.discard),
            control.closing.eq(before.closing | closing),
            control.frame_done.eq(engine.o.valid & engine.o.ready & engine.o.p.last),
        ]


class AxiEngine(_TopEngine):
    """The engine with AXI4-Lite for control and AXI4-Streams for packets and results.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        AXI4-Stream of 32 bits: packets (:class:`hdl.isa.Destination`).
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
        AXI4-Stream of 32 bits: results, of which each SEND instruction makes a packet.
    s_axil_awaddr, and so on
        AXI4-Lite (:class:`hdl.axi.AxiLiteSignature`): the registers (:mod:`hdl.registers`).
    irq : ``Out(1)``
        Interrupt request, active high.
    """

    def __init__(self, config):
        super().__init__(config, port=AxiLitePort(), prefix="s_axil")


class WishboneEngine(_TopEngine):
    """The engine with Wishbone for control and AXI4-Streams for packets and results.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    wb_cyc, and so on
        Wishbone (:class:`hdl.wishbone.WishboneSignature`): the registers (:mod:`hdl.registers`).

    The others are those of :class:`AxiEngine`.
    """

    def __init__(self, config):
        super().__init__(config, port=WishbonePort(), prefix="wb")


class RegisterEngine(_TopEngine):
    """The engine with its registers' own bus, for who is in the same design, and streams.

    A soft reset ends what comes out at once, even within a packet or while a beat is offered: who
    resets it also takes its results, and knows.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    bus_address, and so on
        :class:`hdl.registerbank.RegisterBus`: the registers (:mod:`hdl.registers`).

    The others are those of :class:`AxiEngine`.
    """

    OUTPUT_GUARD = False

    def __init__(self, config):
        super().__init__(config, port=_DirectPort(), prefix="bus")


#: Top modules by the name of their control bus.
CONTROLS = {"axi": AxiEngine, "wishbone": WishboneEngine}
