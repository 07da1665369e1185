"""Floorplan: places for DSP blocks and for block RAMs, on devices of family ECP5.

Left to itself the placer spreads the array's multipliers without regard to its geometry, and each
memory over the whole device, so that its addresses travel farther than a cycle lasts. Given places
for these alone, it puts accumulators and registers beside them by itself.
"""

import json
import re
from collections import defaultdict
from itertools import groupby
from typing import NamedTuple

__all__ = ["DSP", "RAM", "Site", "plan", "plan_memories", "read_sites", "sites"]


#: What nextpnr calls a DSP block and a block RAM of ECP5.
DSP, RAM = "MULT18X18D", "DP16KD"
_SITE = re.compile(r"X(\d+)/Y(\d+)/\w+")
#: A block RAM of :func:`hdl.vendormemory.block_memory`: its memory, bank, part of that, and slice.
_NAME = re.compile(r"(.+)\.bank(\d+)_(\d+)\.slice\[(\d+)\]\.ram")
#: Block RAMs of the smallest memory that gets places.
_SMALLEST = 8


class Site(NamedTuple):
    """Where a block can be, in the order in which a device's sites are listed."""

    y: int
    x: int
    name: str


def sites(device, directory, toolchain):
    """Return the places for :data:`DSP` and for :data:`RAM` on ``device``, for each line by line,
    from left to right.

    It asks nextpnr to place as many blocks as there are, and looks where they are.

    Parameters
    ----------
    device : Device
        Of family ECP5.
    directory : path
        For the files of the run: ``sites.json``, ``sites-placed.json`` and ``sites.log``.
    toolchain : Toolchain

    Raises
    ------
    CheckFailed
        If nextpnr fails.
    """
    cells = {f"{kind}_{index}": {"type": kind, "parameters": {}, "attributes": {},
                                 "port_directions": {}, "connections": {}}
             for kind, count in ((DSP, device.dsp), (RAM, device.bram)) for index in range(count)}
    module = {"attributes": {"top": 1}, "ports": {}, "cells": cells, "netnames": {}}
    (directory / "sites.json").write_text(json.dumps({"modules": {"top": module}}),
                                          encoding="utf-8")
    toolchain.run(device.router, [*device.place, "--out-of-context", "--json", "sites.json",
                                  "--no-route", "--write", "sites-placed.json"],
                  log=directory / "sites.log")
    return read_sites(directory)


def read_sites(directory):
    """Return what :func:`sites` has found, from the files that it has left in ``directory``."""
    placed = json.loads((directory / "sites-placed.json").read_text(encoding="utf-8"))
    names = {kind: [cell["attributes"]["NEXTPNR_BEL"]
                    for cell in placed["modules"]["top"]["cells"].values() if cell["type"] == kind]
             for kind in (DSP, RAM)}
    return {kind: sorted(Site(int(y), int(x), name)
                         for name in names[kind] for x, y in _SITE.findall(name))
            for kind in names}


