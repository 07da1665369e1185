import numpy as np
import pytest

from hdl.config import MULTIPLIERS
from hdl.multiplier import multiplier_class
from tests.hdl.bench import trace


@pytest.mark.parametrize("kind", MULTIPLIERS)
def test_multiplies_all_operands_at_its_latency(kind):
    """All 65536 pairs, one a cycle, each product exactly LATENCY cycles after its operands."""
    dut = multiplier_class(kind)()
    x, w = (axis.ravel() for axis in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    # Neighbours of the same row would hide a product that comes a cycle early or late.
    order = np.random.default_rng(1).permutation(x.size)
    x, w = x[order], w[order]
    stimulus = ({"x": a, "w": b} for a, b in zip(x.tolist(), w.tolist(), strict=True))

    products = trace(dut, stimulus, ["p"], cycles=x.size + dut.LATENCY)

    np.testing.assert_array_equal(np.array(products)[dut.LATENCY:, 0], x * w)


@pytest.mark.parametrize(("kind", "latency"), [("portable", 3), ("lut", 3)])
def test_publishes_its_latency(kind, latency):
    assert latency == multiplier_class(kind).LATENCY
