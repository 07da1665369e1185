# amaranth: UnusedElaboratable=no
"""A family's cells, what simulators take in their place, and the general description agree."""

import pytest
from amaranth.hdl import signed, unsigned

from hdl.vendor import PRODUCT_LATENCY
from tests.formal.equivalence import equal
from tests.formal.vendor_blocks import Accumulator, Copies, Product, Products, Sum, Sums

CELLS = pytest.mark.parametrize("cells", [False, True])


#: Short factors, which the solver can multiply; and long ones, to reach every pin.
PRODUCTS = pytest.mark.parametrize(("a", "b", "shift"), [
    (signed(4), signed(5), 0), (unsigned(5), signed(4), 0), (unsigned(5), unsigned(5), 0),
    (signed(18), unsigned(1), 0), (unsigned(1), signed(18), 0),
    (signed(18), unsigned(1), 16)], ids=str)


@CELLS
@PRODUCTS
def test_product(a, b, shift, cells):
    assert equal(lambda: Product(family="ecp5", a=a, b=b, shift=shift), "ecp5",
                 f"product-{a}-{b}-{shift}-{cells}", cells=cells, latency=PRODUCT_LATENCY)


@CELLS
@pytest.mark.parametrize("shapes", [
    (1, 1, 1), (signed(9), signed(10), signed(11)), (signed(16), signed(32), signed(32)),
    (unsigned(16), unsigned(17), unsigned(18)), (5, 4, 3)], ids=str)
def test_sum(shapes, cells):
    a, b, shape = shapes
    name = "-".join(["sum", *map(str, shapes), str(cells)])
    assert equal(lambda: Sum(family="ecp5", a=a, b=b, shape=shape), "ecp5", name, cells=cells)


@CELLS
@pytest.mark.parametrize("width", [18, 32])
def test_accumulator(width, cells):
    assert equal(lambda: Accumulator(family="ecp5", width=width), "ecp5",
                 f"accumulator-{width}-{cells}", cells=cells)


@CELLS
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("a", "b"), [
    (signed(8), unsigned(1)), (unsigned(1), signed(8)), (signed(3), signed(3))], ids=str)
def test_products(count, a, b, cells):
    assert equal(lambda: Products(family="ice40", count=count, a=a, b=b), "ice40",
                 f"products-{count}-{a}-{b}-{cells}", cells=cells, latency=PRODUCT_LATENCY)


@CELLS
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("a", "b"), [
    (signed(8), unsigned(1)), (unsigned(1), signed(8)), (signed(3), signed(3))], ids=str)
def test_sums(count, a, b, cells):
    """The present sum is of three products, behind which is a clear."""
    assert equal(lambda: Sums(family="ice40", count=count, a=a, b=b), "ice40",
                 f"sums-{count}-{a}-{b}-{cells}", cells=cells, latency=PRODUCT_LATENCY + 4)


@CELLS
@pytest.mark.parametrize("a", [unsigned(1), signed(5)], ids=str)
def test_copies(a, cells):
    assert equal(lambda: Copies(family="ecp5", count=3, a=a), "ecp5", f"copies-{a}-{cells}",
                 cells=cells, latency=1)
