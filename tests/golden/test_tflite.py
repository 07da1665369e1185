"""Whole layers against TFLite's reference kernels, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.activation import clip_bounds, relu_bounds
from golden.conv import resolve_padding
from golden.layer import ConvLayer
from golden.requant import quantise_multiplier
from tests.golden.conv_cases import SEARCH, conv_cases
from tests.golden.tflite_models import convolution_model, run_reference

CLIPS = {"RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def bounds(activation, scale, zero_point):
    if activation == "NONE":
        return -128, 127
    if activation == "RELU":
        return relu_bounds(np.int8, zero_point)
    return clip_bounds(*CLIPS[activation], scale, zero_point, np.int8)


def multipliers(input_scale, weight_scale, output_scale):
    """TFLite multiplies and divides the float32 scales in float64."""
    scale = np.float64(input_scale) * weight_scale.astype(np.float64) / np.float64(output_scale)
    return quantise_multiplier(scale, rounding="tflite")


def layer_and_reference(case, padding, activation, depthwise):
    """Outputs of golden and of TFLite for the same random layer."""
    rng = case.rng
    channels = len(case.weight)
    input_scale, output_scale = np.exp2(rng.uniform(-7, -3, 2)).astype(np.float32)
    # A product of codes is about 2^12: these scales spread the results over all codes and beyond.
    weight_scale = np.exp2(rng.uniform(-11, -4, channels)).astype(np.float32)
    zero_point = int(rng.integers(-128, 128))
    multiplier, shift = multipliers(input_scale, weight_scale, output_scale)
    low, high = bounds(activation, output_scale, zero_point)
    layer = ConvLayer(
        name="layer", weight=case.weight, bias=case.bias, multiplier=multiplier, shift=shift,
        rounding="tflite", stride=case.stride, dilation=case.dilation, group=case.group,
        padding=resolve_padding(padding.lower(), (0, 0, 0, 0), size=case.x.shape[2:],
                                kernel=case.weight.shape[2:], stride=case.stride,
                                dilation=case.dilation),
        input_zero_point=case.input_zero_point, output_zero_point=zero_point, low=low, high=high)
    output = layer(case.x)
    weight = case.weight.transpose(1, 2, 3, 0) if depthwise else case.weight.transpose(0, 2, 3, 1)
    codes = np.ascontiguousarray(case.x.transpose(0, 2, 3, 1))
    model = convolution_model(
        weight, case.bias, input_shape=codes.shape,
        input_quantisation=(input_scale, case.input_zero_point), weight_scale=weight_scale,
        output_quantisation=(output_scale, zero_point), output_size=output.shape[2:],
        stride=case.stride, dilation=case.dilation, padding=padding, activation=activation,
        depth_multiplier=channels // case.group if depthwise else None)
    return output, run_reference(model, codes).transpose(0, 3, 1, 2)


activations = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@SEARCH
@given(case=conv_cases(unsigned=False), activation=activations)
def test_convolution_equals_tflite(padding, case, activation):
    case.x = fit(case) if padding == "VALID" else case.x
    output, expected = layer_and_reference(case, padding, activation, depthwise=False)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@SEARCH
@given(case=conv_cases(unsigned=False), activation=activations)
def test_depthwise_convolution_equals_tflite(padding, case, activation):
    case.x = fit(case) if padding == "VALID" else case.x
    case.x, case.weight = case.x[:, :case.group], case.weight[:, :1]
    output, expected = layer_and_reference(case, padding, activation, depthwise=True)
    np.testing.assert_array_equal(output, expected)


def fit(case):
    """The input, repeated to at least the extent of the kernel."""
    repeats = [(k - 1) * d // size + 1 for k, d, size in
               zip(case.weight.shape[2:], case.dilation, case.x.shape[2:], strict=True)]
    return np.tile(case.x, (1, 1, *repeats))


@pytest.mark.parametrize("octaves", [(-40, -24), (-24, -8), (-8, 0), (0, 7)])
def test_requantisation_equals_tflite(octaves):
    """Biases as accumulators, over every order of magnitude of the scale."""
    rng = np.random.default_rng(9)
    channels = 20_000
    weight_scale = np.exp2(rng.uniform(*octaves, channels)).astype(np.float32)
    multiplier, shift = multipliers(1, weight_scale, 1)
    # Results on both sides of the codes' range; TFLite's left shift must stay in int32.
    limit = np.minimum(np.minimum(300 / weight_scale, 2.0**shift), 2**31 - 1)
    bias = (rng.uniform(-1, 1, channels) * limit).astype(np.int64)
    layer = ConvLayer(name="layer", weight=np.zeros((channels, 1, 1, 1), np.int8), bias=bias,
                      multiplier=multiplier, shift=shift, rounding="tflite", output_zero_point=-3)
    codes = np.zeros((1, 1, 1, 1), np.int8)
    model = convolution_model(
        layer.weight, bias, input_shape=(1, 1, 1, 1), input_quantisation=(1, 0),
        weight_scale=weight_scale, output_quantisation=(1, -3), output_size=(1, 1))
    np.testing.assert_array_equal(layer(codes).ravel(), run_reference(model, codes).ravel())
