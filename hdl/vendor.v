// Blocks made of cells of one device family. Synthesis, which defines SYNTHESIS, takes the cells;
// everything else takes the description beside them, which does the same in every cycle.

// Signed product; registers at the operands, inside the multiplier, and at the product.
module celosia_ecp5_product (
    input wire clk,
    input wire signed [17:0] a,
    input wire signed [17:0] b,
    output wire signed [35:0] p
);
`ifdef SYNTHESIS
    // A clock "divided" here is used at both of its edges, so that each register takes a value a
    // cycle; "DISABLED" would be twice a cycle. Unnamed inputs belong to cascades and other modes.
    MULT18X18D #(
        .REG_INPUTA_CLK("CLK0"), .REG_INPUTB_CLK("CLK0"),
        .REG_PIPELINE_CLK("CLK0"), .REG_OUTPUT_CLK("CLK0"),
        .CLK0_DIV("ENABLED"), .GSR("DISABLED"), .RESETMODE("SYNC"),
        .SOURCEB_MODE("B_SHIFT"), .MULT_BYPASS("DISABLED")
    ) dsp (
        .CLK0(clk), .CE0(1'b1), .RST0(1'b0),
        .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
        .A0(a[0]), .A1(a[1]), .A2(a[2]), .A3(a[3]), .A4(a[4]), .A5(a[5]),
        .A6(a[6]), .A7(a[7]), .A8(a[8]), .A9(a[9]), .A10(a[10]), .A11(a[11]),
        .A12(a[12]), .A13(a[13]), .A14(a[14]), .A15(a[15]), .A16(a[16]), .A17(a[17]),
        .B0(b[0]), .B1(b[1]), .B2(b[2]), .B3(b[3]), .B4(b[4]), .B5(b[5]),
        .B6(b[6]), .B7(b[7]), .B8(b[8]), .B9(b[9]), .B10(b[10]), .B11(b[11]),
        .B12(b[12]), .B13(b[13]), .B14(b[14]), .B15(b[15]), .B16(b[16]), .B17(b[17]),
        .P0(p[0]), .P1(p[1]), .P2(p[2]), .P3(p[3]), .P4(p[4]), .P5(p[5]),
        .P6(p[6]), .P7(p[7]), .P8(p[8]), .P9(p[9]), .P10(p[10]), .P11(p[11]),
        .P12(p[12]), .P13(p[13]), .P14(p[14]), .P15(p[15]), .P16(p[16]), .P17(p[17]),
        .P18(p[18]), .P19(p[19]), .P20(p[20]), .P21(p[21]), .P22(p[22]), .P23(p[23]),
        .P24(p[24]), .P25(p[25]), .P26(p[26]), .P27(p[27]), .P28(p[28]), .P29(p[29]),
        .P30(p[30]), .P31(p[31]), .P32(p[32]), .P33(p[33]), .P34(p[34]), .P35(p[35])
    );
`else
    reg signed [17:0] a1, b1;
    reg signed [35:0] p2, p3;
    always @(posedge clk) begin
        a1 <= a;
        b1 <= b;
        p2 <= a1 * b1;
        p3 <= p2;
    end
    assign p = p3;
`endif
endmodule

// y = (a_on ? a : 0) + (b_on != B_OFF ? b : 0) + carry, in the tables of the carry chain.
module celosia_ecp5_sum #(
    parameter WIDTH = 2,
    parameter [0:0] B_OFF = 0
) (
    input wire [WIDTH-1:0] a,
    input wire [WIDTH-1:0] b,
    input wire a_on,
    input wire b_on,
    input wire carry,
    output wire [WIDTH-1:0] y
);
`ifdef SYNTHESIS
    // 0x7888 is (A & B) ^ (C & D), and 0x8878 is (A & B) ^ (C & ~D). Where that is 0, the lowest
    // four bits, A & B, are the carry.
    localparam [15:0] TABLE = B_OFF ? 16'h8878 : 16'h7888;
    localparam PAIRS = (WIDTH + 1) / 2;
    wire [PAIRS:0] chain;
    wire [2*PAIRS-1:0] a_even = a, b_even = b, y_even;
    assign chain[0] = carry;
    assign y = y_even[WIDTH-1:0];
    genvar i;
    generate
        for (i = 0; i < PAIRS; i = i + 1) begin : pair
            CCU2C #(
                .INIT0(TABLE), .INIT1(TABLE), .INJECT1_0("NO"), .INJECT1_1("NO")
            ) adder (
                .CIN(chain[i]), .COUT(chain[i+1]),
                .A0(a_even[2*i]), .B0(a_on), .C0(b_even[2*i]), .D0(b_on), .S0(y_even[2*i]),
                .A1(a_even[2*i+1]), .B1(a_on), .C1(b_even[2*i+1]), .D1(b_on), .S1(y_even[2*i+1])
            );
        end
    endgenerate
`else
    assign y = (a_on ? a : {WIDTH{1'b0}}) + (b_on != B_OFF ? b : {WIDTH{1'b0}}) + carry;
`endif
endmodule

// Two independent signed products; registers at the operands, inside the multiplier, and behind.
module celosia_ice40_products (
    input wire clk,
    input wire signed [7:0] a0,
    input wire signed [7:0] b0,
    input wire signed [7:0] a1,
    input wire signed [7:0] b1,
    output wire signed [15:0] p0,
    output wire signed [15:0] p1
);
`ifdef SYNTHESIS
    // The output registers take a product plus the constant C or D, which is zero.
    SB_MAC16 #(
        .MODE_8x8(1'b1), .A_SIGNED(1'b1), .B_SIGNED(1'b1), .A_REG(1'b1), .B_REG(1'b1),
        .TOP_8x8_MULT_REG(1'b1), .BOT_8x8_MULT_REG(1'b1),
        .TOPADDSUB_LOWERINPUT(2'b01), .TOPADDSUB_UPPERINPUT(1'b1), .TOPADDSUB_CARRYSELECT(2'b00),
        .BOTADDSUB_LOWERINPUT(2'b01), .BOTADDSUB_UPPERINPUT(1'b1), .BOTADDSUB_CARRYSELECT(2'b00),
        .TOPOUTPUT_SELECT(2'b01), .BOTOUTPUT_SELECT(2'b01)
    ) dsp (
        .CLK(clk), .CE(1'b1), .A({a1, a0}), .B({b1, b0}), .C(16'b0), .D(16'b0), .O({p1, p0}),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),
        .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0),
        .OLOADTOP(1'b0), .OLOADBOT(1'b0), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0),
        .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0)
    );
`else
    reg signed [7:0] ra0, rb0, ra1, rb1;
    reg signed [15:0] inner0, inner1, outer0, outer1;
    always @(posedge clk) begin
        ra0 <= a0;
        rb0 <= b0;
        ra1 <= a1;
        rb1 <= b1;
        inner0 <= ra0 * rb0;
        inner1 <= ra1 * rb1;
        outer0 <= inner0;
        outer1 <= inner1;
    end
    assign p0 = outer0;
    assign p1 = outer1;
`endif
endmodule
