"""A routed design that nextpnr reads again, and what it is told of it."""

from itertools import count

__all__ = ["hand_over", "take_back"]


#: Modes of a table: half a carry cell, and a part of LUT RAM.
_CARRY, _MEMORY = "CCU2", "DPRAM"


def hand_over(module, timing, moved, asked):
    """Prepare a routed design for nextpnr to read: it routes what has no routes, and again what is
    slower than it is asked for.

    nextpnr (0.11.1) no longer knows which half of a slice a carry goes through, and takes each for
    the first, whose delay is that of both: long chains then seem up to 1 ns slower than they are,
    and it routes thousands of wires again in vain, fifty times over. So chains are cut in the
    middle, up to where a carry seems to take as long as it does to the end; what is behind the cut,
    likewise. Where they are cut they are handed over as LUT RAM, which nextpnr leaves alone as
    well, but through which it sees no carry. What it so does not see to be slow goes without its
    routes instead. Nor does it know any longer which tables must keep their inputs in place, so it
    may exchange those of none.

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
    _forget_routes(module, moved, _slow(timing, 1e6 / asked))
    _mend_ports(module)
    for cell in _cuts(module["cells"]):
        cell["parameters"]["MODE"] = _MEMORY
    # Settings in the design win over nextpnr's command line.
    module["settings"] |= {"target_freq": f"{1e6 * asked:.6f}",
                           "arch.disable_router_lutperm": f"{1:032b}"}


def take_back(module):
    """Undo what :func:`hand_over` says of carry cells; no LUT RAM has a carry."""
    for cell in module["cells"].values():
        if cell["parameters"].get("MODE") == _MEMORY and cell["connections"].get("FCI"):
            cell["parameters"]["MODE"] = _CARRY


def _cuts(cells):
    """Return the cells at which carry chains are cut: half-way to the end, and again from each."""
    cuts = []
    for chain in _chains(cells):
        begin = 0
        while len(chain) - begin > 2:
            begin += (len(chain) - begin + 1) // 2
            cuts.append(chain[begin])
            begin += 1
    return cuts


def _chains(cells):
    """Return the cells of each carry chain, two for each slice, from where it begins."""
    halves = [cell for cell in cells.values() if cell["parameters"].get("MODE") == _CARRY]
    after = {bit: cell for cell in halves for bit in cell["connections"].get("FCI", [])}
    behind = {bit for cell in halves for bit in cell["connections"].get("FCO", [])}
    chains = []
    for cell in halves:
        if behind.isdisjoint(cell["connections"].get("FCI", [])):
            chains.append([])
            while cell:
                chains[-1].append(cell)
                bits = cell["connections"].get("FCO", [])
                cell = next((after[bit] for bit in bits if bit in after), None)
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
    """Number the bits of ports that no net is connected to. nextpnr 0.11.1 has written what was in
    its memory there, and what is very large has it run out of memory when it reads that."""
    known = {bit for net in module["netnames"].values() for bit in net["bits"]}
    fresh = count(1 + max(known, default=0))
    for port in module["ports"].values():
        port["bits"] = [bit if bit in known else next(fresh) for bit in port["bits"]]
