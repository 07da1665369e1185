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

    def meets(self, other):
        """Whether both are live at the same time."""
        return any(first <= end and start <= last
                   for first, last in self.spans for start, end in other.spans)


def live_words(buffers):
    """Words of all buffers that are live, for each step, as a list."""
    words = [0] * (1 + max(last for buffer in buffers for _, last in buffer.spans))
    for buffer in buffers:
        for step in {step for first, last in buffer.spans for step in range(first, last + 1)}:
            words[step] += buffer.size
    return words


def allocate(buffers, capacity):
    """Find a place for each buffer so that no two live at the same time overlap.

    Greedily: one after the other into the smallest gap that is left, the largest first, then the
    longest-lived first, then the first to live; and, where one finds no place, with that one
    first. That is not always the best there is, but for chains and blocks with branches it is.

    Parameters
    ----------
    buffers : sequence of Buffer
    capacity : int
        Words of the memory.

    Returns
    -------
    dict of int, or None
        First word of each buffer by name; None if no way was found.
    """
    if max(live_words(buffers)) > capacity:
        return None
    rivals = {buffer.name: [other for other in buffers if other is not buffer
                            and buffer.meets(other)] for buffer in buffers}
    for order in _orders(buffers):
        for _ in range(PROMOTIONS):
            places, failed = _place(order, rivals, capacity)
            if failed is None:
                return places
            order = [failed, *(buffer for buffer in order if buffer is not failed)]
    return None


def room(buffers):
    """Words of the smallest memory in which :func:`allocate` finds a place for all."""
    low, high = max(live_words(buffers)), sum(buffer.size for buffer in buffers)
    middle = low        # Mostly no more is needed than is live.
    while low < high:
        if allocate(buffers, middle) is None:
            low = middle + 1
        else:
            high = middle
        middle = (low + high) // 2
    return low


def _orders(buffers):
    def length(buffer):
        return sum(last - first + 1 for first, last in buffer.spans)

    return [sorted(buffers, key=key) for key in (
        lambda buffer: (-buffer.size, -length(buffer)),
        lambda buffer: (-length(buffer), -buffer.size),
        lambda buffer: (buffer.spans[0], -buffer.size))]


def _place(order, rivals, capacity):
    """Places of the buffers in that order; also the first one that finds none, or None."""
    places = {}
    for buffer in order:
        taken = sorted((places[other.name], places[other.name] + other.size)
                       for other in rivals[buffer.name] if other.name in places)
        best, free = None, 0
        for start, end in [*taken, (capacity, capacity)]:
            gap = start - free
            if gap >= buffer.size and (best is None or gap < best[0]):
                best = gap, free
            free = max(free, end)
        if best is None:
            return places, buffer
        places[buffer.name] = best[1]
    return places, None
