import json
from collections import Counter

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.blockmemory import BlockMemory
from scripts.devices import DEVICES
from scripts.generate import TOP, verilog_of
from scripts.tools import Toolchain


def cells_of(component, device, directory):
    """What synthesis makes of ``component``: cells by name."""
    (directory / "design.v").write_text(verilog_of(component))
    script = (f"read_verilog design.v; {DEVICES[device].synthesis} -top {TOP} "
              "-json netlist.json")
    Toolchain().run("yosys", ["-p", script], log=directory / "yosys.log")
    cells = json.loads((directory / "netlist.json").read_text())["modules"][TOP]["cells"]
    return {name: cell for name, cell in cells.items() if cell["type"] != "$scopeinfo"}


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
    found = Counter(cell["type"] for cell in cells_of(memory, device, tmp_path).values())
    blocks = width * depth // (16384 if block == "DP16KD" else 4096)
    registers = (depth - 1).bit_length() if family == "ice40" else width
    assert found == {block: blocks} | ({second: registers} if second else {})


class Pair(wiring.Component):
    """Two memories that are filled with the same words; of three banks, one of which has copies of
    its registers, two of each, and two have none."""

    def __init__(self):
        self.memories = [BlockMemory(width=20, depth=16900, family="ecp5", registered=True)
                         for _ in range(2)]
        members = self.memories[0].signature.members
        super().__init__({
            "write_en": In(1).array(2), "read_address": members["read_address"].array(2),
            "read_data": members["read_data"].array(2),
            **{name: members[name] for name in ("write_address", "write_data")},
        })

    def elaborate(self, _platform):
        m = Module()
        for index, memory in enumerate(self.memories):
            m.submodules[f"memory{index}"] = memory
            m.d.comb += [
                memory.write_en.eq(self.write_en[index]), memory.read_en.eq(1),
                memory.write_address.eq(self.write_address),
                memory.write_data.eq(self.write_data),
                memory.read_address.eq(self.read_address[index]),
                self.read_data[index].eq(memory.read_data),
            ]
        return m


def test_only_registers_drive_block_memory_and_each_memory_has_its_own(tmp_path):
    cells = cells_of(Pair(), "lfe5u-85f", tmp_path)

    def ends(name, direction):
        cell = cells[name]
        return [bit for pin, bits in cell["connections"].items() for bit in bits
                if cell["port_directions"][pin] == direction and isinstance(bit, int)
                and not pin.startswith("CLK")]

    drivers = {bit: name for name in cells for bit in ends(name, "output")}

    def before(names):
        found = {drivers[bit] for name in names for bit in ends(name, "input")}
        assert {cells[name]["type"] for name in found} == {"TRELLIS_FF"}
        return found

    behind = []
    for index in range(2):
        blocks = {name for name, cell in cells.items()
                  if cell["type"] == "DP16KD" and name.startswith(f"memory{index}.")}
        assert len(blocks) == 20 + 1 + 1
        near = before(blocks)
        behind.append(near | before(name for name in near if "_copy" in name))
    assert not behind[0] & behind[1]
