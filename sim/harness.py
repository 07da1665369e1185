"""What a simulation compiles: a component between files."""

from pathlib import Path

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.engine import Engine
from hdl.ports import Beat

__all__ = ["STREAM_FILES", "FileHarness", "TracedEngine", "stream_ports"]


#: Verilog of the file ports.
STREAM_FILES = Path(__file__).with_name("stream_files.sv")


def stream_ports(component, flow):
    """Return the payload widths of a component's streams in direction ``flow``, by name."""
    return {name: Shape.cast(member.signature.members["payload"].shape).width
            for name, member in component.signature.members.items()
            if member.flow == flow and member.is_signature
            and isinstance(member.signature, stream.Signature)}


class FileHarness(wiring.Component):
    """Feeds every input stream of a component from a file, and writes every output to one.

    Members
    -------
    count_NAME : ``Out(64)``
        Payloads written of output stream ``NAME``.
    inputs : ``Out(64)``
        Cycles in which any input payload was accepted.
    exhausted : ``Out(1)``
        All files have been read to their ends and all that was read has been accepted.
    cycles : ``Out(64)``
        Clock cycles from the first payload accepted to the last one written, both included.
    """

    def __init__(self, component):
        self.component = component
        super().__init__({
            **{f"count_{name}": Out(64) for name in stream_ports(component, Out)},
            "inputs": Out(64),
            "exhausted": Out(1),
            "cycles": Out(64),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.component = component = self.component
        exhausted, accepted, written = [], [], []
        for name, width in stream_ports(component, In).items():
            port = getattr(component, name)
            done = Signal(name=f"exhausted_{name}")
            m.submodules[f"source_{name}"] = Instance(
                "file_source", p_WIDTH=width, p_NAME=name, i_clk=ClockSignal(),
                i_rst=ResetSignal(), o_valid=port.valid, o_payload=Value.cast(port.payload),
                i_ready=port.ready, o_exhausted=done)
            exhausted.append(done)
            accepted.append(port.valid & port.ready)
        for name, width in stream_ports(component, Out).items():
            port = getattr(component, name)
            ready = Signal(name=f"ready_{name}") if port.signature.always_ready else port.ready
            m.submodules[f"sink_{name}"] = Instance(
                "file_sink", p_WIDTH=width, p_NAME=name,
                p_PAUSES=int(not port.signature.always_ready), i_clk=ClockSignal(),
                i_rst=ResetSignal(), i_valid=port.valid, i_payload=Value.cast(port.payload),
                o_ready=ready, o_count=getattr(self, f"count_{name}"))
            written.append(port.valid & ready)

        now = Signal(64, init=1)
        m.d.comb += self.exhausted.eq(Cat(exhausted).all())
        m.d.sync += self.inputs.eq(self.inputs + Cat(accepted).any())
        with m.If((self.inputs != 0) | Cat(accepted).any()):
            m.d.sync += now.eq(now + 1)
        with m.If(Cat(written).any()):
            m.d.sync += self.cycles.eq(now)
        return m


class TracedEngine(wiring.Component):
    """An engine that also tells when each layer was finished.

    Members
    -------
    i, o : streams
        As of :class:`hdl.engine.Engine`.
    trace : ``Out(stream.Signature(32, always_ready=True))``
        For each layer the cycles from the start of the program to its last result written; and,
        once the program stops, those to its stop with the status in the topmost four bits.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "o": Out(stream.Signature(Beat())),
            "trace": Out(stream.Signature(32, always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        wiring.connect(m, wiring.flipped(self.i), engine.i)
        wiring.connect(m, engine.o, wiring.flipped(self.o))
        cycles = Signal(28)
        was_busy = Signal()
        stopped = was_busy & ~engine.busy
        m.d.sync += [was_busy.eq(engine.busy), cycles.eq(Mux(engine.busy, cycles + 1, 0))]
        m.d.comb += [
            self.trace.valid.eq(engine.layer_done | stopped),
            self.trace.payload.eq(Cat(cycles, Mux(stopped, engine.status, 0))),
        ]
        return m
