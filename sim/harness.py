"""What a simulation compiles: a component between files."""

from pathlib import Path

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.engine import Engine
from hdl.isa import Status
from hdl.ports import Beat

__all__ = ["RESET_MARK", "STREAM_FILES", "ControlBeat", "FileHarness", "TracedEngine",
           "stream_ports"]


#: Verilog of the file ports.
STREAM_FILES = Path(__file__).with_name("stream_files.sv")
#: Stands for a status in a :class:`TracedEngine`'s trace, where the engine was reset.
RESET_MARK = 15


def stream_ports(component, flow):
    """Return the payload widths of a component's streams in direction ``flow``, by name; those of
    arrays left out."""
    return {name: Shape.cast(member.signature.members["payload"].shape).width
            for name, member in component.signature.members.items()
            if member.flow == flow and member.is_signature and not member.dimensions
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


class ControlBeat(data.StructLayout):
    """A beat of the engine's input stream, or something to do between two of them.

    Members
    -------
    data, last : as of :class:`hdl.ports.Beat`
    control : 1 bit
        Not for the engine. Wait for the program, if one runs, to stop; with bit 0 of ``data``
        set, let it run for the number of cycles in bits 1 to 31 at most, and then reset the
        engine.
    """

    def __init__(self):
        super().__init__({"data": 32, "last": 1, "control": 1})


class TracedEngine(wiring.Component):
    """An engine that also tells when each layer was finished, and takes orders between packets.

    What comes after an error is dropped up to the next control beat, as a driver does it.

    Members
    -------
    i : ``In(stream.Signature(ControlBeat()))``
    o : stream, as of :class:`hdl.engine.Engine`
    begun : ``Out(stream.Signature(32, always_ready=True))``
        For each layer the cycles from the start of the program to the first activation asked for.
    trace : ``Out(stream.Signature(32, always_ready=True))``
        The status is in the topmost four bits. For each layer 0 (NONE) and the cycles from the
        start of the program to its last result written; once the program stops, or an error
        is noticed, the status and those to the stop; at a reset :data:`RESET_MARK` and the
        number of beats that have left ``o``.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "i": In(stream.Signature(ControlBeat())),
            "o": Out(stream.Signature(Beat())),
            "begun": Out(stream.Signature(32, always_ready=True)),
            "trace": Out(stream.Signature(32, always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        wiring.connect(m, engine.o, wiring.flipped(self.o))
        cycles = Signal(28)
        sent = Signal(28)
        waited = Signal(31)
        was_busy, was_failed = Signal(), Signal()
        failed = engine.status > Status.DONE
        stopped = (was_busy & ~engine.busy) | (failed & ~was_failed & ~engine.busy)
        # By then a beat that starts a program shows as busy, one that is wrong as status.
        settled = Signal(16)
        control = self.i.valid & self.i.p.control
        due = ~engine.busy & ~was_busy & settled.all()
        reset = control & self.i.p.data[0] & (due | (waited >= self.i.p.data[1:]))
        m.d.comb += [
            engine.i.payload.data.eq(self.i.p.data),
            engine.i.payload.last.eq(self.i.p.last),
            engine.i.valid.eq(self.i.valid & ~self.i.p.control & ~failed),
            self.i.ready.eq(Mux(control, reset | (due & ~self.i.p.data[0]),
                                engine.i.ready | failed)),
            engine.reset.eq(reset),
        ]
        waiting = control & ~self.i.ready
        now_sent = (sent + (self.o.valid & self.o.ready))[:len(sent)]
        m.d.sync += [
            was_busy.eq(engine.busy & ~reset), was_failed.eq(failed & ~reset),
            cycles.eq(Mux(engine.busy, cycles + 1, 0)), sent.eq(now_sent),
            settled.eq(Mux(waiting, Cat(C(1, 1), settled), 0)),
            waited.eq(Mux(waiting, waited + 1, 0)),
        ]
        m.d.comb += [
            self.begun.valid.eq(engine.layer_begun), self.begun.payload.eq(cycles),
            self.trace.valid.eq(engine.layer_done | stopped | reset),
            self.trace.payload.eq(Mux(reset, Cat(now_sent, C(RESET_MARK, 4)),
                                      Cat(cycles, Mux(stopped, engine.status, 0)))),
        ]
        return m
