"""How long wires take, by their length."""

from collections import defaultdict

import numpy as np

__all__ = ["Delays"]


#: Ports of tables and flip-flops, which have delays of their own. The rest is taken together.
_PORTS = ("A", "B", "C", "D", "M", "CE", "LSR", "DI")
#: Tiles up to which there are enough wires of each length, and the longest wire's.
_NEAR, _FAR = 20, 256
#: Picoseconds a tile that a long wire takes at least.
_SLOPE = 40


class Delays:
    """Delay of a wire by the tiles that it goes, across and down, and the port that it leads to,
    learned from a routed design.

    It is the one that three in four wires have at most, of those of the same length, and beyond
    :data:`_NEAR` tiles grows with the length.

    Parameters
    ----------
    timing : Timing
    at : dict
        Names of cells to their tiles.
    """

    def __init__(self, timing, at):
        samples = defaultdict(lambda: defaultdict(list))
        for source, sink, delay in zip(*(each[:timing.wires].tolist() for each in (
                timing.source, timing.sink, timing.delay)), strict=True):
            (driver, _), (load, port) = timing.pins[source], timing.pins[sink]
            if driver in at and load in at:
                (x, y), (u, v) = at[driver], at[load]
                samples[_kind(port)][abs(x - u) + abs(y - v)].append(delay)
        self._tables = {kind: _table(found) for kind, found in samples.items()}

    def __call__(self, port, lengths):
        """Return the delays of wires of ``lengths`` tiles to ``port``."""
        return self._tables[_kind(port)][np.minimum(lengths, _FAR - 1)]


def _kind(port):
    return port if port in _PORTS else "other"


def _table(found):
    near = [length for length in sorted(found) if length <= _NEAR] or sorted(found)
    # Of two lengths the longer does not take less.
    values = np.maximum.accumulate([np.percentile(found[length], 75) for length in near])
    table = np.interp(np.arange(_FAR), near, values)
    slopes = [(delay - table[_NEAR]) / (length - _NEAR)
              for length, delays in found.items() if length > _NEAR for delay in delays]
    slope = max(_SLOPE, np.median(slopes)) if slopes else _SLOPE
    table[_NEAR:] = table[_NEAR] + slope * np.arange(_FAR - _NEAR)
    return table
