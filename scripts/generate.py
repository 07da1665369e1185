"""Verilog of a configuration's engine, with a manifest."""

import hashlib
import json
import re
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from hdl.top import CONTROLS
from hdl.verilog import emit
from scripts.console import CheckFailed
from scripts.files import publishing
from scripts.lint import WAIVERS, lint
from scripts.options import refusing
from scripts.registers import c_header
from sim.generated import kept

__all__ = ["HEADER", "TOP", "engine", "engine_verilog", "generate", "manifest", "ports_of",
           "verilog_of", "write_engine", "write_manifest"]


#: Top module of generated Verilog.
TOP = "celosia"
#: C header of the registers.
HEADER = "celosia_registers.h"

_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\S+?) ?;$", re.MULTILINE)


def engine(config, control="axi"):
    """Return the component that ``config`` describes, with a bus of :data:`hdl.top.CONTROLS`."""
    return CONTROLS[control](config)


def verilog_of(component):
    """Return the Verilog of ``component`` as module :data:`TOP`."""
    return emit(component, name=TOP)


def engine_verilog(config, control="axi", *, linted=False):
    """Return the Verilog of :func:`engine`, generated once for a configuration and a bus, and
    linted once if that is wanted.

    Raises
    ------
    Refused
        If there is no such engine.
    CheckFailed
        If Yosys fails, or lint finds a fault.
    """
    def make():
        with refusing():
            component = engine(config, control)
        try:
            return verilog_of(component)
        except subprocess.CalledProcessError as error:
            said = (error.stderr.strip() or "it said nothing").splitlines()[-1]
            raise CheckFailed(f"Yosys cannot write the Verilog of {config.name}: {said}; it takes "
                              "some GB of address space: raise the limit") from None

    key = [TOP, control, config.as_dict()]
    verilog = kept(key, make)
    if linted:
        return kept([*key, dict(WAIVERS)], lambda: _linted(verilog, config.name))
    return verilog


def ports_of(verilog):
    """Return the ports of module :data:`TOP` in the text ``verilog``, in its order.

    Each is a dictionary of ``name``, ``direction`` (``input`` or ``output``) and ``width``.
    """
    header = verilog.index(f"\nmodule {TOP}(")
    body = verilog[header:verilog.index("\nendmodule", header)]
    return [{"name": name, "direction": direction, "width": int(high or 0) + 1}
            for direction, high, name in _PORT.findall(body)]


def manifest(config, verilog):
    """Return what the manifest says of the text ``verilog``, generated for ``config``."""
    return {
        "configuration": config.as_dict(),
        "version": version("celosia"),
        "verilog": f"{config.name}.v",
        "registers": HEADER,
        "sha256": hashlib.sha256(verilog.encode()).hexdigest(),
        "top": TOP,
        "ports": ports_of(verilog),
    }


def generate(config, control, directory):
    """Write ``<name>.v``, :data:`HEADER` and ``manifest.json`` of an engine to ``directory``.

    Returns what the manifest holds. The Verilog is linted first: a fault leaves ``directory`` as
    it was. The same configuration gives the same bytes.

    Raises
    ------
    CheckFailed, Refused
        As :func:`engine_verilog` does.
    OSError
        If ``directory`` cannot be written.
    """
    verilog = engine_verilog(config, control, linted=True)
    with publishing(directory) as staging:
        contents = write_engine(verilog, config, staging)
        write_manifest(contents, staging)
    return contents


def _linted(verilog, name):
    """Return the text ``verilog``, in which lint finds no fault."""
    with tempfile.TemporaryDirectory(prefix="celosia-") as folder:
        path = Path(folder, f"{name}.v")
        path.write_text(verilog, encoding="utf-8")
        lint(path, top=TOP)
    return verilog


def write_engine(verilog, config, staging):
    """Write Verilog and C header to the folder ``staging``; return what a manifest says of them."""
    contents = manifest(config, verilog)
    (staging / contents["verilog"]).write_text(verilog, encoding="utf-8")
    (staging / HEADER).write_text(c_header(), encoding="utf-8")
    return contents


def write_manifest(contents, staging):
    """Write ``manifest.json`` to the folder ``staging``."""
    (staging / "manifest.json").write_text(json.dumps(contents, indent=2) + "\n",
                                           encoding="utf-8")
