"""A float chain of convolutions as ONNX, and its post-training quantisation to QLinearConv nodes.

NumPy, ONNX and golden only: neither needs what the network was trained with.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from golden.fold import fold_batchnorm

__all__ = ["FloatConv", "Norm", "code_range", "float_model", "quantised_model"]

OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class Norm:
    """Inference BatchNorm: float arrays of shape (C,), and the ε added to the variance."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float


@dataclass(frozen=True)
class FloatConv:
    """Convolution of group 1; then, if there is a `Norm`, that and ReLU.

    Members
    -------
    name : str
        Of its node.
    weight : array of float32, shape (Cout, Cin, kh, kw)
    bias : array of float32, shape (Cout,), or None
    norm : Norm or None
    stride : int
    padding : int
        On all four sides.
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray | None
    norm: Norm | None
    stride: int
    padding: int


def code_range(low, high):
    """Scale and zero point of int8 codes that span real [low, high] and hold zero exactly.

    Returns
    -------
    (scale, zero_point) : (numpy.float32, int)
        The zero point is −128 for a range that begins at zero: ReLU's.

    Raises
    ------
    ValueError
        If the range is empty or not finite.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if not (np.isfinite(high - low) and high > low):
        raise ValueError(f"A range must be finite and not empty, not [{low}, {high}]")
    scale = np.float32((high - low) / 255)
    return scale, int(np.rint(-128 - low / float(scale)))


def float_model(layers, input_shape):
    """Conv, BatchNormalization and Relu nodes, float32 in and out, with a symbolic batch ``N``."""
    nodes, constants, value = [], [], "image"
    for layer in layers:
        names = [f"{layer.name}_weight"]
        constants.append(numpy_helper.from_array(layer.weight.astype(np.float32), names[0]))
        if layer.bias is not None:
            names.append(f"{layer.name}_bias")
            constants.append(numpy_helper.from_array(layer.bias.astype(np.float32), names[1]))
        made = f"{layer.name}_out" if layer is not layers[-1] else "logits"
        nodes.append(helper.make_node("Conv", [value, *names], [made], name=layer.name,
                                      **_attributes(layer)))
        value = made
        if layer.norm is not None:
            names = [f"{layer.name}_{part}" for part in ("gamma", "beta", "mean", "variance")]
            values = (layer.norm.gamma, layer.norm.beta, layer.norm.mean, layer.norm.variance)
            constants += [numpy_helper.from_array(v.astype(np.float32), n)
                          for v, n in zip(values, names, strict=True)]
            nodes += [
                helper.make_node("BatchNormalization", [value, *names], [f"{layer.name}_norm"],
                                 name=f"{layer.name}_bn", epsilon=layer.norm.epsilon),
                helper.make_node("Relu", [f"{layer.name}_norm"], [f"{layer.name}_relu"],
                                 name=f"{layer.name}_act")]
            value = f"{layer.name}_relu"
    return _model("digits_float", nodes, constants, TensorProto.FLOAT, input_shape,
                  _output_shape(layers, input_shape))


def quantised_model(layers, ranges, input_shape):
    """Quantise a chain of layers.

    Weights are int8, symmetric per output channel, of the *unnormalised* convolution: γ/σ goes
    into ``w_scale``, so that folding BatchNorm costs the weights nothing. ONNX scales are
    positive: where γ is negative, weights and bias change sign instead. Activations are int8;
    behind a ReLU their zero point is −128, where QLinearConv saturates.

    Parameters
    ----------
    layers : list of FloatConv
    ranges : list of (float, float)
        Least and greatest value of the input, then of every layer's output, as calibrated.
    input_shape : tuple of three ints
        Channels, height and width of one frame.

    Returns
    -------
    onnx.ModelProto
        QLinearConv nodes with a symbolic batch ``N``; int8 codes in and out.
    """
    nodes, constants, value = [], [], "codes"
    (x_scale, x_zero), *outputs = [code_range(*limits) for limits in ranges]
    for layer, (y_scale, y_zero) in zip(layers, outputs, strict=True):
        weight, w_scale, bias = _quantise_layer(layer, x_scale, y_scale)
        values = {"x_scale": x_scale, "x_zero_point": np.int8(x_zero), "weight": weight,
                  "w_scale": w_scale, "w_zero_point": np.zeros(len(weight), np.int8),
                  "y_scale": y_scale, "y_zero_point": np.int8(y_zero), "bias": bias}
        names = [f"{layer.name}_{name}" for name in values]
        constants += [numpy_helper.from_array(np.asarray(v), n)
                      for v, n in zip(values.values(), names, strict=True)]
        made = f"{layer.name}_out" if layer is not layers[-1] else "logits"
        nodes.append(helper.make_node("QLinearConv", [value, *names], [made], name=layer.name,
                                      **_attributes(layer)))
        value, x_scale, x_zero = made, y_scale, y_zero
    return _model("digits_int8", nodes, constants, TensorProto.INT8, input_shape,
                  _output_shape(layers, input_shape))


def _quantise_layer(layer, x_scale, y_scale):
    """Weights (int8), their scales (float32, per channel) and the bias (int32)."""
    channels = len(layer.weight)
    largest = np.abs(layer.weight.astype(np.float64)).max(axis=(1, 2, 3))
    step = np.where(largest > 0, largest / 127, 1.0)
    weight = np.rint(layer.weight / step[:, None, None, None]).astype(np.int8)
    ones, zeros = np.ones(channels), np.zeros(channels)
    norm = layer.norm or Norm(ones, zeros, zeros, ones, 0.0)
    affine = fold_batchnorm(norm.gamma, norm.beta, norm.mean, norm.variance,
                            epsilon=norm.epsilon, input_scale=float(x_scale), weight_scale=step,
                            output_scale=float(y_scale), conv_bias=layer.bias,
                            rounding="half_even")
    sign = np.where(affine.multiplier < 0, -1, 1)
    weight = affine.apply_to(weight) * sign[:, None, None, None]
    factor = np.ldexp(np.abs(affine.multiplier).astype(np.float64), -affine.shift)
    # A channel that is always zero has no factor; its weights and bias are zero at any scale.
    w_scale = np.where(factor > 0, factor, 1.0) * float(y_scale) / float(x_scale)
    return weight.astype(np.int8), w_scale.astype(np.float32), (affine.bias * sign).astype(np.int32)


def _attributes(layer):
    return {"kernel_shape": layer.weight.shape[2:], "strides": [layer.stride] * 2,
            "pads": [layer.padding] * 4}


def _output_shape(layers, input_shape):
    height, width = input_shape[1:]
    for layer in layers:
        height, width = ((size + 2 * layer.padding - taps) // layer.stride + 1
                         for size, taps in zip((height, width), layer.weight.shape[2:],
                                               strict=True))
    return len(layers[-1].weight), height, width


def _model(name, nodes, constants, elem_type, input_shape, output_shape):
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(nodes[0].input[0], elem_type, ["N", *input_shape])],
        [helper.make_tensor_value_info(nodes[-1].output[0], elem_type, ["N", *output_shape])],
        constants)
    model = helper.make_model(graph, producer_name="celosia", ir_version=IR_VERSION,
                              opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model, full_check=True)
    return model
