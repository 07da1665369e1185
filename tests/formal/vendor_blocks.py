"""Components made of vendor blocks, and what the makers' documents say of the cells in them."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.vendor import (
    accumulator_sum,
    conditional_sum,
    registered_product,
    registered_products,
)

__all__ = ["MODELS", "Accumulator", "Product", "Products", "Sum"]


class Product(wiring.Component):
    """A registered product of numbers of shapes ``a`` and ``b``, the latter times ``2^shift``."""

    def __init__(self, *, family, a, b, shift=0):
        self.family = family
        self.shift = shift
        super().__init__({"a": In(a), "b": In(b),
                          "p": Out((Signal(a) * Signal(b).shift_left(shift)).shape())})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.p.eq(registered_product(
            m, platform, self.family, self.a, self.b.shift_left(self.shift), name="product"))
        return m


class Products(wiring.Component):
    """Products of some pairs of numbers of shapes ``a`` and ``b``."""

    def __init__(self, *, family, count, a, b):
        self.family = family
        super().__init__({"a": In(data.ArrayLayout(a, count)), "b": In(data.ArrayLayout(b, count)),
                          "p": Out(data.ArrayLayout(signed(16), count))})

    def elaborate(self, platform):
        m = Module()
        products = registered_products(m, platform, self.family,
                                       list(zip(self.a, self.b, strict=True)), name="product")
        m.d.comb += [p.eq(product) for p, product in zip(self.p, products, strict=True)]
        return m


class Accumulator(wiring.Component):
    """What an accumulator is to hold next."""

    def __init__(self, *, family, width):
        self.family = family
        super().__init__({"total": In(signed(width)), "addend": In(signed(16)), "first": In(1),
                          "s": Out(signed(width))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.s.eq(accumulator_sum(
            m, platform, self.family, self.total, self.addend, self.first, name="sum"))
        return m


class Sum(wiring.Component):
    """A sum of addends on condition."""

    def __init__(self, *, family, a, b, shape):
        self.family = family
        super().__init__({"a": In(a), "b": In(b), "a_on": In(1), "b_on": In(1), "carry": In(1),
                          "s": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.s.eq(conditional_sum(
            m, platform, self.family, self.a, self.a_on, self.b, self.b_on, name="sum",
            shape=self.s.shape(), carry=self.carry))
        return m


def _pins(name, count):
    return ", ".join(f"{name}{bit}" for bit in range(count))


def _bus(name, count):
    return ", ".join(f"{name}{bit}" for bit in reversed(range(count)))


#: ECP5's multiplier of signed numbers, by Lattice's simulation library and FPGA-TN-02205 (sysDSP
#: usage guide): operands, product inside and product outside each pass a register if a clock is
#: named for it. A clock that is "divided" counts at both of its edges, so at its full rate.
_MULT18X18D = f"""
module MULT18X18D({_pins("A", 18)}, {_pins("B", 18)}, {_pins("P", 36)},
                  SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter CLK0_DIV = "ENABLED";
    parameter GSR = "ENABLED";
    parameter RESETMODE = "SYNC";
    parameter SOURCEB_MODE = "B_SHIFT";
    parameter MULT_BYPASS = "DISABLED";
    input {_pins("A", 18)}, {_pins("B", 18)};
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0;
    output {_pins("P", 36)};
    wire signed [17:0] a = {{{_bus("A", 18)}}};
    wire signed [17:0] b = {{{_bus("B", 18)}}};
    reg signed [17:0] ra, rb;
    wire signed [17:0] a1 = REG_INPUTA_CLK == "CLK0" ? ra : a;
    wire signed [17:0] b1 = REG_INPUTB_CLK == "CLK0" ? rb : b;
    reg signed [35:0] inside, outside;
    wire signed [35:0] product = a1 * b1;
    wire signed [35:0] p2 = REG_PIPELINE_CLK == "CLK0" ? inside : product;
    wire usual = SIGNEDA & SIGNEDB & ~SOURCEA & ~SOURCEB;
    assign {{{_bus("P", 36)}}} = ~usual ? 36'bx : REG_OUTPUT_CLK == "CLK0" ? outside : p2;
    always @(posedge CLK0)
        if (RST0) begin ra <= 0; rb <= 0; inside <= 0; outside <= 0; end
        else if (CE0) begin ra <= a; rb <= b; inside <= product; outside <= p2; end
    generate
        if (CLK0_DIV != "ENABLED" || SOURCEB_MODE != "B_SHIFT" || MULT_BYPASS != "DISABLED")
            not_described_here other_modes();
    endgenerate
endmodule
"""

#: Verilog of the cells of each family that Yosys has no description of.
MODELS = {"ecp5": _MULT18X18D, "ice40": ""}
