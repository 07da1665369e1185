"""What nextpnr is told of a design that it reads again, and what it makes of that."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import CONFIGURATIONS
from hdl.vendor import registered_product
from scripts.devices import DEVICES
from scripts.generate import verilog_of
from scripts.refine.handover import hand_over
from scripts.synth import map_cells
from scripts.tools import Toolchain
from tests.scripts.placed import flip_flop, table


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


@pytest.fixture
def routed(tmp_path):
    """A routed design, and a function that has nextpnr read it again."""
    device, toolchain = DEVICES["lfe5u-25f"], Toolchain()
    (tmp_path / "design.v").write_text(verilog_of(Kinds()))
    map_cells(device, replace(CONFIGURATIONS["tiny"], device=device.name), tmp_path, toolchain)
    common = [*device.place, "--out-of-context", "--timing-allow-fail", "--write", "routed.json",
              "--sdf", "routed.sdf"]
    path = tmp_path / "routed.json"

    def run(*options):
        toolchain.run(device.router, [*common, *options], log=tmp_path / "log")
        assert "Routing complete." in (tmp_path / "log").read_text()
        design = json.loads(path.read_text())
        (module,) = design["modules"].values()
        return design, module

    def again(design):
        path.write_text(json.dumps(design))
        return run("--json", path.name, "--no-pack")[1]
    design, module = run("--json", "netlist.json")
    return design, module, again


def test_nextpnr_leaves_carries_and_memory_in_place(routed):
    """Everything is routed anew; inputs are where the hardware has them, as they were at first."""
    design, module, again = routed
    at_first = exchanged(module)
    assert min(at_first["CCU2", "own"], at_first["DPRAM", "own"], at_first["LOGIC", "other"]) > 9
    hand_over(module, set(module["cells"]), anew=set(), fixed=set())
    assert not {("CCU2", "other"), ("DPRAM", "pair"), ("DPRAM", "other")} & set(
        exchanged(again(design)))


def routes(module):
    """The wires and switches of each net's route, whatever their strength."""
    parts = {name: net["attributes"].get("ROUTING", "").split(";")
             for name, net in module["netnames"].items()}
    return {name: set(zip(part[::3], part[1::3], strict=False)) for name, part in parts.items()
            if len(part) > 1}


@pytest.mark.parametrize("all_fixed", [True, False])
def test_fixed_routes_give_way_to_nothing(routed, all_fixed):
    """A quarter of all is routed anew; of the rest all is fixed or nothing is."""
    design, module, again = routed
    pins = sorted((name, port) for name, cell in module["cells"].items()
                  for port, direction in cell["port_directions"].items() if direction == "output")
    hand_over(module, set(), anew=set(pins[::4]), fixed=set(pins) if all_fixed else set())
    kept = routes(module)
    assert len(kept) > 100
    after = routes(again(design))
    assert all_fixed == all(after[name] == kept[name] for name in kept)


def test_what_has_moved_and_what_is_named_loses_its_routes():
    """And nothing else does. Of the rest is fixed what is to be, but not where something moved."""
    cells = {"begin": flip_flop((2, 2), 0), "near": table((3, 2), 0, [("A", 100)], 101),
             "first": table((3, 3), 2, [], 103), "kept": table((3, 3), 3, [], 104)}
    cells["begin"]["connections"]["Q"] = [100]
    nets = {"begin": 100, "near": 101, "moved": 103, "kept": 104}
    route = "X2/Y3/a;;1;X3/Y3/b;X3/Y3/a->b;1;X3/Y3/H06E0003;X3/Y3/b->H06E0003;1"
    module = {"settings": {}, "ports": {}, "cells": cells, "netnames": {
        name: {"bits": [bit], "attributes": {"ROUTING": route}} for name, bit in nets.items()}}
    hand_over(module, {"first"}, anew={("begin", "Q")}, fixed={("near", "F"), ("first", "F")})
    assert {name: net["attributes"].get("ROUTING") for name, net in module["netnames"].items()} == {
        "begin": None, "moved": None, "kept": route,
        "near": "X2/Y3/a;;4;X3/Y3/b;X3/Y3/a->b;1;X3/Y3/H06E0003;X3/Y3/b->H06E0003;4"}
