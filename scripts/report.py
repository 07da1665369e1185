"""What synthesis reports: figures from nextpnr's report and log, and tables of them."""

import json
import re
import statistics
from math import inf

from scripts.console import CheckFailed, columns

__all__ = ["ceiling", "cells", "critical_path", "fmax", "json_of", "shortage", "summary", "table",
           "totals"]


_USED = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", re.MULTILINE)
_UNPLACED = re.compile(r"^ERROR: Unable to find legal placement for cell '.*' of type '(\w+)'",
                       re.MULTILINE)
_LOGIC_CELLS = re.compile(r"^Info:\s+(\d+) LCs used as (LUT4 only|LUT4 and DFF|DFF only)$",
                          re.MULTILINE)

#: What the report's columns are called among nextpnr's cells.
_CELLS = {
    "ecp5": {"lut": ["TRELLIS_COMB"], "ff": ["TRELLIS_FF"], "dsp": ["MULT18X18D"],
             "bram": ["DP16KD"]},
    "ice40": {"dsp": ["ICESTORM_DSP"], "bram": ["ICESTORM_RAM"]},
    # A larger multiplier has those of 9x9 in it, and they are counted as well.
    "nexus": {"lut": ["OXIDE_COMB"], "ff": ["OXIDE_FF"], "dsp": ["MULT9_CORE"],
              "bram": ["OXIDE_EBR"]},
    # An adder's bit takes a table, a multiplier of 18x18 the place of two.
    "gowin": {"lut": ["LUT4", "ALU"], "ff": ["DFF"], "dsp": ["MULT9X9", *2 * ["MULT18X18"]],
              "bram": ["BSRAM"]},
}


def shortage(log):
    """Return what the device lacks by nextpnr's output ``log``, or None if nothing.

    For instance ``MULT18X18D: 72 needed, 28 available``, by nextpnr's names of cells. There may
    also be enough of all, and yet no way to place one.
    """
    needed = _USED.findall(log)
    short = [f"{cell}: {used} needed, {available} available"
             for cell, used, available in needed if int(used) > int(available)]
    if not short and (unplaced := _UNPLACED.search(log)):
        short = [f"no place is left for one of {used} {cell}, of which {available} are available"
                 for cell, used, available in needed if cell == unplaced[1]]
    return "; ".join(short) or None


def fmax(placed):
    """Return the frequency of the slowest clock of nextpnr's report ``placed``, in MHz.

    Raises
    ------
    CheckFailed
        If the design has no path from register to register.
    """
    if not placed["fmax"]:
        raise CheckFailed("The design has no path from register to register to time")
    return min(clock["achieved"] for clock in placed["fmax"].values())


def totals(device, placed, log):
    """Return ``lut``, ``ff``, ``dsp`` and ``bram`` after packing, by report and log of nextpnr.

    On iCE40 a logic cell holds a table, a flip-flop or both, and the report counts cells; the
    log has how many are which.
    """
    used = {cell: count["used"] for cell, count in placed["utilization"].items()}
    counts = {name: sum(used[cell] for cell in cells)
              for name, cells in _CELLS[device.family].items()}
    if device.family == "ice40":
        kinds = {kind: int(count) for count, kind in _LOGIC_CELLS.findall(log)}
        counts["lut"] = kinds["LUT4 only"] + kinds["LUT4 and DFF"]
        counts["ff"] = kinds["DFF only"] + kinds["LUT4 and DFF"]
    return {name: counts[name] for name in ("lut", "ff", "dsp", "bram")}


def cells(placed):
    """Return all that nextpnr placed, by its own names of cells: used and available."""
    return {cell: count for cell, count in sorted(placed["utilization"].items()) if count["used"]}


def critical_path(placed):
    """Return the slowest path between registers in nextpnr's report ``placed``.

    ``from`` and ``to`` are cells, with their ports; ``logic_ns`` includes the clock-to-output and
    setup times of the registers, and ``levels`` counts the cells between them.
    """
    paths = [path["path"] for path in placed["critical_paths"]
             if path["from"] == path["to"] != "<async>"]
    slowest = max(paths, key=lambda path: sum(part["delay"] for part in path))
    routing = sum(part["delay"] for part in slowest if part["type"] == "routing")
    total = sum(part["delay"] for part in slowest)
    return {
        "from": _pin(slowest[0]["to"]),
        "to": _pin(slowest[-1]["from"]),
        "levels": sum(part["type"] == "logic" for part in slowest),
        "logic_ns": round(total - routing, 2),
        "routing_ns": round(routing, 2),
    }


def _pin(place):
    return f"{place['cell']}.{place['port']}".replace("\\", "")


def ceiling(device, counts):
    """Return the MHz that the data sheet allows a design with the cells ``counts``, or None."""
    limit = min([device.dsp_ceiling] * (counts["dsp"] > 0)
                + [device.bram_ceiling] * (counts["bram"] > 0), default=inf)
    return None if limit == inf else limit


def summary(config, device, runs, counts):
    """Return the report's first ten keys.

    Parameters
    ----------
    config : Configuration
    device : Device
    runs : list of float
        MHz of each seed, as routed.
    counts : dict
        As :func:`totals` gives them.
    """
    limit = ceiling(device, counts) or float("inf")
    seeds = [round(min(run, limit), 2) for run in runs]
    median = round(statistics.median(seeds), 2)
    return {
        "config": config.name,
        "device": device.name,
        "speed": device.speed,
        "fmax_mhz": median,
        "fmax_mhz_seeds": seeds,
        **counts,
        "peak_gops": round(2 * config.rows * config.columns * median / 1000, 3),
    }


def table(device, report):
    """Return the resources of ``report`` as a table that names the wrapper's share, if any.

    On iCE40 its last row is what fills the device: cells of a table, a flip-flop, or both.
    """
    wrapper = report["wrapper"]
    grid = columns("resource", ">used", ">available", ">%", *[">of which wrapper"] * bool(wrapper),
                   title=f"{report['config']} on {device.name}, speed grade {device.speed}")
    rows = [(name.upper(), report[name], getattr(device, name), wrapper and wrapper.get(name, 0))
            for name in ("lut", "ff", "dsp", "bram")]
    if packed := report["cells"].get("ICESTORM_LC"):
        rows.append(("logic cell", packed["used"], packed["available"], ""))
    for name, used, available, share in rows:
        grid.add_row(name, str(used), str(available), f"{100 * used / available:.1f}",
                     *[str(share)] * bool(wrapper))
    return grid


def json_of(report):
    """Return ``report`` as the text of a JSON file."""
    return json.dumps(report, indent=2) + "\n"
