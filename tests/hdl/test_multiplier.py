# amaranth: UnusedElaboratable=no

import numpy as np
import pytest

from hdl.config import MULTIPLIERS
from hdl.multiplier import Ice40Multiplier, LutMultiplier, Multiplier, multiplier_class
from hdl.vendor import FAMILIES
from tests.hdl.bench import trace

KINDS = [(multiplier_class(kind), None) for kind in MULTIPLIERS]
KINDS += [(LutMultiplier, family) for family in FAMILIES]


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_multiplies_all_operands_at_its_latency(kind, family):
    """All 65536 pairs, some a cycle, each product exactly LATENCY cycles after its operands."""
    dut = kind(elements=kind.ELEMENTS, family=family)
    x, w = (axis.ravel() for axis in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    # Neighbours of the same row would hide a product that comes a cycle early or late.
    order = np.random.default_rng(1).permutation(x.size)
    x, w = (axis[order].reshape(-1, kind.ELEMENTS) for axis in (x, w))
    stimulus = ({"x": a, "w": b} for a, b in zip(x.tolist(), w.tolist(), strict=True))

    products = trace(dut, stimulus, ["p"], cycles=len(x) + dut.LATENCY)

    seen = np.array([[p[index] for index in range(kind.ELEMENTS)] for p, in products])
    np.testing.assert_array_equal(seen[dut.LATENCY:], x * w)


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_has_the_latency_of_all(kind, family):
    assert kind.LATENCY == kind(family=family).LATENCY == Multiplier.LATENCY == 4


@pytest.mark.parametrize(("elements", "error", "message"), [
    (0, ValueError, r"^Elements must be 1 to 2, not 0$"),
    (3, ValueError, r"^Elements must be 1 to 2, not 3$"),
    (None, TypeError, r"^Elements must be an integer, not None$"),
])
def test_bad_elements(elements, error, message):
    with pytest.raises(error, match=message):
        Ice40Multiplier(elements=elements)
