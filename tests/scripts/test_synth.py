# amaranth: UnusedElaboratable=no

import json
import os
from dataclasses import replace
from time import monotonic

import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from click.testing import CliRunner

import scripts.hardware
from hdl.config import CONFIGURATIONS
from hdl.scan import ScanWrapper
from scripts.cli import main
from scripts.console import CheckFailed
from scripts.devices import DEVICES
from scripts.generate import verilog_of
from scripts.report import ceiling, critical_path, fmax, shortage, summary
from scripts.synth import map_cells, synthesise
from scripts.tools import Toolchain, last_words
from tests.scripts.standin import Grid

KEYS = ["config", "device", "speed", "fmax_mhz", "fmax_mhz_seeds", "lut", "ff", "dsp", "bram",
        "peak_gops"]
ECP5 = replace(CONFIGURATIONS["tiny"], device="lfe5u-25f", multiplier="portable")


def test_ecp5_report(tmp_path):
    """Two seeds, out of context: multipliers in DSP blocks, no cells that are not the block's."""
    report = synthesise(Grid(), ECP5, tmp_path, toolchain=Toolchain(), seeds=2, rounds=1)
    assert list(report)[:len(KEYS)] == KEYS
    assert json.loads(json.dumps(report)) == report
    assert (report["config"], report["device"], report["speed"]) == ("tiny", "lfe5u-25f", "6")
    assert (report["dsp"], report["bram"], report["wrapper"]) == (4, 0, None)
    assert report["ff"] == Grid().flip_flops
    assert report["lut"] > 4 * 20
    low, high = sorted(report["fmax_mhz_seeds"])
    assert 50 < low <= report["fmax_mhz"] <= high <= DEVICES["lfe5u-25f"].dsp_ceiling
    assert report["fmax_mhz"] == pytest.approx((low + high) / 2, abs=0.01)
    assert report["peak_gops"] == pytest.approx(2 * 2 * 2 * report["fmax_mhz"] / 1000, abs=1e-3)
    path = report["critical_path"]
    slowest = min(report["fmax_mhz_routed"])
    assert 1000 / (path["logic_ns"] + path["routing_ns"]) == pytest.approx(slowest, rel=0.01)
    assert report["fmax_mhz_routed"][path["seed"] - 1] == slowest
    assert_totals(report, "lfe5u-25f", lut="TRELLIS_COMB", ff="TRELLIS_FF", dsp="MULT18X18D")
    assert "Running Static placer..." in (tmp_path / "nextpnr-1.log").read_text()
    log = (tmp_path / "yosys.log").read_text()
    assert 0 < log.find("Executing SPLITNETS pass") < log.find("Executing ABC9_EXE pass")
    assert {path.name for path in tmp_path.iterdir()} == {
        "design.v", "netlist.json", "netlist.json.key", "yosys.log", "pack.log", "pack.log.key",
        "sites.json", "sites-placed.json", "sites.log",
        *(f"refine-{seed}.log" for seed in (1, 2)),
        *(f"nextpnr-{seed}.{kind}" for seed in (1, 2) for kind in ("log", "json", "json.key")),
        *(f"placed-{seed}.{kind}" for seed in (1, 2) for kind in ("zip", "zip.key"))}


class Counters(wiring.Component):
    """Two counters, each with a reset of its own."""

    def __init__(self, widths):
        self.widths = widths
        super().__init__({"clear": In(len(widths)),
                          **{f"count{index}": Out(width) for index, width in enumerate(widths)}})

    def elaborate(self, _platform):
        m = Module()
        for index in range(len(self.widths)):
            count = getattr(self, f"count{index}")
            m.d.sync += count.eq(Mux(self.clear[index], 0, count + 1))
        return m


def test_few_flip_flops_have_no_reset_on_ice40(tmp_path):
    """Eight would have a tile for themselves; sixteen keep theirs."""
    (tmp_path / "design.v").write_text(verilog_of(Counters((8, 16))))
    map_cells(DEVICES["ice40up5k"], CONFIGURATIONS["tiny"], tmp_path, Toolchain())
    modules = json.loads((tmp_path / "netlist.json").read_text())["modules"]
    kinds = [cell["type"] for cell in modules["celosia"]["cells"].values()]
    assert (kinds.count("SB_DFF"), kinds.count("SB_DFFSR")) == (8, 16)


