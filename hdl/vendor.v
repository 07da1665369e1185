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

// Register that is not made one with others of the same input.
module celosia_ecp5_register #(
    parameter WIDTH = 1
) (
    input wire clk,
    input wire [WIDTH-1:0] d,
    output wire [WIDTH-1:0] q
);
`ifdef SYNTHESIS
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : bits
            TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .REGSET("RESET")) ff (
                .CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(d[i]), .Q(q[i]));
        end
    endgenerate
`else
    reg [WIDTH-1:0] kept = 0;
    always @(posedge clk) kept <= d;
    assign q = kept;
`endif
endmodule

// Block RAMs side by side, each of which gives SLICE bits of a word, through its output register.
module celosia_ecp5_bank #(
    parameter WIDTH = 36,
    /* verilator lint_off UNUSEDPARAM */    // What is simulated has no slices.
    parameter SLICE = 36,
    /* verilator lint_on UNUSEDPARAM */
    parameter ADDRESS = 9
) (
    input wire clk,
    input wire write_en,
    input wire [ADDRESS-1:0] write_address,
    input wire [WIDTH-1:0] write_data,
    input wire read_en,
    input wire [ADDRESS-1:0] read_address,
    output wire [WIDTH-1:0] read_data
);
`ifdef SYNTHESIS
    localparam COUNT = (WIDTH + SLICE - 1) / SLICE;
    wire [COUNT*SLICE-1:0] data = write_data, given;
    localparam UNUSED = 14 - ADDRESS;
    // In the place of the lowest bits of an address, a wide word has enables of its bytes.
    wire [13:0] wa = (write_address << UNUSED) | (SLICE < 18 ? 14'd0 : SLICE == 18 ? 14'd3 : 14'd15);
    wire [13:0] ra = read_address << UNUSED;
    assign read_data = given[WIDTH-1:0];
    genvar i;
    generate
        for (i = 0; i < COUNT; i = i + 1) begin : slice
            wire [35:0] d = data[i*SLICE +: SLICE];
            wire [17:0] a, b;
            // Of a word of 36 bits the lower half comes out at the port at which it goes in.
            wire [35:0] q = SLICE == 36 ? {b, a} : b;
            assign given[i*SLICE +: SLICE] = q[SLICE-1:0];
            DP16KD #(
                .DATA_WIDTH_A(SLICE), .DATA_WIDTH_B(SLICE),
                .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
                .WRITEMODE_A("NORMAL"), .WRITEMODE_B("NORMAL"),
                .CSDECODE_A("0b000"), .CSDECODE_B("0b000"),
                .RESETMODE("SYNC"), .ASYNC_RESET_RELEASE("SYNC"), .GSR("DISABLED")
            ) ram (
                .CLKA(clk), .CEA(write_en), .WEA(1'b1), .OCEA(read_en), .RSTA(1'b0),
                .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
                .CLKB(clk), .CEB(read_en), .WEB(1'b0), .OCEB(read_en), .RSTB(1'b0),
                .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
                .ADA0(wa[0]), .ADA1(wa[1]), .ADA2(wa[2]), .ADA3(wa[3]), .ADA4(wa[4]), .ADA5(wa[5]),
                .ADA6(wa[6]), .ADA7(wa[7]), .ADA8(wa[8]), .ADA9(wa[9]), .ADA10(wa[10]), .ADA11(wa[11]),
                .ADA12(wa[12]), .ADA13(wa[13]),
                .ADB0(ra[0]), .ADB1(ra[1]), .ADB2(ra[2]), .ADB3(ra[3]), .ADB4(ra[4]), .ADB5(ra[5]),
                .ADB6(ra[6]), .ADB7(ra[7]), .ADB8(ra[8]), .ADB9(ra[9]), .ADB10(ra[10]), .ADB11(ra[11]),
                .ADB12(ra[12]), .ADB13(ra[13]),
                .DIA0(d[0]), .DIA1(d[1]), .DIA2(d[2]), .DIA3(d[3]), .DIA4(d[4]), .DIA5(d[5]),
                .DIA6(d[6]), .DIA7(d[7]), .DIA8(d[8]), .DIA9(d[9]), .DIA10(d[10]), .DIA11(d[11]),
                .DIA12(d[12]), .DIA13(d[13]), .DIA14(d[14]), .DIA15(d[15]), .DIA16(d[16]), .DIA17(d[17]),
                .DIB0(d[18]), .DIB1(d[19]), .DIB2(d[20]), .DIB3(d[21]), .DIB4(d[22]), .DIB5(d[23]),
                .DIB6(d[24]), .DIB7(d[25]), .DIB8(d[26]), .DIB9(d[27]), .DIB10(d[28]), .DIB11(d[29]),
                .DIB12(d[30]), .DIB13(d[31]), .DIB14(d[32]), .DIB15(d[33]), .DIB16(d[34]), .DIB17(d[35]),
                .DOA0(a[0]), .DOA1(a[1]), .DOA2(a[2]), .DOA3(a[3]), .DOA4(a[4]), .DOA5(a[5]),
                .DOA6(a[6]), .DOA7(a[7]), .DOA8(a[8]), .DOA9(a[9]), .DOA10(a[10]), .DOA11(a[11]),
                .DOA12(a[12]), .DOA13(a[13]), .DOA14(a[14]), .DOA15(a[15]), .DOA16(a[16]), .DOA17(a[17]),
                .DOB0(b[0]), .DOB1(b[1]), .DOB2(b[2]), .DOB3(b[3]), .DOB4(b[4]), .DOB5(b[5]),
                .DOB6(b[6]), .DOB7(b[7]), .DOB8(b[8]), .DOB9(b[9]), .DOB10(b[10]), .DOB11(b[11]),
                .DOB12(b[12]), .DOB13(b[13]), .DOB14(b[14]), .DOB15(b[15]), .DOB16(b[16]), .DOB17(b[17])
            );
        end
    endgenerate
