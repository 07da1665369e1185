"""The vector unit's cycle model: its closed form is what its step by step count comes to."""

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

import sim.vector_cycles
from hdl.vector import VectorUnit
from sim.vector_cycles import Walk, vector_cycles


@st.composite
def walks(draw):
    rows = draw(st.integers(1, 8))
    return Walk(rows=rows, parts=draw(st.sampled_from([1, 2, 4])), taps=draw(st.integers(1, 9)),
                tiles=draw(st.integers(1, 5)), blocks=draw(st.integers(1, 5)),
                dead=draw(st.integers(0, rows - 1)))


def counted(walk, sets):
    """Step by step, whether or not there is a closed form."""
    with patch.object(sim.vector_cycles, "_unhindered", side_effect=AssertionError), \
            patch.object(sim.vector_cycles, "_is_unhindered", return_value=False):
        return vector_cycles(walk, depth=VectorUnit.places(rows=walk.rows, parts=walk.parts),
                             sets=sets, interval=1)


# The only sum of a block waits for the next block's words; that of the last one does not.
@example(Walk(rows=1, parts=1, taps=6, tiles=1, blocks=2, dead=0), 3)
@given(walks(), st.integers(1, 70))
def test_closed_form_is_what_counting_comes_to(walk, sets):
    depth = VectorUnit.places(rows=walk.rows, parts=walk.parts)
    assert vector_cycles(walk, depth=depth, sets=sets, interval=1) == counted(walk, sets)


@given(walks(), st.integers(1, 70))
def test_no_set_of_coefficients_comes_too_early(walk, sets):
    """Nor is anything faster than its words, or slower than one wait for each block."""
    total = counted(walk, sets)
    assert total >= max(walk.blocks * walk.block - walk.dead, (walk.blocks - 1) * sets)
    assert total <= counted(walk, 0) + (walk.blocks - 1) * sets
