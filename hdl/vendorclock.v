// Phase-locked loops. Synthesis, which defines SYNTHESIS, takes the cell; in simulation the clock
// comes out as it goes in, so that it is the simulator's clock that has the loop's frequency, and
// the loop locks after some cycles.

module celosia_ecp5_pll #(
    parameter SOURCE_DIVIDER = 1,
    parameter FEEDBACK_DIVIDER = 1,
    parameter OUTPUT_DIVIDER = 12
) (
    input wire source,
    output wire clk,
    output wire locked
);
`ifdef SYNTHESIS
    // The output is fed back: source / SOURCE_DIVIDER = clk / FEEDBACK_DIVIDER, and the oscillator
    // inside runs at clk * OUTPUT_DIVIDER. The attributes are the loop's analogue settings.
    (* ICP_CURRENT="12" *) (* LPF_RESISTOR="8" *)
    (* MFG_ENABLE_FILTEROPAMP="1" *) (* MFG_GMCREF_SEL="2" *)
    EHXPLLL #(
        .CLKI_DIV(SOURCE_DIVIDER), .CLKFB_DIV(FEEDBACK_DIVIDER), .FEEDBK_PATH("CLKOP"),
        .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV(OUTPUT_DIVIDER),
        .CLKOP_CPHASE(OUTPUT_DIVIDER / 2 - 1), .CLKOP_FPHASE(0),
        .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"),
        .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"),
        .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED")
    ) pll (
        .CLKI(source), .CLKFB(clk), .CLKOP(clk), .LOCK(locked),
        .RST(1'b0), .STDBY(1'b0), .ENCLKOP(1'b0), .PLLWAKESYNC(1'b0),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0),
        .PHASELOADREG(1'b0)
    );
`else
    reg [3:0] count = 0;
    assign clk = source;
    assign locked = count == 15;
    always @(posedge source) if (!locked) count <= count + 1;
`endif
endmodule

module celosia_ice40_pll #(
    parameter [3:0] SOURCE_DIVIDER = 1,
    parameter [6:0] FEEDBACK_DIVIDER = 1,
    parameter [2:0] OUTPUT_SHIFT = 1,
    parameter [2:0] FILTER = 1
) (
    input wire source,
    output wire clk,
    output wire locked
);
`ifdef SYNTHESIS
    // The oscillator inside runs at source * FEEDBACK_DIVIDER / SOURCE_DIVIDER, and clk is that
    // without OUTPUT_SHIFT bits. The pin of the source belongs to the cell.
    localparam [3:0] DIVR = SOURCE_DIVIDER - 1;
    localparam [6:0] DIVF = FEEDBACK_DIVIDER - 1;
    SB_PLL40_PAD #(
        .FEEDBACK_PATH("SIMPLE"), .DIVR(DIVR), .DIVF(DIVF), .DIVQ(OUTPUT_SHIFT),
        .FILTER_RANGE(FILTER)
    ) pll (
        .PACKAGEPIN(source), .PLLOUTGLOBAL(clk), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
    );
`else
    reg [3:0] count = 0;
    assign clk = source;
    assign locked = count == 15;
    always @(posedge source) if (!locked) count <= count + 1;
`endif
endmodule
