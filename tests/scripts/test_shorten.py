"""Tables that are taken out of the way: what is left computes the same."""

import copy
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.shorten import shorten

INPUTS = range(2, 8)
#: What Yosys has a carry cell's halves hold: they add A and B, the latter inverted if C.
ADDING = 0x96AA


def table(output, init, *inputs):
    pins = dict(zip("ABCD", [*inputs, *"0000"], strict=False))
    return {"type": "LUT4", "parameters": {"INIT": f"{init:016b}"},
            "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
            "connections": {**{pin: [bit] for pin, bit in pins.items()}, "Z": [output]}}


def carry(carry_in, sums, carry_out, *halves, inject="NO"):
    """A carry cell; each of two halves is what it holds, and its four inputs."""
    ports = {"CIN": [carry_in]}
    parameters = {}
    for half, (init, *inputs) in enumerate(halves):
        parameters |= {f"INIT{half}": f"{init:016b}", f"INJECT1_{half}": inject}
        ports |= {f"{pin}{half}": [bit] for pin, bit in zip("ABCD", inputs, strict=True)}
    directions = dict.fromkeys(ports, "input") | dict.fromkeys(("S0", "S1", "COUT"), "output")
    return {"type": "CCU2C", "parameters": parameters, "port_directions": directions,
            "connections": {**ports, "S0": [sums[0]], "S1": [sums[1]], "COUT": [carry_out]}}


def design(cells, outputs):
    return {"modules": {"top": {
        "ports": {"o": {"direction": "output", "bits": outputs}}, "cells": cells}}}


def cells_of(netlist):
    return netlist["modules"]["top"]["cells"]


def computed(cells, known):
    """Values of all bits, for those of the inputs; by what Yosys says of the cells."""
    values = {"0": 0, "1": 1, "x": 0, **known}
    drivers = {bit: cell for cell in cells.values() for port, (bit,) in cell["connections"].items()
               if cell["port_directions"][port] == "output"}

    def value(bit):
        if bit not in values:
            cell = drivers[bit]
            ports = {port: wire for port, (wire,) in cell["connections"].items()}
            if cell["type"] == "LUT4":
                values[bit] = look(cell["parameters"]["INIT"], [value(ports[p]) for p in "ABCD"])
            else:
                add(cell, ports)
        return values[bit]

    def add(cell, ports):
        carried = value(ports["CIN"])
        for half in "01":
            inputs = [value(ports[pin + half]) for pin in "ABCD"]
            init = cell["parameters"][f"INIT{half}"]
            propagate, second = look(init, inputs), look(init, [*inputs[:2], 0, 0])
            gates = cell["parameters"][f"INJECT1_{half}"] == "NO"
            values[ports[f"S{half}"]] = propagate ^ (carried & gates)
            carried = carried if propagate else second & gates
        values[ports["COUT"]] = carried

    for bit in drivers:
        value(bit)
    return values


def look(init, inputs):
    return int(init[::-1][sum(value << place for place, value in enumerate(inputs))])


def same(before, after, outputs):
    for values in product((0, 1), repeat=len(INPUTS)):
        known = dict(zip(INPUTS, values, strict=True))
        first, second = computed(before, known), computed(after, known)
        assert [first[bit] for bit in outputs] == [second[bit] for bit in outputs]


@st.composite
def netlists(draw):
    """Tables of tables, and two carry cells in a row."""
    bits = [*INPUTS, "0", "1", "x"]
    cells, outputs = {}, [30, 31, 32, 33, 34]
    for number in range(10, 10 + draw(st.integers(1, 9))):
        few = draw(st.lists(st.sampled_from(bits), min_size=1, max_size=4))
        cells[f"t{number}"] = table(number, draw(st.integers(0, 0xFFFF)), *few)
        bits.append(number)
    half = st.one_of(
        st.tuples(st.just(ADDING), st.sampled_from(bits), st.sampled_from(bits),
                  st.sampled_from("01"), st.just("1")),
        st.tuples(st.integers(0, 0xFFFF), *[st.sampled_from(bits)] * 4))
    inject = st.sampled_from(["NO", "NO", "NO", "YES"])
    cells["low"] = carry("0", (30, 31), 20, draw(half), draw(half), inject=draw(inject))
    cells["high"] = carry(20, (32, 33), 34, draw(half), draw(half), inject=draw(inject))
    outputs += draw(st.lists(st.sampled_from([bit for bit in bits if bit not in (*INPUTS, *"01x")]),
                             max_size=2))
    return design(cells, outputs), outputs


@settings(max_examples=300, deadline=None)
@given(netlists())
def test_computes_the_same(made):
    netlist, outputs = made
    before = copy.deepcopy(cells_of(netlist))
    shorten(netlist)
    same(before, cells_of(netlist), outputs)


def count_down(reads=1):
    """A half that takes one from what a table chooses; others may read that too."""
    cells = {"choice": table(10, 0xCACA, 2, 3, 4), "down": carry(
        "0", (30, 31), "x", (ADDING, 10, "0", "1", "1"), (ADDING, 5, 6, "0", "1"))}
    cells |= {f"other{each}": table(40 + each, 0x8000, 10, 5, 6, 7) for each in range(reads - 1)}
    return design(cells, [30, 31, *range(40, 39 + reads)])


def test_a_choice_before_a_carry_chain_becomes_part_of_it():
    netlist = count_down()
    before = copy.deepcopy(cells_of(netlist))
    assert shorten(netlist) == (0, 1)
    assert list(cells_of(netlist)) == ["down"]
    same(before, cells_of(netlist), [30, 31])


def test_what_another_reads_stays():
    netlist = count_down(reads=2)
    before = copy.deepcopy(netlist)
    assert shorten(netlist) == (0, 0)
    assert netlist == before


@pytest.mark.parametrize("inputs", [
    (2, 3, 4, 7),       # Five in all.
    (2, 3, 4),          # Four, but what the carry is depends on more than two.
])
def test_what_does_not_fit_stays(inputs):
    netlist = design({"odd": table(10, 0x9696, *inputs), "sum": carry(
        "1", (30, 31), 32, (ADDING, 10, 5, "0", "1"), (ADDING, 5, 6, "0", "1"))}, [30, 31, 32])
    before = copy.deepcopy(netlist)
    assert shorten(netlist) == (0, 0)
    assert netlist == before


def test_an_inverter_behind_a_table_becomes_a_table_beside_it():
    """Of one that others read as well: as many tables, and a step less."""
    netlist = design({"either": table(10, 0xEEEE, 2, 3), "neither": table(11, 0x5555, 10)},
                     [10, 11])
    before = copy.deepcopy(cells_of(netlist))
    assert shorten(netlist) == (1, 0)
    after = cells_of(netlist)
    assert after["either"] == before["either"]
    assert after["neither"]["connections"] == {
        "A": [2], "B": [3], "C": ["0"], "D": ["0"], "Z": [11]}
    same(before, after, [10, 11])
