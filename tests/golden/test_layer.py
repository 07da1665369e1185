import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golden.conv import conv2d
from golden.layer import ConvLayer, run_network
from golden.requant import quantise_multiplier, requantise
from tests.golden.conv_cases import SEARCH, conv_cases
from tests.golden.onnx_oracle import qlinear_conv
from tests.golden.refusal import refuses


def layer(**change):
    """Two channels in, three out, 3x2 kernel."""
    return ConvLayer(**{
        "name": "conv1", "weight": np.ones((3, 2, 3, 2), np.int8), "bias": np.zeros(3, int),
        "multiplier": np.full(3, 2**30), "shift": np.full(3, 34), "rounding": "half_even",
        **change})


# Without VNNI the runtime adds pairs of products in 16 bits: 64·255·2 still fits.
@SEARCH
@given(conv_cases(weight_limit=64), st.integers(0, 255))
def test_equals_onnx_runtime(case, output_zero_point):
    """QLinearConv with scales that are powers of two: no float32 rounding, no difference."""
    unsigned = case.x.dtype == np.uint8
    output_zero_point -= 0 if unsigned else 128
    scale = np.exp2(-case.rng.integers(4, 14, len(case.weight))).astype(np.float32)
    multiplier, shift = quantise_multiplier(scale, rounding="half_even")
    network = ConvLayer(
        name="conv", weight=case.weight, bias=case.bias, multiplier=multiplier, shift=shift,
        rounding="half_even", padding=case.padding, **case.parameters, input_unsigned=unsigned,
        output_zero_point=output_zero_point, output_unsigned=unsigned)
    expected = qlinear_conv(
        case.x, case.weight, case.bias, scales=(np.float32(1), scale, np.float32(1)),
        zero_points=(case.input_zero_point, output_zero_point), pads=case.padding,
        **case.attributes)
    actual = network(case.x)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)
    assert network.output_shape(case.x.shape) == expected.shape


@SEARCH
@given(conv_cases(), st.booleans(), st.sampled_from(["half_even", "tflite", "half_up"]))
def test_is_convolution_then_requantisation(case, unsigned, rounding):
    limits = np.iinfo(np.uint8 if unsigned else np.int8)
    low, high = sorted(case.rng.integers(limits.min, limits.max, 2, endpoint=True).tolist())
    zero_point = int(case.rng.integers(low, high, endpoint=True))
    channels = len(case.weight)
    multiplier, shift = case.rng.integers(-2**30, 2**30, channels), np.full(channels, 38)
    network = ConvLayer(
        name="conv", weight=case.weight, bias=case.bias, multiplier=multiplier, shift=shift,
        rounding=rounding, padding=case.padding, **case.parameters,
        input_unsigned=case.x.dtype == np.uint8, output_unsigned=unsigned,
        output_zero_point=zero_point, low=low, high=high)
    acc = conv2d(case.x, case.weight, case.bias, pad_mode="pad", padding=case.padding,
                 **case.parameters)
    np.testing.assert_array_equal(network.accumulate(case.x), acc)
    expected = requantise(acc, multiplier, shift, rounding=rounding, zero_point=zero_point,
                          low=low, high=high)
    actual = network(case.x)
    assert actual.dtype == limits.dtype
    np.testing.assert_array_equal(actual, expected)


@SEARCH
@given(conv_cases())
def test_macs_count_every_tap_of_every_output(case):
    assume(case.x.size < 3000)
    network = ConvLayer(name="conv", weight=np.ones_like(case.weight),
                        bias=np.zeros(len(case.weight), int),
                        multiplier=np.ones(len(case.weight), int),
                        shift=np.zeros(len(case.weight), int), rounding="half_up",
                        stride=case.stride, dilation=case.dilation, group=case.group)
    top, left, bottom, right = case.padding
    x = np.ones((*case.x.shape[:2], case.x.shape[2] + top + bottom,
                 case.x.shape[3] + left + right), np.int8)
    assert network.macs(x.shape) == network.accumulate(x).sum()


def test_bounds_default_to_the_output_type():
    assert (layer().low, layer().high) == (-128, 127)
    unsigned = layer(output_unsigned=True)
    assert (unsigned.low, unsigned.high) == (0, 255)
    assert layer(low=0).low == 0


def test_network_returns_every_output():
    first = layer(padding=(1, 0, 1, 1), output_unsigned=True, output_zero_point=3)
    second = layer(name="conv2", weight=np.full((3, 3, 1, 1), -2, np.int8), input_unsigned=True,
                   input_zero_point=3)
    codes = np.random.default_rng(2).integers(-128, 128, (2, 2, 5, 5)).astype(np.int8)
    outputs = run_network([first, second], codes)
    assert [a.shape for a in outputs] == [(2, 3, 5, 5), (2, 3, 5, 5)]
    np.testing.assert_array_equal(outputs[0], first(codes))
    np.testing.assert_array_equal(outputs[1], second(first(codes)))