`else
    reg [WIDTH-1:0] words [0:(1<<ADDRESS)-1];
    reg [WIDTH-1:0] first, second;
    always @(posedge clk) begin
        if (read_en) begin
            first <= words[read_address];
            second <= first;
        end
        if (write_en)
            words[write_address] <= write_data;
    end
    assign read_data = second;
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

// Two independent sums of signed products, each modulo 65536; registers at the operands, inside the
// multiplier, and at the sum, which becomes zero in place of taking a product in while it is cleared.
module celosia_ice40_sums (
    input wire clk,
    input wire clear,
    input wire signed [7:0] a0,
    input wire signed [7:0] b0,
    input wire signed [7:0] a1,
    input wire signed [7:0] b1,
    output wire [15:0] s0,
    output wire [15:0] s1
);
`ifdef SYNTHESIS
    // To clear a sum is to load the constant C or D.
    SB_MAC16 #(
        .MODE_8x8(1'b1), .A_SIGNED(1'b1), .B_SIGNED(1'b1), .A_REG(1'b1), .B_REG(1'b1),
        .TOP_8x8_MULT_REG(1'b1), .BOT_8x8_MULT_REG(1'b1),
        .TOPADDSUB_LOWERINPUT(2'b01), .TOPADDSUB_UPPERINPUT(1'b0), .TOPADDSUB_CARRYSELECT(2'b00),
        .BOTADDSUB_LOWERINPUT(2'b01), .BOTADDSUB_UPPERINPUT(1'b0), .BOTADDSUB_CARRYSELECT(2'b00),
        .TOPOUTPUT_SELECT(2'b01), .BOTOUTPUT_SELECT(2'b01)
    ) dsp (
        .CLK(clk), .CE(1'b1), .A({a1, a0}), .B({b1, b0}), .C(16'b0), .D(16'b0), .O({s1, s0}),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),
        .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0),
        .OLOADTOP(clear), .OLOADBOT(clear), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0),
        .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0)
    );
`else
    reg signed [7:0] ra0, rb0, ra1, rb1;
    reg signed [15:0] inner0, inner1;
    reg [15:0] sum0, sum1;
    always @(posedge clk) begin
        ra0 <= a0;
        rb0 <= b0;
        ra1 <= a1;
        rb1 <= b1;
        inner0 <= ra0 * rb0;
        inner1 <= ra1 * rb1;
        sum0 <= clear ? 16'b0 : sum0 + inner0;
        sum1 <= clear ? 16'b0 : sum1 + inner1;
    end
    assign s0 = sum0;
    assign s1 = sum1;
`endif
endmodule

// SPRAMs side by side: either reads or, if any nibble is to be written, writes.
module celosia_ice40_ram #(
    parameter NIBBLES = 4
) (
    input wire clk,
    input wire en,
    input wire [NIBBLES-1:0] write,
    input wire [13:0] address,
    input wire [4*NIBBLES-1:0] write_data,
    output wire [4*NIBBLES-1:0] read_data
);
    localparam COUNT = (NIBBLES + 3) / 4;
    wire [4*COUNT-1:0] mask = write;
`ifdef SYNTHESIS
    wire [16*COUNT-1:0] data = write_data, given;
    assign read_data = given[4*NIBBLES-1:0];
    genvar i;
    generate
        for (i = 0; i < COUNT; i = i + 1) begin : slice
            SB_SPRAM256KA ram (
                .CLOCK(clk), .CHIPSELECT(en), .WREN(|write), .MASKWREN(mask[4*i +: 4]),
                .ADDRESS(address), .DATAIN(data[16*i +: 16]), .DATAOUT(given[16*i +: 16]),
                .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1)
            );
        end
    endgenerate
`else
    reg [4*NIBBLES-1:0] words [0:16383];
    reg [4*NIBBLES-1:0] given;
    integer n;
    always @(posedge clk)
        if (en) begin
            if (write == 0)
                given <= words[address];
            for (n = 0; n < NIBBLES; n = n + 1)
                if (mask[n])
                    words[address][4*n +: 4] <= write_data[4*n +: 4];
        end
    assign read_data = given;
`endif
endmodule
