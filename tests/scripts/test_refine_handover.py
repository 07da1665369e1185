"""What nextpnr is told of a design that it reads again, and what it makes of that."""

import json
import re
from collections import Counter
from copy import deepcopy
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from hypothesis import event, example, given
from hypothesis import strategies as st

from hdl.config import CONFIGURATIONS
from hdl.vendor import registered_product
from scripts.devices import DEVICES
from scripts.generate import verilog_of
from scripts.refine.handover import hand_over, take_back
from scripts.refine.timing import Timing
from scripts.synth import map_cells
from scripts.tools import Toolchain
from tests.scripts.placed import flip_flop, length, sdf, table, wires_of


class Kinds(wiring.Component):
    """Tables that must keep their inputs in place, counters and LUT RAM; some that need not; and
    multipliers."""

    def __init__(self):
        super().__init__({"i": In(64), "o": Out(16)})

    def elaborate(self, platform):
        m = Module()
        for index in range(2):
            factors = self.i[index:][:18].as_signed(), self.i[index + 20:][:18].as_signed()
            product = registered_product(m, platform, "ecp5", *factors, name=f"product{index}")
            m.d.sync += self.o[8 + index].eq(product.xor())
        for index in range(6):
            m.submodules[f"memory{index}"] = memory = Memory(shape=16, depth=16, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            address, total = Signal(4, name=f"address{index}"), Signal(16, name=f"total{index}")
            m.d.sync += [address.eq(address + self.i[index]),
                         total.eq(total + (read.data ^ self.o))]
            m.d.comb += [write.addr.eq(self.i[4 * index:4 * index + 4]), write.data.eq(total),
                         write.en.eq(self.i[40 + index]), read.addr.eq(address)]
            m.d.sync += self.o[index].eq(total[index:].xor())
        return m


def exchanged(module):
    """Count tables' inputs by mode, and by whether they are at their own pin, at the other of
    their pair, or at another, which only tables that are nothing else allow."""
    routes = {bit: net["attributes"].get("ROUTING", "").split(";")
              for net in module["netnames"].values() for bit in net["bits"]}
    found = Counter()
    for cell in module["cells"].values():
        if cell["type"] != "TRELLIS_COMB":
            continue
        x, y, part, half = re.match(r"X(\d+)/Y(\d+)/SLICE(.)\.K(.)",
                                    cell["attributes"]["NEXTPNR_BEL"]).groups()
        number = 2 * "ABCD".index(part) + int(half)
        for pin in "ABCD":
            for bit in cell["connections"].get(pin, []):
                parts = routes.get(bit, [])
                wire = f"X{x}/Y{y}/{pin}{number}_SLICE"
                if wire in parts:
                    switch = parts[parts.index(wire) + 1]
                    at = re.search(rf"([ABCD]){number}->", switch)[1]
                    kind = ("own" if at == pin else
                            "pair" if {at, pin} in ({"A", "B"}, {"C", "D"}) else "other")
                    found[cell["parameters"].get("MODE", "LOGIC"), kind] += 1
    return found


def test_nextpnr_leaves_carries_and_memory_in_place(tmp_path):
    """Everything is routed anew; inputs are where the hardware has them, as they were at first."""
    device, toolchain = DEVICES["lfe5u-25f"], Toolchain()
    (tmp_path / "design.v").write_text(verilog_of(Kinds()))
    map_cells(device, replace(CONFIGURATIONS["tiny"], device=device.name), tmp_path, toolchain)
    common = [*device.place, "--out-of-context", "--timing-allow-fail", "--write", "routed.json",
              "--sdf", "routed.sdf"]
    toolchain.run(device.router, [*common, "--tmg-ripup", "--json", "netlist.json"],
                  log=tmp_path / "first.log")
    path = tmp_path / "routed.json"
    design = json.loads(path.read_text())
    (module,) = design["modules"].values()
    modes = {name: cell["parameters"].get("MODE") for name, cell in module["cells"].items()}
    at_first = exchanged(module)
    assert min(at_first["CCU2", "own"], at_first["DPRAM", "own"], at_first["LOGIC", "other"]) > 9
    timing = Timing((tmp_path / "routed.sdf").read_text())
    hand_over(module, timing, set(module["cells"]), 1e6 / timing.longest)
    path.write_text(json.dumps(design))
    toolchain.run(device.router, [*common, "--json", "routed.json", "--no-pack"],
                  log=tmp_path / "second.log")
    assert "Routing complete." in (tmp_path / "second.log").read_text()
    (module,) = json.loads(path.read_text())["modules"].values()
    take_back(module)
    assert {name: cell["parameters"].get("MODE")
            for name, cell in module["cells"].items()} == modes
    assert not {("CCU2", "other"), ("DPRAM", "pair"), ("DPRAM", "other")} & set(exchanged(module))


def test_what_is_slow_and_what_has_moved_loses_its_routes():
    """And nothing else does."""
    cells = {"begin": flip_flop((2, 2), 0), "near": table((3, 2), 0, [("A", 100)], 101),
             "end": flip_flop((3, 2), 0, M=101), "other": flip_flop((3, 3), 0, M=102),
             "first": table((3, 3), 2, [], 103), "second": table((3, 3), 3, [], 104)}
    cells["begin"]["connections"]["Q"], cells["other"]["connections"]["Q"] = [100], [107]
    for name in ("begin", "other"):
        cells[name]["port_directions"]["Q"] = "output"
    bits = {"slow": 100, "slow2": 101, "moved": 103, "kept": 104, "kept2": 107}
    module = {"settings": {}, "ports": {}, "cells": cells, "netnames": {
        name: {"bits": [bit], "attributes": {"ROUTING": "wires"}} for name, bit in bits.items()}}
    timing = Timing(sdf(wires_of(cells, length(cells)), ["near"], ["begin", "end"]))
    longest = 1e6 / timing.longest

    def routed(module):
        return [name for name, net in module["netnames"].items() if "ROUTING" in net["attributes"]]

    again = deepcopy(module)
    hand_over(module, timing, {"first"}, 0.9 * longest)
    assert routed(module) == ["slow", "slow2", "kept", "kept2"]
    assert float(module["settings"]["target_freq"]) == pytest.approx(0.9e6 * longest)
    hand_over(again, timing, set(), 1.1 * longest)
    assert routed(again) == ["moved", "kept", "kept2"]


def carries(come, left):
    """A chain of carry cells as placed, and its timing: a register leads to each half by a wire
    that takes what ``come`` has for it, and by ``left`` it leads to another, if that is not 0."""
    cells = {"memory": table((3, 4), 1, [], 106, MODE="DPRAM"),
             "writes": table((3, 4), 2, [], 107, MODE="RAMW_BLOCK")}
    wires, registers = [], [f"begin{index}" for index in range(len(come))]
    carry = ""
    for index, (comes, lasts) in enumerate(zip(come, left, strict=True)):
        half = table((3, 5), index % 8, [], 200 + index, MODE="CCU2")
        half["connections"] |= {"FCI": [300 + index]} if index else {}
        half["connections"] |= {"FCO": [301 + index]} if index < len(come) - 1 else {}
        cells[f"carry{index}"] = half
        cells[f"begin{index}"] = flip_flop((4, index), 0)
        cells[f"begin{index}"]["connections"]["Q"] = [400 + index]
        wires.append((f"begin{index}", "Q", f"carry{index}", "A", comes))
        if index:
            wires.append((f"carry{index - 1}", "FCO", f"carry{index}", "FCI", 0))
        if lasts:
            wires.append((f"carry{index}", "F", f"end{index}", "M", lasts))
            registers.append(f"end{index}")
        paths = [("A", "FCO", 447), ("A", "F", 236), ("FCI", "FCO", (71, 0)[index % 2]),
                 ("FCI", "F", (443, 403)[index % 2])]
        carry += f"(INSTANCE carry{index})\n" + "".join(
            f"(IOPATH {begin} {end} (1:2:{delay}) (1:2:{delay}))\n" for begin, end, delay in paths)
    module = {"settings": {}, "ports": {}, "cells": cells, "netnames": {}}
    return module, Timing(sdf(wires, registers=registers) + carry)


@given(come=st.lists(st.integers(300, 3000), min_size=1, max_size=10),
       left=st.lists(st.sampled_from([0, 0, 130, 900]), min_size=20, max_size=20),
       period=st.integers(3000, 5500))
@example(come=[1000] * 16, left=[130] * 32, period=2800)
@example(come=[1000] * 16, left=[0] * 31 + [130], period=2800)
def test_carries_seem_late_only_where_they_are(come, left, period):
    """By what nextpnr takes for a half's delays; and what seems no later than asked for is seen."""
    size = 2 * len(come)
    come, left = [comes for comes in come for _ in (0, 1)], [*left[:size - 1], 130]
    module, timing = carries(come, left)
    hand_over(module, timing, set(), 1e6 / period)
    cells = module["cells"]
    cut = [index for index in range(size)
           if cells[f"carry{index}"]["parameters"]["MODE"] == "RAMW_BLOCK"]
    # nextpnr demands of a slice that both halves have a carry or none.
    assert all(index ^ 1 in cut for index in cut)
    seem = {(begin, end): 525 + come[begin] + 447 + 71 * (end - begin - 1) + 443 + left[end] + 100
            for end in range(size) if left[end] for begin in range(end // 2 * 2)}
    really = [timing.arrival[pin] + timing.left[pin] if pin is not None else 0
              for pin in (timing.pin(f"carry{index}", "F") for index in range(size))]
    late = {path for path, length in seem.items() if length > period}
    seen = {path for path in seem if not set(range(path[0], path[1] + 1)) & set(cut)}
    assert all(max(really[end & ~1:][:2]) > period for _, end in late & seen)
    if not late:
        assert not cut
    event("cut" if cut else "whole")
    take_back(module)
    modes = [cell["parameters"]["MODE"] for cell in cells.values() if "MODE" in cell["parameters"]]
    assert modes == ["DPRAM", "RAMW_BLOCK", *["CCU2"] * size]


def test_what_is_compared_is_seen_from_where_it_is_not_late():
    """Of a chain with one way out the cut leaves all that it may."""
    module, timing = carries([1000] * 20, [0] * 19 + [130])
    hand_over(module, timing, set(), 1e6 / 3700)
    cut = [name for name, cell in module["cells"].items()
           if cell["parameters"].get("MODE") == "RAMW_BLOCK" and name != "writes"]
    # 2645 ps, and 71 for each half between: 15 are too many. From bit 3 on there are 15.
    assert cut == ["carry2", "carry3"]
