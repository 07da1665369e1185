"""Refinement of placements: timing, what may be where, and moves."""

import json
import re
from collections import Counter, defaultdict
from copy import deepcopy
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.config import CONFIGURATIONS
from scripts.console import CheckFailed
from scripts.devices import DEVICES
from scripts.floorplan import RAM, Site, sites
from scripts.generate import verilog_of
from scripts.refine import refine
from scripts.refine.delays import Delays
from scripts.refine.moves import Moves
from scripts.refine.slices import Slices
from scripts.refine.timing import Timing
from scripts.synth import map_cells, synthesise
from scripts.tools import Toolchain
from tests.scripts.standin import Grid

ECP5 = replace(CONFIGURATIONS["tiny"], device="lfe5u-25f", multiplier="portable")
LETTERS = "ABCD"


def sdf(wires, tables=(), registers=(), carry=71):
    """SDF of wires ``(driver, port, load, port, delay)`` between tables, which take 236 ps, and
    registers, which take 525 ps and 100 ps of setup."""
    cells = [f'(CELL (CELLTYPE "TRELLIS_COMB")\n(INSTANCE {name})\n(DELAY (ABSOLUTE\n'
             f"(IOPATH A F (1:2:236) (1:2:236))\n(IOPATH FCI FCO (0:0:{carry}) (0:0:{carry}))\n)))"
             for name in tables]
    cells += [f'(CELL (CELLTYPE "TRELLIS_FF")\n(INSTANCE {name})\n(DELAY (ABSOLUTE\n'
              "(IOPATH CLK Q (430:477:525) (430:477:525))\n))\n(TIMINGCHECK\n"
              "(SETUPHOLD (posedge M) (posedge CLK) (0:50:100) (233:268:303))\n"
              "(SETUPHOLD (negedge M) (posedge CLK) (0:50:999) (233:268:303))\n))"
              for name in registers]
    lines = [f"(INTERCONNECT {driver}/{out} {load}/{into} (1:2:{delay}) (1:2:{delay}))"
             for driver, out, load, into, delay in wires]
    return "\n".join(["(DELAYFILE", "(CELL (INSTANCE )", *lines, ")", *cells, ")"])


def test_arrivals_by_hand():
    timing = Timing(sdf([(r"first\[0\]", "Q", "near", "A", 400), ("near", "F", "last", "M", 1000),
                         (r"first\[0\]", "Q", "far", "A", 900), ("far", "F", "last", "M", 300),
                         ("last", "Q", r"first\[0\]", "CLK", 5000)],
                        ["near", "far"], [r"first\[0\]", "last"]))
    assert timing.longest == 525 + 400 + 236 + 1000 + 100
    ends, lengths = timing.lengths()
    assert (timing.pins[ends[0]], lengths[0]) == (("last", "M"), timing.longest)
    pins = [timing.pins[timing.sink[arc]] for arc in timing.path(int(ends[0]))]
    assert pins == [("first[0]", "Q"), ("near", "A"), ("near", "F"), ("last", "M")]
    through = timing.arrival + timing.left
    assert through[timing.pins.index(("far", "F"))] == 525 + 900 + 236 + 300 + 100
    near = [timing.pins[pin] for pin in timing.sink[:timing.wires]].index(("near", "A"))
    timing.delay[near] = 0
    timing.run()
    assert timing.longest == 525 + 900 + 236 + 300 + 100


def test_cells_have_the_delays_of_another_file():
    wires = [("begin", "Q", "carry", "FCI", 0), ("carry", "FCO", "end", "M", 0)]
    text = [sdf(wires, ["carry"], ["begin", "end"], carry=carry) for carry in (71, 0)]
    assert Timing(text[0]).longest == 525 + 71 + 100
    assert Timing(text[0], text[1]).longest == 525 + 100
    assert Timing(text[1], text[0]).longest == 525 + 71 + 100


