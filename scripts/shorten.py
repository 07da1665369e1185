"""Paths of an ECP5 netlist that become shorter without another cell."""

from collections import Counter
from itertools import permutations, product

__all__ = ["shorten"]


#: Inputs of a table, and of half a carry cell.
_PINS = "ABCD"


def shorten(netlist):
    """Take tables out of the way where what they are for can do their work as well.

    Yosys maps tables up to the carry cells, and whether it saves a table or a step on the way it
    decides before it knows what the way is like.

    Parameters
    ----------
    netlist : dict
        As read from JSON, of whole tables and carry cells; it is changed.

    Returns
    -------
    tuple of int
        Tables that look past another one, and those that became part of a carry cell.
    """
    merged = absorbed = 0
    for module in netlist["modules"].values():
        kept = {bit for port in module["ports"].values() for bit in port["bits"]}
        cells = module["cells"]
        merged += _merge(cells, kept)
        absorbed += _absorb(cells, kept)
    return merged, absorbed


def _merge(cells, kept):
    """Give every table what another one makes its input from, if it has pins for that."""
    drivers = _tables(cells)
    merged = 0
    for name in drivers.values():
        table = cells[name]
        for bit in _bits(table):
            driver = cells[drivers[bit]] if bit in drivers else None
            if driver and driver is not table and _see_past(table, bit, driver):
                merged += 1
    _drop(cells, drivers, kept)
    return merged


def _see_past(table, bit, driver):
    """Have ``table`` do what ``driver`` does for its input ``bit``; return whether it can."""
    inputs = _inputs(_bits(table), _bits(driver), bit)
    if len(inputs) > len(_PINS):
        return False
    init = 0
    for values in product((0, 1), repeat=len(inputs)):
        known = dict(zip(inputs, values, strict=True))
        known[bit] = _value(_init(driver, "INIT"), _bits(driver), known)
        index = sum(value << place for place, value in enumerate(values))
        # Free pins are tied to zero.
        init |= _value(_init(table, "INIT"), _bits(table), known) << index
    _set(table, "", inputs, range(len(inputs)), init, tie="0")
    return True


def _absorb(cells, kept):
    """Put tables that only one carry cell reads, and inverters, into that cell, if it has pins.

    Either half of a CCU2C adds with a table of four inputs, whose value is to propagate: the carry
    goes on if that is one, and is what a second table has of the inputs A and B otherwise, which is
    the part of the first for C and D being zero (CCU2C in cells_sim.v of Yosys). Yosys has two
    summands at A and B, and what these are made of in tables before.
    """
    reads, drivers = _reads(cells), _tables(cells)
    absorbed = 0
    for cell in [each for each in cells.values() if each["type"] == "CCU2C"]:
        for half in "01":
            if cell["parameters"][f"INJECT1_{half}"] != "NO":
                continue
            for bit in _bits(cell, half):
                table = cells.get(drivers.get(bit))
                if table and (reads[bit] == 1 or _is_inverter(table)) and _take_in(
                        cell, half, bit, table):
                    absorbed += 1
    _drop(cells, drivers, kept)
    return absorbed


def _drop(cells, drivers, kept):
    """Take away the tables that nothing reads any more."""
    reads = _reads(cells)
    for bit, name in drivers.items():
        if not reads[bit] and bit not in kept:
            del cells[name]


def _take_in(cell, half, bit, table):
    """Have a half of a carry cell do what ``table`` does for its input ``bit``; return whether it
    can."""
    pins = _bits(cell, half)
    inputs = _inputs(pins, _bits(table), bit)
    if len(inputs) > len(_PINS):
        return False
    init = _init(cell, f"INIT{half}")
    cases = []
    for values in product((0, 1), repeat=len(inputs)):
        known = dict(zip(inputs, values, strict=True))
        known[bit] = _value(_init(table, "INIT"), _bits(table), known)
        cases.append((values, _value(init, pins, known), _value(init & 0xF, pins[:2], known)))
    for places in permutations(range(len(_PINS)), len(inputs)):
        found = _fitted(places, cases)
        if found is not None:
            _set(cell, half, inputs, places, found, tie="1")
            return True
    return False


def _fitted(places, cases):
    """Return what a half is to hold if inputs are at ``places``, or None if it cannot be; free pins
    are one, so that the second table need not be part of the first."""
    free = sum(1 << index for index in range(len(_PINS)) if index not in places)
    entries, second = {}, []
    for values, propagate, carry in cases:
        index = free | sum(value << place for value, place in zip(values, places, strict=True))
        entries[index] = propagate
        if not propagate:
            second.append((index & 3, carry))
    for index, carry in second:
        if entries.setdefault(index, carry) != carry:
            return None
    return sum(value << index for index, value in entries.items())


def _reads(cells):
    """Count the inputs of cells at each bit."""
    return Counter(bit for cell in cells.values() for port, bits in cell["connections"].items()
                   if cell["port_directions"].get(port) != "output" for bit in bits)


def _tables(cells):
    """Return which table drives a bit."""
    return {cell["connections"]["Z"][0]: name for name, cell in cells.items()
            if cell["type"] == "LUT4"}


def _is_inverter(table):
    return sum(isinstance(bit, int) for bit in _bits(table)) == 1


def _bits(cell, half=""):
    """What is at the inputs of a table, or of half a carry cell."""
    return [cell["connections"][pin + half][0] for pin in _PINS]


def _init(cell, name):
    return int(cell["parameters"][name], 2)


def _set(cell, half, inputs, places, init, *, tie):
    """Have a table, or half a carry cell, hold ``init`` with ``inputs`` at ``places``, and all else
    tied to a constant."""
    at = dict(zip(places, inputs, strict=True))
    for index, pin in enumerate(_PINS):
        cell["connections"][pin + half] = [at.get(index, tie)]
    cell["parameters"][f"INIT{half}"] = f"{init:016b}"


def _inputs(outer, inner, bit):
    """What decides if ``bit``, one of ``outer``, is made of ``inner``; constants do not."""
    return [each for each in dict.fromkeys([*outer, *inner])
            if each != bit and isinstance(each, int)]


def _value(init, pins, known):
    """The value of a table at ``pins``: bits of which ``known`` has the values, or constants, of
    which an unknown one is zero, as nextpnr has it."""
    return init >> sum(known.get(bit, bit == "1") << index for index, bit in enumerate(pins)) & 1
