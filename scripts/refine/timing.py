"""Timing of a routed design, from the delays that nextpnr writes as SDF."""

import re
from collections import defaultdict

import numpy as np

__all__ = ["Timing"]


# A design's delays are half a million lines, which a parser of all SDF takes minutes for.
_INSTANCE = re.compile(r"\(INSTANCE (\S+)\)")
_WIRE = re.compile(r"\(INTERCONNECT (\S+)/(\S+) (\S+)/(\S+) \(\d+:\d+:(\d+)\)")
_LOGIC = re.compile(r"\(IOPATH (\S+) (\S+) \(\d+:\d+:(\d+)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(posedge (\S+)\) \(posedge (\S+)\) \(-?\d+:-?\d+:(-?\d+)\)")
_ESCAPED = re.compile(r"\\(.)")


class Timing:
    """Arrival times of a design with one clock, in picoseconds, as nextpnr's analysis has them.

    A pin is a pair of a cell's name and its port's. The clock reaches all cells at 0. What comes
    from ports of the design is not timed, nor what goes to them.

    Parameters
    ----------
    wires : str
        SDF from which the delays of wires are taken, the largest of each.
    logic : str, optional
        SDF from which those of cells are taken, by default the same. nextpnr knows no longer which
        half of a slice a carry goes through once it has read a design of its own again.

    Attributes
    ----------
    pins : list of (str, str)
        Pins, in the order of all arrays of times.
    source, sink, delay : ndarray
        Each arc's pins and its delay, after a change of which :meth:`run` is due. The first
        ``wires`` arcs are wires, the rest logic.
    level : ndarray
        Of each arc: those that lead to its source have smaller ones.
    into : list of list of int
        The arcs that lead to each pin.
    ends : dict
        Pins at which paths end, to their setup times.
    arrival, left : ndarray
        When a pin's signal comes, at the latest, and how long the rest of its longest path takes,
        setup included; negative infinity where there is none. Their sum is the length of the
        longest path through the pin.
    longest : float
        Length of the longest path: the shortest period of the clock.
    """

    def __init__(self, wires, logic=None):
        found, inner, setups = _read(wires)
        if logic is not None:
            _, inner, setups = _read(logic)
        self.pins, self._index = [], {}
        clocks = {(cell, clock) for cell, _, clock, _ in setups}
        arcs = [(self._at(driver, out), self._at(load, into), delay)
                for (driver, out, load, into), delay in found.items() if (load, into) not in clocks]
        self.wires = len(arcs)
        arcs += [(self._at(cell, into), self._at(cell, out), delay)
                 for cell, into, out, delay in inner]
        self.ends = {self._at(cell, pin): delay for cell, pin, _, delay in setups}
        self._clocks = [self._at(*pin) for pin in sorted(clocks)]
        self.source, self.sink, self.delay = (np.array(each) for each in zip(*arcs, strict=True))
        self.into = [[] for _ in self.pins]
        for arc, pin in enumerate(self.sink.tolist()):
            self.into[pin].append(arc)
        self._levels = self._order()
        self.level = np.zeros(len(arcs), dtype=int)
        for index, level in enumerate(self._levels):
            self.level[level] = index
        self.run()

    def _at(self, cell, port):
        pin = (cell, port)
        place = self._index.setdefault(pin, len(self.pins))
        if place == len(self.pins):
            self.pins.append(pin)
        return place

    def _order(self):
        """Return the arcs in groups, each of which depends on groups before it alone."""
        missing = np.bincount(self.sink, minlength=len(self.pins)).tolist()
        leaving, sinks = defaultdict(list), self.sink.tolist()
        for arc, source in enumerate(self.source.tolist()):
            leaving[source].append(arc)
        ready, levels = [pin for pin, count in enumerate(missing) if not count], []
        while ready:
            arcs, ready = [arc for pin in ready for arc in leaving[pin]], []
            for arc in arcs:
                missing[sinks[arc]] -= 1
                if not missing[sinks[arc]]:
                    ready.append(sinks[arc])
            levels.append(np.array(arcs, dtype=int))
        return [level for level in levels if len(level)]

    def run(self):
        """Compute all times from the delays."""
        self.arrival = np.full(len(self.pins), -np.inf)
        self.arrival[self._clocks] = 0
        for arcs in self._levels:
            np.maximum.at(self.arrival, self.sink[arcs],
                          self.arrival[self.source[arcs]] + self.delay[arcs])
        self.left = np.full(len(self.pins), -np.inf)
        self.left[list(self.ends)] = list(self.ends.values())
        for arcs in reversed(self._levels):
            np.maximum.at(self.left, self.source[arcs],
                          self.left[self.sink[arcs]] + self.delay[arcs])
        self.longest = float((self.arrival + self.left).max(initial=0))

    def lengths(self):
        """Return the ends of paths and the lengths of the longest path to each, longest first."""
        ends = np.array(list(self.ends))
        lengths = self.arrival[ends] + np.array(list(self.ends.values()))
        order = np.argsort(-lengths, kind="stable")
        return ends[order], lengths[order]

    def of_rank(self, rank):
        """Return how long the longest path is of the end that is number ``rank``, longest first, or
        last."""
        _, lengths = self.lengths()
        lengths = lengths[np.isfinite(lengths)]
        return float(lengths[min(rank, len(lengths)) - 1])

    def drivers(self, period):
        """Return the pins that drive a wire on a path longer than ``period`` picoseconds."""
        return {self.pins[self.source[wire]] for wire in self.long_wires(period)}

    def long_wires(self, period):
        """Return the wires that are on a path longer than ``period`` picoseconds."""
        wires = slice(self.wires)
        lengths = (self.arrival[self.source[wires]] + self.delay[wires]
                   + self.left[self.sink[wires]])
        return np.flatnonzero(lengths > period).tolist()

    def path(self, end):
        """Return the arcs of the longest path to the pin ``end``, from the clock on."""
        arcs, pin = [], end
        while self.into[pin]:
            arcs.append(max(self.into[pin],
                            key=lambda arc: self.arrival[self.source[arc]] + self.delay[arc]))
            pin = int(self.source[arcs[-1]])
        return arcs[::-1]


def _read(text):
    """Return the wires of SDF and their delays; arcs in cells; and setup times."""
    wires, logic, setups, cell = {}, [], [], ""
    for line in text.splitlines():
        if found := _WIRE.search(line):
            driver, out, load, into, delay = found.groups()
            wires[_name(driver), out, _name(load), into] = int(delay)
        elif found := _LOGIC.search(line):
            into, out, delay = found.groups()
            logic.append((cell, into, out, int(delay)))
        elif found := _SETUP.search(line):
            pin, clock, delay = found.groups()
            setups.append((cell, pin, clock, int(delay)))
        elif found := _INSTANCE.search(line):
            cell = _name(found[1])
    return wires, logic, setups


def _name(escaped):
    return _ESCAPED.sub(r"\1", escaped)
