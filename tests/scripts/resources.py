"""What the components of two small engines take of a device: ``python -m tests.scripts.resources``.

Yosys maps each engine with its hierarchy, and the cells of every component are counted. So a
component's figures are those of its place in an engine, and nothing is optimised across its edges.
"""

import json
from pathlib import Path

from hdl.config import Configuration, load
from scripts.files import write_whole
from scripts.tools import Toolchain
from scripts.units import RESOURCES, cells_within, map_units

__all__ = ["BUDGETS", "ENGINES", "RENEW", "budgets", "excess", "measure"]


#: What they took when this was last renewed.
BUDGETS = Path(__file__).with_name("resources.json")
RENEW = ".venv/bin/python -m tests.scripts.resources"
WORK = Path(__file__).parents[2] / "build" / "resources"

ENGINES = {
    "ecp5": Configuration(
        name="4x4", device="lfe5u-25f", rows=4, columns=4, lanes=2, channels=4, multiplier="ecp5",
        vector=True, window_width=64, activation_words=1024, weight_words=1024,
        coefficient_words=128, program_words=512),
    "ice40": load("tiny"),
}

#: Where in the hierarchy each component is. An engine may lack one.
COMPONENTS = {
    "processing element": "engine.pipeline.array.pe_0_0",
    "array": "engine.pipeline.array",
    "step issuer": "engine.pipeline.issuer",
    "drain controller": "engine.pipeline.drain",
    "row feeder": "engine.pipeline.row_feeder",
    "weight feeder": "engine.pipeline.weight_feeder",
    "result queue": "engine.pipeline.outputs",
    "coefficient bank": "engine.pipeline.bank",
    "lane": "engine.pipeline.lane0",
    "pipeline": "engine.pipeline",
    "window unit": "engine.window",
    "vector unit": "engine.vector",
    "sequencer": "engine.sequencer",
    "activation reader": "engine.reader",
    "activation memory": "engine.memory",
    "weight reader": "engine.weights",
    "coefficient reader": "engine.coefficients",
    "result writer": "engine.writer",
    "packet receiver": "engine.receiver",
    "word sender": "engine.sender",
    "engine": "engine",
    "registers": "control",
    "bus port": "port",
    "whole": "",
}


def measure(modules):
    """Return the resources of every component of an engine, as it has been mapped, by name."""
    found = {name: cells_within(modules, path) for name, path in COMPONENTS.items()}
    return {name: counts for name, counts in found.items() if counts}


def budgets():
    """Return the figures that are kept: of each family, of each component."""
    return json.loads(BUDGETS.read_text(encoding="utf-8"))


def excess(kept, measured):
    """Return a line for every figure that has grown beyond its allowance, and for each component
    that has come or gone.

    The allowance is 7%, and eight tables and flip-flops in any case; blocks have none.
    """
    lines = [f"{name}: measured, but not kept" for name in measured.keys() - kept.keys()]
    lines += [f"{name}: kept, but not measured" for name in kept.keys() - measured.keys()]
    for name in kept.keys() & measured.keys():
        for resource, before in kept[name].items():
            now = measured[name][resource]
            spare = max(8, before * 7 // 100) if resource in ("lut", "ff") else 0
            if now > before + spare:
                lines.append(f"{name}: {now} {resource.upper()}, {now - before} more than the "
                             f"{before} that are kept; {before + spare} would pass")
    return sorted(lines)


def renew():
    """Measure all, show what has changed, and keep it."""
    kept = budgets() if BUDGETS.exists() else {}
    measured = {family: measure(map_units(config, WORK / family, Toolchain()))
                for family, config in ENGINES.items()}
    for family, components in measured.items():
        for name, figures in components.items():
            before = kept.get(family, {}).get(name, {})
            row = "".join(f"{figures[resource]:>7} {resource.upper()}"
                          f"{_change(before.get(resource), figures[resource]):<8}"
                          for resource in RESOURCES)
            print(f"{family:<6} {name:<20}{row}".rstrip())
    write_whole(BUDGETS, _text(measured))


def _change(before, now):
    return " (new)" if before is None else f" ({now - before:+})" if now != before else ""


def _text(measured):
    """JSON with a line for each component, so that a difference can be read."""
    families = []
    for family, components in measured.items():
        rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(figures)}"
                          for name, figures in components.items())
        families.append(f"  {json.dumps(family)}: {{\n{rows}\n  }}")
    return "{\n" + ",\n".join(families) + "\n}\n"


if __name__ == "__main__":
    renew()
