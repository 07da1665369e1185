from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given

from golden import conv
from golden.conv import conv2d, output_size, resolve_padding, same_padding
from tests.golden.conv_cases import SEARCH, conv_cases
from tests.golden.onnx_oracle import conv_integer, node_cases
from tests.golden.refusal import refuses


def ones(*shape):
    return np.ones(shape, np.int8)


@SEARCH
@given(conv_cases())
def test_equals_onnx_runtime(case):
    expected = conv_integer(case, pads=case.padding) + case.bias[:, None, None]
    actual = conv2d(case.x, case.weight, case.bias, pad_mode="pad", padding=case.padding,
                    **case.parameters)
    assert actual.dtype == np.int64
    np.testing.assert_array_equal(actual, expected)


@SEARCH
@given(conv_cases(max_dilation=1))
def test_same_and_valid_equal_onnx_runtime(case):
    kernel = case.weight.shape[2:]
    np.testing.assert_array_equal(
        conv2d(case.x, case.weight, pad_mode="same", **case.parameters),
        conv_integer(case, auto_pad="SAME_UPPER"))
    if all(size >= k for size, k in zip(case.x.shape[2:], kernel, strict=True)):
        np.testing.assert_array_equal(conv2d(case.x, case.weight, **case.parameters),
                                      conv_integer(case, auto_pad="VALID"))


@pytest.mark.parametrize("name", [
    "test_basic_conv_with_padding", "test_basic_conv_without_padding",
    "test_conv_with_strides_padding", "test_conv_with_strides_no_padding",
    "test_conv_with_strides_and_asymmetric_padding", "test_conv_with_autopad_same"])
def test_onnx_conv_case(name):
    """ONNX's own cases are of floats, but of whole ones."""
    attributes, (x, weight), (y,) = node_cases()[name]
    pad_mode = "same" if attributes.get("auto_pad") == b"SAME_LOWER" else "pad"
    if pad_mode == "same":
        # The case has no odd element to place, so that LOWER and UPPER agree.
        assert same_padding(x.shape[2], 3, 2, 1) == (1, 1)
    actual = conv2d(x.astype(np.uint8), weight.astype(np.int8), pad_mode=pad_mode,
                    padding=attributes.get("pads", (0, 0, 0, 0)),
                    stride=attributes.get("strides", (1, 1)))
    np.testing.assert_array_equal(actual, y)


@pytest.mark.parametrize("name", ["test_convinteger_with_padding",
                                  "test_convinteger_without_padding"])
def test_onnx_convinteger_case(name):
    attributes, (x, weight, zero_point, *weight_zero_point), (y,) = node_cases()[name]
    if weight_zero_point:
        weight = weight - weight_zero_point[0].astype(np.int8).reshape(-1, 1, 1, 1)
    actual = conv2d(x, weight, pad_mode="pad", padding=attributes.get("pads", (0, 0, 0, 0)),
                    input_zero_point=int(zero_point))
    np.testing.assert_array_equal(actual, y)


@pytest.mark.parametrize(("channels", "exact"), [(1, np.float32), (601, np.float64)])
def test_sums_are_exact_to_the_last_bit(channels, exact):
    """601·127·255 is odd and beyond 2^24: float32 cannot hold it."""
    assert conv.exact_float(channels * 127 * 255) is exact
    x = np.full((1, channels, 1, 1), 255, np.uint8)
    weight = np.full((2, channels, 1, 1), [[[[127]]], [[[-127]]]], np.int8)
    assert conv2d(x, weight).ravel().tolist() == [channels * 32385, -channels * 32385]


def test_extreme_codes_and_zero_points():
    """A difference of codes needs nine bits and a sign."""
    x = np.array([[[[0, 255, -128]]]])
    for zero_point in (-128, 0, 255):
        expected = [[[[-128 * (code - zero_point) for code in (0, 255, -128)]]]]
        np.testing.assert_array_equal(
            conv2d(x, np.full((1, 1, 1, 1), -128), input_zero_point=zero_point), expected)


