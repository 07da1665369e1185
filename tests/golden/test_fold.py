"""Folded BatchNorm against ONNX Runtime's Conv and BatchNormalization in float, and exactly."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.batchnorm import batchnorm_fixed, batchnorm_infer
from golden.conv import conv2d
from golden.fold import fold_batchnorm, fold_zero_point
from golden.requant import ROUNDINGS, requantise
from tests.golden.conv_cases import SEARCH, conv_cases
from tests.golden.onnx_oracle import run_node
from tests.golden.refusal import refuses

WIDE = {"low": -2**31, "high": 2**31 - 1}


def unit(**change):
    """Arguments of fold_batchnorm with which two channels pass unchanged."""
    return {"gamma": [1.0, 1.0], "beta": [0.0, 0.0], "mean": [0.0, 0.0], "variance": [1.0, 1.0],
            "epsilon": 0.0, "input_scale": 1.0, "weight_scale": 1.0, "output_scale": 1.0,
            "rounding": "half_even", **change}


def gains(rng, channels):
    """Both signs, and none so small that a bias leaves int32."""
    return rng.uniform(0.1, 3, channels) * (-1.0) ** np.arange(1, channels + 1)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@SEARCH
@given(st.integers(0, 2**32 - 1))
def test_equals_float_batchnorm_within_the_stated_bound(rounding, seed):
    rng = np.random.default_rng(seed)
    channels = 6
    acc = rng.integers(-2**20, 2**20, (2, channels, 3, 3))
    conv_bias, beta, mean = rng.normal(0, 5, (3, channels))
    gamma = gains(rng, channels)
    variance, weight_scale = rng.uniform(0.1, 4, channels), np.exp2(rng.uniform(-12, -6, channels))
    input_scale, output_scale = np.exp2(rng.uniform(-8, 0, 2))
    affine = fold_batchnorm(gamma, beta, mean, variance, epsilon=0.01, input_scale=input_scale,
                            weight_scale=weight_scale, output_scale=output_scale,
                            conv_bias=conv_bias, rounding=rounding)
    assert affine.keep.all()
    assert np.all(np.sign(affine.multiplier) == np.sign(gamma))
    real = acc * (input_scale * weight_scale).reshape(-1, 1, 1) + conv_bias.reshape(-1, 1, 1)
    exact = batchnorm_infer(real, gamma, beta, mean, variance, epsilon=0.01) / output_scale
    folded = ((acc + affine.bias.reshape(-1, 1, 1)) * (affine.multiplier / 2.0**affine.shift)
              .reshape(-1, 1, 1))
    gain = np.abs(gamma / np.sqrt(variance + 0.01) * input_scale * weight_scale / output_scale)
    relative = 2.0**-24 if rounding == "half_even" else 2.0**-31
    bound = gain.reshape(-1, 1, 1) * (0.5 + relative * np.abs(acc)) + 1e-9 * np.abs(exact)
    assert np.all(np.abs(folded - exact) <= bound)
    fixed = batchnorm_fixed(acc, affine, rounding=rounding, **WIDE)
    # TFLite rounds twice, the first time to a step of 2^(31 - S).
    first = np.where(affine.shift > 31, 2.0**(30 - affine.shift), 0) * (rounding == "tflite")
    assert np.all(np.abs(fixed - exact) <= bound + 0.5 + first.reshape(-1, 1, 1))


@SEARCH
@given(conv_cases(weight_limit=127))
def test_whole_layer_is_within_one_step_of_onnx_runtime(case):
    """Float Conv and BatchNormalization on the dequantised operands, then the nearest code."""
    rng, channels = case.rng, len(case.weight)
    input_scale = np.float32(2.0**-5)
    weight_scale = np.exp2(rng.uniform(-9, -7, channels)).astype(np.float32)
    beta, mean = rng.normal(0, 1, (2, channels)).astype(np.float32)
    gamma = gains(rng, channels).astype(np.float32)
    gamma[-1] = 0
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    conv_bias = rng.normal(0, 1, channels).astype(np.float32)
    x = (case.x.astype(np.float32) - case.input_zero_point) * input_scale
    weight = case.weight * weight_scale.reshape(-1, 1, 1, 1)
    convolved, = run_node("Conv", {"x": x, "w": weight.astype(np.float32), "b": conv_bias},
                          pads=case.padding, **case.attributes)
    normal, = run_node("BatchNormalization", {"x": convolved, "scale": gamma, "b": beta,
                                              "mean": mean, "var": variance}, epsilon=1e-3)
    output_scale = max(float(np.abs(normal).max()) / 127, 2.0**-5)
    affine = fold_batchnorm(gamma, beta, mean, variance, epsilon=1e-3, input_scale=input_scale,
                            weight_scale=weight_scale, output_scale=output_scale,
                            conv_bias=conv_bias, rounding="half_even")
    acc = conv2d(case.x, affine.apply_to(case.weight), pad_mode="pad", padding=case.padding,
                 **case.parameters)
    codes = batchnorm_fixed(acc, affine, rounding="half_even", low=-128, high=127)
    assert np.all(np.abs(codes - normal / output_scale) < 0.51)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_zero_gamma_gives_the_constant(rounding):
    beta = np.array([2.5, -3.75, 0.0, 1e-3, -100.0])
    affine = fold_batchnorm(np.zeros(5), beta, np.ones(5), np.ones(5), epsilon=0.0, input_scale=1.0,
                            weight_scale=1.0, output_scale=0.25, rounding=rounding)
    assert not affine.keep.any()
    expected = [Fraction(float(b)) * 4 for b in beta]
    for m, s, b, c in zip(affine.multiplier.tolist(), affine.shift.tolist(), affine.bias.tolist(),
                          expected, strict=True):
        assert abs(Fraction(m * b, 1 << s) - c) <= abs(c) / 2**24
    weight = affine.apply_to(np.full((5, 1, 1, 1), 7, np.int8))
    assert not weight.any()
    acc = conv2d(np.full((1, 1, 1, 1), 9, np.int8), weight)
    codes = batchnorm_fixed(acc, affine, rounding=rounding, **WIDE)
    assert codes.ravel().tolist() == [10, -15, 0, 0, -400]


def test_gain_too_small_for_any_accumulator_is_a_constant():
    affine = fold_batchnorm(**unit(gamma=[1.0, 2.0**-40], beta=[0.0, 3.0]))
    assert affine.keep.tolist() == [True, False]
    assert affine.bias.tolist() == [0, 1]
    assert affine.multiplier[1] / 2.0**affine.shift[1] == 3


def test_apply_to_zeroes_only_constant_channels():
    affine = fold_batchnorm(**unit(gamma=[0.0, 1.0]))
    weight = np.arange(1, 9, dtype=np.int8).reshape(2, 1, 2, 2)
    applied = affine.apply_to(weight)
    assert applied.dtype == np.int8
    np.testing.assert_array_equal(applied[0], 0)
    np.testing.assert_array_equal(applied[1], weight[1])
    assert weight.all()


def test_conv_bias_and_mean_are_opposite():
    affine = fold_batchnorm(**unit(conv_bias=[3.0, 7.0], mean=[1.0, 10.0]))
    assert affine.bias.tolist() == [2, -3]


@SEARCH
@given(conv_cases())
def test_folded_zero_point_changes_no_accumulator(case):
    """Raw codes, padded with the code of the zero point."""
    top, left, bottom, right = case.padding
    padded = np.pad(case.x, ((0, 0), (0, 0), (top, bottom), (left, right)),
                    constant_values=case.input_zero_point)
    bias = fold_zero_point(case.weight, case.bias, case.input_zero_point)
    parameters = {**case.parameters, "input_zero_point": 0}
    np.testing.assert_array_equal(
        conv2d(padded, case.weight, bias, **parameters),
        conv2d(case.x, case.weight, case.bias, pad_mode="pad", padding=case.padding,
               **case.parameters))


def test_folded_zero_point_wraps_as_a_32_bit_adder():
    weight = np.array([1, 1, -1]).reshape(3, 1, 1, 1)
    bias = fold_zero_point(weight, [-2**31, 5, 2**31 - 1], 1)
    assert bias.tolist() == [2**31 - 1, 4, -2**31]


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"output_scale": 0.0}, ValueError, "output_scale must be positive and finite, not 0.0"),
    ({"input_scale": -1.0}, ValueError, "input_scale must be positive and finite, not -1.0"),
    ({"input_scale": np.nan}, ValueError, "input_scale must be positive and finite, not nan"),
    ({"weight_scale": [1.0, np.inf]}, ValueError,
     "weight_scale must be positive and finite, not inf"),
    ({"weight_scale": [1.0]}, ValueError,
     "weight_scale must be a scalar or have shape (2,), not (1,)"),
    ({"gamma": [1.0, np.nan]}, ValueError, "gamma must be finite, not nan"),
    ({"beta": [1.0]}, ValueError, "beta must have shape (2,), not (1,)"),
    ({"conv_bias": [1.0]}, ValueError, "conv_bias must have shape (2,), not (1,)"),
    ({"variance": [1.0, -1.0]}, ValueError,
     "variance of channel 1 must not be negative, but is -1.0"),
    ({"variance": [0.0, 1.0]}, ValueError, "variance of channel 0 is zero, and so is epsilon"),
    ({"rounding": "up"}, ValueError,
     "rounding must be one of half_even, tflite, half_up, not 'up'"),
    ({"gamma": [1.0, 1e10]}, ValueError,
     "scale 10000000000.0 is beyond the multiplier, at most 2147483647"),
    ({"gamma": [1.0, 2.0**-20], "beta": [0.0, -2.0**14]}, OverflowError,
     "bias of channel 1 is -17179869184.0, outside [-2147483648, 2147483647]: gamma "
     "9.5367431640625e-07 is small for its offset; a gamma of zero makes the channel constant"),
    ({"gamma": [1.0, 0.0], "beta": [0.0, 1e10]}, OverflowError,
     "Constant output of channel 1 is 10000000000.0 steps, outside [-2147483647, 2147483647]"),
])
def test_refuses(change, error, message):
    with refuses(error, message):
        fold_batchnorm(**unit(**change))


@pytest.mark.parametrize(("weight", "bias", "zero_point", "error", "message"), [
    (np.zeros((1, 1, 1, 1)), [0], 0, TypeError, "weight must be an integer array, not float64"),
    (np.zeros((1, 1), int), [0], 0, ValueError, "weight must have 4 dimensions, not shape (1, 1)"),
    (np.full((1, 1, 1, 1), 128), [0], 0, OverflowError,
     "weight of channel 0 is 128, outside [-128, 127]"),
    (np.ones((2, 1, 1, 1), int), [0], 0, ValueError, "bias must have shape (2,), not (1,)"),
    (np.ones((2, 1, 1, 1), int), [0, -2**31 - 1], 0, OverflowError,
     "bias of channel 1 is -2147483649, outside [-2147483648, 2147483647]"),
    (np.ones((2, 1, 1, 1), int), [0, 0], 300, ValueError,
     "input_zero_point must be in [-128, 255], not 300"),
])
def test_fold_zero_point_refuses(weight, bias, zero_point, error, message):
    with refuses(error, message):
        fold_zero_point(weight, bias, zero_point)


def test_apply_to_refuses():
    affine = fold_batchnorm(**unit())
    with refuses(ValueError, "weight must have shape (2, Cin / group, kh, kw), not (3, 1, 1, 1)"):
        affine.apply_to(np.zeros((3, 1, 1, 1), int))
    with refuses(TypeError, "weight must be an integer array, not float64"):
        affine.apply_to(np.zeros((2, 1, 1, 1)))
    with refuses(OverflowError, "accumulator is 2147483648, outside [-2147483648, 2147483647]"):
        requantise([[2**31]], affine.multiplier[:1], affine.shift[:1], rounding="half_up", **WIDE)
