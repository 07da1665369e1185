"""Components made of vendor blocks, and what the makers' documents say of the cells in them."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.vendor import (
    accumulated_products,
    accumulator_sum,
    conditional_sum,
    registered_copies,
    registered_product,
    registered_products,
)

__all__ = ["MODELS", "TRELLIS_FF", "Accumulator", "Copies", "Product", "Products", "Sum", "Sums"]


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


class Sums(wiring.Component):
    """Sums of products of some pairs of numbers of shapes ``a`` and ``b``, of three at most: what
    was before them is forgotten."""

    def __init__(self, *, family, count, a, b):
        self.family = family
        super().__init__({"a": In(data.ArrayLayout(a, count)), "b": In(data.ArrayLayout(b, count)),
                          "clear": In(1), "s": Out(data.ArrayLayout(16, count))})

    def elaborate(self, platform):
        m = Module()
        before = Signal(3)
        clear = self.clear | (before == 0)
        m.d.sync += before.eq(Cat(self.clear, before))
        sums = accumulated_products(m, platform, self.family,
                                    list(zip(self.a, self.b, strict=True)), clear,
                                    name="sums")
        m.d.comb += [s.eq(total) for s, total in zip(self.s, sums, strict=True)]
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


class Copies(wiring.Component):
    """Registers of a number of shape ``a``."""

    def __init__(self, *, family, count, a):
        self.family = family
        super().__init__({"a": In(a), "q": Out(a).array(count)})

    def elaborate(self, platform):
        m = Module()
        copies = registered_copies(m, platform, self.family, self.a, len(self.q), name="copy")
        m.d.comb += [q.eq(copy) for q, copy in zip(self.q, copies, strict=True)]
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
    reg signed [35:0] inner, outer;
    wire signed [35:0] product = a1 * b1;
    wire signed [35:0] p2 = REG_PIPELINE_CLK == "CLK0" ? inner : product;
    wire usual = SIGNEDA & SIGNEDB & ~SOURCEA & ~SOURCEB;
    assign {{{_bus("P", 36)}}} = ~usual ? 36'bx : REG_OUTPUT_CLK == "CLK0" ? outer : p2;
    always @(posedge CLK0)
        if (RST0) begin ra <= 0; rb <= 0; inner <= 0; outer <= 0; end
        else if (CE0) begin ra <= a; rb <= b; inner <= product; outer <= p2; end
    generate
        if (CLK0_DIV != "ENABLED" || SOURCEB_MODE != "B_SHIFT" || MULT_BYPASS != "DISABLED")
            not_described_here other_modes();
    endgenerate
endmodule
"""

#: ECP5's block RAM as a port to write (A) and one to read (B), by Lattice's FPGA-TN-02204 (memory
#: usage guide): the width sets how many of the lowest bits of an address are not used. Of words of
#: 36 bits, DIA and DIB are the lower and the upper half of what is written, and DOA and DOB of what
#: is read. An output register holds what the memory gave the clock before. A word that is read
#: while it is written is unknown.
_DP16KD = f"""
module DP16KD({_pins("DIA", 18)}, {_pins("ADA", 14)}, CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
              {_pins("DIB", 18)}, {_pins("ADB", 14)}, CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
              {_pins("DOA", 18)}, {_pins("DOB", 18)});
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter CSDECODE_A = "0b000";
    parameter CSDECODE_B = "0b000";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter GSR = "ENABLED";
    input {_pins("DIA", 18)}, {_pins("DIB", 18)}, {_pins("ADA", 14)}, {_pins("ADB", 14)};
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0;
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0;
    output {_pins("DOA", 18)}, {_pins("DOB", 18)};
    localparam SHIFT = DATA_WIDTH_A == 1 ? 0 : DATA_WIDTH_A == 2 ? 1 : DATA_WIDTH_A == 4 ? 2
                     : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 18 ? 4 : 5;
    wire [35:0] written = {{{_bus("DIB", 18)}, {_bus("DIA", 18)}}};
    wire [13:0] ada = {{{_bus("ADA", 14)}}}, adb = {{{_bus("ADB", 14)}}};
    wire [13:0] write_address = ada >> SHIFT, read_address = adb >> SHIFT;
    wire chosen = {{CSA2, CSA1, CSA0, CSB2, CSB1, CSB0}} == 0;
    wire writes = CEA & WEA & chosen;
    // Enables of the bytes of a wide word.
    wire [3:0] bytes = DATA_WIDTH_A == 36 ? ada[3:0]
                     : DATA_WIDTH_A == 18 ? {{2'b11, ada[1:0]}} : 4'hf;
    reg [DATA_WIDTH_A-1:0] words [0:(1<<(14-SHIFT))-1];
    reg [35:0] inner, outer;
    wire [35:0] given = REGMODE_B == "OUTREG" ? outer : inner;
    assign {{{_bus("DOA", 18)}}} = DATA_WIDTH_A == 36 ? given[17:0] : 18'bx;
    assign {{{_bus("DOB", 18)}}} = DATA_WIDTH_A == 36 ? given[35:18] : given[17:0];
    always @(posedge CLKB) begin
        if (CEB & ~WEB)
            inner <= writes && write_address == read_address ? 36'bx : words[read_address];
        if (OCEB) outer <= inner;
    end
    integer i;
    always @(posedge CLKA)
        if (writes)
            for (i = 0; i < DATA_WIDTH_A; i = i + 1)
                if (bytes[i / 9]) words[write_address][i] <= written[i];
    generate
        if (DATA_WIDTH_A != DATA_WIDTH_B || REGMODE_A != REGMODE_B || CSDECODE_A != "0b000"
            || CSDECODE_B != "0b000" || WRITEMODE_A != "NORMAL" || GSR != "DISABLED")
            not_described_here other_modes();
    endgenerate
endmodule
"""

#: ECP5's flip-flop, always enabled, after Yosys's description of it, which not every simulator
#: reads.
TRELLIS_FF = """
module TRELLIS_FF(CLK, LSR, CE, DI, Q);
    parameter GSR = "ENABLED";
    parameter CEMUX = "CE";
    parameter CLKMUX = "CLK";
    parameter REGSET = "RESET";
    input CLK, LSR, CE, DI;
    output reg Q = REGSET == "SET";
    always @(posedge CLK) Q <= LSR ? REGSET == "SET" : DI;
    generate
        if (GSR != "DISABLED" || CEMUX != "1" || CLKMUX != "CLK") not_described_here other_modes();
    endgenerate
endmodule
"""

#: iCE40's SPRAM, by Lattice's FPGA-TN-02022 (SPRAM usage guide): writes the nibbles that its mask
#: names, or reads, and then keeps what it read. What it gives after a write is unknown.
_SB_SPRAM256KA = """
module SB_SPRAM256KA(input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN, input WREN,
                     input CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF, output [15:0] DATAOUT);
    reg [15:0] words [0:16383];
    reg [15:0] given;
    reg known;
    integer n;
    assign DATAOUT = known & POWEROFF & ~SLEEP & ~STANDBY ? given : ~given;
    always @(posedge CLOCK)
        if (CHIPSELECT) begin
            known <= ~WREN;
            if (WREN) begin
                for (n = 0; n < 4; n = n + 1)
                    if (MASKWREN[n]) words[ADDRESS][4*n +: 4] <= DATAIN[4*n +: 4];
            end else given <= words[ADDRESS];
        end
endmodule
"""

#: Verilog of the cells of each family; where Yosys describes one too, this comes first.
MODELS = {"ecp5": _MULT18X18D + _DP16KD, "ice40": _SB_SPRAM256KA}
