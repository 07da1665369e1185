"""The search for moves that shorten a design's longest paths."""

from collections import defaultdict
from functools import cache

import numpy as np

from .delays import Delays

__all__ = ["Moves"]


#: Picoseconds by which a path is shorter that costs a third.
_SCALE = 60
#: Paths that are shorter than the longest by up to so many picoseconds are worked on.
_WINDOW = 600
#: Tiles that a move goes at most, each way, and what gives way to another.
_REACH, _GIVES_WAY = 48, 6
#: A move is made if it leaves at most this part of the cost.
_LEAVES = 0.9
#: What gives way may add this part of what a move saves.
_MAY_ADD = 0.3
#: Cells with more wires than this give way to nothing: routed again, these could become slow.
_MANY = 24
#: Groups that give way to one, and places that are tried for a group.
_OTHERS, _TRIES = 2, 40
#: Most cells on a path of which parts are tried, and most passes over all paths.
_PARTS, _PASSES = 8, 12


class Moves:
    """Moves cells to where, by what wires of that length take elsewhere, paths are shorter.

    The cost of a place is the sum over all paths through what moves of an exponential of their
    lengths. What moves is any part of a path; what is in its way may give way.

    Parameters
    ----------
    timing : Timing
        Of the routed design; delays of wires that change become estimates.
    slices : Slices
        Of the same; it is changed.

    Attributes
    ----------
    moved : set of str
        Cells that are elsewhere than they were.
    """

    def __init__(self, timing, slices):
        self._timing, self._slices = timing, slices
        self._delays = Delays(timing, slices.at)
        self.moved, self._away, self._grids = set(), set(), {}
        self._arcs = defaultdict(list)
        for arc, ends in enumerate(zip(timing.source.tolist(), timing.sink.tolist(), strict=True)):
            for cell in {timing.pins[pin][0] for pin in ends}:
                self._arcs[cell].append(arc)
        self._arcs_of = cache(self._sorted_arcs)

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
        timing = self._timing
        self._longest, count = timing.longest, 0
        shortest = self._longest - _WINDOW
        for end, length in zip(*(each.tolist() for each in timing.lengths()), strict=True):
            if length < shortest:
                break
            # Moves for other paths may have changed it.
            length = timing.arrival[end] + timing.ends[end]
            if length < shortest or tried.get(end) == length:
                continue
            plan = self._best_of_path(end)
            if plan:
                self._apply(plan)
                count += 1
            else:
                tried[end] = length
        return count

    def _best_of_path(self, end):
        """Return the best plan for any part of the longest path to ``end``, or None."""
        cells = (self._timing.pins[pin][0] for arc in self._timing.path(end)
                 for pin in (self._timing.source[arc], self._timing.sink[arc]))
        groups = list(dict.fromkeys(map(self._slices.group, dict.fromkeys(cells))))
        best, chosen = 0, None
        for first in range(len(groups)):
            for last in range(first, min(len(groups), first + _PARTS)):
                if groups[last] is None:
                    break
                gain, plan = self._best(tuple(groups[first:last + 1]), above=best)
                if plan:
                    best, chosen = gain, plan
        return chosen

    def _best(self, groups, above):
        """Return what the best move of all ``groups`` by one offset saves, and its plan: groups to
        their new tiles and first places. It is None unless that is more than ``above``."""
        names = _names(groups)
        before = self._cost(names)
        across, down = self._offsets(groups, names)
        if not len(across):
            return 0, None
        costs = np.broadcast_to(self._cost(names, across, down), across.shape)
        homes = [self._slices.where(group)[0] for group in groups]
        for index in np.argsort(costs, kind="stable")[:_TRIES]:
            gain = before - float(costs[index])
            if costs[index] > _LEAVES * before or gain <= above:
                break
            plan = {}
            for group in groups:
                self._take(group, plan)
            found = all(self._settle(group, (int(x + across[index]), int(y + down[index])), plan,
                                     _MAY_ADD * gain)
                        for group, (x, y) in zip(groups, homes, strict=True))
            places = {group: self._slices.where(group) for group in plan} if found else None
            self._undo(plan)
            if found:
                return gain, places
        return 0, None

    def _offsets(self, groups, names):
        """Return the offsets by which ``groups`` may move: towards what long paths tie them to."""
        timing, at = self._timing, self._slices.at
        across, down = [0], [0]
        for arc in self._arcs_of(names):
            source, sink = timing.source[arc], timing.sink[arc]
            length = timing.arrival[source] + timing.delay[arc] + timing.left[sink]
            driver, load = timing.pins[source][0], timing.pins[sink][0]
            if (length < self._longest - _WINDOW or (driver in names) == (load in names)
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

    def _sorted_arcs(self, names):
        return sorted({arc for name in names for arc in self._arcs[name]},
                      key=self._timing.level.__getitem__)

    def _cost(self, names, across=None, down=None):
        """Return the cost of all paths through the cells ``names``, where they are or, as an
        estimate, moved by each of the offsets."""
        timing, at = self._timing, self._slices.at
        arrival, paths = {}, []
        for arc in self._arcs_of(names):
            source, sink = timing.source[arc], timing.sink[arc]
            (driver, _), (load, port) = timing.pins[source], timing.pins[sink]
            starts, leads = driver in names, load in names
            delay = timing.delay[arc]
            if across is not None and starts != leads and driver in at and load in at:
                (x, y), (u, v) = (at[driver], at[load]) if starts else (at[load], at[driver])
                delay = self._delays(port, np.abs(across + (x - u)) + np.abs(down + (y - v)))
            begin = timing.arrival[source]
            if starts:
                begin = arrival.get(source, begin)
            come = begin + delay
            if leads:
                arrival[sink] = np.maximum(arrival[sink], come) if sink in arrival else come
            else:
                paths.append(come + timing.left[sink])
        paths += [come + timing.ends[pin] for pin, come in arrival.items() if pin in timing.ends]
        return sum(np.exp(np.clip((path - self._longest) / _SCALE, -60, 30)) for path in paths)

    def _take(self, group, plan):
        """Take ``group`` away; ``plan`` keeps where it was."""
        plan[group] = self._slices.where(group)
        self._slices.take(group)
        self._away.add(group)

    def _put(self, group, tile, first):
        self._slices.put(group, tile, first)
        self._away.discard(group)

    def _undo(self, plan):
        """Put all groups of ``plan`` back."""
        for group in plan:
            if group not in self._away:
                self._slices.take(group)
        for group, place in plan.items():
            self._put(group, *place)

    def _settle(self, group, tile, plan, allowed):
        """Put ``group`` into ``tile``, if need be in place of others, which go elsewhere for at
        most the cost ``allowed`` each; return whether it could be done."""
        first = self._slices.room(group, tile)
        if first is not None:
            self._put(group, tile, first)
            return True
        for first in self._slices.firsts(group):
            if not self._slices.suits(group, tile, first):
                continue
            others = set(map(self._slices.group, self._slices.blocking(group, tile, first)))
            if len(others) > _OTHERS or not all(self._yields(other, plan) for other in others):
                continue
            own = {}
            for other in others:
                self._take(other, own)
            self._put(group, tile, first)
            if all(self._resettle(other, tile, allowed) for other in others):
                plan |= own
                return True
            self._slices.take(group)
            self._away.add(group)
            self._undo(own)
        return False

    def _yields(self, group, plan):
        """Whether ``group`` may give way to one that moves by ``plan``."""
        return group is not None and not group.is_wide and group not in plan and all(
            len(self._arcs[name]) <= _MANY for name, *_ in group.members)

    def _resettle(self, group, tile, allowed):
        """Find a place near ``tile`` for ``group`` that costs at most ``allowed`` more."""
        names = _names((group,))
        span = np.arange(-_GIVES_WAY, _GIVES_WAY + 1)
        across, down = (each.ravel() for each in np.meshgrid(span, span))
        more = np.broadcast_to(self._cost(names, across, down), across.shape) - self._cost(names)
        # Of places that cost the same, the nearest.
        for index in np.lexsort((abs(across) + abs(down), more)):
            if more[index] > allowed:
                return False
            goal = int(tile[0] + across[index]), int(tile[1] + down[index])
            first = self._slices.room(group, goal)
            if first is not None:
                self._put(group, goal, first)
                return True
        return False

    def _apply(self, plan):
        """Make the moves of ``plan``, and estimate the delays of the wires that change."""
        timing, at = self._timing, self._slices.at
        for group in plan:
            self._slices.take(group)
        for group, place in plan.items():
            self._slices.put(group, *place)
        for group in plan:
            names = _names((group,))
            self.moved |= names
            for arc in self._arcs_of(names):
                driver, _ = timing.pins[timing.source[arc]]
                load, port = timing.pins[timing.sink[arc]]
                if driver in at and load in at and (driver in names) != (load in names):
                    (x, y), (u, v) = at[driver], at[load]
                    timing.delay[arc] = self._delays(port, abs(x - u) + abs(y - v))
        timing.run()


def _names(groups):
    return frozenset(name for group in groups for name, *_ in group.members)
