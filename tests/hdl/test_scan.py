# amaranth: UnusedElaboratable=no

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.scan import ScanWrapper


class Inverter(wiring.Component):
    """Each output bit answers to one input bit, and each input bit moves one output bit."""

    def __init__(self, width):
        super().__init__({"i": In(stream.Signature(data.ArrayLayout(signed(width), 2))),
                          "o": Out(stream.Signature(2 * width))})

    def elaborate(self, _platform):
        m = Module()
        m.d.comb += [self.o.payload.eq(~self.i.payload.as_value()), self.o.valid.eq(self.i.valid),
                     self.i.ready.eq(self.o.ready)]
        return m


class AlwaysReady(wiring.Component):
    """Has a port that is a constant, which nothing can drive."""

    i: In(stream.Signature(2))
    o: Out(stream.Signature(2, always_ready=True))

    def elaborate(self, _platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        return m


class Silent(wiring.Component):
    i: In(1)

    def elaborate(self, _platform):
        return Module()


def responses(dut, stimulus):
    """Return the output pin after each bit of ``stimulus``."""
    seen = []

    async def bench(ctx):
        for bit in stimulus:
            ctx.set(dut.i, bit)
            await ctx.tick()
            seen.append(ctx.get(dut.o))

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    return seen


@pytest.mark.parametrize("width", [1, 2, 5])
def test_every_input_bit_reaches_the_pin(width):
    """A one that walks through the chain flips the pin once at each input bit it passes."""
    dut = ScanWrapper(block=Inverter(width))
    assert dut.inputs == 2 * width + 2
    quiet = responses(dut, [0] * 40)
    walking = responses(ScanWrapper(block=Inverter(width)), [1] + [0] * 39)
    flips = sum(a != b for a, b in zip(quiet, walking, strict=True))
    assert flips == dut.inputs


def test_a_constant_port_is_left_alone():
    dut = ScanWrapper(block=AlwaysReady())
    assert (dut.inputs, dut.outputs) == (3, 4)
    assert responses(dut, [0, 0, 0, 0]) != []


def test_counts_its_own_cells():
    """6 inputs; 6 outputs (payload, valid, ready), folded to 2 and then to 1."""
    dut = ScanWrapper(block=Inverter(2))
    assert (dut.inputs, dut.outputs, dut.registers, dut.gates) == (6, 6, 6 + 6 + 3, 3)


@pytest.mark.parametrize(("block", "error", "message"), [
    (Silent(), ValueError, r"^Block must have an output$"),
    (Module(), TypeError, r"^Block must be a component, not <amaranth\.hdl\._dsl\.Module object"),
])
def test_bad_block(block, error, message):
    with pytest.raises(error, match=message):
        ScanWrapper(block=block)