def cell(kind, site, inputs=(), out=None, **settings):
    """A cell of nextpnr's JSON with inputs ``(port, bit)``."""
    port = {"TRELLIS_FF": "Q", "TRELLIS_COMB": "F", "DP16KD": "DOA0"}[kind]
    connections = {name: [bit] for name, bit in inputs} | {port: [out] if out else []}
    return {"type": kind, "parameters": {"CLKMUX": "CLK", "LSRMUX": "LSR", "GSR": "DISABLED"}
            | settings, "attributes": {"NEXTPNR_BEL": site}, "connections": connections,
            "port_directions": {name: "output" if name == port else "input"
                                for name in connections}}


def flip_flop(tile, place, **signals):
    site = f"X{tile[0]}/Y{tile[1]}/SLICE{LETTERS[place // 2]}.FF{place % 2}"
    return cell("TRELLIS_FF", site, [("CLK", 1), *signals.items()])


def table(tile, place, inputs=(), out=None, **settings):
    site = f"X{tile[0]}/Y{tile[1]}/SLICE{LETTERS[place // 2]}.K{place % 2}"
    return cell("TRELLIS_COMB", site, inputs, out, **settings)


def test_what_goes_with_what():
    cells = {"one": flip_flop((2, 2), 0, CE=10, LSR=20, M=5),
             "like": flip_flop((3, 2), 0, CE=10, LSR=20, M=6),
             "enabled": flip_flop((4, 2), 0, CE=11, LSR=20, M=7),
             "reset": flip_flop((5, 2), 0, CE=10, LSR=21, M=8),
             "inverted": flip_flop((6, 2), 0, CE=10, LSR=20, M=9),
             "asynchronous": flip_flop((7, 2), 0, CE=10, LSR=20, M=9)}
    cells["inverted"]["parameters"]["CEMUX"] = "INV"
    cells["asynchronous"]["parameters"]["SRMODE"] = "ASYNC"
    slices = Slices(cells)
    room = {}
    for name in list(cells)[1:]:
        group = slices.group(name)
        assert group.members == ((name, "FF", 0, 0),)
        place = slices.where(group)
        slices.take(group)
        room[name] = slices.room(group, (2, 2))
        slices.put(group, *place)
    # The same slice; another slice; another tile.
    assert room == {"like": 1, "enabled": 2, "reset": None, "inverted": 2, "asynchronous": None}


def test_a_flip_flop_beside_a_pair_of_tables_has_no_input_of_its_own():
    cells = {"even": table((2, 2), 0, [("M", 5)]), "odd": table((2, 2), 1),
             "other": flip_flop((3, 2), 0, M=6)}
    cells["even"]["connections"] |= {"F1": [8], "OFX": [9]}
    cells["odd"]["connections"]["F"] = [8]
    slices = Slices(cells)
    assert slices.group("odd") == slices.group("even")
    assert [name for name, *_ in slices.group("even").members] == ["even", "odd"]
    assert slices.group("even").step == 2
    group = slices.group("other")
    slices.take(group)
    assert slices.room(group, (2, 2)) == 1


def test_a_choice_among_four_tables_takes_half_a_tile():
    """Two pairs, between which a second choice is made in the slice of the first."""
    cells = {f"t{place}": table((2, 2), place, out=40 + place) for place in range(4)}
    for even, port in ((0, "FXA"), (2, "FXB")):
        cells[f"t{even}"]["connections"] |= {"F1": [41 + even], "OFX": [50 + even], "M": [5]}
        cells["t1"]["connections"][port] = [50 + even]
    cells["t1"]["connections"] |= {"M": [6], "OFX": [60]}
    cells |= {"fed": flip_flop((2, 2), 1, DI=60), "full": table((3, 2), 2),
              "far": table((4, 2), 7), "apart": table((2, 2), 6)}
    slices = Slices(cells)
    group = slices.group("fed")
    assert [name for name, *_ in group.members] == ["t0", "t1", "fed", "t2", "t3"]
    assert all(slices.group(f"t{place}") == group for place in range(4))
    assert group.step == 4
    assert slices.group("apart").members == (("apart", "K", 0, 0),)
    slices.take(group)
    assert [slices.room(group, (x, 2)) for x in (2, 3, 4)] == [0, 4, 0]
    slices.put(group, (3, 2), 4)
    assert cells["t1"]["attributes"]["NEXTPNR_BEL"] == "X3/Y2/SLICEC.K1"


