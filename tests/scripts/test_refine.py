"""Rounds of refinement, and what it does on a device."""

import json
import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from click.testing import CliRunner

import scripts.hardware
import scripts.placing
from hdl.config import CONFIGURATIONS
from scripts.cli import main
from scripts.console import CheckFailed
from scripts.devices import DEVICES
from scripts.floorplan import RAM, sites
from scripts.generate import verilog_of
from scripts.refine import refine
from scripts.refine.handover import hand_over
from scripts.refine.slices import Slices
from scripts.refine.timing import Timing
from scripts.synth import map_cells
from scripts.tools import Toolchain
from tests.scripts.placed import assert_legal, flip_flop, length, sdf, table, wires_of
from tests.scripts.standin import Grid

ECP5 = replace(CONFIGURATIONS["tiny"], device="lfe5u-25f", multiplier="portable")


def test_times_are_those_of_nextpnr(tmp_path):
    """Every end of a path that nextpnr reports comes when it says, to its picosecond."""
    (tmp_path / "design.v").write_text(verilog_of(Grid()))
    device = DEVICES["lfe5u-25f"]
    map_cells(device, ECP5, tmp_path, Toolchain())
    Toolchain().run(device.router, [*device.place, "--out-of-context", "--json", "netlist.json",
                                    "--report", "report.json", "--detailed-timing-report",
                                    "--sdf", "delays.sdf"], log=tmp_path / "log")
    timing = Timing((tmp_path / "delays.sdf").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    index = {pin: place for place, pin in enumerate(timing.pins)}
    compared = 0
    for net in report["detailed_net_timings"]:
        for end in net["endpoints"]:
            place = index.get((end["cell"], end["port"]))
            if place is not None:
                assert timing.arrival[place] == pytest.approx(1000 * end["delay"][1], abs=1.5)
                compared += 1
    assert compared > 40
    (clock,) = report["fmax"].values()
    assert 1e6 / timing.longest == pytest.approx(clock["achieved"], rel=1e-3)


class Kinds(wiring.Component):
    """Some of all that can move: wide choices, carry chains, memory in blocks and in tables,
    registers of many kinds."""

    def __init__(self):
        super().__init__({"i": In(64), "select": In(6), "enable": In(4), "clear": In(2),
                          "address": In(11), "o": Out(16), "count": Out(16), "chosen": Out(12),
                          "small": Out(16)})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=2048, init=[])
        write, read = memory.write_port(), memory.read_port()
        address = Signal(11)
        m.d.sync += address.eq(self.address)
        m.d.comb += [write.addr.eq(address), write.data.eq(self.count), write.en.eq(self.enable[0]),
                     read.addr.eq(address), read.en.eq(~self.enable[0]), self.o.eq(read.data)]
        for index in range(8):
            m.submodules[f"small{index}"] = memory = Memory(shape=4, depth=16, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [write.addr.eq(address), write.data.eq(self.count[index:]),
                         write.en.eq(self.enable[index % 4]), read.addr.eq(address[index % 4:])]
            m.d.sync += [self.small[2 * index].eq(read.data[0]),
                         self.small[2 * index + 1].eq(read.data.xor() ^ self.count[index])]
        for index in range(12):
            inputs, select = Signal(64, name=f"inputs{index}"), Signal(6, name=f"select{index}")
            m.d.sync += [select.eq(self.select + index),
                         self.chosen[index].eq(inputs.bit_select(select, 1))]
            with m.If(self.enable[index % 4]):
                m.d.sync += inputs.eq(self.i ^ self.count[index])
            with m.If(self.clear[index % 2]):
                m.d.sync += inputs.eq(0)
        m.d.sync += self.count.eq(self.count + self.i[:16])
        return m


def test_whatever_may_move_can_be_routed(tmp_path):
    """Many groups of each kind, wherever nearby there is room for them; nextpnr checks places."""
    device, toolchain = DEVICES["lfe5u-25f"], Toolchain()
    (tmp_path / "design.v").write_text(verilog_of(Kinds()))
    map_cells(device, ECP5, tmp_path, toolchain)
    rams = sites(device, tmp_path, toolchain)[RAM]
    common = [*device.place, "--out-of-context"]
    toolchain.run(device.router, [*common, "--json", "netlist.json", "--write", "routed.json",
                                  "--sdf", "routed.sdf"], log=tmp_path / "first.log")
    design = json.loads((tmp_path / "routed.json").read_text())
    (module,) = design["modules"].values()
    slices, chance, kinds = Slices(module["cells"], rams), Random(1), Counter()
    groups = dict.fromkeys(filter(None, map(slices.group, module["cells"])))
    # Those that need most room first, while there is some.
    for group in sorted(groups, key=lambda group: -group.step):
        if group.step == 1 and chance.random() < 0.5:
            continue
        home = slices.where(group)
        slices.take(group)
        # Elsewhere, but near enough for many to come into one tile.
        tiles = sorted(slices.tiles[group.kind], key=lambda tile: (
            sum(abs(a - b) for a, b in zip(tile, home[0], strict=True)), tile))[1:60]
        chance.shuffle(tiles)
        rooms = ((tile, slices.room(group, tile)) for tile in tiles)
        slices.put(group, *next((room for room in rooms if room[1] is not None), home))
        last = group.members[-1][1]
        kinds[last if last == "RAMW" else group.kind, group.step] += home != slices.where(group)
    assert {("FF", 1), ("K", 1), ("K", 2), ("K", 4), ("K", 8), ("RAMW", 8), ("EBR", 8)} <= set(
        +kinds)
    assert_legal(module["cells"])
    hand_over(module, set(module["cells"]), anew=set(), fixed=set())
    (tmp_path / "moved.json").write_text(json.dumps(design))
    toolchain.run(device.router, [*common, "--json", "moved.json", "--no-pack"],
                  log=tmp_path / "second.log")
    assert "Routing complete." in (tmp_path / "second.log").read_text()


@pytest.fixture
def synth(tmp_path, monkeypatch):
    """Run ``celosia synth`` on a stand-in block for ECP5; return its report and output."""
    monkeypatch.setitem(scripts.hardware.PARTS, "engine", lambda _: Kinds())
    (tmp_path / "small.toml").write_text('device = "lfe5u-25f"\nmultiplier = "portable"\n'
                                         "rows = 2\ncolumns = 2\nlanes = 1\nchannels = 2\n")

    def run(*options):
        result = CliRunner().invoke(main, [
            "synth", "--config", str(tmp_path / "small.toml"), "-o", str(tmp_path / "out"),
            "--report", str(tmp_path / "report.json"), *options])
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "report.json").read_text()), result.stdout
    return run


