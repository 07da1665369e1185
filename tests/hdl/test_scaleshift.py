# amaranth: UnusedElaboratable=no

import itertools
import random
import re
from dataclasses import replace

import numpy as np
import pytest

from golden.requant import ROUNDINGS, requantise
from hdl.config import CONFIGURATIONS
from hdl.layouts import Rounding
from hdl.pipeline import ConvPipeline
from hdl.scaleshift import RoundingShift, ScaleShift
from hdl.verilog import emit
from tests.hdl.bench import trace

INT8, UINT8 = (-128, 127), (0, 255)


def token(acc, bias, multiplier, shift, rounding, zero=0, low=-128, high=127):
    return {"acc": acc, "coefficients": {
        "bias": bias, "multiplier": multiplier, "shift": shift,
        "rounding": Rounding.encode(rounding, shift), "zero": zero, "low": low, "high": high}}


def results(dut, tokens):
    """Codes of ``tokens``, sent every ``interval`` cycles, each exactly on time."""
    stimulus = []
    for each in tokens:
        stimulus += [{"valid": 1, **each}] + [{"valid": 0, "acc": 0}] * (dut.interval - 1)
    seen = trace(dut, stimulus, ["o_valid", "q"], cycles=len(stimulus) + dut.latency)
    valid, codes = zip(*seen, strict=True)
    expected = [0] * dut.latency + [t % dut.interval == 0 for t in range(len(stimulus))]
    assert list(valid) == expected, "a result early, late, or from nowhere"
    return list(codes[dut.latency::dut.interval])


def golden(case, rounding):
    """The code of (acc, bias, multiplier, shift, zero, low, high), as 8 bits."""
    acc, bias, multiplier, shift, zero, low, high = case
    total = (acc + bias + 2**31) % 2**32 - 2**31
    return int(requantise(np.array([[total]]), multiplier, shift, rounding=rounding,
                          zero_point=zero, low=low, high=high)[0, 0]) % 256


def check(dut, cases, rounding):
    tokens = [token(*case[:4], rounding, *case[4:]) for case in cases]
    for case, actual in zip(cases, results(dut, tokens), strict=True):
        assert actual == golden(case, rounding), case


def random_cases(seed, count, *, width=32):
    """Results inside the bounds, around their ends, and far beyond, in equal shares."""
    source = random.Random(seed)
    cases = []
    for _ in range(count):
        low, high = source.choice((INT8, UINT8, (0, 127), (-128, -128), (17, 203)))
        limits = UINT8 if high > 127 else INT8
        shift = source.randint(0, 62)
        multiplier = source.choice((-1, 1)) * source.randrange(1, 1 << source.randint(1, 31))
        wanted = source.choice((100, 300, 2**40)) * source.uniform(-1, 1)
        total = round(wanted * 2.0**shift / multiplier)
        total = max(-2**31, min(2**31 - 1, total))
        acc = source.randrange(-1 << (width - 1), 1 << (width - 1))
        bias = (total - acc + 2**31) % 2**32 - 2**31
        cases.append((acc, bias, multiplier, shift, source.randint(*limits), low, high))
    return cases


def tie_cases():
    """Quotients of k/2 exactly and one least step to either side, for every shift.

    Every sum, k and multiplier is small enough for int32, whatever the shift.
    """
    for shift in range(1, 63):
        up = min(shift - 1, 30)
        for k, sign in itertools.product((-5, -3, -2, -1, 0, 1, 2, 3, 5), (-1, 1)):
            # acc · 2^up / 2^shift with acc = k · 2^(shift - 1 - up), where that fits.
            acc = k << (shift - 1 - up)
            if abs(acc) < 2**31 - 1:
                for step in (-1, 0, 1):
                    yield acc + step, 0, sign << up, shift, 3, *INT8


