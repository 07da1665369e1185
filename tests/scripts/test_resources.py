"""No component grows beyond what is kept of it in ``resources.json`` without being noticed."""

import pytest

from tests.scripts.resources import ENGINES, RENEW, budgets, excess, measure


@pytest.mark.parametrize("family", ENGINES)
def test_components_stay_within_their_budgets(family):
    lines = excess(budgets()[family], measure(family))
    assert not lines, "\n".join([
        f"Of the {family} engine, by Yosys:", *lines,
        f"If that is worth it, `{RENEW}` measures all of them, and keeps what it finds."])


def figures(**counts):
    return {"lut": 100, "ff": 1000, "dsp": 2, "bram": 3} | counts


@pytest.mark.parametrize(("measured", "line"), [
    ({"lane": figures(lut=108, ff=1070)}, None),
    ({"lane": figures(lut=50, ff=0, dsp=0, bram=0)}, None),
    ({"lane": figures(lut=109)}, "lane: 109 LUT, 9 more than the 100 that are kept; "
                                 "108 would pass"),
    ({"lane": figures(ff=1071)}, "lane: 1071 FF, 71 more than the 1000 that are kept; "
                                 "1070 would pass"),
    ({"lane": figures(dsp=3)}, "lane: 3 DSP, 1 more than the 2 that are kept; 2 would pass"),
    ({"lane": figures(bram=4)}, "lane: 4 BRAM, 1 more than the 3 that are kept; 3 would pass"),
    ({"lane": figures(), "array": figures()}, "array: measured, but not kept"),
    ({}, "lane: kept, but not measured"),
])
def test_what_has_grown_is_named(measured, line):
    assert excess({"lane": figures()}, measured) == ([] if line is None else [line])