def test_refinement_on_a_device(synth, tmp_path, monkeypatch):
    """What comes out is faster, is routed whole, and its report fits together."""
    # Placed with no regard to time, so that there is something to be gained on any machine.
    monkeypatch.setitem(scripts.placing._PLACER, "ecp5", ("--placer", "static", "--no-tmdriv"))
    report, shown = synth("--refine", "2")
    (refined,) = report["refined"]
    assert 1 <= len(refined["mhz"]) <= 2
    assert report["fmax_mhz_routed"][0] == pytest.approx(
        max(refined["before_mhz"], *refined["mhz"]), abs=0.01)
    assert report["fmax_mhz_routed"][0] > refined["before_mhz"]
    assert refined["moved"] > 0
    path = report["critical_path"]
    assert 1000 / (path["logic_ns"] + path["routing_ns"]) == pytest.approx(
        report["fmax_mhz_routed"][0], rel=0.01)
    for log in ("nextpnr-1.log", "refine-1.log"):
        assert "Routing complete." in (tmp_path / "out" / log).read_text()
    assert f"before refinement: {refined['before_mhz']:.2f}" in shown


def test_refinement_can_be_left_out(synth, tmp_path):
    report, shown = synth("--refine", "0")
    assert report["refined"] == [None]
    assert not (tmp_path / "out" / "refine-1.log").exists()
    assert "before refinement" not in shown


def routed(tmp_path):
    cells = {"begin": flip_flop((2, 2), 0), "table": table((9, 9), 0, [("A", 100)], 101),
             "end": flip_flop((3, 2), 0, M=101),
             "start": flip_flop((2, 5), 0), "stop": flip_flop((4, 5), 0, M=102)}
    cells["begin"]["connections"]["Q"], cells["start"]["connections"]["Q"] = [100], [102]
    for name, (x, y) in {"begin": (2, 2), "end": (3, 2), "start": (2, 5), "stop": (4, 5)}.items():
        cells[name]["attributes"]["NEXTPNR_BEL"] = f"X{x}/Y{y}/MULT18_0"
    cells |= {f"near{x}": table((x, 2), 1, [("A", 100)]) for x in range(2, 9)}
    # As nextpnr writes the bits of a port, the second of which nothing is connected to.
    ports = {"o": {"direction": "output", "bits": [101, 852201688]}}
    module = {"settings": {}, "ports": ports, "cells": cells, "netnames": {
        name: {"bits": [bit], "attributes": {"ROUTING": "wire;;1"}}
        for name, bit in (("driven", 101), ("long", 100), ("still", 102), ("other", 50))}}
    paths = tmp_path / "routed.json", tmp_path / "routed.sdf"

    def write(module):
        for each in module["cells"].values():
            each["attributes"].setdefault("NEXTPNR_BEL", each["attributes"].get("BEL"))
        wires = wires_of(module["cells"], length(module["cells"]))
        paths[0].write_text(json.dumps({"modules": {"top": module}}))
        paths[1].write_text(sdf(wires, ["table"], ["begin", "end", "start", "stop"]))
    write(module)
    return paths, write


