"""Lint of generated Verilog, by Verilator."""

import subprocess
from types import MappingProxyType

from scripts.console import CheckFailed
from sim.verilator import environment

__all__ = ["WAIVERS", "lint"]


#: Verilator's warnings that generated Verilog may trip, and why each is none of a fault. Every
#: other warning of ``-Wall`` is an error.
WAIVERS = MappingProxyType({
    "CASEINCOMPLETE": "what a case leaves out keeps the value that was assigned before it",
    "DECLFILENAME": "one file holds all modules, and is named after the configuration",
    "PROCASSINIT": "a register's declaration gives its value at power-up, as FPGAs load it",
    "UNUSEDSIGNAL": "a layout's field has a net of its own, whether or not it is read by name",
    "VARHIDDEN": "an instance may have the name of a signal inside another module",
    "WIDTHEXPAND": "Verilog widens operands as Amaranth does, whose types say what is signed",
    "WIDTHTRUNC": "Yosys writes a comparison of a vector with zero as a logical not",
})


def lint(verilog, *, top):
    """Check the file ``verilog``, whose top module is ``top``, with all warnings but the waived.

    Raises
    ------
    CheckFailed
        With Verilator's first complaint.
    FileNotFoundError
        If the system has no Perl.
    """
    waivers = [f"-Wno-{warning}" for warning in WAIVERS]
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *waivers, "--top-module", top, verilog.name],
        cwd=verilog.parent, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("%")]
        raise CheckFailed(f"Lint: {(complaints or ['Verilator failed'])[0]}")
