import copy

import pytest

from scripts.netlist import enable_locally, pin, repeat_addresses, trim


def netlist():
    """Two carry cells in a row, of which nobody reads the last one's carry, and two multipliers."""
    def carry(into, out):
        return {"type": "CCU2C", "attributes": {}, "connections": {"CIN": [into], "COUT": [out]},
                "port_directions": {"CIN": "input", "COUT": "output"}}

    def block():
        return {"type": "MULT18X18D", "attributes": {}, "connections": {}, "port_directions": {}}

    cells = {"low": carry("0", 5), "high": carry(5, 6), "engine.array.multiplier_0_0.dsp": block(),
             "engine.array.multiplier_0_01.dsp": block()}
    return {"modules": {"top": {"ports": {}, "cells": cells}}}


def test_cuts_off_what_nobody_reads():
    design = netlist()
    cells = design["modules"]["top"]["cells"]
    before = copy.deepcopy(cells)
    assert trim(design) == 1
    assert cells["high"]["connections"] == {"CIN": [5], "COUT": ["x"]}
    before.pop("high")
    assert {name: cells[name] for name in before} == before


def test_leaves_what_a_port_reads():
    design = netlist()
    design["modules"]["top"]["ports"] = {"carry": {"direction": "output", "bits": [6]}}
    assert trim(design) == 0
    assert design["modules"]["top"]["cells"] == netlist()["modules"]["top"]["cells"]


def test_pins_cells_by_the_ends_of_their_names():
    design = netlist()
    places = {"array.multiplier_0_0.dsp": "X4/Y9/MULT", "array.multiplier_7_7.dsp": "X8/Y9/MULT"}
    assert pin(design, places) == 1
    attributes = {name: cell["attributes"]
                  for name, cell in design["modules"]["top"]["cells"].items()}
    assert attributes.pop("engine.array.multiplier_0_0.dsp") == {"BEL": "X4/Y9/MULT"}
    assert not any(attributes.values())


def memory(read, write, contents, enable=("1",)):
    return {"type": "TRELLIS_DPR16X4", "parameters": {"INITVAL": contents},
            "connections": {"RAD": list(read), "WAD": list(write), "WRE": list(enable)}}


def word(cell, port, values):
    """The word of a memory that the bits of an address, given their values, select."""
    address = sum(values[bit] << place for place, bit in enumerate(cell["connections"][port]))
    contents = cell["parameters"]["INITVAL"]
    return contents[60 - 4 * address:64 - 4 * address], address


@pytest.mark.parametrize("spare", [(3,), (2, 3), (1, 2, 3), (0,), (0, 2)])
def test_constant_bits_of_addresses_become_like_another(spare):
    """Each word is where it is found, and where it is written is where it is read."""
    read, write = (["0" if bit in spare else first + bit for bit in range(4)] for first in (10, 20))
    before = memory(read, write, "".join(f"{value:04b}" for value in range(16)))
    after = copy.deepcopy(before)
    assert repeat_addresses({"modules": {"top": {"cells": {"memory": after}}}}) == 1
    assert "0" not in (*after["connections"]["RAD"], *after["connections"]["WAD"])
    places = set()
    for value in range(16):
        values = {"0": 0} | {first + bit: value >> bit & 1
                             for first in (10, 20) for bit in range(4)}
        assert word(after, "RAD", values)[0] == word(before, "RAD", values)[0]
        assert word(after, "RAD", values) == word(after, "WAD", values)
        places.add(word(after, "RAD", values)[1])
    assert len(places) == 2 ** (4 - len(spare))


@pytest.mark.parametrize(("read", "write"), [
    ([1, 2, 3, 4], [5, 6, 7, 8]), (["0"] * 4, ["0"] * 4), ([1, 2, 3, "0"], [5, 6, 7, 8]),
    ([1, 2, "1", "0"], [5, 6, 7, "1"])])
def test_other_addresses_stay(read, write):
    before = memory(read, write, 64 * "x")
    after = copy.deepcopy(before)
    assert repeat_addresses({"modules": {"top": {"cells": {"memory": after}}}}) == 0
    assert after == before


def test_memory_is_enabled_by_tables_of_its_own():
    cells = {f"a{place:02}": memory([1], [2], "") for place in range(10)}
    cells["b"] = memory([1], [2], "", enable=[7])
    module = {"cells": cells, "netnames": {"last": {"bits": [41, "0"], "attributes": {}}}}
    assert enable_locally({"modules": {"top": module}}) == 2
    tables = [cell for cell in cells.values() if cell["type"] == "LUT4"]
    assert [set(cell["parameters"]["INIT"]) for cell in tables] == [{"1"}] * 2
    bits = [cell["connections"]["Z"] for cell in tables]
    enables = [cells[f"a{place:02}"]["connections"]["WRE"] for place in range(10)]
    assert enables == bits[:1] * 8 + bits[1:] * 2
    assert all(bit > 41 for (bit,) in bits)
    assert bits[0] != bits[1]
    assert cells["b"]["connections"]["WRE"] == [7]
    assert [net["bits"] for name, net in module["netnames"].items() if name != "last"] == bits