def test_only_what_moved_is_routed_anew(tmp_path):
    paths, write = routed(tmp_path)
    seen = []

    def route():
        (module,) = json.loads(paths[0].read_text())["modules"].values()
        seen.append({name for name, net in module["netnames"].items()
                     if "ROUTING" in net["attributes"]})
        assert module["ports"]["o"]["bits"] == [101, 103]
        write(module)
    first = 1e6 / Timing(paths[1].read_text()).longest
    report = {"fmax": {"clk": {"achieved": first, "constraint": 150}}, "critical_paths": []}
    refined = refine(report, paths, route, rounds=3, rams=())
    assert seen[0] == {"long", "still", "other"}
    assert len(seen) < 3
    assert refined["refined"]["before_mhz"] == pytest.approx(first, abs=1e-3)
    assert refined["fmax"]["clk"] == {"achieved": max(refined["refined"]["mhz"]), "constraint": 150}
    assert refined["fmax"]["clk"]["achieved"] > first
    (path,) = refined["critical_paths"]
    assert [part["type"] for part in path["path"]] == [
        "clk-to-q", "routing", "logic", "routing", "setup"]
    assert sum(part["delay"] for part in path["path"]) == pytest.approx(
        1000 / refined["fmax"]["clk"]["achieved"], abs=1e-3)


def test_a_round_that_made_it_slower_does_not_count(tmp_path):
    """And the next goes on from before."""
    paths, write = routed(tmp_path)
    handed = []

    def route():
        handed.append(paths[0].read_text())
        write(json.loads(paths[0].read_text())["modules"]["top"])
        paths[1].write_text(re.sub(r"(INTERCONNECT .*?2:)", r"\g<1>9", paths[1].read_text()))
    report = {"fmax": {"clk": {"achieved": 100.0}}, "critical_paths": [1]}
    refined = refine(report, paths, route, rounds=9, rams=())
    assert (refined["fmax"], refined["critical_paths"]) == (report["fmax"], [1])
    assert len(refined["refined"]["mhz"]) == 3
    assert refined["refined"]["moved"] == 0
    assert handed[1:] == handed[:1] * 2


def test_where_no_way_is_found_the_best_stands(tmp_path):
    paths, _ = routed(tmp_path)

    def route():
        raise CheckFailed("nextpnr-ecp5 failed")
    report = {"fmax": {"clk": {"achieved": 100.0}}, "critical_paths": [1]}
    refined = refine(report, paths, route, rounds=3, rams=())
    assert (refined["fmax"], refined["critical_paths"]) == (report["fmax"], [1])
    assert (refined["refined"]["mhz"], refined["refined"]["moved"]) == ([None] * 3, 0)


def test_after_a_round_without_a_way_it_goes_on_from_before_with_nothing_fixed(tmp_path):
    paths, write = routed(tmp_path)
    handed = []

    def route():
        handed.append(paths[0].read_text())
        if len(handed) == 1:
            raise CheckFailed("nextpnr-ecp5 was not done in 60 s")
        write(json.loads(handed[-1])["modules"]["top"])
    report = {"fmax": {"clk": {"achieved": 1.0, "constraint": 150}}, "critical_paths": []}
    refined = refine(report, paths, route, rounds=2, rams=())
    before, (none, after) = refined["refined"]["before_mhz"], refined["refined"]["mhz"]
    assert none is None
    assert after > before
    # The design is small enough for both to move the same.
    assert "wire;;4" in handed[0]
    assert handed[1] == handed[0].replace("wire;;4", "wire;;1")


def test_a_run_that_is_stopped_gives_no_report(tmp_path):
    paths, _ = routed(tmp_path)
    assert refine({"fmax": {"clk": {}}}, paths, lambda: None, rounds=3, rams=()) is None
