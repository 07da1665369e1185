import json
from collections import Counter

import pytest

from hdl.blockmemory import BlockMemory
from scripts.devices import DEVICES
from scripts.generate import TOP, verilog_of
from scripts.tools import Toolchain


@pytest.mark.parametrize(("family", "device", "block", "second"), [
    ("portable", "lfe5u-85f", "DP16KD", "TRELLIS_FF"), ("ecp5", "lfe5u-85f", "DP16KD", None),
    ("portable", "ice40up5k", "SB_RAM40_4K", "SB_DFFE"),
    ("ice40", "ice40up5k", "SB_RAM40_4K", "SB_DFFE")])
@pytest.mark.parametrize("shape", [(32, 1024), (64, 512)])
def test_becomes_block_memory_and_nothing_else(tmp_path, family, device, block, second, shape):
    """No cell for what happens when a word is read while it is written; only the second register,
    if the block memory's own is not used: of the word, or on iCE40 of the address."""
    width, depth = shape
    memory = BlockMemory(width=width, depth=depth, family=family)
    (tmp_path / "design.v").write_text(verilog_of(memory))
    script = (f"read_verilog design.v; {DEVICES[device].synthesis} -top {TOP} "
              "-json netlist.json")
    Toolchain().run("yosys", ["-p", script], log=tmp_path / "yosys.log")
    cells = json.loads((tmp_path / "netlist.json").read_text())["modules"][TOP]["cells"]
    found = Counter(cell["type"] for cell in cells.values() if cell["type"] != "$scopeinfo")
    blocks = width * depth // (16384 if block == "DP16KD" else 4096)
    registers = (depth - 1).bit_length() if family == "ice40" else width
    assert found == {block: blocks} | ({second: registers} if second else {})
