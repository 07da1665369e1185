"""BatchNorm against ONNX Runtime, ONNX's node cases and the standard library's statistics."""

import math
import statistics

import numpy as np
import pytest

from golden.batchnorm import batchnorm_fixed, batchnorm_infer, batchnorm_train
from golden.fold import Affine
from golden.requant import requantise
from tests.golden.onnx_oracle import node_cases, run_node
from tests.golden.refusal import refuses


def operands(seed, shape=(3, 4, 5, 6)):
    """x, gamma (of both signs), beta, mean, variance as float32."""
    rng = np.random.default_rng(seed)
    channels = shape[1]
    vectors = [rng.normal(size=channels), rng.normal(size=channels), rng.normal(size=channels),
               rng.uniform(0.01, 4, channels)]
    return [a.astype(np.float32) for a in (rng.normal(2, 3, shape), *vectors)]


@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_inference_equals_onnx_runtime(epsilon):
    x, gamma, beta, mean, variance = operands(1)
    inputs = dict(zip(("x", "scale", "b", "mean", "var"), operands(1), strict=True))
    expected, = run_node("BatchNormalization", inputs, epsilon=epsilon)
    actual = batchnorm_infer(x, gamma, beta, mean, variance, epsilon=epsilon)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.8, 1.0])
def test_training_equals_onnx_runtime(momentum):
    """ONNX's running variance takes the biased variance, (n - 1) / n of the unbiased one."""
    x, gamma, beta, mean, variance = operands(2)
    inputs = dict(zip(("x", "scale", "b", "mean", "var"), operands(2), strict=True))
    y, new_mean, biased = run_node(
        "BatchNormalization", inputs, ("y", "new_mean", "new_var"), epsilon=0.1,
        momentum=momentum, training_mode=1)
    actual = batchnorm_train(x, gamma, beta, mean, variance, momentum=momentum, epsilon=0.1)
    kept = np.float64(momentum) * variance
    unbiased = kept + (biased - kept) * 90 / 89
    for ours, expected in zip(actual, (y, new_mean, unbiased), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["test_batchnorm_example", "test_batchnorm_epsilon"])
def test_onnx_inference_case(name):
    attributes, inputs, (y,) = node_cases()[name]
    actual = batchnorm_infer(*inputs, epsilon=attributes.get("epsilon", 1e-5))
    np.testing.assert_allclose(actual, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["test_batchnorm_example_training_mode",
                                  "test_batchnorm_epsilon_training_mode"])
