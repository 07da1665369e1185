// Streams from and to text files, one payload a line in hexadecimal. A bench that wakes Python every
// cycle spends nearly all its time there; these ports run at the simulator's own speed.
//
// Plus arguments: +NAME=PATH for each port, +stall=N to pause a port in N of 256 cycles at random.
// Reset rewinds every file.

module file_source #(parameter WIDTH = 8, parameter NAME = "") (
  input clk, input rst, output reg valid, output reg [WIDTH-1:0] payload, input ready,
  output reg exhausted
);
  string path;
  integer file, stall, unused;
  reg [WIDTH-1:0] next;
  initial begin
    if (!$value$plusargs({NAME, "=%s"}, path)) $fatal(1, "no +%s=PATH", NAME);
    if (!$value$plusargs("stall=%d", stall)) stall = 0;
    file = $fopen(path, "r");
    if (file == 0) $fatal(1, "cannot read %s", path);
    valid = 0;
    exhausted = 0;
  end
  always @(posedge clk)
    if (rst) begin
      unused = $rewind(file);
      valid <= 0;
      exhausted <= 0;
    end else if (!valid || ready) begin
      valid <= 0;
      if (!exhausted && (stall == 0 || $urandom_range(255) >= stall)) begin
        if ($fscanf(file, "%h", next) == 1) begin
          payload <= next;
          valid <= 1;
        end else
          exhausted <= 1;
      end
    end
endmodule

module file_sink #(parameter WIDTH = 8, parameter NAME = "", parameter PAUSES = 1) (
  input clk, input rst, input valid, input [WIDTH-1:0] payload, output reg ready,
  output reg [63:0] count
);
  string path;
  integer file, stall;
  initial begin
    if (!$value$plusargs({NAME, "=%s"}, path)) $fatal(1, "no +%s=PATH", NAME);
    if (!$value$plusargs("stall=%d", stall)) stall = 0;
    file = $fopen(path, "w");
    if (file == 0) $fatal(1, "cannot write %s", path);
    ready = 0;
    count = 0;
  end
  always @(posedge clk)
    if (rst) begin
      $fclose(file);
      file = $fopen(path, "w");
      ready <= 0;
      count <= 0;
    end else begin
      ready <= !PAUSES || stall == 0 || $urandom_range(255) >= stall;
      if (valid && ready) begin
        $fwrite(file, "%h\n", payload);
        count <= count + 1;
      end
    end
  final $fclose(file);
endmodule
