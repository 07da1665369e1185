"""Tabulated sums: the definition entry by entry, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.elementwise import ElementwiseLayer
from golden.requant import ROUNDINGS, requantise
from tests.golden.conv_cases import SEARCH
from tests.golden.refusal import refuses


def all_codes(unsigned):
    """Every code once, lowest first, of shape (256,)."""
    return np.arange(256, dtype=np.uint8) if unsigned else np.arange(-128, 128, dtype=np.int8)


@SEARCH
@given(st.lists(st.booleans(), min_size=1, max_size=2), st.booleans(),
       st.sampled_from(ROUNDINGS), st.integers(0, 2**32 - 1))
def test_is_the_sum_of_the_entries_requantised(unsigned, output_unsigned, rounding, seed):
    rng = np.random.default_rng(seed)
    tables = rng.integers(-2**30 + 500, 2**30 - 500, (len(unsigned), 256))
    output = np.iinfo(np.uint8 if output_unsigned else np.int8)
    low, high = sorted(rng.integers(output.min, output.max, 2, endpoint=True).tolist())
    parameters = {"rounding": rounding, "low": low, "high": high}
    layer = ElementwiseLayer(
        name="add", tables=tables, input_unsigned=tuple(unsigned),
        bias=int(rng.integers(-999, 999)), shift=int(rng.integers(50, 60)),
        multiplier=int(rng.integers(-2**31 + 1, 2**31)),
        output_unsigned=output_unsigned, output_zero_point=low, **parameters)
    codes = [rng.choice(all_codes(flag), (2, 3, 5, 7)) for flag in unsigned]
    expected = np.full((2, 3, 5, 7), layer.bias)
    for index in np.ndindex(expected.shape):
        expected[index] += sum(table[int(values[index]) % 256]
                               for table, values in zip(tables, codes, strict=True))
    acc = layer.accumulate(*codes)
    assert acc.dtype == np.int32
    np.testing.assert_array_equal(acc, expected)
    actual = layer(*codes)
    assert actual.dtype == layer.output_type == output.dtype
    assert layer.input_types == tuple(values.dtype.type for values in codes)
    np.testing.assert_array_equal(actual, requantise(
        expected, layer.multiplier, layer.shift, zero_point=low, **parameters))


def layer(**change):
    return ElementwiseLayer(**{"name": "add", "tables": np.zeros((2, 256), int),
                               "input_unsigned": (False, True), **change})


def test_tables_are_copied_and_read_only():
    tables = np.ones((2, 256), np.int32)
    made = layer(tables=tables)
    tables[:] = 5
    assert np.all(made.tables == 1)
    with refuses(ValueError, "assignment destination is read-only"):
        made.tables[0] = 0


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"name": None}, TypeError, "Layer None: name must be a string, not None"),
    ({"tables": np.zeros((2, 256))}, TypeError,
     "Layer add: tables must be an integer array, not float64"),
    ({"tables": np.zeros((3, 256), int)}, ValueError,
     "Layer add: tables must have shape (1, 256) or (2, 256), not (3, 256)"),
    ({"tables": np.zeros(256, int)}, ValueError,
     "Layer add: tables must have shape (1, 256) or (2, 256), not (256,)"),
    ({"tables": np.full((2, 256), 2**31)}, OverflowError,
     "Layer add: table entry is 2147483648, outside [-2147483648, 2147483647]"),
    ({"tables": np.full((2, 256), 2**30)}, OverflowError,
     "Layer add: accumulators would span [2147483648, 2147483648], "
     "outside [-2147483648, 2147483647]"),
    ({"tables": np.full((2, 256), -2**30), "bias": -1}, OverflowError,
     "Layer add: accumulators would span [-2147483649, -2147483649], "
     "outside [-2147483648, 2147483647]"),
    ({"input_unsigned": (False,)}, ValueError,
     "Layer add: input_unsigned must have 2 values, not (False,)"),
    ({"input_unsigned": (0, 1)}, TypeError, "Layer add: input_unsigned must hold bools, not 0"),
    ({"shift": -1}, ValueError, "Layer add: shift must be in [0, 62], not -1"),
    ({"multiplier": 0.5}, TypeError, "Layer add: multiplier must be an integer, not 0.5"),
    ({"rounding": "nearest"}, ValueError,
     "Layer add: rounding must be one of half_even, tflite, half_up, not 'nearest'"),
    ({"output_zero_point": 128}, ValueError,
     "Layer add: output_zero_point must be in [-128, 127], not 128"),
])
def test_refuses(change, error, message):
    with refuses(error, message):
        layer(**change)


def test_refuses_codes():
    signed, unsigned = np.zeros((1, 2, 3, 4), np.int8), np.zeros((1, 2, 3, 4), np.uint8)
    with refuses(TypeError, "Layer add: codes must be uint8, not int8"):
        layer()(signed, signed)
    with refuses(ValueError, "Layer add: takes 2 inputs, not 1"):
        layer()(signed)
    with refuses(ValueError, "Layer add: inputs must have equal shapes, "
                             "not (1, 2, 3, 4) and (1, 2, 3, 3)"):
        layer()(signed, unsigned[..., :3])
