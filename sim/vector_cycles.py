"""Cycle model of the vector unit: when each group goes on, and when its sums are in the lanes."""

from collections import deque
from dataclasses import dataclass

from hdl.vector import VectorUnit
from hdl.vectorlane import VectorLane

__all__ = ["Walk", "vector_cycles"]


#: From a group going on to the cycle in which what its tap adds to is read, and from then on
#: nothing else can be.
_READ = 3
#: To the one after which its sum, of the last tap, may be read.
_SUMMED = VectorLane.LATENCY
#: From a first tap's group going on, or from a sum leaving, to who knows of the room.
_COUNTED = 4


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The words of a layer on the vector unit.

    Members
    -------
    rows : int
        Words of a tap in a tile.
    parts : int
        Groups of a word.
    taps, tiles, blocks : int
    dead : int
        Rows of each block's last tile that belong to no pixel.
    """

    rows: int
    parts: int
    taps: int
    tiles: int
    blocks: int
    dead: int

    @property
    def pixels(self):
        """Of a block."""
        return self.tiles * self.rows - self.dead

    @property
    def block(self):
        """Cycles of a block's words, one after the other."""
        return (self.pixels * self.parts + self.dead) * self.taps

    def steps(self):
        """For each group, and for each word that belongs to no pixel: the word's number, whether
        it is live, its tap, and whether it is the block's first group."""
        word = 0
        for _ in range(self.blocks):
            first = True
            for tile in range(self.tiles):
                live = self.rows - (self.dead if tile == self.tiles - 1 else 0)
                for tap in range(self.taps):
                    for row in range(self.rows):
                        for _ in range(self.parts if row < live else 1):
                            yield word, row < live, tap, first
                            first = False
                        word += 1


def vector_cycles(walk, *, depth, sets, interval):
    """Return the cycles from the first word being taken to the last group being taken by the
    lanes, less the unit's latency.

    Parameters
    ----------
    walk : Walk
    depth : int
        Sums that the unit has room for.
    sets : int
        Cycles from one block's first group in the lanes to that of the next, at least.
    interval : int
        Cycles for which a group keeps the lanes busy.
    """
    if _is_unhindered(walk, sets, interval):
        return _unhindered(walk)
    count = walk.blocks * walk.pixels * walk.parts
    steps = walk.steps()
    word, live, tap, first = next(steps)
    firsts = deque()                # Of groups whose sums have begun, whether they are a block's.
    going, leaving = deque(), deque()       # When sums began and left, until both are known of.
    summed, reading = deque(), deque()      # When sums are there; when the memory is being read.
    occupied, cycle, last_set = 0, 0, None
    offered = None                  # A group at the unit's output, ...
    register = deque()              # ... and those in the register behind it, which holds two.
    free = 0
    while count:
        cycle += 1
        # The lanes take a group, and the unit gives one to the register.
        taking = bool(register) and cycle >= free and not (
            register[0] and last_set is not None and cycle < last_set + sets)
        moving = offered is not None and len(register) < 2
        while reading and reading[0] < cycle:
            reading.popleft()
        giving = (bool(summed) and summed[0] < cycle and not (reading and reading[0] == cycle)
                  and (offered is None or moving))
        # A word's next group goes on; that of a first tap, if there is room for its sum.
        while going and going[0] <= cycle - _COUNTED:
            going.popleft()
            occupied += 1
        while leaving and leaving[0] <= cycle - _COUNTED:
            leaving.popleft()
            occupied -= 1
        if word < cycle and (tap or occupied <= depth - _COUNTED):
            if live:
                if tap:
                    reading.append(cycle + _READ)
                else:
                    going.append(cycle)
                    firsts.append(first)
                if tap == walk.taps - 1:
                    summed.append(cycle + _SUMMED)
            word, live, tap, first = next(steps, (cycle << 1, False, 1, False))
        if taking:
            if register.popleft():
                last_set = cycle
            free = cycle + interval
            count -= 1
        if moving:
            register.append(offered)
            leaving.append(cycle)
            offered = None
        if giving:
            summed.popleft()
            offered = firsts.popleft()
    return cycle - VectorUnit.LATENCY


def _is_unhindered(walk, sets, interval):
    """Whether it is certain that no group waits for coefficients, or for the lanes. The times from
    one block's first group to the next one's differ, but none is half of a block's; unless it is
    the only one, which waits until the next block's words are through, and the last one does not.
    """
    alone = walk.pixels * walk.parts == 1
    return interval == 1 and (walk.blocks == 1 or (2 * sets <= walk.block
                                                   and not (alone and sets > 2)))


def _unhindered(walk):
    """The same if no group waits for coefficients, or for the lanes.

    A word takes a cycle for each of its groups, one of a row that belongs to no pixel a single
    one, and none if nothing comes after it. Sums of more than one tap leave while the first tap
    of the next tile comes; those of the last tile leave after it.
    """
    tail = 0
    if walk.taps > 1:
        # Groups that have not left when the last word comes.
        waiting = (walk.rows - walk.dead) * walk.parts
        if walk.tiles > 1:
            waiting += max(0, walk.dead * (walk.parts + 1 - walk.taps))
        tail = max(3, waiting) - 3
    return walk.blocks * walk.block - walk.dead + tail
