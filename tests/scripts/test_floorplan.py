from collections import Counter
from dataclasses import replace

import pytest

from hdl.config import CONFIGURATIONS
from scripts.devices import DEVICES
from scripts.floorplan import DSP, RAM, Site, plan, plan_memories, sites
from scripts.tools import Toolchain

ECP5 = [config for config in CONFIGURATIONS.values() if config.family == "ecp5"]


def grid(lines, columns):
    """Sites of a device that does not exist."""
    return [Site(10 * y, 3 * x, f"X{3 * x}/Y{10 * y}/MULT")
            for y in range(lines) for x in range(columns)]


def test_sites_are_those_of_the_device(tmp_path):
    device = DEVICES["lfe5u-25f"]
    places = sites(device, tmp_path, Toolchain())
    for kind, count in ((DSP, device.dsp), (RAM, device.bram)):
        assert len({place.name for place in places[kind]}) == len(places[kind]) == count
        assert places[kind] == sorted(places[kind])


@pytest.mark.parametrize("config", ECP5, ids=lambda config: config.name)
def test_every_block_has_a_site_of_its_own(config):
    lines = 2 if config.device == "lfe5u-25f" else 3
    places = grid(lines, DEVICES[config.device].dsp // lines)
    planned = plan(config, places)
    array = [name for name in planned if name.startswith("array.")]
    rows = config.rows - config.lut_rows
    assert len(array) == rows * config.columns
    assert len(set(planned.values())) == len(planned)
    assert set(planned.values()) <= {place.name for place in places}
    where = {place.name: place for place in places}
    for column in range(config.columns):
        site = [where[planned[f"array.multiplier_{row}_{column}.product0.dsp"]]
                for row in range(rows)]
        # Results leave a column at row 0, on the last line, and come to it line by line.
        assert [each.y for each in site] == sorted((each.y for each in site), reverse=True)
        assert max(each.x for each in site) - min(each.x for each in site) <= 3 * 8
    for lane in range(config.lanes):
        served = [where[planned[f"array.multiplier_0_{column}.product0.dsp"]].x
                  for column in range(lane, config.columns, config.lanes)]
        for block in ("high", "both"):
            x = where[planned[f"lane{lane}.product.halves.{block}.dsp"]].x
            assert min(served) <= x <= max(served) + 3 * 8


def test_lines_share_the_rows():
    config = replace(CONFIGURATIONS["ecp5-85f"], rows=7, channels=8, columns=4, lanes=2)
    planned = plan(config, grid(3, 16))
    lines = Counter(name.split("/")[1] for element, name in planned.items()
                    if element.startswith("array."))
    assert sorted(lines.values()) == [2 * 4, 2 * 4, 3 * 4]


@pytest.mark.parametrize("places", [grid(1, 16), grid(4, 7), []])
def test_no_plan_where_there_are_too_few(places):
    assert not plan(CONFIGURATIONS["ecp5-85f-8x8"], places)


def rams(memory, *banks):
    """Names of a memory's block RAMs; of each bank, the sizes of its parts."""
    return [f"{memory}.bank{bank}_{part}.slice[{index}].ram" for bank, parts in enumerate(banks)
            for part, size in enumerate(parts) for index in range(size)]


def test_memories_lie_together():
    """One that takes lines, one that fits into a line, one that is too small to get places."""
    large, middle = rams("a.large", (24, 2), (24, 2), (2,)), rams("b", (8,), (4,))
    places = grid(4, 20)
    where = {place.name: place for place in places}
    planned = plan_memories([*rams("tables", (2,)), *middle, *large], places)
    assert sorted(planned) == sorted(large + middle)
    assert len(set(planned.values())) == len(planned)

    def site(memory, bank, part, index):
        return where[planned[f"{memory}.bank{bank}_{part}.slice[{index}].ram"]]

    for index in range(20):     # The bits that fill the last two lines, banks above each other.
        upper, lower = (site("a.large", bank, 0, index) for bank in range(2))
        assert (upper.x, upper.y, lower.x, lower.y) == (3 * index, 20, 3 * index, 30)
    rest = [where[planned[name]] for name in large if where[planned[name]].y < 20]
    assert {place.y for place in rest} == {10}
    assert len(rest) == 14
    for index in range(8):      # In one line, the banks side by side.
        first, second = site("b", 0, 0, index), site("b", 1, 0, index // 2)
        assert first.y == second.y == 0
        assert abs(first.x - second.x) <= 6


def test_no_place_is_given_twice_where_there_are_too_few():
    names = rams("a", (24, 24)) + rams("b", (9,))
    planned = plan_memories(names, grid(1, 12))
    assert len(set(planned.values())) == len(planned) <= 12
