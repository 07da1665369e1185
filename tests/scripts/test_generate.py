# amaranth: UnusedElaboratable=no

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Value

import scripts.generate
import scripts.lint
from hdl.config import CONFIGURATIONS
from scripts.console import CheckFailed
from scripts.files import publishing, write_whole
from scripts.generate import TOP, engine, generate, ports_of, verilog_of
from scripts.lint import WAIVERS, lint
from sim.verilator import environment

TINY = CONFIGURATIONS["tiny"]
COMMAND = Path(sys.executable).with_name("celosia")


@pytest.fixture(scope="module")
def verilog():
    """Verilog of the smallest engine."""
    return verilog_of(engine(TINY))


def test_two_runs_give_the_same_bytes(tmp_path):
    """Whatever the hash seed of Python, in an environment that is not activated."""
    written = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        done = subprocess.run(
            [COMMAND, "generate", "--config", "tiny", "-o", folder], capture_output=True,
            text=True, check=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": os.defpath, "PYTHONHASHSEED": seed})
        assert done.stdout.startswith(f"{folder}/tiny.v: top module celosia, ")
        assert done.stderr == "Generating and linting tiny\n"
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {"tiny.v", "manifest.json"}


def test_manifest_describes_the_verilog(tmp_path, verilog):
    returned = generate(engine(TINY), TINY, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert returned == manifest
    assert (tmp_path / manifest["verilog"]).read_text() == verilog
    assert manifest["sha256"] == hashlib.sha256(verilog.encode()).hexdigest()
    assert manifest["configuration"] == TINY.as_dict()
    assert (manifest["top"], manifest["version"]) == (TOP, "0.1.0.dev0")


def test_ports_are_the_signatures():
    """Clock, reset, and every field of every stream, with its width and direction."""
    component = engine(TINY)
    expected = {("clk", "input", 1), ("rst", "input", 1)}
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow.name == "In" else "output"
        expected.add(("__".join(map(str, path)), direction, len(Value.cast(value))))
    ports = ports_of(verilog_of(component))
    assert {(port["name"], port["direction"], port["width"]) for port in ports} == expected
    assert len(ports) == len(expected)


#: Faults put before the end of the top module, and what Verilator calls them.
FAULTS = {
    "  assign weights__ready = rst;\n": "MULTIDRIVEN",
    "  wire lost; wire found; assign found = lost;\n": "UNDRIVEN",
    "  wire [1:0] pair; assign pair = {2{rst}}; wire bad; assign bad = pair[2];\n": "SELRANGE",
    "  assign clk = 1'h0;\n": "ASSIGNIN",
}


@pytest.mark.parametrize(("fault", "name"), FAULTS.items(), ids=FAULTS.values())
def test_lint_catches(tmp_path, verilog, fault, name):
    header = verilog.index(f"\nmodule {TOP}(")
    end = verilog.index("\nendmodule", header) + 1
    path = tmp_path / "tiny.v"
    path.write_text(verilog[:end] + fault + verilog[end:])
    with pytest.raises(CheckFailed, match=rf"^Lint: %(Warning|Error)-{name}: tiny\.v:\d+:\d+: "):
        lint(path, top=TOP)


@pytest.mark.parametrize("waiver", WAIVERS)
def test_every_waiver_is_needed(tmp_path, verilog, monkeypatch, waiver):
    path = tmp_path / "tiny.v"
    path.write_text(verilog)
    lint(path, top=TOP)
    monkeypatch.setattr(scripts.lint, "WAIVERS",
                        {name: why for name, why in WAIVERS.items() if name != waiver})
    with pytest.raises(CheckFailed, match=rf"^Lint: %Warning-{waiver}: "):
        lint(path, top=TOP)


def test_waivers_are_documented():
    """The page on synthesis quotes every waiver and its reason."""
    page = (Path(__file__).parents[2] / "docs" / "synthesis.md").read_text()
    for warning, why in WAIVERS.items():
        assert f"| `{warning}` | {why} |\n" in page


@pytest.mark.parametrize("existing", [False, True])
def test_a_fault_leaves_no_file(tmp_path, monkeypatch, existing):
    folder = tmp_path / "out"
    if existing:
        folder.mkdir()
        (folder / "tiny.v").write_text("before")

    def fail(path, *, top):
        assert path.exists()
        raise CheckFailed(f"Lint: {top}")

    monkeypatch.setattr(scripts.generate, "lint", fail)
    with pytest.raises(CheckFailed, match=r"^Lint: celosia$"):
        generate(engine(TINY), TINY, folder)
    assert folder.exists() == existing
    if existing:
        assert [path.name for path in folder.iterdir()] == ["tiny.v"]
        assert (folder / "tiny.v").read_text() == "before"


def test_files_are_whole(tmp_path):
    write_whole(tmp_path / "a" / "b.json", "old")

    def fail():
        with publishing(tmp_path / "a") as staging:
            (staging / "b.json").write_text("ne")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert [path.read_text() for path in (tmp_path / "a").iterdir()] == ["old"]
    write_whole(tmp_path / "a" / "b.json", "new")
    assert [path.read_text() for path in (tmp_path / "a").iterdir()] == ["new"]


def test_verilator_needs_perl(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=r"^Verilator's driver needs perl on PATH$"):
        environment()
