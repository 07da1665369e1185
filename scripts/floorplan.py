"""Floorplan: a place for every DSP block of the array and the lanes, on devices of family ECP5.

Left to itself the placer spreads the array's multipliers without regard to its geometry. Given
places for these alone, it puts the accumulators beside them by itself.
"""

import json
import re
from itertools import groupby
from typing import NamedTuple

__all__ = ["Site", "plan", "sites"]


#: What nextpnr calls a DSP block of ECP5.
_CELL = "MULT18X18D"
_SITE = re.compile(r"X(\d+)/Y(\d+)/\w+")


class Site(NamedTuple):
    """Where a DSP block can be, in the order in which a device's sites are listed."""

    y: int
    x: int
    name: str


def sites(device, directory, toolchain):
    """Return the places for DSP blocks on ``device``, line by line, from left to right.

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
    cells = {f"block{index}": {"type": _CELL, "parameters": {}, "attributes": {},
                               "port_directions": {}, "connections": {}}
             for index in range(device.dsp)}
    module = {"attributes": {"top": 1}, "ports": {}, "cells": cells, "netnames": {}}
    (directory / "sites.json").write_text(json.dumps({"modules": {"top": module}}),
                                          encoding="utf-8")
    toolchain.run(device.router, [*device.place, "--out-of-context", "--json", "sites.json",
                                  "--no-route", "--write", "sites-placed.json"],
                  log=directory / "sites.log")
    placed = json.loads((directory / "sites-placed.json").read_text(encoding="utf-8"))
    names = [cell["attributes"]["NEXTPNR_BEL"]
             for cell in placed["modules"]["top"]["cells"].values() if cell["type"] == _CELL]
    return sorted(Site(int(y), int(x), name)
                  for name in names for x, y in _SITE.findall(name))


def plan(config, places):
    """Return the site of each DSP block: names of cells, as they end, to names of sites.

    Rows of the array share the device's lines of sites. Columns lie side by side, those that one
    lane serves beside each other, and row 0, where results leave, is on the last line. That line
    has room for the lanes' own blocks, each lane's among its columns.

    Parameters
    ----------
    config : Configuration
        With multipliers of family ECP5.
    places : sequence of Site
        As :func:`sites` gives them.

    Returns
    -------
    dict
        Empty if the device's lines are too short or too few for that.
    """
    lines = [list(line) for _, line in groupby(places, key=lambda site: site.y)]
    rows = config.rows - config.lut_rows
    longest = min(map(len, lines), default=0) // config.columns
    lane_blocks = ("high", "both") if config.lane_interval == 1 else ()
    spare = -(-len(lane_blocks) * config.lanes // config.columns)
    heights, pitch = _heights(rows, spare, longest, len(lines))
    if not heights:
        return {}
    order = sorted(range(config.columns), key=lambda column: (column % config.lanes, column))
    result, row = {}, 0
    for height, line in zip(heights, reversed(lines[:len(heights)]), strict=True):
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


def _heights(rows, spare, longest, lines):
    """Return the rows on each line, from row 0 on, and the sites that a column takes of a line."""
    for count in range(1, lines + 1):
        heights = [(rows + index) // count for index in range(count)]
        pitch = max(heights[0] + spare, heights[-1])
        if pitch <= longest:
            return heights, pitch
    return [], 0


def _lanes(config, line, pitch, height, blocks):
    """Return the sites of the lanes' blocks, in what its columns leave free of the line."""
    result = {}
    for lane in range(config.lanes):
        columns = line[lane * config.slots * pitch:][:config.slots * pitch]
        free = [site for index, site in enumerate(columns) if index % pitch >= height]
        result |= {f"lane{lane}.product.{block}.dsp": site.name
                   for block, site in zip(blocks, free, strict=False)}
    return result