def test_tables_take_what_they_feed_along():
    cells = {"table": table((2, 2), 3, out=4), "fed": flip_flop((2, 2), 3, DI=4),
             "beside": flip_flop((2, 2), 2, M=6), "there": table((3, 2), 0)}
    slices = Slices(cells)
    group = slices.group("fed")
    assert group == slices.group("table")
    slices.take(group)
    assert slices.room(group, (3, 2)) == 1
    slices.put(group, (3, 2), 1)
    assert [cells[name]["attributes"]["NEXTPNR_BEL"] for name in ("table", "fed", "beside")] == [
        "X3/Y2/SLICEA.K1", "X3/Y2/SLICEA.FF1", "X2/Y2/SLICEB.FF0"]


def test_carry_chains_stay_whole():
    chain = {f"bit{index}": table((2 + index // 8, 2), index % 8, [("FCI", 100 + index)],
                                  MODE="CCU2") for index in range(10)}
    for index in range(10):
        chain[f"bit{index}"]["connections"]["FCO"] = [101 + index]
    cells = chain | {"fed": flip_flop((3, 2), 1, DI=50), "low": table((5, 4), 7),
                     "next": table((6, 4), 7)}
    slices = Slices(cells)
    group = slices.group("bit4")
    assert group.is_wide
    assert group == slices.group("fed")
    assert [name for name, *_ in group.members] == [*chain, "fed"]
    slices.take(group)
    # Its first tile must be free as a whole, of the second two places.
    assert [slices.room(group, (x, 4)) for x in (5, 6)] == [None, None]
    assert slices.room(group, (5, 2)) == 0
    slices.put(group, (5, 2), 0)
    assert slices.at["bit9"] == slices.at["fed"] == (6, 2)


def test_memory_in_tables_stays():
    cells = {"ram": table((2, 2), 0, MODE="DPRAM"), "plain": flip_flop((2, 2), 5, M=4),
             "other": flip_flop((3, 3), 5, M=4)}
    slices = Slices(cells)
    assert slices.group("ram") is None
    group = slices.group("other")
    slices.take(group)
    assert slices.room(group, (2, 2)) is None
    assert slices.group("plain") is not None


def test_block_rams_move_among_their_sites():
    rams = [Site(4, x, f"X{x}/Y4/EBR{x}") for x in (3, 5, 7)]
    cells = {"ram": cell("DP16KD", "X3/Y4/EBR3"), "other": cell("DP16KD", "X5/Y4/EBR5"),
             "logic": table((3, 3), 0)}
    slices = Slices(cells, rams)
    group = slices.group("ram")
    slices.take(group)
    assert [slices.room(group, (x, 4)) for x in (3, 4, 5, 7)] == [0, None, None, 0]
    slices.put(group, (7, 4), 0)
    assert cells["ram"]["attributes"]["NEXTPNR_BEL"] == "X7/Y4/EBR7"


def assert_legal(cells):
    """Check what nextpnr demands of the places of flip-flops, of which routing shows only a part:
    one clock and reset in a tile, one enable in a slice, and like settings."""
    sites = [each["attributes"]["NEXTPNR_BEL"] for each in cells.values()]
    assert len(set(sites)) == len(sites)
    shared = defaultdict(set)
    for each in cells.values():
        tile, place = each["attributes"]["NEXTPNR_BEL"].rsplit("/", 1)
        if ".FF" in place:
            shared[tile].add(str([each["connections"].get(port) for port in ("CLK", "LSR")] + [
                each["parameters"].get(name) for name in ("CLKMUX", "LSRMUX", "SRMODE")]))
            shared[tile, place[:6]].add(str([each["connections"].get("CE")] + [
                each["parameters"].get(name) for name in ("CEMUX", "GSR")]))
    assert all(len(found) == 1 for found in shared.values())


def wires_of(cells, delay):
    """The wires between ``cells``, which take ``delay(driver, load)``."""
    drivers = {bit: (name, port) for name, each in cells.items() for port in ("F", "Q")
               for bit in each["connections"].get(port, ())}
    return [(*drivers[bits[0]], load, port, delay(drivers[bits[0]][0], load))
            for load, each in cells.items() for port, bits in each["connections"].items()
            if port in ("A", "M") and bits and bits[0] in drivers]


def controlled(tile, place, **signals):
    """A flip-flop whose enable and reset are those of its slice and its tile."""
    return flip_flop(tile, place, CE=2 + place // 2 % 2, LSR=4 + sum(tile) % 2, **signals)


@st.composite
def designs(draw):
    """Pipelines of a register, a table and a register, scattered over few tiles."""
    sites = [((x, y), place) for x in range(2, 8) for y in range(2, 6) for place in range(8)]
    chosen = draw(st.randoms(use_true_random=False)).sample(sites, draw(st.integers(4, 60)) * 3)
    cells = {}
    for index, (begin, middle, end) in enumerate(zip(*[iter(chosen)] * 3, strict=True)):
        bits = 100 + 2 * index, 101 + 2 * index
        cells[f"begin{index}"] = controlled(*begin)
        cells[f"begin{index}"]["connections"]["Q"] = [bits[0]]
        cells[f"begin{index}"]["port_directions"]["Q"] = "output"
        cells[f"table{index}"] = table(*middle, [("A", bits[0])], bits[1])
        cells[f"end{index}"] = controlled(*end, M=bits[1])
    return cells


def length(cells):
    """A delay in proportion to the distance of two of ``cells``."""
    at = Slices(cells).at

    def delay(driver, load):
        return 300 + 100 * sum(abs(a - b) for a, b in zip(at[driver], at[load], strict=True))
    return delay


def timing_of(cells):
    return Timing(sdf(wires_of(cells, length(cells)),
                      [name for name, each in cells.items() if each["type"] == "TRELLIS_COMB"],
                      [name for name, each in cells.items() if each["type"] == "TRELLIS_FF"]))


@settings(max_examples=30, deadline=None)
@given(designs())
def test_moves_shorten_paths_and_keep_to_the_rules(cells):
    before = deepcopy(cells)
    timing = timing_of(cells)
    first = timing.longest
    moves = Moves(timing, Slices(cells))
    moves.run()
    assert_legal(cells)
    for name, each in cells.items():
        assert (each["connections"], each["parameters"]) == (
            before[name]["connections"], before[name]["parameters"])
        assert (each["attributes"] == before[name]["attributes"]) or name in moves.moved
    assert timing_of(cells).longest <= first


def test_others_give_way():
    """Between two cells that stay all tiles are full, of tables that need not be there."""
    cells = {"begin": flip_flop((2, 2), 0), "end": flip_flop((10, 2), 0, M=101),
             "table": table((6, 9), 0, [("A", 100)], 101)}
    cells["begin"]["connections"]["Q"] = [100]
    for name, x in (("begin", 2), ("end", 10)):
        cells[name]["attributes"]["NEXTPNR_BEL"] = f"X{x}/Y2/MULT18_0"
    cells |= {f"full{x}_{y}_{place}": table((x, y), place, [("A", 100)])
              for x in range(2, 11) for y in (2, 3) for place in range(8)}
    timing = timing_of(cells)
    first = timing.longest
    moves = Moves(timing, Slices(cells))
    moves.run()
    assert_legal(cells)
    assert timing_of(cells).longest < first - 1000
    assert "table" in moves.moved
    assert any(name.startswith("full") for name in moves.moved)


def test_delays_are_learned():
    cells = {f"t{x}": table((x, 2), 0, [("A", 100 + x)], 101 + x) for x in range(40)}
    at = Slices(cells).at
    wires = [("t0", "F", f"t{x}", "A", 200 + 50 * x) for x in range(1, 40)]
    delays = Delays(Timing(sdf(wires, cells, ["ff"])), at)
    assert list(delays("A", np.array([1, 10, 20, 39]))) == pytest.approx([250, 700, 1200, 2150])
    assert delays("A", 100) == pytest.approx(200 + 50 * 100)


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
    """Some of all that can move: wide choices, carry chains, block RAM, registers of many kinds."""

    def __init__(self):
        super().__init__({"i": In(64), "select": In(6), "enable": In(4), "clear": In(2),
                          "address": In(11), "o": Out(16), "count": Out(16), "chosen": Out(4)})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=2048, init=[])
        write, read = memory.write_port(), memory.read_port()
        address = Signal(11)
        m.d.sync += address.eq(self.address)
        m.d.comb += [write.addr.eq(address), write.data.eq(self.count), write.en.eq(self.enable[0]),
                     read.addr.eq(address), read.en.eq(~self.enable[0]), self.o.eq(read.data)]
        for index in range(4):
            inputs, select = Signal(64, name=f"inputs{index}"), Signal(6, name=f"select{index}")
            m.d.sync += [select.eq(self.select + index),
                         self.chosen[index].eq(inputs.bit_select(select, 1))]
            with m.If(self.enable[index]):
                m.d.sync += inputs.eq(self.i ^ self.count[index])
            with m.If(self.clear[index % 2]):
                m.d.sync += inputs.eq(0)
        m.d.sync += self.count.eq(self.count + self.i[:16])
        return m


def test_whatever_may_move_can_be_routed(tmp_path):
    """Many groups of each kind, wherever nearby there is room for them."""
    device, toolchain = DEVICES["lfe5u-25f"], Toolchain()
    (tmp_path / "design.v").write_text(verilog_of(Kinds()))
    map_cells(device, ECP5, tmp_path, toolchain)
    rams = sites(device, tmp_path, toolchain)[RAM]
    common = [*device.place, "--out-of-context"]
    toolchain.run(device.router, [*common, "--json", "netlist.json", "--write", "routed.json"],
                  log=tmp_path / "first.log")
    design = json.loads((tmp_path / "routed.json").read_text())
    (module,) = design["modules"].values()
    slices, chance, kinds = Slices(module["cells"], rams), Random(1), Counter()
    for name in module["cells"]:
        group = slices.group(name)
        if group is None or chance.random() < 0.5:
            continue
        home = slices.where(group)
        slices.take(group)
        # Near enough for many to come into one tile.
        tiles = sorted(slices.tiles[group.kind], key=lambda tile: (
            sum(abs(a - b) for a, b in zip(tile, home[0], strict=True)), tile))[:60]
        chance.shuffle(tiles)
        rooms = ((tile, slices.room(group, tile)) for tile in tiles)
        slices.put(group, *next((room for room in rooms if room[1] is not None), home))
        kinds[group.kind, group.step] += home != slices.where(group)
    assert {("FF", 1), ("K", 1), ("K", 2), ("K", 4), ("K", 8), ("EBR", 8)} <= set(+kinds)
    for net in module["netnames"].values():
        net["attributes"].pop("ROUTING", None)
    assert_legal(module["cells"])
    (tmp_path / "moved.json").write_text(json.dumps(design))
    toolchain.run(device.router, [*common, "--json", "moved.json", "--no-pack", "--no-place"],
                  log=tmp_path / "second.log")
    assert "Routing complete." in (tmp_path / "second.log").read_text()


def test_refinement_on_a_device(tmp_path):
    """What comes out is no slower, is routed whole, and its report fits together."""
    report = synthesise(Grid(), ECP5, tmp_path, toolchain=Toolchain(), rounds=2)
    (refined,) = report["refined"]
    assert 1 <= len(refined["mhz"]) <= 2
    assert report["fmax_mhz_routed"][0] == pytest.approx(
        max(refined["before_mhz"], *refined["mhz"]), abs=0.01)
    assert report["fmax_mhz_routed"][0] > refined["before_mhz"]
    assert refined["moved"] > 0
    path = report["critical_path"]
    assert 1000 / (path["logic_ns"] + path["routing_ns"]) == pytest.approx(
        report["fmax_mhz_routed"][0], rel=0.01)
    assert "Routing complete." in (tmp_path / "refine-1.log").read_text()


def routed(tmp_path):
    cells = {"begin": flip_flop((2, 2), 0), "table": table((9, 9), 0, [("A", 100)], 101),
             "end": flip_flop((3, 2), 0, M=101)}
    cells["begin"]["connections"]["Q"] = [100]
    for name, x in (("begin", 2), ("end", 3)):
        cells[name]["attributes"]["NEXTPNR_BEL"] = f"X{x}/Y2/MULT18_0"
    cells |= {f"near{x}": table((x, 2), 1, [("A", 100)]) for x in range(2, 9)}
    module = {"cells": cells, "netnames": {
        name: {"bits": [bit], "attributes": {"ROUTING": "wires"}}
        for name, bit in (("driven", 101), ("other", 100))}}
    paths = tmp_path / "routed.json", tmp_path / "routed.sdf"

    def write(module):
        wires = wires_of(module["cells"], length(module["cells"]))
        paths[0].write_text(json.dumps({"modules": {"top": module}}))
        paths[1].write_text(sdf(wires, ["table"], ["begin", "end"]))
    write(module)
    return paths, write


def test_only_what_moved_is_routed_anew(tmp_path):
    paths, write = routed(tmp_path)
    seen = []

    def route():
        (module,) = json.loads(paths[0].read_text())["modules"].values()
        seen.append({name for name, net in module["netnames"].items()
                     if "ROUTING" in net["attributes"]})
        write(module)
    first = 1e6 / Timing(paths[1].read_text()).longest
    report = {"fmax": {"clk": {"achieved": first, "constraint": 150}}, "critical_paths": []}
    refined = refine(report, paths, route, rounds=3, rams=())
    assert seen[0] == {"other"}
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
    paths, write = routed(tmp_path)

    def route():
        write(json.loads(paths[0].read_text())["modules"]["top"])
        paths[1].write_text(re.sub(r"(INTERCONNECT .*?2:)", r"\g<1>9", paths[1].read_text()))
    report = {"fmax": {"clk": {"achieved": 100.0}}, "critical_paths": [1]}
    refined = refine(report, paths, route, rounds=9, rams=())
    assert (refined["fmax"], refined["critical_paths"]) == (report["fmax"], [1])
    assert 1 <= len(refined["refined"]["mhz"]) <= 3
    assert refined["refined"]["moved"] == 0


def test_where_no_way_is_found_the_best_stands(tmp_path):
    paths, _ = routed(tmp_path)

    def route():
        raise CheckFailed("nextpnr-ecp5 failed")
    report = {"fmax": {"clk": {"achieved": 100.0}}, "critical_paths": [1]}
    refined = refine(report, paths, route, rounds=3, rams=())
    assert (refined["fmax"], refined["critical_paths"]) == (report["fmax"], [1])
    assert (refined["refined"]["mhz"], refined["refined"]["moved"]) == ([], 0)


def test_a_run_that_is_stopped_gives_no_report(tmp_path):
    paths, _ = routed(tmp_path)
    assert refine({"fmax": {"clk": {}}}, paths, lambda: None, rounds=3, rams=()) is None
