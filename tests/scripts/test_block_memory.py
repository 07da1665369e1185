import json
from collections import Counter

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memories import block_memory
from scripts.devices import DEVICES
from scripts.generate import TOP, verilog_of
from scripts.tools import Toolchain


class Storage(wiring.Component):
    """A memory with one port to write and one to read, as all memories of the engine."""

    def __init__(self, *, width, depth):
        self.width = width
        self.depth = depth
        super().__init__({"write_en": In(1), "write_address": In(range(depth)),
                          "write_data": In(width), "read_en": In(1),
                          "read_address": In(range(depth)), "read_data": Out(width)})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.storage = storage = block_memory(width=self.width, depth=self.depth)
        write, read = storage.write_port(), storage.read_port()
        m.d.comb += [
            write.addr.eq(self.write_address), write.data.eq(self.write_data),
            write.en.eq(self.write_en), read.addr.eq(self.read_address),
            read.en.eq(self.read_en), self.read_data.eq(read.data),
        ]
        return m


@pytest.mark.parametrize(("device", "block", "blocks"), [
    ("lfe5u-85f", "DP16KD", 2), ("ice40up5k", "SB_RAM40_4K", 8)])
@pytest.mark.parametrize("shape", [(32, 1024), (64, 512)])
def test_becomes_block_memory_and_nothing_else(tmp_path, device, block, blocks, shape):
    """No cell for what happens when a word is read while it is written."""
    (tmp_path / "design.v").write_text(verilog_of(Storage(width=shape[0], depth=shape[1])))
    script = (f"read_verilog design.v; {DEVICES[device].synthesis} -top {TOP} "
              "-json netlist.json")
    Toolchain().run("yosys", ["-p", script], log=tmp_path / "yosys.log")
    cells = json.loads((tmp_path / "netlist.json").read_text())["modules"][TOP]["cells"]
    found = Counter(cell["type"] for cell in cells.values() if cell["type"] != "$scopeinfo")
    assert found == {block: blocks}
