"""The search for moves that shorten a design's longest paths."""

import numpy as np

from .costs import Costs
from .legaliser import Legaliser
from .slices import names_of

__all__ = ["Moves"]


#: Tiles that a move goes at most, each way, and places that are tried for a group.
_REACH, _TRIES = 48, 300
#: A move is made if it leaves at most this part of the cost.
_LEAVES = 0.9
#: Most cells on a path of which parts are tried, and most passes over all paths.
_PARTS, _PASSES = 8, 12
#: Tiles of a wire for which one of its ends brings others along, and how many.
_LONG, _ALONG = 4, 24
#: Where each may be beside where it should be, nearest first.
_NEAR = sorted(((x, y) for x in range(-4, 5) for y in range(-4, 5) if abs(x) + abs(y) <= 4),
               key=lambda way: abs(way[0]) + abs(way[1]))


class Moves:
    """Moves cells to where, by what wires of that length take elsewhere, paths are shorter.

    What moves is any part of a path, or one end of a long wire with all that it is tied to; what is
    in its way may give way.

    Parameters
    ----------
    timing : Timing
        Of the routed design; delays of wires that change become estimates.
    slices : Slices
        Of the same; it is changed.
    ends : int
        Ends of paths that are to become shorter, at least.

    Attributes
    ----------
    goal : float
        Picoseconds; paths that are longer are to become shorter.
    slow : callable
        Returns the pins that drive wires on long paths which take more than others of their length.
    """

    def __init__(self, timing, slices, ends=100):
        self._timing, self._slices = timing, slices
        self._costs = Costs(timing, slices.at, ends)
        self.goal, self.slow = self._costs.goal, self._costs.slow
        self._legaliser = Legaliser(slices, self._costs)
        self._grids = {}

    def run(self):
        """Make moves until none is found that helps."""
        tried = {}
        for _ in range(_PASSES):
            if not self._pass(tried):
                break

    def _pass(self, tried):
        """Go over all long paths, longest first; return the number of moves.

        ``tried`` maps ends of paths to the lengths at which nothing was found.
        """
        timing, count = self._timing, 0
        for end, length in zip(*(each.tolist() for each in timing.lengths()), strict=True):
            if length <= self.goal:
                break
            # Moves for other paths may have changed it.
            length = timing.arrival[end] + timing.ends[end]
            if length <= self.goal or tried.get(end) == length:
                continue
            if any(map(self._made, self._plans(end))) or self._made(self._best_together(end)):
                count += 1
            else:
                tried[end] = length
        return count

    def _made(self, plan):
        """Make the moves of ``plan``, if any, and return whether it helped; take them back if
        not."""
        if not plan:
            return False
        timing, before = self._timing, self._costs.total()
        homes, delays = {}, timing.delay.copy()
        for group in plan:
            homes[group] = self._slices.where(group)
        self._apply(plan)
        if self._costs.total() < before:
            return True
        self._apply(homes)
        timing.delay = delays
        timing.run()
        return False

    def _plans(self, end):
        """Return the best plan for each part of the longest path to ``end`` that has any; first
        those that save most."""
        cells = (self._timing.pins[pin][0] for arc in self._timing.path(end)
                 for pin in (self._timing.source[arc], self._timing.sink[arc]))
        groups = list(dict.fromkeys(map(self._slices.group, dict.fromkeys(cells))))
        found = []
        for first in range(len(groups)):
            for last in range(first, min(len(groups), first + _PARTS)):
                if groups[last] is None:
                    break
                found.append(self._best(tuple(groups[first:last + 1])))
        return [plan for gain, plan in sorted(found, key=lambda each: -each[0]) if plan]

    def _best(self, groups):
        """Return what the best move of all ``groups`` by one offset saves, and its plan: groups to
        their new tiles and first places. It is None if there is no such move."""
        names = names_of(groups)
        before = self._costs.of(names)
        across, down = self._offsets(groups, names)
        if not len(across):
            return 0, None
        costs = np.broadcast_to(self._costs.of(names, across, down), across.shape)
        for index in np.argsort(costs, kind="stable")[:_TRIES]:
            gain = before - float(costs[index])
            if costs[index] > _LEAVES * before:
                break
            places = self._legaliser.placed(groups, (int(across[index]), int(down[index])), gain)
            if places:
                return gain, places
        return 0, None

    def _best_together(self, end):
        """Return a plan that shortens a long wire of the longest path to ``end``, one end of which
        goes to the other and brings along what it is tied to; or None."""
        timing, at = self._timing, self._slices.at
        wires = sorted((arc for arc in timing.path(end) if arc < timing.wires),
                       key=lambda arc: -timing.delay[arc])
        for arc in wires:
            ends = [timing.pins[pin][0] for pin in (timing.source[arc], timing.sink[arc])]
            if not all(each in at for each in ends):
                continue
            for start, stay in (ends, ends[::-1]):
                way = at[stay][0] - at[start][0], at[stay][1] - at[start][1]
                if abs(way[0]) + abs(way[1]) < _LONG:
                    continue
                for part in (1, 0.5):
                    plan = self._drawn(start, stay, tuple(round(part * each) for each in way))
                    if plan:
                        return plan
        return None

    def _drawn(self, start, stay, offset):
        """Return a plan by which cell ``start`` goes by ``offset`` towards ``stay``, along with all
        whose paths would become long otherwise; or None."""
        groups, lengths = [self._slices.group(start)], []
        stays = self._slices.group(stay)
        while len(groups) <= _ALONG and groups[-1] is not None:
            length, others = self._costs.worst(names_of(groups), offset)
            lengths.append(length)
            if length <= self.goal:
                break
            groups.append(next((group for group in map(self._slices.group, others)
                                if group not in (None, stays)), None))
        if not lengths:
            return None
        chosen = groups[:1 + int(np.argmin(lengths))]
        names = names_of(chosen)
        before = self._costs.of(names)
        after = float(np.sum(self._costs.of(names, *(np.array([way]) for way in offset))))
        if after > _LEAVES * before:
            return None
        return self._legaliser.placed(chosen, offset, before - after, near=_NEAR)

    def _offsets(self, groups, names):
        """Return the offsets by which ``groups`` may move: towards what long paths tie them to."""
        timing, at = self._timing, self._slices.at
        across, down = [0], [0]
        for arc in self._costs.arcs(names):
            source, sink = timing.source[arc], timing.sink[arc]
            length = timing.arrival[source] + timing.delay[arc] + timing.left[sink]
            driver, load = timing.pins[source][0], timing.pins[sink][0]
            if (length < self.goal or (driver in names) == (load in names)
                    or driver not in at or load not in at):
                continue
            inside, other = (driver, load) if driver in names else (load, driver)
            across.append(at[other][0] - at[inside][0])
            down.append(at[other][1] - at[inside][1])
        across, down = (each.ravel() for each in np.meshgrid(*(
            np.arange(max(min(each) - 3, -_REACH), min(max(each) + 3, _REACH) + 1)
            for each in (across, down))))
        good = (across != 0) | (down != 0)
        for group in groups:
            (x, y), _ = self._slices.where(group)
            good &= self._grid(group.kind)[np.clip(x + across, -1, 255), np.clip(y + down, -1, 255)]
        return across[good], down[good]

    def _grid(self, kind):
        """Return which tiles have places of ``kind``; the last column and line are outside."""
        if kind not in self._grids:
            grid = np.zeros((257, 257), dtype=bool)
            for tile in self._slices.tiles[kind]:
                grid[tile] = True
            self._grids[kind] = grid
        return self._grids[kind]

    def _apply(self, plan):
        """Make the moves of ``plan``, and estimate the delays of the wires that change."""
        for group in plan:
            self._slices.take(group)
        for group, place in plan.items():
            self._slices.put(group, *place)
        for group in plan:
            self._costs.estimate(names_of((group,)))
        self._timing.run()