@pytest.mark.parametrize("block_bytes", [1, 4000, 40_000])
def test_blocks_change_nothing(monkeypatch, block_bytes):
    rng = np.random.default_rng(3)
    x, weight = rng.integers(-128, 128, (5, 6, 9, 7)), rng.integers(-128, 128, (4, 3, 3, 2))
    whole = conv2d(x, weight, group=2)
    monkeypatch.setattr(conv, "BLOCK_BYTES", block_bytes)
    np.testing.assert_array_equal(conv2d(x, weight, group=2), whole)


def test_no_frames_and_no_channels():
    assert conv2d(np.zeros((0, 3, 5, 5), np.int8), ones(2, 3, 3, 3)).shape == (0, 2, 3, 3)
    only_bias = conv2d(np.zeros((1, 0, 3, 3), np.int8), ones(2, 0, 3, 3), [4, -5])
    np.testing.assert_array_equal(only_bias, [[[[4]], [[-5]]]])


def test_full_int32_accumulators():
    limits = [2**31 - 2, -2**31 + 1]
    acc = conv2d(ones(1, 1, 1, 1), np.array([1, -1]).reshape(2, 1, 1, 1), limits)
    assert acc.ravel().tolist() == [2**31 - 1, -2**31]


def test_output_size_is_the_formula_of_conv2d():
    for size in range(1, 9):
        for kernel, stride, padding, dilation in np.ndindex(4, 3, 3, 3):
            kernel, stride, dilation = kernel + 1, stride + 1, dilation + 1
            expected = floor(1 + Fraction(
                size + 2 * padding - kernel - (kernel - 1) * (dilation - 1), stride))
            if size + 2 * padding >= (kernel - 1) * dilation + 1:
                assert output_size(size, kernel, stride=stride, padding=(padding, padding),
                                   dilation=dilation) == expected


@pytest.mark.parametrize(("arguments", "expected"), [
    ((5, 3, 1, 1), (1, 1)), ((6, 3, 2, 1), (0, 1)), ((5, 4, 1, 1), (1, 2)), ((7, 1, 3, 1), (0, 0)),
    ((8, 3, 1, 2), (2, 2)), ((8, 2, 1, 3), (1, 2)), ((0, 3, 1, 1), (1, 1))])
def test_same_padding_puts_the_odd_element_after(arguments, expected):
    assert same_padding(*arguments) == expected


