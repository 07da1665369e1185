"""What it costs to have cells of a routed design elsewhere, by the lengths of paths."""

from collections import defaultdict
from functools import cache

import numpy as np

from .delays import Delays

__all__ = ["Costs"]


#: Picoseconds by which a path is shorter that costs a third.
_SCALE = 60
#: Paths that are shorter than the longest by less picoseconds are to become shorter as well.
_WINDOW = 100


class Costs:
    """Sums over paths of an exponential of their lengths.

    Parameters
    ----------
    timing : Timing
        Of the routed design.
    at : dict
        Names of cells to their tiles.
    ends : int
        Ends of paths that are to become shorter, at least.

    Attributes
    ----------
    goal : float
        Picoseconds; paths that are longer are to become shorter.
    arcs : callable
        Returns the arcs of a frozenset of cells, each after those before it on a path.
    """

    def __init__(self, timing, at, ends):
        self._timing, self._at = timing, at
        self._home, self._routed = dict(at), timing.delay.copy()
        self._delays = Delays(timing, at)
        self._arcs = defaultdict(list)
        for arc, pins in enumerate(zip(timing.source.tolist(), timing.sink.tolist(), strict=True)):
            for cell in {timing.pins[pin][0] for pin in pins}:
                self._arcs[cell].append(arc)
        self.arcs = cache(self._sorted_arcs)
        _, lengths = timing.lengths()
        longest = lengths[:ends]
        self.goal = min(longest.min(where=np.isfinite(longest), initial=np.inf),
                        timing.longest - _WINDOW)

    def count(self, name):
        """Return how many arcs there are from and to cell ``name``, and within."""
        return len(self._arcs[name])

    def _sorted_arcs(self, names):
        """Return the arcs of the cells ``names``, each after those before it on a path."""
        arcs = sorted({arc for name in names for arc in self._arcs[name]})
        return sorted(arcs, key=self._timing.level.__getitem__)

    def total(self):
        """Return the cost of the longest paths to all ends."""
        _, lengths = self._timing.lengths()
        return _weight(lengths - self.goal).sum()

    def estimate(self, names):
        """Give the wires that lead to the cells ``names``, and from them to others, the delays
        that they have where these are now."""
        for arc in self.arcs(names):
            if self._changes(arc, names):
                self._timing.delay[arc] = self._wire(arc, names, 0, 0)

    def _changes(self, arc, names):
        """Return whether ``arc`` is a wire of which one end is among the cells ``names``."""
        timing = self._timing
        ends = [timing.pins[pin][0] for pin in (timing.source[arc], timing.sink[arc])]
        return (ends[0] in names) != (ends[1] in names) and all(end in self._at for end in ends)

    def _wire(self, arc, names, across, down):
        """Return the delay of a wire if its end that is among ``names`` moved by each of the
        offsets: that of its route where both ends come to be as they were routed, since it would
        be found again, and otherwise what wires of that length take elsewhere."""
        timing, at = self._timing, self._at
        (inside, _), (other, port) = timing.pins[timing.source[arc]], timing.pins[timing.sink[arc]]
        if inside not in names:
            inside, other = other, inside
        (x, y), (u, v), (home_x, home_y) = at[inside], at[other], self._home[inside]
        delay = self._delays(port, np.abs(across + (x - u)) + np.abs(down + (y - v)))
        if at[other] != self._home[other]:
            return delay
        return np.where((across == home_x - x) & (down == home_y - y), self._routed[arc], delay)

    def slow(self):
        """Return the pins that drive wires on long paths which take more than others of their
        length."""
        timing, at = self._timing, self._at
        slow = set()
        for wire in timing.long_wires(self.goal):
            driver, (load, port) = (timing.pins[timing.source[wire]],
                                    timing.pins[timing.sink[wire]])
            if driver[0] in at and load in at:
                (x, y), (u, v) = at[driver[0]], at[load]
                if timing.delay[wire] > self._delays(port, abs(x - u) + abs(y - v)):
                    slow.add(driver)
        return slow

    def of(self, names, across=None, down=None):
        """Return the cost of all paths through the cells ``names``, where they are or, as an
        estimate, moved by each of the offsets."""
        timing = self._timing
        arrival, paths = {}, []
        for arc in self.arcs(names):
            source, sink = timing.source[arc], timing.sink[arc]
            starts, leads = (timing.pins[pin][0] in names for pin in (source, sink))
            delay = timing.delay[arc]
            if across is not None and self._changes(arc, names):
                delay = self._wire(arc, names, across, down)
            begin = timing.arrival[source]
            if starts:
                begin = arrival.get(source, begin)
            come = begin + delay
            if leads:
                arrival[sink] = np.maximum(arrival[sink], come) if sink in arrival else come
            else:
                paths.append(come + timing.left[sink])
        paths += [come + timing.ends[pin] for pin, come in arrival.items() if pin in timing.ends]
        return sum(_weight(path - self.goal) for path in paths)

    def worst(self, names, offset):
        """Return the length of the longest path through the cells ``names`` if they moved by
        ``offset``, and the cells at the other ends of their wires on it, farthest first."""
        timing, at = self._timing, self._at
        arrival, comes, worst = {}, {}, (-np.inf, None, None)
        for arc in self.arcs(names):
            source, sink = timing.source[arc], timing.sink[arc]
            driver, load = timing.pins[source][0], timing.pins[sink][0]
            starts, leads = driver in names, load in names
            delay, far = timing.delay[arc], 0
            if self._changes(arc, names):
                sign = 1 if starts else -1
                far = (abs(at[driver][0] - at[load][0] + sign * offset[0])
                       + abs(at[driver][1] - at[load][1] + sign * offset[1]))
                delay = float(self._wire(arc, names, *offset))
            come = arrival.get(source, timing.arrival[source]) + delay
            via = comes.get(source) if starts else (far, driver)
            if leads:
                if come > arrival.get(sink, -np.inf):
                    arrival[sink], comes[sink] = come, via
            elif come + timing.left[sink] > worst[0]:
                worst = come + timing.left[sink], via, (far, load)
        for pin, come in arrival.items():
            if pin in timing.ends and come + timing.ends[pin] > worst[0]:
                worst = come + timing.ends[pin], comes[pin], None
        length, *others = worst
        return length, [cell for _, cell in sorted(filter(None, others), reverse=True)]


def _weight(more):
    """Return the cost of paths that are so much longer than the goal."""
    return np.exp(np.clip(more / _SCALE, -60, 300))
