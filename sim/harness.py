"""A component between files: what a simulation compiles."""

from pathlib import Path

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["STREAM_FILES", "FileHarness", "stream_ports"]


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
