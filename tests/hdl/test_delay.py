# amaranth: UnusedElaboratable=no

import pytest
from amaranth.hdl import signed

from hdl.delay import DelayLine
from hdl.verilog import emit
from tests.hdl.bench import trace


@pytest.mark.parametrize("family", ["portable", "ice40"])
@pytest.mark.parametrize("cycles", [3, 4, 5, 6, 9, 17])
def test_gives_what_came_so_many_cycles_ago(cycles, family):
    values = [(value * 37 + 5) % 256 - 128 for value in range(90)]
    dut = DelayLine(signed(8), cycles=cycles, family=family)
    seen = trace(dut, ({"i": value} for value in values), ["o"])
    assert [o for o, in seen[cycles:]] == values[:-cycles]


def test_is_a_memory_where_that_is_cheap():
    ring = "reg [7:0] ring [7:0]"
    assert ring in emit(DelayLine(8, cycles=9, family="ecp5"))
    assert ring not in emit(DelayLine(8, cycles=9, family="ice40"))
    for cycles in (2, 65):
        with pytest.raises(ValueError, match="Cycles must be 3 to 64, not "):
            DelayLine(8, cycles=cycles)
