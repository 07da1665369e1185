import pytest

from hdl.axi import AxiLitePort
from hdl.blockmemory import StreamedMemory
from hdl.fifo import ReservedBuffer, StreamBuffer, StreamRegister
from hdl.guards import InputGuard, OutputGuard
from hdl.operands import CoefficientReader, TileWriter, WeightReader
from hdl.reader import ActivationReader
from hdl.sender import WordSender
from tests.formal.axilite import AxiLiteEffects, AxiLiteRules
from tests.formal.buffer import BufferCounts, BufferOrder, ReservedPlaces
from tests.formal.guards import InputPackets, OutputPackets
from tests.formal.handshake import Handshakes
from tests.formal.mutants import mutant
from tests.formal.prover import prove

#: Components, of small sizes where the size does not matter to the rule.
PARAMETERS = {
    StreamBuffer: {"shape": 1, "depth": 3},
    ReservedBuffer: {"shape": 1, "depth": 4},
    StreamRegister: {"shape": 2},
    StreamedMemory: {"width": 2, "depth": 2, "side": 1},
    ActivationReader: {"rows": 2},
    WeightReader: {"columns": 2, "channels": 2, "depth": 16},
    CoefficientReader: {"columns": 2, "channels": 2, "depth": 16},
    TileWriter: {},
    WordSender: {"channels": 8},
    AxiLitePort: {},
    InputGuard: {},
    OutputGuard: {},
}

#: Proofs by induction, each with a fault that refutes it.
PROOFS = (
    (Handshakes, StreamBuffer, "pop.eq(some & (~self.o.valid | self.o.ready))", "pop.eq(some)"),
    (Handshakes, ActivationReader, "advance = ~self.requests.valid |", "advance = 1 |"),
    (Handshakes, TileWriter, "taken.eq(self.o.valid & self.o.ready)", "taken.eq(self.o.valid)"),
    (Handshakes, WordSender, "wiring.connect(m, out.o, wiring.flipped(self.o))",
     "m.d.comb += [self.o.valid.eq(out.o.valid), self.o.payload.eq(out.o.payload),"
     " out.o.ready.eq(1)]"),
    (Handshakes, StreamRegister, "moves.eq(~self.o.valid | self.o.ready)",
     "moves.eq(1)"),
    (ReservedPlaces, ReservedBuffer, "place.eq(following(place, self.depth))",
     "place.eq(following(place, self.depth - 1))"),
    (BufferCounts, StreamBuffer, "free & ~(push & (written_after == self.read))", "free"),
    (AxiLiteRules, AxiLitePort, "~axi.wready & ~axi.bvalid", "~axi.wready"),
    (AxiLiteRules, AxiLitePort, "~axi.arready & ~axi.rvalid", "~axi.arready"),
    (AxiLiteRules, AxiLitePort, "idle & ~complete & ~axi.arready", "idle & ~axi.arready"),
    (AxiLiteRules, AxiLitePort, "~bus.write & ~bus.read & ~answering.any()", "~answering.any()"),
    (InputPackets, InputGuard, "(dropping | self.reset) &", "dropping &"),
    (InputPackets, InputGuard, "self.discard & ~self.under_way", "self.discard"),
    (OutputPackets, OutputGuard, "kept.last.eq(~offered | self.i.p.last)", "kept.last.eq(1)"),
    (OutputPackets, OutputGuard, "self.closing.eq(offered | under_way_next)",
     "self.closing.eq(offered)"),
)
CASES = [pytest.param(*case, id=f"{case[0].__name__}-{case[1].__name__}-{number}")
         for number, case in enumerate(PROOFS)]


@pytest.mark.parametrize(("properties", "cls", "old", "new"), CASES)
def test_proved_and_can_fail(request, properties, cls, old, new):
    name = request.node.callspec.id
    parameters = PARAMETERS[cls]
    assert prove(properties(cls(**parameters)), name, depth=4) == "proved"
    broken = mutant(cls, old, new)(**parameters)
    assert prove(properties(broken), f"{name}-broken", depth=12, bounded=True) == "refuted"


#: Properties that induction does not reach: no run of so many cycles breaks them.
BOUNDED = (
    (BufferOrder, StreamBuffer, 12, "write.data.eq(self.i.payload), write.en.eq(push)",
     "write.data.eq(self.i.payload & (self.written != 1)), write.en.eq(push)"),
    (Handshakes, StreamedMemory, 14, "first.o.ready.eq(self.o.ready)",
     "first.o.ready.eq(1)"),
    (Handshakes, WeightReader, 14, "Value.cast(self.o.payload).eq(word)",
     "Value.cast(self.o.payload).eq(Mux(self.o.ready, 0, word))"),
    (Handshakes, CoefficientReader, 14, "self.o.p.last.eq(beside.last)",
     "self.o.p.last.eq(beside.last & ~self.o.ready)"),
    (AxiLiteEffects, AxiLitePort, 12, "Mux(complete, write_address",
     "Mux(axi.awready, write_address"),
    (AxiLiteEffects, AxiLitePort, 12, "with m.If(axi.wvalid & axi.wready)",
     "with m.If(axi.wvalid & ~bus.read)"),
)


@pytest.mark.parametrize(("properties", "cls", "depth", "old", "new"), [
    pytest.param(*case, id=f"{case[0].__name__}-{number}") for number, case in enumerate(BOUNDED)])
def test_holds_for_so_many_cycles_and_can_fail(request, monkeypatch, properties, cls, depth, old,
                                               new):
    # So that what is behind a memory is full long before.
    monkeypatch.setattr(StreamedMemory, "ROOM", 2)
    name = request.node.callspec.id
    parameters = PARAMETERS[cls]
    assert prove(properties(cls(**parameters)), name, depth=depth, bounded=True) == "proved"
    broken = mutant(cls, old, new)(**parameters)
    assert prove(properties(broken), f"{name}-broken", depth=depth, bounded=True) == "refuted"