def test_resolved_padding_is_top_left_bottom_right():
    def resolve(mode, padding=(0, 0, 0, 0)):
        return resolve_padding(mode, padding, size=(6, 5), kernel=(3, 4), stride=(2, 1))

    assert resolve("valid") == (0, 0, 0, 0)
    assert resolve("same") == (0, 1, 1, 2)
    assert resolve("pad", (1, 2, 3, 4)) == (1, 2, 3, 4)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"x": np.zeros((1, 2, 3, 3))}, TypeError, "x must be an integer array, not float64"),
    ({"weight": np.zeros((2, 2, 1, 1))}, TypeError,
     "weight must be an integer array, not float64"),
    ({"weight": np.zeros((2, 2, 1, 1), bool)}, TypeError,
     "weight must be an integer array, not bool"),
    ({"bias": [0.5, 1]}, TypeError, "bias must be an integer array, not float64"),
    ({"x": ones(2, 3, 3)}, ValueError, "x must have 4 dimensions, not shape (2, 3, 3)"),
    ({"weight": ones(2, 2)}, ValueError, "weight must have 4 dimensions, not shape (2, 2)"),
    ({"x": np.full((1, 2, 3, 3), 256)}, OverflowError,
     "x of channel 0 is 256, outside [-128, 255]"),
    ({"x": np.full((1, 2, 3, 3), -129)}, OverflowError,
     "x of channel 0 is -129, outside [-128, 255]"),
    ({"x": np.full((1, 2, 3, 3), 2**63, np.uint64)}, OverflowError,
     "x of channel 0 is 9223372036854775808, outside [-128, 255]"),
    ({"weight": np.array([[1, 1], [1, 128]]).reshape(2, 2, 1, 1)}, OverflowError,
     "weight of channel 1 is 128, outside [-128, 127]"),
    ({"bias": [0, -2**31 - 1]}, OverflowError,
     "bias of channel 1 is -2147483649, outside [-2147483648, 2147483647]"),
    ({"bias": [2**31 - 1, 2**31 - 2]}, OverflowError,
     "accumulator of channel 0 is 2147483649, outside [-2147483648, 2147483647]"),
    ({"bias": [0, 0, 0]}, ValueError, "bias must have shape (2,), not (3,)"),
    ({"group": 3}, ValueError, "group must divide the 2 output channels, not be 3"),
    ({"group": 0}, ValueError, "group must be at least 1, not 0"),
    ({"group": 2}, ValueError, "x must have 2 channels in each of 2 groups, not 2 in all"),
    ({"group": 1.0}, TypeError, "group must be an integer, not 1.0"),
    ({"stride": (1, 0)}, ValueError, "stride must be at least 1, not 0"),
    ({"stride": (1, 1, 1)}, ValueError, "stride must have 2 values, not (1, 1, 1)"),
    ({"dilation": (0, 1)}, ValueError, "dilation must be at least 1, not 0"),
    ({"pad_mode": "full"}, ValueError, "pad_mode must be one of valid, same, pad, not 'full'"),
    ({"pad_mode": "pad", "padding": (0, -1, 0, 0)}, ValueError,
     "padding must be at least 0, not -1"),
    ({"padding": (0, 0, 1, 0)}, ValueError,
     "padding must be zero with pad_mode 'valid', not (0, 0, 1, 0)"),
    ({"pad_mode": "same", "padding": (1, 1, 1, 1)}, ValueError,
     "padding must be zero with pad_mode 'same', not (1, 1, 1, 1)"),
    ({"input_zero_point": 256}, ValueError, "input_zero_point must be in [-128, 255], not 256"),
    ({"weight": ones(2, 2, 1, 3), "dilation": (1, 2)}, ValueError,
     "The dilated kernel spans 5, more than the padded input's 3"),
])
def test_refuses(change, error, message):
    operands = {"x": ones(1, 2, 3, 3), "weight": ones(2, 2, 1, 1), **change}
    with refuses(error, message):
        conv2d(**operands)


def test_refuses_sums_beyond_exact_floats():
    assert conv.exact_float(2**53 - 1) is np.float64
    with refuses(OverflowError, "Sums of up to 9007199254740992 are beyond the 53 bits computed "
                                "exactly"):
        conv.exact_float(2**53)


@pytest.mark.parametrize(("change", "message"), [
    ({"size": -1}, "size must be at least 0, not -1"),
    ({"kernel": 0}, "kernel must be at least 1, not 0"),
    ({"stride": 0}, "stride must be at least 1, not 0"),
    ({"padding": (0, -1)}, "padding must be at least 0, not -1"),
    ({"dilation": 0}, "dilation must be at least 1, not 0"),
    ({"kernel": 6}, "The dilated kernel spans 6, more than the padded input's 5"),
])
def test_output_size_refuses(change, message):
    arguments = {"size": 5, "kernel": 3, "stride": 1, "padding": (0, 0), "dilation": 1, **change}
    with refuses(ValueError, message):
        output_size(**arguments)


@pytest.mark.parametrize(("position", "name"), [
    (0, "size"), (1, "kernel"), (2, "stride"), (3, "dilation")])
def test_same_padding_refuses(position, name):
    arguments = [5, 3, 1, 1]
    arguments[position] = -1
    with refuses(ValueError, f"{name} must be at least {int(position > 0)}, not -1"):
        same_padding(*arguments)
