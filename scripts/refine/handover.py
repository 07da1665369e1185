"""A routed design that nextpnr reads again, and what it is told of it."""

from itertools import count

__all__ = ["hand_over", "take_back"]


#: Modes of a table: half a carry cell, and a part of LUT RAM.
_CARRY, _MEMORY = "CCU2", "DPRAM"


def hand_over(module, timing, moved, asked):
    """Prepare a routed design for nextpnr to read: it routes what has no routes, and again what is
    slower than it is asked for.

    nextpnr (0.11.1) no longer knows which half of a slice a carry goes through, and takes each for
    the first: long chains then seem up to 1 ns slower than they are, and it routes thousands of
    wires again in vain, fifty times over. So second halves are handed over as LUT RAM, which it
    leaves alone as well, but through which it sees no carry. Of what leads into chains it so does
    not see what is slow: that goes without its routes instead, once. Nor does it know any longer
    which tables must keep their inputs in place, so it may exchange those of none.

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
    for cell in _second_halves(module, _CARRY):
        cell["parameters"]["MODE"] = _MEMORY
    # Settings in the design win over nextpnr's command line.
    module["settings"] |= {"target_freq": f"{1e6 * asked:.6f}",
                           "arch.disable_router_lutperm": f"{1:032b}"}


def take_back(module):
    """Undo what :func:`hand_over` says of carry cells."""
    for cell in _second_halves(module, _MEMORY):
        cell["parameters"]["MODE"] = _CARRY


def _second_halves(module, mode):
    """Return the cells of ``mode`` in the second half of a slice that a carry comes into."""
    return [cell for cell in module["cells"].values()
            if cell["parameters"].get("MODE") == mode and cell["connections"].get("FCI")
            and cell["attributes"]["NEXTPNR_BEL"].endswith(".K1")]


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
