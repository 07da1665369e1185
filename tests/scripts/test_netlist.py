import copy

from scripts.netlist import pin, trim


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
