"""cocotb bench of :class:`tests.cosim.memories.Memories`; run by ``test_memory.py``."""

import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from hdl.blockmemory import BlockMemory
from tests.cosim.memories import SHAPES


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(number=range(len(SHAPES)))
async def reads_what_was_written(dut, number):
    """Everywhere, at any pace, but never the word that is being written."""
    source = random.Random(cocotb.RANDOM_SEED)
    width, depth, registered = SHAPES[number]
    memory = BlockMemory(width=width, depth=depth, registered=registered)
    port = {name: getattr(dut, f"m{number}_{name}") for name in memory.signature.members}
    # Both ends of every bank lie among these, so few that most are read again and again.
    edges = [edge + side for edge in range(0, depth + 1, 512) for side in (-1, 0, 1)]
    places = sorted({edge for edge in [*edges, depth - 1] if 0 <= edge < depth})
    words, unwritten = {}, places.copy()
    expected = deque([None] * memory.latency)
    checked = 0
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 0
    for _ in range(20 * len(places) + 2000):
        await FallingEdge(dut.clk)
        if expected[0] is not None:
            assert port["read_data"].value == expected[0]
            checked += 1
        writes, reads = source.random() < 0.6, registered or source.random() < 0.8
        address = unwritten[-1] if unwritten else source.choice(places)
        read_address = source.choice([place for place in places if place != address])
        data = source.getrandbits(width)
        for name, value in (("write_en", writes), ("write_address", address), ("write_data", data),
                            ("read_en", reads), ("read_address", read_address)):
            port[name].value = value
        if reads:
            expected.popleft()
            expected.append(words.get(read_address))
        if writes:
            words[address] = data
            unwritten = unwritten[:-1]
    assert checked > 1000
