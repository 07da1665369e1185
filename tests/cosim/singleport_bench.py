"""cocotb bench of :class:`hdl.singleport.SinglePortMemory`; run by ``test_memory.py``."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

PARTS, PART = 3, 8


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_or_writes(dut):
    """A read shows in the next cycle and until the next access; a write changes the parts named."""
    source = random.Random(cocotb.RANDOM_SEED)
    # Both ends of both SPRAMs, so few that each is met again and again.
    places = [0, 1, 16383, 16384, 16385, 19999]
    words = {}
    expected, checked = None, 0
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 0
    for cycle in range(4000):
        await FallingEdge(dut.clk)
        if expected is not None:
            assert dut.read_data.value == expected
            checked += 1
        address = places[cycle % len(places)] if cycle < len(places) else source.choice(places)
        enabled = cycle < len(places) or source.random() < 0.7
        write = 7 if cycle < len(places) else source.choice([0, 0, source.getrandbits(PARTS)])
        data = source.getrandbits(PARTS * PART)
        for name, value in (("en", enabled), ("write", write), ("address", address),
                            ("write_data", data)):
            getattr(dut, name).value = value
        if enabled and write:
            mask = sum(0xFF << PART * part for part in range(PARTS) if write >> part & 1)
            words[address] = words.get(address, 0) & ~mask | data & mask
            expected = None
        elif enabled:
            expected = words[address]
    assert checked > 1000