def test_arrays_are_copied_and_read_only():
    weight = np.ones((3, 2, 3, 2), np.int8)
    network = layer(weight=weight)
    weight[:] = 5
    assert network.weight.dtype == np.int8
    assert np.all(network.weight == 1)
    for array in (network.weight, network.bias, network.multiplier, network.shift):
        with refuses(ValueError, "assignment destination is read-only"):
            array[0] = 0


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"name": 3}, TypeError, "Layer 3: name must be a string, not 3"),
    ({"weight": np.ones((3, 2, 3, 2))}, TypeError,
     "Layer conv1: weight must be an integer array, not float64"),
    ({"weight": np.full((3, 2, 3, 2), 200)}, OverflowError,
     "Layer conv1: weight of channel 0 is 200, outside [-128, 127]"),
    ({"weight": np.ones((3, 2), int)}, ValueError,
     "Layer conv1: weight must have 4 dimensions, none empty, not shape (3, 2)"),
    ({"weight": np.ones((3, 0, 1, 1), int)}, ValueError,
     "Layer conv1: weight must have 4 dimensions, none empty, not shape (3, 0, 1, 1)"),
    ({"bias": np.zeros(2, int)}, ValueError, "Layer conv1: bias must have shape (3,), not (2,)"),
    ({"bias": np.zeros(3)}, TypeError, "Layer conv1: bias must be an integer array, not float64"),
    ({"bias": np.array([0, 0, 2**31])}, OverflowError,
     "Layer conv1: bias of channel 2 is 2147483648, outside [-2147483648, 2147483647]"),
    ({"multiplier": np.array([0, -2**31, 0])}, OverflowError,
     "Layer conv1: multiplier of channel 1 is -2147483648, outside [-2147483647, 2147483647]"),
    ({"multiplier": 1}, ValueError, "Layer conv1: multiplier must have shape (3,), not ()"),
    ({"shift": np.array([0, 0, 63])}, OverflowError,
     "Layer conv1: shift of channel 2 is 63, outside [0, 62]"),
    ({"rounding": "floor"}, ValueError,
     "Layer conv1: rounding must be one of half_even, tflite, half_up, not 'floor'"),
    ({"stride": (0, 1)}, ValueError, "Layer conv1: stride must be at least 1, not 0"),
    ({"padding": (1, 1)}, ValueError, "Layer conv1: padding must have 4 values, not (1, 1)"),
    ({"padding": (1, 1, -1, 1)}, ValueError, "Layer conv1: padding must be at least 0, not -1"),
    ({"dilation": (1, 0.5)}, TypeError, "Layer conv1: dilation must be an integer, not 0.5"),
    ({"group": 2}, ValueError,
     "Layer conv1: group must divide the 3 output channels, not be 2"),
    ({"group": 0}, ValueError, "Layer conv1: group must be at least 1, not 0"),
    ({"input_unsigned": 1}, TypeError, "Layer conv1: input_unsigned must be a bool, not 1"),
    ({"output_unsigned": None}, TypeError,
     "Layer conv1: output_unsigned must be a bool, not None"),
    ({"input_zero_point": 128}, ValueError,
     "Layer conv1: input_zero_point must be in [-128, 127], not 128"),
    ({"output_zero_point": -1, "output_unsigned": True}, ValueError,
     "Layer conv1: output_zero_point must be in [0, 255], not -1"),
    ({"low": -129}, ValueError, "Layer conv1: low must be in [-128, 127], not -129"),
    ({"high": 128}, ValueError, "Layer conv1: high must be in [-128, 127], not 128"),
    ({"low": 5, "high": 4}, ValueError, "Layer conv1: low must not exceed high, but 5 > 4"),
])
def test_refuses(change, error, message):
    with refuses(error, message):
        layer(**change)


@pytest.mark.parametrize(("codes", "error", "message"), [
    (np.zeros((1, 2, 5, 5), np.uint8), TypeError, "Layer conv1: codes must be int8, not uint8"),
    (np.zeros((1, 2, 5, 5)), TypeError, "Layer conv1: codes must be int8, not float64"),
    (np.zeros((2, 5, 5), np.int8), ValueError,
     "Layer conv1: codes must have 4 dimensions, not shape (2, 5, 5)"),
    (np.zeros((1, 3, 5, 5), np.int8), ValueError,
     "Layer conv1: codes must have 2 channels, not 3"),
    (np.zeros((1, 2, 2, 5), np.int8), ValueError,
     "Layer conv1: The dilated kernel spans 3, more than the padded input's 2"),
])
def test_refuses_codes(codes, error, message):
    with refuses(error, message):
        layer()(codes)


def test_refuses_unsigned_layer_signed_codes():
    with refuses(TypeError, "Layer conv1: codes must be uint8, not int8"):
        layer(input_unsigned=True)(np.zeros((1, 2, 5, 5), np.int8))


def test_names_the_layer_whose_accumulator_overflows():
    full = layer(bias=np.array([0, 2**31 - 1, 0]))
    with refuses(OverflowError, "Layer conv1: accumulator of channel 1 is 2147483653, outside "
                                "[-2147483648, 2147483647]"):
        full(np.ones((1, 2, 3, 2), np.int8) - np.array([[[[0]], [[1]]]], np.int8))