@pytest.mark.parametrize(("device", "chain"), [("lfe5u-85f", "CCU2C"), ("ice40up5k", "SB_CARRY")])
@pytest.mark.parametrize(("width", "chains"), [(5, False), (12, True)])
def test_short_counters_are_no_chains(tmp_path, device, chain, width, chains):
    (tmp_path / "design.v").write_text(verilog_of(Counters((width,))), encoding="utf-8")
    map_cells(DEVICES[device], CONFIGURATIONS["tiny"], tmp_path, Toolchain())
    netlist = (tmp_path / "netlist.json").read_text(encoding="utf-8")
    assert (f'"type": "{chain}"' in netlist) == chains


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()
            if path.suffix in (".log", ".json")}


def test_what_was_made_from_the_same_is_kept(tmp_path):
    """A third seed is added to two; a damaged report, a changed design are made again, the report
    from what was placed; and everything is if nobody asks for less."""
    def made(rows=2, **options):
        before = times(tmp_path)
        report = synthesise(Grid(rows=rows), ECP5, tmp_path, toolchain=Toolchain(), rounds=1,
                            **options)
        now = times(tmp_path)
        return report, {name for name in now if now[name] != before.get(name)}

    two, _ = made(seeds=2)
    everything = {"netlist.json", "yosys.log", "sites.json", "sites-placed.json", "sites.log",
                  "pack.log", "nextpnr-1.log", "nextpnr-1.json", "refine-1.log"}
    three, added = made(seeds=3, resume=True, jobs=1)
    assert added == {"nextpnr-3.log", "nextpnr-3.json", "refine-3.log"}
    assert three["fmax_mhz_seeds"][:2] == two["fmax_mhz_seeds"]
    assert {key: three[key] for key in ("lut", "ff", "dsp", "bram", "cells", "pinned")} == {
        key: two[key] for key in ("lut", "ff", "dsp", "bram", "cells", "pinned")}
    def damage(name):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-9])
    damage("nextpnr-2.json")
    again, refined = made(seeds=3, resume=True)
    assert refined == {"nextpnr-2.json", "refine-2.log"}
    assert again == three
    damage("nextpnr-2.json")
    damage("placed-2.zip")
    assert made(seeds=3, resume=True)[1] == {
        "nextpnr-2.log", "nextpnr-2.json", "refine-2.log"}
    assert made(seeds=1, resume=True, rows=3)[1] == everything
    assert made(seeds=1)[1] == everything


@pytest.mark.parametrize(("multiplier", "blocks"), [("lut", 0), ("portable", 4)])
def test_ice40_report(tmp_path, multiplier, blocks):
    """Beyond the block's registers there are the wrapper's, and nothing is optimised away."""
    config = replace(CONFIGURATIONS["tiny"], multiplier=multiplier)
    report = synthesise(Grid(), config, tmp_path, toolchain=Toolchain())
    assert list(report)[:len(KEYS)] == KEYS
    wrapper = ScanWrapper(block=Grid())
    assert report["wrapper"] == {"lut": wrapper.gates, "ff": wrapper.registers}
    assert report["dsp"] == blocks
    assert report["ff"] == Grid().flip_flops + wrapper.registers
    assert report["lut"] > 4 * 20
    assert report["fmax_mhz"] == report["fmax_mhz_seeds"][0] > 10
    assert_totals(report, "ice40up5k", lut="ICESTORM_LC")


@pytest.mark.parametrize(("device", "blocks", "absorbed", "cells"), [
    # Yosys takes two of them for a product, as a multiplier of 18 bits with registers inside.
    ("lifcl-40", 8, 4 * 16,
     {"lut": "OXIDE_COMB", "ff": "OXIDE_FF", "dsp": "MULT9_CORE"}),
    ("gw2a-18", 4, 0, {"lut": "LUT4", "ff": "DFF", "dsp": "MULT9X9"})])
