# amaranth: UnusedElaboratable=no

import itertools
import random

import pytest

from hdl.product import DigitSerialProduct, PipelinedProduct, product_for, product_latency
from tests.hdl.bench import trace

ENDS = (-2**31, -2**31 + 1, -2**17, -2**16 - 1, -1, 0, 1, 2**16, 2**17 - 1, 2**17, 2**31 - 1)


def operands(seed, count=300):
    source = random.Random(seed)
    return [*itertools.product(ENDS, ENDS),
            *((source.randrange(-2**31, 2**31), source.randrange(-2**31, 2**31))
              for _ in range(count))]


def products(dut, tokens, gaps):
    """Send ``tokens`` after ``gaps`` cycles; return (cycle sent, cycle received, p, side) of each.

    Between tokens the operands change, which must not matter.
    """
    idle = {"valid": 0, "a": 0x2AAAAAAA, "b": -0x2AAAAAAB, "side": 0}
    stimulus, sent = [], []
    for number, ((a, b), gap) in enumerate(zip(tokens, gaps, strict=True)):
        stimulus += [idle] * gap
        sent.append(len(stimulus))
        stimulus.append({"valid": 1, "a": a, "b": b, "side": number})
        stimulus += [idle] * (dut.interval - 1)
    stimulus += [idle] * (dut.latency + 5)
    seen = trace(dut, stimulus, ["o_valid", "p", "o_side"])
    received = [(t, p, side) for t, (valid, p, side) in enumerate(seen) if valid]
    return list(zip(sent, received, strict=True))


@pytest.mark.parametrize(("interval", "blocks"), [
    (1, 2), (1, 3), (2, 2), (4, 2), (8, 2), (16, 2), (32, 2)])
@pytest.mark.parametrize("longest_gap", [0, 3])
def test_multiplies_in_its_latency(interval, blocks, longest_gap):
    """Every product is exact, in order and on time, at full rate and with gaps."""
    dut = product_for(interval, side=range(1024), blocks=blocks)
    assert isinstance(dut, PipelinedProduct if interval == 1 else DigitSerialProduct)
    assert dut.interval == interval
    assert dut.latency == product_latency(interval)
    tokens = operands(interval)
    source = random.Random(interval)
    gaps = [source.randint(0, longest_gap) for _ in tokens]
    for number, ((a, b), (sent, (received, p, side))) in enumerate(
            zip(tokens, products(dut, tokens, gaps), strict=True)):
        assert (p, side, received - sent) == (a * b, number, dut.latency), (a, b)


@pytest.mark.parametrize(("interval", "latency"), [(1, 9), (2, 4), (4, 6), (8, 10), (32, 34)])
def test_publishes_its_latency(interval, latency):
    assert product_latency(interval) == latency


@pytest.mark.parametrize(("digit", "error", "message"), [
    (0, ValueError, r"^Digit must be 1 to 31, not 0$"),
    (32, ValueError, r"^Digit must be 1 to 31, not 32$"),
    (3, ValueError, r"^Digit must divide 32, not 3$"),
    (None, TypeError, r"^Digit must be an integer, not None$"),
])
def test_bad_digit(digit, error, message):
    with pytest.raises(error, match=message):
        DigitSerialProduct(side=1, digit=digit)
