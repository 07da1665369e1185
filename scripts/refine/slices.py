"""Where the cells of a placed ECP5 design are, and what of it can move where.

A tile of logic has eight places, two in each of four slices. Each place has a table and a
flip-flop, whose input is either its table's output (``DI``) or comes from elsewhere (``M``).
Distributed RAM is in the tables of the first two slices of a tile; what writes to it takes the
third, but for its flip-flops.
"""

import re
from collections import defaultdict
from typing import NamedTuple

__all__ = ["Group", "Slices", "names_of"]


_SITE = re.compile(r"X(\d+)/Y(\d+)/(?:SLICE([A-D])\.(K|FF|RAMW)(\d?))?")
_TABLE, _FLIP_FLOP, _WRITER, _RAM = "K", "FF", "RAMW", "EBR"
#: What tables do that are part of distributed RAM, and the place of its writer.
_MEMORY, _THIRD = ("DPRAM", "RAMW_BLOCK"), 4
#: Ports of a flip-flop that all in a tile have from one source and settings they share, and the
#: same for those in a slice.
_OF_TILE = ("CLK", "LSR"), ("CLKMUX", "LSRMUX", "SRMODE")
_OF_SLICE = ("CE",), ("CEMUX", "GSR")
#: What nextpnr leaves out where nothing hangs on it, and what it is then.
_UNSET = {"LSRMUX": "LSR", "SRMODE": "LSR_OVER_CE"}
#: A group must keep the numbers of its places.
_SAME = 8


class Group(NamedTuple):
    """Cells that keep their places to each other.

    Parameters
    ----------
    members : tuple of (str, str, int, int)
        Name, kind of place, columns from the first member's on, and place from the group's first.
    step : int
        How far apart first places are that the group can have.
    """

    members: tuple[tuple[str, str, int, int], ...]
    step: int

    @property
    def kind(self):
        """Kind of the first member's place."""
        return self.members[0][1]

    @property
    def is_wide(self):
        """Whether it takes whole tiles: a carry chain, distributed RAM, or a choice among many
        tables."""
        return self.step == _SAME and self.kind == _TABLE

    @property
    def is_memory(self):
        """Whether it is a block RAM, of whose places few are free."""
        return self.kind == _RAM


def names_of(groups):
    """Return the names of the cells of ``groups``."""
    return frozenset(name for group in groups for name, *_ in group.members)