def test_nexus_and_gowin_report(tmp_path, device, blocks, absorbed, cells):
    """In a wrapper as well, and with multipliers of nine bits."""
    report = synthesise(Grid(), replace(ECP5, device=device), tmp_path, toolchain=Toolchain())
    wrapper = ScanWrapper(block=Grid())
    assert report["wrapper"] == {"lut": wrapper.gates, "ff": wrapper.registers}
    assert (report["dsp"], report["bram"], report["ceiling_mhz"]) == (blocks, 0, None)
    assert report["ff"] == Grid().flip_flops + wrapper.registers - absorbed
    assert report["lut"] > 4 * 20
    assert report["fmax_mhz"] == report["fmax_mhz_routed"][0] > 50
    assert report["critical_path"]["logic_ns"] > 0
    assert_totals(report, device, **cells)


def assert_totals(report, device, **cells):
    """The device table's totals are those that nextpnr knows."""
    for name, cell in cells.items():
        assert report["cells"][cell]["available"] == getattr(DEVICES[device], name)


def test_what_does_not_fit(tmp_path):
    message = (r"^tiny does not fit lfe5u-25f: MULT18X18D: 30 needed, 28 available; "
               rf"log: {tmp_path}/pack\.log$")
    with pytest.raises(CheckFailed, match=message):
        synthesise(Grid(rows=5, columns=6), ECP5, tmp_path, toolchain=Toolchain(), seeds=2)


def test_what_does_not_fit_an_ice40_is_not_placed(tmp_path):
    message = (r"^tiny does not fit ice40up5k: ICESTORM_DSP: 9 needed, 8 available; "
               rf"log: {tmp_path}/pack\.log$")
    config = replace(CONFIGURATIONS["tiny"], multiplier="portable")
    with pytest.raises(CheckFailed, match=message):
        synthesise(Grid(rows=3, columns=3), config, tmp_path, toolchain=Toolchain(), seeds=2)
    assert not list(tmp_path.glob("nextpnr-*"))


