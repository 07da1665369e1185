from collections import Counter
from dataclasses import replace

import pytest

from hdl.config import CONFIGURATIONS
from scripts.devices import DEVICES
from scripts.floorplan import Site, plan, sites
from scripts.tools import Toolchain

ECP5 = [config for config in CONFIGURATIONS.values() if config.family == "ecp5"]


def grid(lines, columns):
    """Sites of a device that does not exist."""
    return [Site(10 * y, 3 * x, f"X{3 * x}/Y{10 * y}/MULT")
            for y in range(lines) for x in range(columns)]


def test_sites_are_those_of_the_device(tmp_path):
    device = DEVICES["lfe5u-25f"]
    places = sites(device, tmp_path, Toolchain())
    assert len({place.name for place in places}) == len(places) == device.dsp
    assert places == sorted(places)


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
            x = where[planned[f"lane{lane}.product.{block}.dsp"]].x
            assert min(served) <= x <= max(served) + 3 * 8


def test_lines_share_the_rows():
    config = replace(CONFIGURATIONS["ecp5-85f"], rows=7, channels=8, columns=4, lanes=2)
    planned = plan(config, grid(3, 16))
    lines = Counter(name.split("/")[1] for element, name in planned.items()
                    if element.startswith("array."))
    assert sorted(lines.values()) == [3 * 4, 4 * 4]


@pytest.mark.parametrize("places", [grid(1, 16), grid(4, 7), []])
def test_no_plan_where_there_are_too_few(places):
    assert not plan(CONFIGURATIONS["ecp5-85f-8x8"], places)
