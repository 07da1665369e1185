# amaranth: UnusedElaboratable=no

import itertools
import random

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.fabric import fabric_latency, fabric_product
from hdl.repeated import VerilogPlatform
from hdl.vendor import FAMILIES
from hdl.verilog import emit
from tests.hdl.bench import trace


class Product(wiring.Component):
    """A product in the fabric."""

    def __init__(self, a, b, *, family="portable", paired=False):
        self.family = family
        self.paired = paired
        super().__init__({"a": In(a), "b": In(b), "p": Out((Signal(a) * Signal(b)).shape())})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.p.eq(
            fabric_product(m, platform, self.family, self.a, self.b, name="product",
                           paired=self.paired))
        return m


def values(shape):
    """All values of a short shape, some of a long one."""
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    if shape.width <= 6:
        return range(low, high + 1)
    return [low, low + 1, -1 if shape.signed else 1, 0, high - 1, high,
            *(random.Random(shape.width).randint(low, high) for _ in range(30))]


@pytest.mark.parametrize(("a", "b", "latency"), [
    (unsigned(5), unsigned(2), 1), (signed(3), signed(4), 2), (unsigned(6), unsigned(6), 3),
    (signed(1), signed(6), 3), (signed(8), signed(8), 3), (unsigned(16), unsigned(16), 4)],
    ids=str)
@pytest.mark.parametrize("paired", [False, True])
def test_multiplies_at_its_latency(a, b, latency, paired):
    """A cycle earlier if the first one adds pairs, of which there are none for one digit."""
    dut = Product(a, b, paired=paired)
    latency -= paired and dut.b.shape().width > 2
    pairs = list(itertools.product(values(a), values(b)))
    random.Random(1).shuffle(pairs)
    seen = trace(dut, ({"a": x, "b": y} for x, y in pairs), ["p"], cycles=len(pairs) + latency)
    assert fabric_latency(dut.b, paired=paired) == latency
    assert [p for p, in seen[latency:]] == [x * y for x, y in pairs]


@pytest.mark.parametrize("family", FAMILIES)
def test_uses_the_family_blocks(family):
    """And a general description of each product where there are none."""
    verilog = emit(Product(unsigned(4), unsigned(4), family=family))
    assert ("celosia_ecp5_sum" in verilog) == (family == "ecp5")
    m = Module()
    for a, b in [(unsigned(4), signed(4)), (signed(4), unsigned(4)), (signed(4), signed(3))]:
        with pytest.raises(ValueError, match="^Factors must be both signed or both unsigned, "
                                             "the second of an even number of bits, not "):
            fabric_product(m, VerilogPlatform("top"), family, Signal(a), Signal(b), name="product")
