import pytest

from hdl.singleport import SinglePortMemory
from hdl.vendormemory import ecp5_banks
from sim.bench import run_bench
from tests.cosim.memories import Memories
from tests.formal.vendor_blocks import MODELS, TRELLIS_FF


def test_banks():
    """They follow one another, none needs an address that another one has, none is half empty."""
    for depth in [*range(2, 5000, 7), 16384, 16896, 33280, 65536]:
        banks = ecp5_banks(depth)
        end = 0
        for start, words in banks:
            assert start == end
            assert start % words == 0
            end = start + words
        assert end - 512 < depth <= end
        assert len(banks) <= 6 + depth // 16384


@pytest.mark.parametrize(("family", "cells"), [
    ("portable", None), ("ecp5", None), ("ecp5", MODELS["ecp5"] + TRELLIS_FF)],
    ids=["portable", "ecp5", "ecp5 cells"])
def test_reads_what_was_written(tmp_path, family, cells):
    run_bench(Memories(family=family), "tests.cosim.memory_bench", tmp_path, cells=cells)


@pytest.mark.parametrize("cells", [None, MODELS["ice40"]], ids=["ice40", "ice40 cells"])
def test_one_port_reads_or_writes(tmp_path, cells):
    run_bench(SinglePortMemory(width=24, depth=20000, parts=3, family="ice40"),
              "tests.cosim.singleport_bench", tmp_path, cells=cells)
