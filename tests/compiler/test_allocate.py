"""Places in memory: nothing overlaps what is live at the same time, and little is wasted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.allocate import Buffer, allocate, live_words, room

DRAWN = settings(deadline=None, print_blob=True)


@st.composite
def buffers(draw, spans=1):
    """Up to 12 buffers, live for some of 10 steps."""
    def span():
        first = draw(st.integers(0, 9))
        return first, draw(st.integers(first, 9))

    return [Buffer(f"b{index}", draw(st.integers(1, 20)),
                   tuple(span() for _ in range(draw(st.integers(1, spans)))))
            for index in range(draw(st.integers(1, 12)))]


def occupied(buffers, places, steps):
    """For each step and word, how many buffers lie there."""
    memory = np.zeros((steps, 500), int)
    for buffer in buffers:
        live = {step for first, last in buffer.spans for step in range(first, last + 1)}
        for step in live:
            memory[step, places[buffer.name]:places[buffer.name] + buffer.size] += 1
    return memory


@DRAWN
@given(buffers(spans=2), st.integers(0, 60))
def test_nothing_overlaps_what_is_live(drawn, spare):
    capacity = room(drawn) + spare
    places = allocate(drawn, capacity)
    memory = occupied(drawn, places, 10)
    assert memory.max() == 1
    assert not memory[:, capacity:].any()
    assert allocate(drawn, room(drawn) - 1) is None


@DRAWN
@given(st.lists(st.integers(1, 50), min_size=2, max_size=30))
def test_chains_take_no_more_than_is_live(sizes):
    """Each tensor is made in one step and read in the next."""
    chain = [Buffer(str(index), size, ((index, index + 1),)) for index, size in enumerate(sizes)]
    assert room(chain) == max(live_words(chain))


@DRAWN
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 9))
def test_residual_blocks_take_no_more_than_is_live(sizes, kept):
    """Beside a chain inside, what is to be added stays."""
    blocks = []
    for index, size in enumerate(sizes):
        start = 3 * index
        blocks += [Buffer(f"in{index}", kept, ((start, start + 3),)),
                   Buffer(f"a{index}", size, ((start + 1, start + 2),)),
                   Buffer(f"b{index}", kept, ((start + 2, start + 3),))]
    assert room(blocks) == max(live_words(blocks))


def test_the_smallest_gap_is_taken():
    drawn = [Buffer("a", 8, ((0, 0),)), Buffer("b", 7, ((0, 1),)), Buffer("c", 6, ((1, 1),))]
    assert allocate(drawn, 40) == {"a": 0, "b": 8, "c": 0}


@pytest.mark.parametrize("capacity", [0, 9])
def test_what_cannot_fit(capacity):
    assert allocate([Buffer("a", 10, ((0, 0),))], capacity) is None
