"""What the simulation between files reports of components that misbehave."""

import numpy as np
import pytest
from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sim.cosim import Simulation, SimulationError

TWICE, NEVER, STOP, LATER = 252, 253, 254, 255
#: Cycles until LATER's second copy: after the bench has seen all, before it has stopped looking.
WAIT = 400


class Moody(wiring.Component):
    """Hands payloads on in the same cycle, but for four of them.

    ``TWICE`` goes out twice, ``NEVER`` not at all, after ``STOP`` nothing is accepted any more,
    and :data:`WAIT` cycles after ``LATER`` comes another one.
    """

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, _platform):
        m = Module()
        again, stopped = Signal(), Signal()
        late = Signal(range(WAIT + 1))
        transfer = self.i.valid & self.i.ready
        repeats = (self.i.payload == TWICE) & ~again
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq((self.i.valid & ~stopped & (self.i.payload != NEVER)) | (late == 1)),
            self.i.ready.eq(self.o.ready & ~repeats & ~stopped),
        ]
        with m.If(self.o.valid & self.o.ready & repeats):
            m.d.sync += again.eq(1)
        with m.If(transfer):
            m.d.sync += [again.eq(0), stopped.eq(self.i.payload == STOP)]
        with m.If(transfer & (self.i.payload == LATER)):
            m.d.sync += late.eq(WAIT)
        with m.Elif(late != 0):
            m.d.sync += late.eq(late - 1)
        return m


class Missing(wiring.Component):
    """Needs a module that nobody has."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.missing = Instance("missing_module", i_a=self.i.valid, o_b=self.o.valid)
        return m


@pytest.fixture(scope="module")
def moody():
    return Simulation(Moody())


def run(simulation, payloads, count, **options):
    payloads = np.array(payloads, np.uint8).reshape(-1, 1)
    outputs, cycles = simulation.run({"i": payloads}, {"o": count}, patience=2000, **options)
    return outputs["o"].ravel().tolist(), cycles


@pytest.mark.parametrize("stall", [0, 64, 200])
@pytest.mark.parametrize("reset_after", [(), (0, 1, 7, 300)])
def test_files_go_through_in_order(moody, stall, reset_after):
    payloads = [k * 7 % 252 for k in range(300)]
    assert run(moody, payloads, 300, stall=stall, reset_after=reset_after)[0] == payloads


def test_cycles_are_counted_from_first_to_last(moody):
    """Without a register on the way, as many cycles as payloads."""
    for count in (1, 2, 300):
        assert run(moody, [3] * count, count)[1] == count


def test_same_seed_same_pauses(moody):
    payloads = list(range(200))
    cycles = [run(moody, payloads, 200, stall=128, seed=seed)[1] for seed in (1, 1, 2)]
    assert cycles[0] == cycles[1] != cycles[2]
    assert cycles[0] > 400


@pytest.mark.parametrize(("payloads", "count", "message"), [
    ([1, 2, NEVER, 4], 4, r"nothing moved in 2000 cycles: outputs \{'o': 3\} of \{'o': 4\}, "
                          r"inputs all accepted"),
    ([1, 2, TWICE, 4], 4, r"nothing moved in 2000 cycles: outputs \{'o': 5\} of \{'o': 4\}, "
                          r"inputs all accepted"),
    ([1, STOP, 3, 4], 4, r"nothing moved in 2000 cycles: outputs \{'o': 2\} of \{'o': 4\}, "
                         r"inputs not all accepted"),
    # All that was expected has come out, and something is left over in front.
    ([1, STOP, 3, 4], 2, r"nothing moved in 2000 cycles: outputs \{'o': 2\} of \{'o': 2\}, "
                         r"inputs not all accepted"),
    # A starved input.
    ([1, 2, 3], 5, r"nothing moved in 2000 cycles: outputs \{'o': 3\} of \{'o': 5\}, "
                   r"inputs all accepted"),
    ([1, LATER, 3], 3, r"outputs went on after the last one expected"),
], ids=["too few", "too many", "hang", "left over", "starved", "late"])
def test_misbehaviour_is_an_error(moody, payloads, count, message):
    with pytest.raises(SimulationError, match=message):
        run(moody, payloads, count)


def test_unbuildable_design_is_an_error():
    with pytest.raises(SimulationError, match="missing_module"):
        Simulation(Missing()).build()


def test_bad_payloads(moody):
    with pytest.raises(ValueError, match=r"^Payloads of i must be uint8 of shape \(tokens, 1\), "
                                         r"not uint8 of shape \(3, 2\)$"):
        moody.run({"i": np.zeros((3, 2), np.uint8)}, {"o": 3})