def extreme_cases():
    """Ends of every operand at once."""
    for acc, bias, multiplier, shift in itertools.product(
            (-2**31, -2**31 + 1, -1, 0, 2**31 - 1), (-2**31, 0, 2**31 - 1),
            (-2**31 + 1, -1, 0, 1, 2**30, 2**31 - 1), (0, 1, 30, 31, 32, 53, 54, 61, 62)):
        yield acc, bias, multiplier, shift, 0, *INT8
    for multiplier, shift, (limits, zero) in itertools.product(
            (-2**31 + 1, 2**31 - 1), (0, 23, 31, 62),
            [(INT8, -128), (INT8, 127), (UINT8, 0), (UINT8, 255)]):
        yield 2**31 - 1, 0, multiplier, shift, zero, *limits
        yield -2**31, 0, multiplier, shift, zero, *limits


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_matches_golden(rounding):
    print("seed 20")
    check(ScaleShift(), random_cases(20, 3000), rounding)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_ties_at_every_shift(rounding):
    check(ScaleShift(), list(tie_cases()), rounding)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_extremes(rounding):
    check(ScaleShift(), list(extreme_cases()), rounding)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_every_code_of_both_types(rounding, zero):
    """A factor of one half, over both bounds: what saturates, and what does not."""
    cases = [(acc, 0, 1, 1, zero if limits is INT8 else zero + 128, *limits)
             for limits in (INT8, UINT8) for acc in range(-800, 801)]
    check(ScaleShift(), cases, rounding)


@pytest.mark.parametrize("interval", [2, 4, 8, 32])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_matches_golden_at_every_interval(rounding, interval):
    check(ScaleShift(interval=interval), random_cases(interval, 60), rounding)


@pytest.mark.parametrize("width", [18, 24])
def test_matches_golden_at_every_accumulator_width(width):
    check(ScaleShift(accumulator_width=width), random_cases(width, 300, width=width), "half_even")
    ends = [(end, bias, 2**30, 31, 0, *INT8) for end in (-1 << (width - 1), (1 << (width - 1)) - 1)
            for bias in (0, 3, -3)]
    check(ScaleShift(accumulator_width=width), ends, "half_even")


def test_tflite_rounds_twice():
    """A quotient just under 1/2 becomes 1/2 at bit 31, and that goes up: 1, not the nearest 0."""
    case = (2**30 - 1, 0, 2**31 - 1, 62, 0, *INT8)
    assert 2 * case[0] * case[2] < 2**62
    dut = ScaleShift()
    assert results(dut, [token(*case[:4], "half_even")]) == [0]
    assert results(dut, [token(2**30, 0, 2**31 - 1, 62, "tflite")]) == [1]
    assert results(dut, [token(2**30, 0, 2**31 - 1, 62, "half_even")]) == [0]


@pytest.mark.parametrize(("interval", "latency"), [(1, 20), (2, 15), (8, 19), (32, 43)])
def test_latency_is_the_sum_of_its_stages(interval, latency):
    """One cycle for the bias where tokens come soon, the product's, and the rounding's."""
    assert ScaleShift(interval=interval).latency == latency
    assert RoundingShift.LATENCY == 10


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"accumulator_width": 33}, ValueError, r"^Accumulator width must be 18 to 32, not 33$"),
    ({"accumulator_width": 2.5}, TypeError, r"^Accumulator width must be an integer, not 2\.5$"),
    ({"interval": 0}, ValueError, r"^Interval must be 1 to 32, not 0$"),
    ({"interval": 3}, ValueError, r"^Interval must divide 32, not 3$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        ScaleShift(**kwargs)


@pytest.mark.parametrize("blocks", [2, 3])
def test_lanes_of_a_pipeline_have_their_dsp_blocks(blocks):
    config = replace(CONFIGURATIONS["ecp5-25f"], rows=1, columns=1, lanes=1, lut_rows=1,
                     lane_blocks=blocks, vector=False, window_width=0)
    found = re.findall(r"^ *celosia_ecp5_product (\w+)", emit(ConvPipeline(config)), re.MULTILINE)
    assert found == ["both", "high", "low"][:blocks]
