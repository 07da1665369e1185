"""Places in activation memory for buffers that are live at different times."""

from dataclasses import dataclass

__all__ = ["Buffer", "allocate", "live_words", "room"]


#: How often a buffer that found no place is moved to the front and all are placed anew.
PROMOTIONS = 30


@dataclass(frozen=True)
class Buffer:
    """So many words that must stay together.

    Members
    -------
    name : str
    size : int
        Words; at least 1.
    spans : tuple of (int, int)
        First and last step of each time in which nothing else may lie there.
    """

    name: str
    size: int
    spans: tuple[tuple[int, int], ...]

    def steps(self):
        """All steps in which it is live, as a set."""
        return {step for first, last in self.spans for step in range(first, last + 1)}

    def meets(self, other):
        """Whether both are live at the same time."""
        return any(first <= end and start <= last
                   for first, last in self.spans for start, end in other.spans)


def live_words(buffers):
    """Words of all buffers that are live, for each step, as a list."""
    words = [0] * (1 + max(last for buffer in buffers for _, last in buffer.spans))
    for buffer in buffers:
        for step in buffer.steps():
            words[step] += buffer.size
    return words


def allocate(buffers, capacity, apart=None):
    """Find a place for each buffer so that no two live at the same time overlap, or no more than
    they may.

    Greedily: one after the other into the smallest gap that is left, the largest first, then the
    longest-lived first, then the first to live; and, where one finds no place, with that one
    first. That is not always the best there is, but for chains and blocks with branches it is.

    Parameters
    ----------
    buffers : sequence of Buffer
    capacity : int
        Words of the memory.
    apart : dict of int, or None
        For the names of two buffers, of which the first one may lie before the second one and
        overlap it, the words from the beginning of the former to that of the latter, at least.

    Returns
    -------
    dict of int, or None
        First word of each buffer by name; None if no way was found.
    """
    apart = apart or {}
    if _least(buffers, apart) > capacity:
        return None
    rivals = {buffer.name: [other for other in buffers if other is not buffer
                            and buffer.meets(other)] for buffer in buffers}
    for order in _orders(buffers):
        for _ in range(PROMOTIONS):
            places, failed = _place(order, rivals, capacity, apart)
            if failed is None:
                return places
            order = [failed, *(buffer for buffer in order if buffer is not failed)]
    return None


def room(buffers, apart=None):
    """Words of the smallest memory in which :func:`allocate` finds a place for all."""
    low, high = _least(buffers, apart), sum(buffer.size for buffer in buffers)
    middle = low        # Mostly no more is needed than is live.
    while low < high:
        if allocate(buffers, middle, apart) is None:
            low = middle + 1
        else:
            high = middle
        middle = (low + high) // 2
    return low


def _least(buffers, apart):
    """Words that are needed in any case."""
    return max(buffer.size for buffer in buffers) if apart else max(live_words(buffers))


def _orders(buffers):
    def length(buffer):
        return sum(last - first + 1 for first, last in buffer.spans)

    return [sorted(buffers, key=key) for key in (
        lambda buffer: (-buffer.size, -length(buffer)),
        lambda buffer: (-length(buffer), -buffer.size),
        lambda buffer: (buffer.spans[0], -buffer.size))]


def _place(order, rivals, capacity, apart):
    """Places of the buffers in that order; also the first one that finds none, or None."""
    places = {}
    for buffer in order:
        # Where it cannot begin: from behind the first one of each pair to before the second one.
        taken = sorted(
            (places[other.name] - apart.get((buffer.name, other.name), buffer.size),
             places[other.name] + apart.get((other.name, buffer.name), other.size))
            for other in rivals[buffer.name] if other.name in places)
        best, free = None, 0
        for last, following in [*taken, (capacity - buffer.size, capacity)]:
            gap = last - free
            if gap >= 0 and (best is None or gap < best[0]):
                best = gap, free
            free = max(free, following)
        if best is None:
            return places, buffer
        places[buffer.name] = best[1]
    return places, None
