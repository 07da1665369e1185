"""Walks over regions: every word in order, whatever the fields can hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.geometry import check_fields, dense_walk, walk
from compiler.layout import Layout, Region
from sim.machine import read_addresses
from tests.compiler.layers import ODD

DRAWN = settings(deadline=None, print_blob=True)

FIELDS = ("base", "block_step", "frame_step", "y_step", "x_step", "tap_y_step", "tap_x_step",
          "frames", "out_height", "out_width", "kernel_height", "kernel_width", "tap_words",
          "stride_y", "stride_x", "pad_top", "pad_left", "dilation_y", "dilation_x")


def region(base, words, step, frames, height, width):
    """A region of so many words a pixel; the channels do not matter."""
    return Region(base=base, shape=(words, height, width), frames=frames, step=step,
                  layout=Layout(words, np.arange(words)))


def addresses(fields):
    found, inside = read_addresses({**dict.fromkeys(FIELDS, 0), **fields}, 0)
    assert inside.all()
    return found.ravel().tolist()


def words_of(where):
    frame, y, x, word = np.ogrid[tuple(slice(size) for size in (
        where.frames, *where.shape[1:], where.words))]
    return (where.base + ((frame * where.shape[1] + y) * where.shape[2] + x) * where.step
            + word).ravel().tolist()


@DRAWN
@given(st.integers(1, 5), st.integers(0, 3), st.integers(1, 3), st.integers(1, 5),
       st.integers(1, 5), st.integers(0, 99))
def test_dense_walks_take_every_word(words, gap, frames, height, width, base):
    where = region(base, words, words + gap, frames, height, width)
    fields = dense_walk(where, ODD)
    assert addresses(fields) == words_of(where)
    assert fields["pixels"] + 1 == where.size
    assert fields["tiles"] + 1 == -(-where.size // ODD.rows)


@pytest.mark.parametrize(("words", "step", "frames", "height", "width"), [
    (40, 41, 1, 100, 50),       # Rows count as frames: 100 * 50 pixels are too many.
    (3000, 3000, 1, 2, 3),      # Words of a row are too many.
    (1, 1, 2, 300, 13),         # Neither 600 rows nor 300 frames.
    (3, 4, 250, 2, 3),
])
def test_loops_are_joined_where_the_fields_hold_them(words, step, frames, height, width):
    where = region(0, words, step, frames, height, width)
    fields = dense_walk(where, ODD)
    check_fields("It", {**fields, "pixels": 0, "tiles": 0}, ODD)
    assert addresses(fields) == [word % 2**16 for word in words_of(where)]


def test_a_walk_begins_in_the_padding():
    where = region(100, 2, 3, 2, 4, 5)
    fields = walk(where, (4, 5), ODD, kernel=(3, 2), padding=(1, 1), first_word=1)
    found, inside = read_addresses({**dict.fromkeys(FIELDS, 0), **fields}, 0)
    # The second frame's first pixel: only the last column of the lower two rows is inside.
    assert inside[20].tolist() == [False, False, False, True, False, True]
    assert found[20][inside[20]].tolist() == [100 + 60 + 1, 100 + 60 + 15 + 1]
