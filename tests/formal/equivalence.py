"""Proves with Yosys that two descriptions of a component do the same."""

from amaranth.back import rtlil

from hdl.verilog import emit
from scripts.console import CheckFailed
from scripts.tools import Toolchain
from tests.formal.prover import WORK
from tests.formal.vendor_blocks import MODELS

__all__ = ["equal"]

#: Of the two, the first is the general description. Registers may hold anything at first.
_SCRIPT = """\
read_rtlil first.il
prep -flatten -top top
setattr -unset init w:*
rename top first
design -stash first
{second}
hierarchy -check -top top
prep -flatten -top top
async2sync
setattr -unset init w:*
rename top second
design -stash second
design -copy-from first first
design -copy-from second second
miter -equiv -flatten first second both
sat -verify -seq {steps} -prove-skip {skip} -prove trigger 0 both
"""


def equal(component, family, name, *, cells, latency=0):
    """Return whether the general and the vendor's description of a component always agree.

    Its outputs may depend on nothing older than the inputs of ``latency`` cycles ago, so what
    holds then from any state holds for ever.

    Parameters
    ----------
    component : function without arguments
        Gives it.
    family : str
        Whose cells.
    name : str
        Of the folder for the tools' files.
    cells : bool
        Whether the vendor's description is its cells, or what simulators take in their place.
    latency : int
    """
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "first.il").write_text(rtlil.convert(component(), emit_src=False), encoding="utf-8")
    (folder / "second.v").write_text(emit(component()), encoding="utf-8")
    (folder / "cells.v").write_text(MODELS[family], encoding="utf-8")
    # Where we describe a cell, Yosys may know its ports alone.
    second = ("read_verilog -defer -nooverwrite -DNO_INCLUDES second.v cells.v "
              f"+/{family}/cells_sim.v" if cells else "read_verilog -nosynthesis second.v")
    (folder / "proof.ys").write_text(
        _SCRIPT.format(second=second, steps=latency + 1, skip=latency), encoding="utf-8")
    log = folder / "yosys.log"
    try:
        Toolchain().run("yosys", ["-s", "proof.ys"], log=log)
    except CheckFailed:
        if "SAT proof finished - model found: FAIL!" not in log.read_text(encoding="utf-8"):
            raise
        return False
    return True