class Slices:
    """The cells of a design as nextpnr-ecp5 has placed it.

    Parameters
    ----------
    cells : dict
        Cells of the JSON that nextpnr writes; :meth:`put` changes their places.
    rams : iterable of Site
        Places for block RAMs, as :func:`scripts.floorplan.sites` gives them.

    Attributes
    ----------
    at : dict
        Names of cells to their tiles: pairs of column and line.
    tiles : dict
        The tiles that each kind of place is in, a set each.
    """

    def __init__(self, cells, rams=()):
        self._cells, self.at = cells, {}
        self._place, self._occupied, self._sites = {}, {}, {}
        self._rams = {(site.x, site.y): site.name for site in rams}
        for name, cell in cells.items():
            self._sites[name] = site = cell["attributes"]["NEXTPNR_BEL"]
            ((x, y, letter, kind, number),) = _SITE.findall(site)
            self.at[name] = tile = int(x), int(y)
            if kind:
                self._occupy(name, tile, kind, 2 * "ABCD".index(letter) + int(number or 0))
            elif self._rams.get(tile) == site:
                self._occupy(name, tile, _RAM, 0)
        logic = {tile for tile, kind, _ in self._occupied if kind != _RAM}
        columns, lines = ({tile[axis] for tile in logic} for axis in (0, 1))
        logic = {(x, y) for x in columns for y in lines}
        self.tiles = {**dict.fromkeys((_TABLE, _FLIP_FLOP, _WRITER), logic), _RAM: set(self._rams)}
        self._ties = _ties(cells)

    def _occupy(self, name, tile, kind, place):
        self.at[name], self._place[name] = tile, place
        self._occupied[tile, kind, place] = name

    def _has(self, name, port):
        return bool(self._cells[name]["connections"].get(port))

    def group(self, name):
        """Return the :class:`Group` of cell ``name``, or None if it is to stay where it is."""
        if name not in self._place:
            return None
        tile, place = self.at[name], self._place[name]
        if self._occupied.get((tile, _RAM, 0)) == name:
            return Group(((name, _RAM, 0, 0),), _SAME)
        if self._cells[name]["type"] == "TRELLIS_FF" and not self._has(name, "DI"):
            return Group(((name, _FLIP_FLOP, 0, 0),), 1)
        table = self._occupied.get((tile, _TABLE, place))
        if not table:
            return None
        mode = self._mode(table)
        return (self._chain(table) if mode == "CCU2" else
                self._memory(tile) if mode in _MEMORY else self._tied(table))

    def _mode(self, table):
        return self._cells[table]["parameters"].get("MODE", "LOGIC")

    def _tied(self, table):
        """Return the group of ``table`` and those among which one is chosen with it, or None if
        there is memory among them, or they take more than a tile."""
        tables = [table]
        for each in tables:
            tables += self._ties[each] - set(tables)
        if (any(self._mode(each) != "LOGIC" for each in tables)
                or len({self.at[each] for each in tables}) > 1):
            return None
        tables.sort(key=self._place.__getitem__)
        low, high = self._place[tables[0]], self._place[tables[-1]]
        step = next(step for step in (1, 2, 4, 8) if low // step == high // step)
        members = [member for each in tables
                   for member in self._with_fed(each, 0, self._place[each] - low // step * step)]
        return Group(tuple(members), step)

    def _with_fed(self, table, across, offset):
        """Return the members that ``table`` and the flip-flop that it feeds are, if any."""
        members = [(table, _TABLE, across, offset)]
        beside = self._occupied.get((self.at[table], _FLIP_FLOP, self._place[table]))
        if beside and self._has(beside, "DI"):
            members.append((beside, _FLIP_FLOP, across, offset))
        return members

    def _memory(self, tile):
        """Return the group of the distributed RAM in ``tile``, or None if its tables are tied to
        others."""
        tables = [table for place in range(8)
                  if (table := self._occupied.get((tile, _TABLE, place)))
                  and self._mode(table) in _MEMORY]
        writer = self._occupied.get((tile, _WRITER, _THIRD))
        if not writer or any(self._ties[table] for table in tables):
            return None
        members = [member for table in tables
                   for member in self._with_fed(table, 0, self._place[table])]
        return Group((*members, (writer, _WRITER, 0, _THIRD)), _SAME)

    def _chain(self, table):
        """Return the group of the whole carry chain that ``table`` is of."""
        first = table
        while before := self._carry(first, -1):
            first = before
        members, each = [], first
        while each:
            across = self.at[each][0] - self.at[first][0]
            members += self._with_fed(each, across, self._place[each])
            each = self._carry(each, 1)
        return Group(tuple(members), _SAME)

    def _carry(self, table, step):
        """Return the table after ``table`` in its carry chain, or before it, or None."""
        (x, y), place = self.at[table], self._place[table] + step
        other = self._occupied.get(((x + place // 8, y), _TABLE, place % 8))
        if not other:
            return None
        low, high = (table, other) if step > 0 else (other, table)
        out = self._cells[low]["connections"].get("FCO")
        return other if out and out == self._cells[high]["connections"].get("FCI") else None

    def moved(self):
        """Return the names of the cells that are elsewhere than at first."""
        return {name for name, site in self._sites.items()
                if self._cells[name]["attributes"]["NEXTPNR_BEL"] != site}

    def where(self, group):
        """Return the tile and the number of the first place of ``group``."""
        name, _, _, offset = group.members[0]
        return self.at[name], self._place[name] - offset

    def firsts(self, group):
        """Return the numbers of the first places that ``group`` could have in a tile."""
        return range(0, 8, group.step)

    def room(self, group, tile):
        """Return the number of the first place in ``tile`` for ``group``, which must have been
        taken away, or None if there is none."""
        return next((first for first in self.firsts(group)
                     if not self.blocking(group, tile, first) and self.suits(group, tile, first)),
                    None)

    def blocking(self, group, tile, first):
        """Return the cells that would have to go for ``group`` to come: those that are in its
        place, and those that may not be beside it."""
        return list(dict.fromkeys(
            cell for name, *site in self._targets(group, tile, first)
            for cell in (self._occupied.get(tuple(site)), *self._unlike(name, *site)) if cell))

    def suits(self, group, tile, first):
        """Whether ``group`` could be there, if nothing were in its way."""
        return all(at in self.tiles[kind] and (at, _WRITER, _THIRD) not in self._occupied
                   for _, at, kind, _ in self._targets(group, tile, first))

    def _targets(self, group, tile, first):
        return [(name, (tile[0] + across, tile[1]), kind, first + offset)
                for name, kind, across, offset in group.members]

    def _unlike(self, name, tile, kind, place):
        """Return the cells that may not be in ``tile`` along with cell ``name`` in its place."""
        found = [(at, other) for at in range(8)
                 if (other := self._occupied.get((tile, _FLIP_FLOP, at)))]
        if kind == _WRITER:
            # What flip-flops are reset by takes the wires that enable writing.
            return [other for _, other in found if self._has(other, "LSR")]
        # The input that chooses of a pair of tables is that of the flip-flop beside it.
        beside = self._occupied.get((tile, _FLIP_FLOP if kind == _TABLE else _TABLE, place))
        unlike = [beside] if beside and self._has(name, "M") and self._has(beside, "M") else []
        if kind == _FLIP_FLOP:
            unlike += [other for at, other in found if at != place and not (
                self._share(name, other, _OF_TILE)
                and (at // 2 != place // 2 or self._share(name, other, _OF_SLICE)))]
        return unlike

    def _share(self, name, other, what):
        """Whether two cells agree in the ports and settings ``what``."""
        one, two = self._cells[name], self._cells[other]
        ports, settings = what
        return (all(one["connections"].get(port) == two["connections"].get(port) for port in ports)
                and all(len({each["parameters"].get(setting, _UNSET.get(setting))
                             for each in (one, two)}) == 1 for setting in settings))

    def take(self, group):
        """Take ``group`` away from where it is; :meth:`put` must follow."""
        for name, kind, *_ in group.members:
            del self._occupied[self.at[name], kind, self._place[name]]

    def put(self, group, tile, first):
        """Put ``group`` into ``tile``, from the place ``first`` on."""
        for name, (x, y), kind, place in self._targets(group, tile, first):
            self._occupy(name, (x, y), kind, place)
            self._cells[name]["attributes"]["NEXTPNR_BEL"] = self._rams[x, y] if kind == _RAM else (
                f"X{x}/Y{y}/SLICE{'ABCD'[place // 2]}.{kind}{'' if kind == _WRITER else place % 2}")


def _ties(cells):
    """Return for each cell the others that have to stay beside it: tables between which a choice
    is made by wires of the slice's own."""
    choosing = {bit: name for name, cell in cells.items() for port in ("F1", "FXA", "FXB")
                for bit in cell["connections"].get(port, ())}
    ties = defaultdict(set)
    for name, cell in cells.items():
        for port in ("F", "OFX"):
            for bit in cell["connections"].get(port, ()):
                if bit in choosing:
                    ties[name].add(choosing[bit])
                    ties[choosing[bit]].add(name)
    return ties
