"""Model files that are small enough for the smallest engine."""

import numpy as np

from tests.golden.tflite_models import Operator, Tensor, build_model, codes_tensor

__all__ = ["IMAGE", "convolutions", "unsupported"]

#: (H, W, C) of the models' input.
IMAGE = 6, 5, 3


def convolutions(*, last=(), add=False):
    """A TFLite model: 3×3 convolution of stride 2 to 4 channels, 1×1 to 5, over 3×3 pixels.

    Parameters
    ----------
    last : sequence of Operator
        More operators, which read tensor 6, the last one's output being tensor 7.
    add : bool
        Add the 1×1 convolution's output to itself.
    """
    rng = np.random.default_rng(1)
    tensors = [
        codes_tensor((1, *IMAGE), (0.05, -3)), *_weights(rng, (4, 3, 3, 3), 0.05),
        codes_tensor((1, 3, 3, 4), (0.1, 5)), *_weights(rng, (5, 1, 1, 4), 0.1),
        codes_tensor((1, 3, 3, 5), (0.1, -9)), codes_tensor((1, 3, 3, 5), (0.2, -9))]
    operators = [_convolution([0, 1, 2], 3, 2), _convolution([3, 4, 5], 6, 1), *last]
    if add:
        operators.append(Operator("ADD", [6, 6], [7], "Add",
                                  {"FusedActivationFunction": "NONE"}))
    return build_model(tensors, operators, [0], [7 if add or last else 6])


def unsupported():
    """Two operators that nobody maps, behind two that map."""
    return convolutions(last=[Operator("TANH", [6], [7]), Operator("LOGISTIC", [7], [7])])


def _weights(rng, shape, input_scale):
    """Weights and biases, for an input of that scale."""
    channels = shape[0]
    scales = rng.uniform(0.01, 0.03, channels).astype(np.float32) / np.prod(shape[1:])
    values = rng.integers(-127, 128, shape).astype(np.int8)
    biases = rng.integers(-900, 900, channels).astype(np.int32)
    return (Tensor(shape, np.int8, scales, [0] * channels, values),
            Tensor((channels,), np.int32, np.float32(input_scale) * scales, [0] * channels, biases))


def _convolution(inputs, output, stride):
    return Operator("CONV_2D", inputs, [output], "Conv2D", {
        "Padding": "SAME", "StrideH": stride, "StrideW": stride, "DilationHFactor": 1,
        "DilationWFactor": 1, "FusedActivationFunction": "RELU"})