def tool(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def native(tmp_path, monkeypatch):
    """A folder that leads PATH, for tools that do as a test says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def synth(tmp_path, monkeypatch):
    """Run ``celosia synth --config tiny`` on the stand-in block; keep its report."""
    monkeypatch.setitem(scripts.hardware.PARTS, "engine", lambda _: Grid())

    def run(*options):
        return CliRunner().invoke(main, [
            "synth", "--config", "tiny", "-o", str(tmp_path / "out"),
            "--report", str(tmp_path / "report.json"), *options])
    return run


@pytest.mark.parametrize(("yosys", "nextpnr", "message"), [
    ("echo ERROR: no such cell >&2; echo; exit 1", "exit 0",
     "yosys failed: ERROR: no such cell; log: {out}/yosys.log"),
    ("exit 0", "[ $1 = --version ] || { echo 'ERROR: lost'; echo '0 warnings, 1 error'; exit 1; }",
     "nextpnr-ice40 failed: ERROR: lost; log: {out}/pack.log"),
    ("exit 0", "case $* in *--version | *--pack-only) ;; *) "
     "echo 'Info: \t ICESTORM_LC:    4900/   5280    92%'; "
     "echo \"ERROR: Unable to find legal placement for cell 'a.b[0]_LC' of type 'ICESTORM_LC' "
     "after 9 attempts.\"; exit 1 ;; esac",
     "tiny does not fit ice40up5k: no place is left for one of 4900 ICESTORM_LC, of which 5280 are "
     "available; log: {out}/nextpnr-1.log"),
    ("exit 0", "case $* in *--version | *--pack-only) ;; *) kill -9 $$ ;; esac",
     "nextpnr-ice40 failed: it wrote no log; log: {out}/nextpnr-1.log"),
])
def test_a_failing_tool_leaves_no_report(native, synth, tmp_path, yosys, nextpnr, message):
    tool(native, "yosys", yosys if yosys == "exit 0" else f"[ $1 = --version ] || {{ {yosys}; }}")
    tool(native, "nextpnr-ice40", nextpnr)
    result = synth("--native", "--seeds", "2")
    assert result.exit_code == 1
    expected = "celosia: " + message.format(out=tmp_path / "out")
    assert result.stderr.splitlines()[-1].replace("nextpnr-2", "nextpnr-1") == expected
    assert result.stdout == ""
    assert not (tmp_path / "report.json").exists()


def test_missing_native_tool(native, synth, monkeypatch, tmp_path):
    tool(native, "yosys", "exit 0")
    monkeypatch.setenv("PATH", str(native))
    result = synth("--native")
    assert result.exit_code == 2
    assert result.stderr == (
        "celosia: --native needs nextpnr-ice40, which is not on PATH; "
        "without --native the nextpnr-ice40 of PyPI is used\n")
    assert not (tmp_path / "out").exists()


def test_target_and_summary(synth, tmp_path):
    """A missed target is exit status 1, with the report written and shown all the same."""
    result = synth("--target", "200")
    report = json.loads((tmp_path / "report.json").read_text())
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"celosia: tiny reaches {report['fmax_mhz']} MHz, below the target of 200 MHz")
    assert report["asked_mhz"] == 200
    cells = report["cells"]["ICESTORM_LC"]["used"]
    assert max(report["lut"], report["ff"]) <= cells <= report["lut"] + report["ff"]
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["FF", str(report["ff"]), "5280", f"{report['ff'] / 52.80:.1f}",
            str(report["wrapper"]["ff"])] in rows
    assert ["logic", "cell", str(cells), "5280", f"{cells / 52.80:.1f}"] in rows
    for text in ("of which wrapper",
                 f"Fmax {report['fmax_mhz']:.2f} MHz", f"from {report['critical_path']['from']}"):
        assert text in result.stdout


@pytest.mark.parametrize(("dsp", "bram", "expected"), [
    (0, 0, 300.0), (1, 0, 225.0), (0, 1, 272.0), (1, 1, 225.0)])
def test_never_above_the_data_sheet(dsp, bram, expected):
    device = DEVICES["lfe5u-85f"]
    counts = {"lut": 1, "ff": 1, "dsp": dsp, "bram": bram}
    report = summary(ECP5, device, [300.0, 310.0, 100.0], counts)
    assert report["fmax_mhz"] == expected
    assert report["fmax_mhz_seeds"][2] == 100.0
    assert ceiling(device, counts) == (expected if dsp or bram else None)


def segment(kind, delay, cell):
    return {"type": kind, "delay": delay, "from": {"cell": "\\" + cell, "port": "Q"},
            "to": {"cell": cell, "port": "D"}}


def test_critical_path_is_the_slowest_between_registers():
    def path(*segments, ends=("posedge clk", "posedge clk")):
        return {"from": ends[0], "to": ends[1], "path": list(segments)}

    placed = {"critical_paths": [
        path(segment("clk-to-q", 9, "pin"), segment("setup", 9, "pin"),
             ends=("<async>", "posedge clk")),
        path(segment("clk-to-q", 1, "fast"), segment("setup", 0, "fast")),
        path(segment("clk-to-q", 0.5, "a"), segment("routing", 1.25, "a"),
             segment("logic", 0.25, "b"), segment("routing", 2, "b"), segment("setup", 0.1, "c")),
    ]}
    assert critical_path(placed) == {"from": "a.D", "to": "c.Q", "levels": 1, "logic_ns": 0.85,
                                     "routing_ns": 3.25}


def test_a_design_without_clock():
    with pytest.raises(CheckFailed,
                       match=r"^The design has no path from register to register to time$"):
        fmax({"fmax": {}})


def test_reasons():
    log = "Info: a\nERROR: first\nERROR: second \n\n1 warning, 2 errors\n"
    assert last_words(log) == "ERROR: second"
    assert last_words("Info: killed\n\n") == "Info: killed"
    assert shortage("Info: \t  ICESTORM_LC:   10/   10   100%\n") is None
    assert shortage("Info: \t  ICESTORM_LC:   11/   10   110%\nInfo:  SB_IO:  4/  3   133%\n") == (
        "ICESTORM_LC: 11 needed, 10 available; SB_IO: 4 needed, 3 available")


def test_a_tool_may_take_so_long_and_no_longer(tmp_path):
    """Of a tool that is not done then nothing is left running."""
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    sleeper.chmod(0o755)
    begin = monotonic()
    with pytest.raises(CheckFailed, match=r"sleeper was not done in 1 s; log: .*log"):
        Toolchain(native=True).run(str(sleeper), [], log=tmp_path / "log", limit=1)
    assert 1 <= monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "log").read_text()), 0)
