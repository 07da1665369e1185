"""A routed design that nextpnr reads again, and what it is told of it."""

from itertools import count

__all__ = ["hand_over"]


#: Type of a multiplier, and what the names of the ports begin with that its registers hang on.
_MULTIPLIER, _CONTROLS = "MULT18X18D", ("CLK", "CE", "RST")
#: Strengths of a net's hold on its wires, of those that nextpnr knows: one from which its router
#: takes them if others need them more, as it makes it, and one from which it never does.
_FREE, _FIXED = "1", "4"
#: What names of wires begin with that go six tiles: where they are no other has to go.
_LONG = ("H06", "V06")


def hand_over(module, moved, *, anew, fixed):
    """Prepare a routed design for nextpnr to read: it routes what has no routes.

    Cells are handed over unplaced, each with its place as a constraint. nextpnr (0.11.1) places
    what it reads as placed before it knows which tables must keep their inputs as they are, and
    would exchange those of carry cells and of LUT RAM; and so it checks the places.

    Parameters
    ----------
    module : dict
        The design, as nextpnr has written it; it is changed.
    moved : set of str
        Cells that are elsewhere than they were routed.
    anew : set of (str, str)
        Pins whose nets are routed anew as well, although neither they nor their loads have moved.
    fixed : set of (str, str)
        Pins whose nets, if they are not routed anew, give way to nothing, but for short wires in
        tiles that have a cell of ``moved``, into which there may be no other way. The rest may:
        each wire routed makes about ten others take another way, as often longer as shorter.
    """
    _forget_routes(module, moved, anew)
    _fix_routes(module, fixed, _tiles(module["cells"], moved))
    _mend_ports(module)
    for cell in module["cells"].values():
        cell["attributes"]["BEL"] = cell["attributes"].pop("NEXTPNR_BEL")
    # Settings in the design win over nextpnr's command line. Nothing is left to place, which
    # not every placer takes.
    module["settings"]["placer"] = "heap"


def _forget_routes(module, moved, pins):
    """Take the routes of all nets that the cells ``moved`` or ``pins`` drive; where only what a net
    leads to has moved, nextpnr keeps of its route what still serves."""
    cells = module["cells"]
    outputs = {(name, port) for name in moved
               for port, direction in cells[name]["port_directions"].items()
               if direction == "output"}
    for net in _driven(module, pins | outputs):
        net["attributes"].pop("ROUTING", None)


def _fix_routes(module, pins, tiles):
    """Make the routes of nets that ``pins`` drive, and theirs alone, such as give no way, but for
    their short wires in ``tiles``."""
    def strength(wire):
        tile, _, name = wire.rpartition("/")
        return _FREE if tile in tiles and not name.startswith(_LONG) else _FIXED

    for net in module["netnames"].values():
        _set_strengths(net, lambda _: _FREE)
    for net in _driven(module, pins):
        _set_strengths(net, strength)


def _tiles(cells, names):
    """Return the tiles of the cells ``names``, as names of sites and wires begin."""
    return {cells[name]["attributes"]["NEXTPNR_BEL"].rpartition("/")[0] for name in names}


def _driven(module, pins):
    """Return the nets that ``pins`` drive."""
    bits = {bit for cell, port in pins
            for bit in module["cells"][cell]["connections"].get(port, ())}
    return [net for net in module["netnames"].values() if not bits.isdisjoint(net["bits"])]


def _set_strengths(net, strength):
    """Set the strength of each wire of a net's route to what ``strength`` returns for its name. A
    route is triples of a wire, the switch that it is reached through, and its strength."""
    if route := net["attributes"].get("ROUTING"):
        parts = route.split(";")
        parts[2::3] = map(strength, parts[:-2:3])
        net["attributes"]["ROUTING"] = ";".join(parts)


def _mend_ports(module):
    """Number the bits of ports that no net is connected to: of the design's, since nextpnr 0.11.1
    has written what was in its memory there, and what is very large has it run out of memory when
    it reads that; and of multipliers' clocks, enables and resets, since it forgets ports that
    nothing is connected to, and fails when it looks at these to place a multiplier."""
    known = {bit for net in module["netnames"].values() for bit in net["bits"]}
    fresh = count(1 + max(known, default=0))
    for port in module["ports"].values():
        port["bits"] = [bit if bit in known else next(fresh) for bit in port["bits"]]
    # The same for all, as multipliers in a block must have the same.
    nothing = next(fresh)
    for cell in module["cells"].values():
        if cell["type"] == _MULTIPLIER:
            cell["connections"] |= {port: [nothing] for port, bits in cell["connections"].items()
                                    if port.startswith(_CONTROLS) and not bits}
