# amaranth: UnusedElaboratable=no

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Value

import scripts.generate
from hdl.config import CONFIGURATIONS
from hdl.isa import Status
from hdl.pipeline import ConvPipeline
from hdl.registers import REGISTERS
from hdl.top import CONTROLS
from scripts.console import CheckFailed
from scripts.files import publishing, write_whole
from scripts.generate import HEADER, TOP, engine, engine_verilog, generate, ports_of, verilog_of
from scripts.lint import WAIVERS, lint
from scripts.pages import PAGES
from scripts.registers import c_header
from sim.verilator import environment
from tests.cosim.engines import SYNTHESISED

TINY = CONFIGURATIONS["tiny"]
COMMAND = Path(sys.executable).with_name("celosia")
#: Writes what `celosia generate` does the first time, whatever has been kept since.
PROGRAM = """
import sys
from hdl.config import load
from scripts.generate import engine, verilog_of
sys.stdout.write(verilog_of(engine(load("tiny"))))
"""


@pytest.fixture(scope="module")
def verilog():
    """Verilog of the smallest engine."""
    return verilog_of(engine(TINY))


def in_an_environment_of_its_own(*command, hash_seed):
    """Run a command where no virtual environment is activated."""
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          stdin=subprocess.DEVNULL,
                          env={**os.environ, "PATH": os.defpath, "PYTHONHASHSEED": hash_seed,
                               "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])})


def test_two_runs_give_the_same_bytes(tmp_path, verilog):
    """Whatever the hash seed of Python."""
    done = in_an_environment_of_its_own(
        COMMAND, "generate", "--config", "tiny", "-o", tmp_path, hash_seed="1")
    assert done.stdout.startswith(f"{tmp_path}/tiny.v: top module celosia, ")
    assert done.stderr == "Generating and linting tiny\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "tiny.v", "celosia_registers.h", "manifest.json"}
    assert (tmp_path / "tiny.v").read_text() == verilog
    done = in_an_environment_of_its_own(sys.executable, "-c", PROGRAM, hash_seed="2")
    assert done.stdout == verilog


def test_manifest_describes_the_verilog(tmp_path, verilog):
    returned = generate(TINY, "axi", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert returned == manifest
    assert (tmp_path / manifest["verilog"]).read_text() == verilog
    assert manifest["sha256"] == hashlib.sha256(verilog.encode()).hexdigest()
    assert manifest["configuration"] == TINY.as_dict()
    assert (manifest["top"], manifest["version"]) == (TOP, "0.1.0.dev0")


def test_ports_are_the_signatures():
    """Clock, reset, and every field of every stream, with its width and direction."""
    component = ConvPipeline(TINY)
    expected = {("clk", "input", 1), ("rst", "input", 1)}
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow.name == "In" else "output"
        expected.add(("__".join(map(str, path)), direction, len(Value.cast(value))))
    ports = ports_of(verilog_of(component))
    assert {(port["name"], port["direction"], port["width"]) for port in ports} == expected
    assert len(ports) == len(expected)


@pytest.mark.parametrize(("control", "bus"), [
    ("axi", "s_axil_awaddr s_axil_awprot s_axil_awvalid s_axil_wdata s_axil_wstrb s_axil_wvalid "
            "s_axil_bready s_axil_araddr s_axil_arprot s_axil_arvalid s_axil_rready s_axil_awready "
            "s_axil_wready s_axil_bresp s_axil_bvalid s_axil_arready s_axil_rdata s_axil_rresp "
            "s_axil_rvalid"),
    ("wishbone", "wb_cyc wb_stb wb_we wb_adr wb_dat_w wb_sel wb_dat_r wb_ack wb_err wb_stall"),
])
def test_ports_of_the_engine_are_stable(tmp_path, control, bus):
    """Plain names that others attach to, in an order that does not depend on anything else."""
    ports = generate(TINY, control, tmp_path)["ports"]
    streams = [f"{side}_axis_{name}" for side in "sm" for name in (
        "tdata", "tvalid", "tready", "tlast")]
    assert {port["name"] for port in ports} == {"clk", "rst", "irq", *streams, *bus.split()}
    assert [port["name"] for port in ports if port["name"] in bus.split()] == bus.split()


def test_c_header_compiles(tmp_path):
    """With all warnings, twice included; and it holds the map."""
    (tmp_path / HEADER).write_text(c_header())
    lines = [f'#include "{HEADER}"'] * 2
    for register in REGISTERS:
        name = f"CELOSIA_{register.name}"
        lines.append(f"_Static_assert({name}_OFFSET == {register.offset}, \"{name}\");")
        for field in register.fields:
            mask = f"{name}_{field.name.upper()}_MASK >> {name}_{field.name.upper()}_SHIFT"
            lines.append(f"_Static_assert(({mask}) == {(1 << field.width) - 1}, \"{mask}\");")
    lines += [f"_Static_assert(CELOSIA_CODE_{status.name} == {status.value}, \"code\");"
              for status in Status]
    (tmp_path / "use.c").write_text("\n".join(lines) + "\n")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-c",
                    "use.c"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_up_to_date(path):
    """Otherwise: python -m scripts.pages"""
    assert (Path(__file__).parents[2] / path).read_text() == PAGES[path]()


#: Faults put before the end of the top module, and what Verilator calls them.
FAULTS = {
    "  assign s_axis_tready = rst;\n": "MULTIDRIVEN",
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


@pytest.mark.parametrize("family", SYNTHESISED)
def test_engines_of_vendor_blocks_pass_lint(family):
    """Blocks of DSPs and memories, which engines of other families have not."""
    assert f"_{family}_" in engine_verilog(SYNTHESISED[family], linted=True)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_engines_that_ship_pass_lint(name, control):
    """So `celosia compile` need not lint them."""
    verilog = engine_verilog(CONFIGURATIONS[name], control, linted=True)
    assert verilog == engine_verilog(CONFIGURATIONS[name], control)


def test_every_waiver_is_needed_and_no_other(tmp_path, verilog):
    path = tmp_path / "tiny.v"
    path.write_text(verilog)
    lint(path, top=TOP)
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--top-module", TOP, path.name],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert set(re.findall(r"%Warning-(\w+)", done.stderr)) == set(WAIVERS)


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
    monkeypatch.setattr(scripts.generate, "kept", lambda _key, make: make())
    with pytest.raises(CheckFailed, match=r"^Lint: celosia$"):
        generate(TINY, "axi", folder)
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


def test_a_full_disk_says_where(tmp_path, monkeypatch):
    """The error of a write has no name of its own."""
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "a" / "b.json", "new")
    assert caught.value.filename == str(tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []


def test_verilator_needs_perl(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=r"^Verilator's driver needs perl on PATH$"):
        environment()