def plan(config, places):
    """Return the site of each DSP block: names of cells, as they end, to names of sites.

    Rows of the array share the lines of sites in the middle of the device. Columns lie side by
    side, those that one lane serves beside each other, and row 0, where results leave, is on the
    last line. That line has room for the lanes' own blocks, each lane's among its columns.

    Parameters
    ----------
    config : Configuration
        With multipliers of family ECP5.
    places : sequence of Site
        Of DSP blocks, as :func:`sites` gives them.

    Returns
    -------
    dict
        Empty if the device's lines are too short or too few for that.
    """
    lines = [list(line) for _, line in groupby(places, key=lambda site: site.y)]
    rows = config.rows - config.lut_rows
    longest = min(map(len, lines), default=0) // config.columns
    # A third block of a lane goes wherever is room left.
    lane_blocks = ("high", "both") if config.lane_interval == 1 else ()
    spare = -(-len(lane_blocks) * config.lanes // config.columns)
    heights, pitch = _heights(rows, spare, longest, len(lines))
    if not heights:
        return {}
    order = sorted(range(config.columns), key=lambda column: (column % config.lanes, column))
    result, row = {}, 0
    above = (len(lines) - len(heights) + 1) // 2
    for height, line in zip(heights, reversed(lines[above:above + len(heights)]), strict=True):
        margin = (len(line) - pitch * config.columns) // 2
        for index, column in enumerate(order):
            group = line[margin + index * pitch:][:pitch]
            for offset in range(height):
                name = f"array.multiplier_{row + offset}_{column}.product0.dsp"
                result[name] = group[offset].name
        if row == 0:
            result |= _lanes(config, line[margin:], pitch, height, lane_blocks)
        row += height
    return result


def plan_memories(names, places):
    """Return the site of each block RAM of the larger memories: names of cells to names of sites.

    Block RAMs that give the same bits of a word, of which one is chosen, lie close to each other,
    and so do those of neighbouring bits, which share registers for the address. A memory of more
    bits than a line has sites takes whole lines, from the last one on, as many beside each other
    as block RAMs give each bit. What does not fill lines lies beside these, or else in the
    first line with room.

    Parameters
    ----------
    names : iterable of str
        Of the netlist's block RAMs.
    places : sequence of Site
        Of block RAMs, as :func:`sites` gives them.
    """
    memories = defaultdict(lambda: defaultdict(list))
    for name in names:
        if found := _NAME.fullmatch(name):
            memory, bank, part, index = found.groups()
            memories[memory][int(bank)].append((int(part), int(index), name))
    lines = [[site.name for site in line] for _, line in groupby(places, key=lambda site: site.y)]
    free = [list(line) for line in lines]
    result = {}
    for banks in sorted(memories.values(), key=_size, reverse=True):
        if _size(banks) < _SMALLEST:
            continue
        columns = _columns([[name for *_, name in sorted(bank)] for bank in banks.values()])
        height, whole = min(map(len, columns)), []
        while columns and free and len(columns) >= len(lines[-1]):
            empty = [line for line, full in zip(free, lines, strict=True) if line == full]
            if len(empty) < height:
                break
            whole = empty[-height:]
            taken, columns = columns[:len(lines[-1])], columns[len(lines[-1]):]
            for site, column in enumerate(taken):
                result |= {name: line[site] for name, line in zip(column, whole, strict=False)}
            columns += [column[height:] for column in taken if column[height:]]
            for line in whole:
                line.clear()
        # Beside the end of the lines that it has taken, if any.
        rest = [name for column in columns for name in column]
        beside = slice(None, None, -1) if whole else slice(None)
        line = next((line for line in free[beside] if len(line) >= len(rest)), [])
        chosen = line[beside][:len(rest)]
        result |= dict(zip(rest, chosen, strict=False))
        line[:] = [site for site in line if site not in chosen]
    return result


def _size(banks):
    return sum(map(len, banks.values()))


def _columns(banks):
    """Return, for the bits that a block RAM of the largest bank gives, those of all banks."""
    count = max(map(len, banks))
    columns = [[] for _ in range(count)]
    for bank in sorted(banks, key=len, reverse=True):
        for index, name in enumerate(bank):
            columns[index * count // len(bank)].append(name)
    return columns


def _heights(rows, spare, longest, lines):
    """Return the rows on each line, from row 0 on, and the sites that a column takes of a line;
    these as few as can be, since lines are less far apart than the ends of one."""
    pitch, chosen = longest + 1, []
    for count in range(1, lines + 1):
        heights = [(rows + index) // count for index in range(count)]
        if (sites := max(heights[0] + spare, heights[-1])) < pitch:
            pitch, chosen = sites, heights
    return chosen, pitch


def _lanes(config, line, pitch, height, blocks):
    """Return the sites of the lanes' blocks, in what its columns leave free of the line."""
    result = {}
    for lane in range(config.lanes):
        columns = line[lane * config.slots * pitch:][:config.slots * pitch]
        free = [site for index, site in enumerate(columns) if index % pitch >= height]
        result |= {f"lane{lane}.product.halves.{block}.dsp": site.name
                   for block, site in zip(blocks, free, strict=False)}
    return result