def test_onnx_training_case(name):
    attributes, inputs, (y, mean, _) = node_cases()[name]
    actual = batchnorm_train(*inputs, momentum=0.9, epsilon=attributes.get("epsilon", 1e-5))
    np.testing.assert_allclose(actual[0], y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(actual[1], mean, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_mindspores():
    """running' = momentum·running + (1 - momentum)·batch, with the sample variance."""
    x, gamma, beta, mean, variance = operands(3, (2, 3, 2, 2))
    _, new_mean, new_variance = batchnorm_train(x, gamma, beta, mean, variance, momentum=0.75,
                                                epsilon=1e-5)
    for channel in range(3):
        values = x[:, channel].ravel().astype(float).tolist()
        assert math.isclose(new_mean[channel],
                            0.75 * float(mean[channel]) + 0.25 * statistics.fmean(values))
        assert math.isclose(new_variance[channel],
                            0.75 * float(variance[channel]) + 0.25 * statistics.variance(values))


def test_training_normalises_with_the_biased_variance():
    x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    y, *_ = batchnorm_train(x, [1], [0], [0], [1], momentum=0.9, epsilon=0)
    np.testing.assert_array_equal(y.ravel(), [-1, 1])


def test_fixed_point_adds_the_bias_then_requantises():
    affine = Affine(np.array([2**30, -2**29]), np.array([32, 30]), np.array([7, -9]),
                    np.array([True, True]))
    acc = np.arange(-60, 60).reshape(3, 2, 4, 5)
    expected = requantise(acc + np.array([7, -9]).reshape(2, 1, 1), affine.multiplier,
                          affine.shift, rounding="tflite", zero_point=4, low=-20, high=20)
    actual = batchnorm_fixed(acc, affine, rounding="tflite", zero_point=4, low=-20, high=20)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"x": np.zeros((2, 3, 1))}, ValueError, "x must have 4 dimensions, not shape (2, 3, 1)"),
    ({"x": np.full((2, 2, 1, 1), np.nan)}, ValueError, "x must be finite, not nan"),
    ({"x": np.zeros((2, 2, 1, 1), bool)}, TypeError, "x must be a real array, not bool"),
    ({"gamma": [1.0]}, ValueError, "gamma must have shape (2,), not (1,)"),
    ({"beta": [1.0, np.inf]}, ValueError, "beta must be finite, not inf"),
    ({"mean": [[1.0, 1.0]]}, ValueError, "mean must have shape (2,), not (1, 2)"),
    ({"variance": [1.0, -0.5]}, ValueError,
     "variance of channel 1 must not be negative, but is -0.5"),
    ({"variance": [1.0, 0.0], "epsilon": 0}, ValueError,
     "variance of channel 1 is zero, and so is epsilon"),
    ({"epsilon": -0.1}, ValueError, "epsilon must be finite and at least 0, not -0.1"),
    ({"epsilon": np.nan}, ValueError, "epsilon must be finite and at least 0, not nan"),
])
def test_inference_refuses(change, error, message):
    arguments = {"x": np.zeros((2, 2, 1, 1)), "gamma": [1.0, 1.0], "beta": [1.0, 1.0],
                 "mean": [0.0, 0.0], "variance": [1.0, 1.0], "epsilon": 1e-5, **change}
    with refuses(error, message):
        batchnorm_infer(**arguments)


@pytest.mark.parametrize(("change", "message"), [
    ({"x": np.zeros((1, 2, 1, 1))}, "Training needs at least 2 elements per channel, not 1"),
    ({"x": np.zeros((0, 2, 1, 1))}, "Training needs at least 2 elements per channel, not 0"),
    ({"x": np.zeros((2, 0, 1, 1))}, "Training needs at least 2 elements per channel, not 0"),
    ({"momentum": 1.5}, "momentum must be in [0, 1], not 1.5"),
    ({"momentum": np.nan}, "momentum must be in [0, 1], not nan"),
    ({"running_variance": [0.0, -1.0]},
     "running_variance of channel 1 must not be negative, but is -1.0"),
    ({"running_mean": [0.0]}, "running_mean must have shape (2,), not (1,)"),
    ({"epsilon": 0}, "variance of channel 0 is zero, and so is epsilon"),
])
def test_training_refuses(change, message):
    arguments = {"x": np.zeros((2, 2, 1, 1)), "gamma": [1.0, 1.0], "beta": [1.0, 1.0],
                 "running_mean": [0.0, 0.0], "running_variance": [1.0, 1.0], "momentum": 0.9,
                 "epsilon": 1e-5, **change}
    with refuses(ValueError, message):
        batchnorm_train(**arguments)


@pytest.mark.parametrize(("acc", "bias", "error", "message"), [
    (np.zeros((1, 2, 1, 1)), [0, 0], TypeError,
     "accumulator must be an integer array, not float64"),
    (np.ones((1, 2, 1, 1), int), [0, 2**31 - 1], OverflowError,
     "accumulator is 2147483648, outside [-2147483648, 2147483647]"),
    (np.ones((1, 2, 1, 1), int), [0], ValueError, "bias must have shape (2,), not (1,)"),
])
def test_fixed_point_refuses(acc, bias, error, message):
    affine = Affine(np.array([1, 1]), np.array([0, 0]), np.array(bias), np.array([True, True]))
    with refuses(error, message):
        batchnorm_fixed(acc, affine, rounding="half_up", low=-128, high=127)
