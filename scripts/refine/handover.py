"""A routed design that nextpnr reads again, and what it is told of it."""

from itertools import count
from math import inf
from typing import NamedTuple

__all__ = ["hand_over", "take_back"]


#: Modes of a table: half a carry cell, and a part of what LUT RAM is written through.
_CARRY, _WRITES = "CCU2", "RAMW_BLOCK"
#: Type of a multiplier, and what the names of the ports begin with that its registers hang on.
_MULTIPLIER, _CONTROLS = "MULT18X18D", ("CLK", "CE", "RST")


def hand_over(module, timing, moved, asked):
    """Prepare a routed design for nextpnr to read: it routes what has no routes, and again what is
    slower than it is asked for.

    Cells are handed over unplaced, each with its place as a constraint. nextpnr (0.11.1) places
    what it reads as placed before it knows which tables must keep their inputs as they are, and
    would exchange those of carry cells and of LUT RAM; and so it checks the places.

    Nor does it know any longer which half of a slice a carry goes through, and takes each for the
    first, whose delay is that of both: long chains then seem up to 1 ns slower than they are, and
    it routes thousands of wires again in vain, fifty times over. So chains are cut where they would
    seem slower than asked for and are not. There they are handed over as tables that LUT RAM is
    written through, whose inputs nextpnr leaves in place as well, but through which it sees no
    carry. What it so does not see to be slow goes without its routes instead.

    Parameters
    ----------
    module : dict
        The design, as nextpnr has written it; it is changed.
    timing : Timing
        Of the same.
    moved : set of str
        Cells that are elsewhere than they were routed.
    asked : float
        MHz that nextpnr is asked for.
    """
    period = 1e6 / asked
    _forget_routes(module, moved, _slow(timing, period))
    _mend_ports(module)
    for cell in module["cells"].values():
        cell["attributes"]["BEL"] = cell["attributes"].pop("NEXTPNR_BEL")
    for name in _cuts(module["cells"], timing, period):
        module["cells"][name]["parameters"]["MODE"] = _WRITES
    # Settings in the design win over nextpnr's command line. Nothing is left to place, which
    # not every placer takes.
    module["settings"] |= {"target_freq": f"{1e6 * asked:.6f}", "placer": "heap"}


def take_back(module):
    """Undo what :func:`hand_over` says of cells; what LUT RAM is written through has no carry."""
    for cell in module["cells"].values():
        cell["attributes"].pop("BEL", None)
        if cell["parameters"].get("MODE") == _WRITES and any(
                cell["connections"].get(port) for port in ("FCI", "FCO")):
            cell["parameters"]["MODE"] = _CARRY


def _cuts(cells, timing, period):
    """Return the carry cells at which chains are cut, both of a slice."""
    through, out = (_seeming(timing, port) for port in ("FCO", "F"))
    cuts = []
    for chain in _chains(cells):
        parts = [_Part.of(timing, pair, through, out)
                 for pair in zip(chain[::2], chain[1::2], strict=True)]
        ends = [index for index, part in enumerate(parts) if part.left > -inf]
        begin = 0
        for end in ends:
            late = [index for index in range(begin, end) if period < (
                parts[index].come + 2 * (end - index - 1) * through + parts[end].left)]
            if late and parts[end].longest <= period:
                # What ends last is to be seen from wherever it does not seem late.
                cut = late[-1] if end == ends[-1] else end
                cuts += chain[2 * cut:2 * cut + 2]
                begin = cut + 1
    return cuts


def _seeming(timing, port):
    """Return how long a carry seems to take to ``port`` of any carry cell: as in the slower half.
    """
    return max((timing.delay[arc] for arc in range(timing.wires, len(timing.delay))
                if timing.pins[timing.source[arc]][1] == "FCI"
                and timing.pins[timing.sink[arc]][1] == port), default=0)


class _Part(NamedTuple):
    """A slice of a carry chain as it seems to nextpnr, in picoseconds.

    Parameters
    ----------
    come : float
        When a carry that begins here leaves the slice.
    left : float
        How long a carry that enters the slice takes to where a path ends, if it goes no further.
    longest : float
        Length of the longest path that ends so, as it is.
    """

    come: float
    left: float
    longest: float

    @classmethod
    def of(cls, timing, pair, through, out):
        """Return what ``pair`` is, if a carry seems to take ``through`` and ``out`` of a half."""
        come, left, longest = -inf, -inf, 0
        for half, name in enumerate(pair):
            enters, leaves, result = (timing.pin(name, port) for port in ("FCI", "FCO", "F"))
            for arc in timing.into[leaves] if leaves is not None else ():
                if timing.source[arc] != enters:
                    begins = timing.arrival[timing.source[arc]] + timing.delay[arc]
                    come = max(come, begins + (1 - half) * through)
            if enters is not None and result is not None:
                left = max(left, half * through + out + timing.left[result])
                longest = max(longest, timing.arrival[result] + timing.left[result])
        return cls(come, left, longest)


def _chains(cells):
    """Return the names of each carry chain's cells, two for each slice, from where it begins."""
    halves = {name: cell["connections"] for name, cell in cells.items()
              if cell["parameters"].get("MODE") == _CARRY}
    after = {bit: name for name, ports in halves.items() for bit in ports.get("FCI", [])}
    behind = {bit for ports in halves.values() for bit in ports.get("FCO", [])}
    chains = []
    for name, ports in halves.items():
        if behind.isdisjoint(ports.get("FCI", [])):
            chains.append([])
            while name:
                chains[-1].append(name)
                bits = halves[name].get("FCO", [])
                name = next((after[bit] for bit in bits if bit in after), None)
    return chains


def _slow(timing, period):
    """Return the pins that drive a wire on a path longer than ``period``."""
    wires = slice(timing.wires)
    lengths = (timing.arrival[timing.source[wires]] + timing.delay[wires]
               + timing.left[timing.sink[wires]])
    return {timing.pins[pin] for pin in timing.source[wires][lengths > period].tolist()}


def _forget_routes(module, moved, slow):
    """Take the routes of all nets that the cells ``moved`` or the pins ``slow`` drive; where only
    what a net leads to has moved, nextpnr keeps of its route what still serves."""
    cells = module["cells"]
    bits = {bit for cell, port in slow for bit in cells[cell]["connections"][port]}
    bits |= {bit for cell in map(cells.get, moved) for port, bits in cell["connections"].items()
             if cell["port_directions"][port] == "output" for bit in bits}
    for net in module["netnames"].values():
        if not bits.isdisjoint(net["bits"]):
            net["attributes"].pop("ROUTING", None)


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
