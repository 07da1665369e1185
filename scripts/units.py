"""What each unit of an engine takes of a device, as Yosys maps it with its hierarchy.

So a unit's cells are those of its place in an engine, and nothing is optimised across its edges.
"""

import json
from collections import Counter
from types import MappingProxyType

from scripts.console import columns, running
from scripts.devices import device_of
from scripts.generate import TOP, engine, verilog_of
from scripts.synth import map_cells

__all__ = ["RESOURCES", "UNITS", "by_unit", "cells_within", "map_units", "table"]


RESOURCES = ("lut", "ff", "dsp", "bram")

#: Units, and the instances whose cells are theirs, but for what lies within another unit's.
UNITS = MappingProxyType({
    "array, with its feeders": tuple(
        f"engine.pipeline.{name}" for name in (
            "array", "row_feeder", "weight_feeder", "activations", "weights")),
    "scale-shift lanes": ("engine.pipeline",),
    "window unit": ("engine.window",),
    "vector unit": ("engine.vector",),
    "memories": ("engine.memory", "engine.weights", "engine.coefficients"),
    "control and ports": ("",),
})

#: What each cell is counted as, and how often. Half of a carry cell of ECP5 is a table.
_CELLS = {
    "LUT4": {"lut": 1}, "CCU2C": {"lut": 2}, "TRELLIS_DPR16X4": {"lut": 4},
    "TRELLIS_FF": {"ff": 1}, "MULT18X18D": {"dsp": 1}, "DP16KD": {"bram": 1},
    "PDPW16KD": {"bram": 1},
    "SB_LUT4": {"lut": 1}, "SB_MAC16": {"dsp": 1}, "SB_RAM40_4K": {"bram": 1},
}


def map_units(config, directory, toolchain):
    """Map the engine of ``config`` to its device's cells; return the modules of the netlist.

    ``directory`` receives ``design.v``, ``netlist.json`` and ``yosys.log``.

    Raises
    ------
    OSError
        If ``directory`` cannot be written.
    Refused, CheckFailed
        If Yosys is missing, or fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with running("Generating Verilog"):
        (directory / "design.v").write_text(verilog_of(engine(config)), encoding="utf-8")
    with running(f"Synthesising the units of {config.name} with Yosys"):
        map_cells(device_of(config), config, directory, toolchain, flatten=False)
    return json.loads((directory / "netlist.json").read_text(encoding="utf-8"))["modules"]


def cells_within(modules, path):
    """Return how many of each of :data:`RESOURCES` are within the instance at ``path``, instances'
    names from the top on with dots between them; None if there is none."""
    found = [counts for at, counts in _walk(modules, TOP, "") if _within(at, path)]
    return {name: sum(counts[name] for counts in found) for name in RESOURCES} if found else None


def by_unit(modules):
    """Return, for each of :data:`UNITS` that the netlist has, how many cells are of that unit."""
    prefixes = sorted(((path, unit) for unit, paths in UNITS.items() for path in paths),
                      key=lambda item: -len(item[0]))
    totals = {unit: Counter() for unit in UNITS}
    for at, counts in _walk(modules, TOP, ""):
        unit = next(unit for path, unit in prefixes if _within(at, path))
        totals[unit].update(counts)
    return {unit: {name: counts[name] for name in RESOURCES}
            for unit, counts in totals.items() if counts}


def table(config, units):
    """Return what :func:`by_unit` has found, with shares of all tables, as a table."""
    grid = columns("unit", *(f">{name.upper()}" for name in RESOURCES), ">% of LUT", ">% of DSP",
                   title=f"{config.name} on {config.device}, each unit by itself")
    every = {name: sum(counts[name] for counts in units.values()) for name in RESOURCES}
    for unit, counts in [*units.items(), ("all", every)]:
        grid.add_row(unit, *(f"{counts[name]:,}" for name in RESOURCES),
                     *(f"{100 * counts[name] / max(1, every[name]):.1f}"
                       for name in ("lut", "dsp")))
    return grid


def _walk(modules, module, path):
    """Yield the path of every instance from ``path`` on, and what its own cells count as."""
    own = Counter()
    for name, cell in modules[module]["cells"].items():
        kind = cell["type"]
        if kind in _CELLS or kind.startswith("SB_DFF"):
            own.update(_CELLS.get(kind, {"ff": 1}))
        elif kind in modules:
            # Amaranth numbers an instance whose name a net has as well.
            plain = name.partition("$")[0]
            yield from _walk(modules, kind, f"{path}.{plain}" if path else plain)
    yield path, own


def _within(at, path):
    return not path or at == path or at.startswith(f"{path}.")
