"""No component grows beyond what is kept of it in ``resources.json`` without being noticed."""

import json
import os

import pytest
from click.testing import CliRunner

from scripts.cli import main
from scripts.tools import Toolchain
from scripts.units import UNITS, by_unit, cells_within, map_units
from tests.scripts.resources import ENGINES, RENEW, WORK, budgets, excess, measure


@pytest.mark.parametrize("family", ENGINES)
def test_components_stay_within_their_budgets(family):
    modules = map_units(ENGINES[family], WORK / family, Toolchain())
    lines = excess(budgets()[family], measure(modules))
    assert not lines, "\n".join([
        f"Of the {family} engine, by Yosys:", *lines,
        f"If that is worth it, `{RENEW}` measures all of them, and keeps what it finds."])

    # What units take is the whole engine. The small one has neither a window nor a vector unit.
    units, whole = by_unit(modules), cells_within(modules, "")
    assert {name: sum(unit[name] for unit in units.values()) for name in whole} == whole
    assert units.keys() == UNITS.keys() - (
        {"window unit", "vector unit"} if family == "ice40" else set())
    assert all(unit["lut"] > 0 for unit in units.values())


def cells(**kinds):
    return {"cells": {name: {"type": kind} for name, kind in kinds.items()}}


MODULES = {
    "celosia": cells(engine="E", control="C"),
    "C": cells(a="LUT4", b="TRELLIS_FF"),
    "E": cells(pipeline="P", **{"window$12": "W"}, weights="M", z="SB_DFFESR"),
    "P": cells(array="A", lane0="L", lane1="L", word="LUT4", weights="R"),
    "A": cells(x="MULT18X18D", y="MULT18X18D"),
    "L": cells(carry="CCU2C"),
    "R": cells(ram="TRELLIS_DPR16X4"),
    "W": cells(sum="LUT4", other="UNKNOWN"),
    "M": cells(ram="DP16KD"),
}


def test_a_cell_is_its_innermost_units():
    assert {unit: tuple(counts.values()) for unit, counts in by_unit(MODULES).items()} == {
        "array, with its feeders": (4, 0, 2, 0), "scale-shift lanes": (5, 0, 0, 0),
        "window unit": (1, 0, 0, 0), "memories": (0, 0, 0, 1), "control and ports": (1, 2, 0, 0)}
    assert cells_within(MODULES, "engine.pipeline") == {"lut": 9, "ff": 0, "dsp": 2, "bram": 0}
    assert cells_within(MODULES, "engine.pipe") is None


def test_synth_shows_units(tmp_path, monkeypatch):
    yosys = tmp_path / "bin" / "yosys"
    yosys.parent.mkdir()
    yosys.write_text(f"#!/bin/sh\necho '{json.dumps({'modules': MODULES})}' > netlist.json\n")
    yosys.chmod(0o755)
    monkeypatch.setenv("PATH", f"{yosys.parent}{os.pathsep}{os.environ['PATH']}")
    report = tmp_path / "report.json"
    result = CliRunner().invoke(main, [
        "synth", "--config", "tiny", "--units", "--native", "-o", str(tmp_path / "out"),
        "--report", str(report)])
    assert result.exit_code == 0
    assert json.loads(report.read_text()) == {
        "config": "tiny", "device": "ice40up5k", "units": by_unit(MODULES)}
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["scale-shift", "lanes", "5", "0", "0", "0", "45.5", "0.0"] in rows
    assert ["all", "11", "2", "2", "1", "100.0", "100.0"] in rows


def figures(**counts):
    return {"lut": 100, "ff": 1000, "dsp": 2, "bram": 3} | counts


@pytest.mark.parametrize(("measured", "line"), [
    ({"lane": figures(lut=108, ff=1070)}, None),
    ({"lane": figures(lut=50, ff=0, dsp=0, bram=0)}, None),
    ({"lane": figures(lut=109)}, "lane: 109 LUT, 9 more than the 100 that are kept; "
                                 "108 would pass"),
    ({"lane": figures(ff=1071)}, "lane: 1071 FF, 71 more than the 1000 that are kept; "
                                 "1070 would pass"),
    ({"lane": figures(dsp=3)}, "lane: 3 DSP, 1 more than the 2 that are kept; 2 would pass"),
    ({"lane": figures(bram=4)}, "lane: 4 BRAM, 1 more than the 3 that are kept; 3 would pass"),
    ({"lane": figures(), "array": figures()}, "array: measured, but not kept"),
    ({}, "lane: kept, but not measured"),
])
def test_what_has_grown_is_named(measured, line):
    assert excess({"lane": figures()}, measured) == ([] if line is None else [line])
