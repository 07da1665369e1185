"""TFLite's convolutions and fully connected layers as layers of the arithmetic contract."""

from math import prod

import numpy as np

from compiler.errors import ModelError, quoted
from compiler.tflite_file import MAX_ELEMENTS
from compiler.tflite_node import operator
from compiler.tflite_scale import float_rounding_multiplier
from compiler.tflite_values import Extent, natural
from golden.checks import code_limits
from golden.conv import output_size, same_padding
from golden.layer import ConvLayer
from golden.requant import quantise_multiplier

__all__ = ["check_padding", "padding_of", "window_size"]

# How far the scale of a bias may be from the product that it stands for.
_BIAS_TOLERANCE = 1e-3


@operator("CONV_2D", (2, 3), options="Conv2DOptions", version=8, mapped="convolution",
          limits="constant weights with zero point 0")
def read_convolution(node):
    """CONV_2D; groups are in the shape of its weights."""
    value = node.map()
    weight, scales = _weight(node, 4, axis=0)
    channels = value.shape[3]
    if channels % weight.shape[3] or len(weight) % (channels // weight.shape[3]):
        raise node.fault(f"weights of shape {weight.shape} do not divide {channels} input "
                         "channels into groups", "make weights and input agree")
    return _window(node, value, weight.transpose(0, 3, 1, 2), scales,
                   group=channels // weight.shape[3])


@operator("DEPTHWISE_CONV_2D", (2, 3), options="DepthwiseConv2DOptions", version=7,
          mapped="depthwise convolution", limits="constant weights with zero point 0")
def read_depthwise(node):
    """DEPTHWISE_CONV_2D, with any depth multiplier."""
    value = node.map()
    weight, scales = _weight(node, 4, axis=3)
    channels = value.shape[3]
    multiplier = node.option("DepthMultiplier", low=1)
    if weight.shape[0] != 1 or weight.shape[3] != channels * multiplier:
        raise node.fault(f"weights of shape {weight.shape} do not match {channels} input channels "
                         f"and DepthMultiplier = {multiplier}", "make them agree")
    return _window(node, value, weight.transpose(3, 0, 1, 2), scales, group=channels)


@operator("FULLY_CONNECTED", (2, 3), options="FullyConnectedOptions", version=14,
          mapped="convolution with a kernel of the whole map, or 1x1",
          limits="constant weights with zero point 0, in the default format")
def read_fully_connected(node):
    """FULLY_CONNECTED over a whole frame, or over the channels of each pixel.

    The elements of a frame stay where they are: the weights go to them.
    """
    value = node.codes()
    weight, scales = _weight(node, 2, axis=0)
    node.option("WeightsFormat", low=0, high=0)
    units, depth = weight.shape
    frame, keep = prod(value.shape[1:]), node.option("KeepNumDims")
    if keep and value.shape[-1] != depth:
        raise node.fault(f"weights for {depth} inputs do not match an input of shape {value.shape}",
                         "make weights and input agree")
    shape = (*value.shape[:-1], units) if keep else (value.shape[0], units)
    if depth == frame:
        value.extent.settle((1, 1, frame), turned=value.turned)
        height, width, channels = value.extent.sizes
        if value.straight:
            weight = weight.reshape(units, height, width, channels).transpose(0, 3, 1, 2)
        else:
            weight = weight.reshape(units, channels, height, width)
        size = (1, 1)
    elif depth == value.shape[-1] and keep:
        sizes = value.extent.sizes
        node.placed(0, value, sizes if sizes and sizes[2] == depth else natural(value.shape))
        weight, size = weight.reshape(units, depth, 1, 1), value.extent.sizes[:2]
    else:
        raise node.fault(f"weights for {depth} inputs do not match an input of shape {value.shape}",
                         "flatten the input to (N, inputs), or set KeepNumDims")
    layer = _layer(node, value, weight, scales, "half_up")
    return node.emit(layer, [value], shape, Extent((*size, units)))


def padding_of(node, value, kernel, stride, dilation=(1, 1)):
    """Padding (top, left, bottom, right) of a window over a map (N, H, W, C)."""
    if not node.same_padding():
        return (0, 0, 0, 0)
    (top, bottom), (left, right) = (
        same_padding(*each) for each in zip(value.shape[1:3], kernel, stride, dilation,
                                            strict=True))
    return check_padding(node, value, (top, left, bottom, right))


def check_padding(node, value, padding):
    """``padding`` unless the map is too large with it."""
    frames, height, width, channels = value.shape
    height, width = height + padding[0] + padding[2], width + padding[1] + padding[3]
    if frames * height * width * channels > MAX_ELEMENTS:
        raise node.fault(f"with padding {padding}, its input has {height} rows and {width} columns",
                         "reduce kernel, dilation or padding")
    return padding


def window_size(node, sizes, kernel, stride, padding, dilation=(1, 1)):
    """Height and width of the output of a window over a map of (height, width)."""
    try:
        return tuple(
            output_size(size, taps, stride=step, padding=(before, after), dilation=spread)
            for size, taps, step, before, after, spread in zip(
                sizes, kernel, stride, padding[:2], padding[2:], dilation, strict=True))
    except ValueError as error:
        raise node.fault(str(error), "reduce kernel or dilation, or use Padding = SAME") from error


def _window(node, value, weight, scales, *, group):
    kernel, sizes = weight.shape[2:], value.shape[1:3]
    stride = node.pair(("StrideH", "StrideW"))
    dilation = node.pair(("DilationHFactor", "DilationWFactor"))
    padding = padding_of(node, value, kernel, stride, dilation)
    size = window_size(node, sizes, kernel, stride, padding, dilation)
    layer = _layer(node, value, weight, scales, "tflite", stride=stride, dilation=dilation,
                   padding=padding, group=group)
    return node.emit(layer, [value], (value.shape[0], *size, len(weight)),
                     Extent((*size, len(weight))))


def _weight(node, rank, *, axis):
    """(weights int8, their scales): int8 with zero points 0, or uint8 for uint8 activations."""
    tensor = node.tensor(1)
    unsigned = node.codes().quantisation.unsigned
    weight = node.constant(1, "uint8" if unsigned else "int8")
    if weight.ndim != rank:
        raise node.fault(f"{node.title(1)} has shape {weight.shape}, not {rank} sizes",
                         "convert the model again")
    scales = node.scales(tensor, 1 if unsigned else weight.shape[axis], axis)
    if tensor.zero_point.size not in (scales.size, tensor.scale.size) or not scales.size:
        raise node.fault(f"{node.title(1)} has {tensor.zero_point.size} zero points and "
                         f"{tensor.scale.size} scales", "give one zero point for each scale")
    wrong = np.flatnonzero(tensor.zero_point)
    if wrong.size and not unsigned:
        raise node.fault(f"{node.title(1)}: the zero point of channel {wrong[0]} is "
                         f"{tensor.zero_point[wrong[0]]}, not 0", "quantise weights symmetrically")
    if unsigned:
        weight = weight.astype(np.int64) - tensor.zero_point[0]
        if weight.min() < -128 or weight.max() > 127:
            raise node.fault(f"{node.title(1)}: less their zero point, the weights span "
                             f"[{weight.min()}, {weight.max()}], more than int8",
                             "quantise the model to int8 rather than uint8")
    return weight.astype(np.int8), np.broadcast_to(scales, (weight.shape[axis],))


def _layer(node, value, weight, scales, rounding, **geometry):
    source, output = value.quantisation, node.quantisation(node.output)
    if source.unsigned != output.unsigned:
        raise node.fault("input and output differ in type", "convert the model again")
    bias = _bias(node, source.scale, scales)
    least, greatest = _reach(weight, bias, source)
    products = np.float64(source.scale) * scales.astype(np.float64)
    if source.unsigned and rounding == "tflite":
        # For uint8, TFLite's GetQuantizedConvolutionMultipler rounds the product to float32.
        with np.errstate(over="ignore", under="ignore"):
            products = products.astype(np.float32).astype(np.float64)
    quotients = products / output.scale
    bounds = node.bounds(output)
    try:
        multiplier, shift = quantise_multiplier(quotients, rounding=rounding)
        if rounding == "tflite":
            # A multiplier of 1 or more makes TFLite shift the accumulator left first.
            bits = np.where(multiplier == 0, 31, np.minimum(shift, 31))
        else:
            # In floating point, the product is what has to fit.
            bits = np.minimum(31 - np.ceil(np.log2(quotients)), 31).astype(np.int64)
        _check_accumulator(node, least, greatest, bits)
        if rounding == "half_up":
            low, high = code_limits(output.dtype)
            multiplier, shift = float_rounding_multiplier(
                quotients, least, greatest, low=bounds.get("low", low) - output.zero_point,
                high=bounds.get("high", high) - output.zero_point)
    except ModelError:
        raise
    except ValueError as error:
        raise node.fault(f"scales of input, weights and output: {error}",
                         "calibrate again") from error
    return ConvLayer(
        name=node.layer_name, weight=weight, bias=bias, multiplier=multiplier, shift=shift,
        rounding=rounding, input_zero_point=source.zero_point, input_unsigned=source.unsigned,
        output_zero_point=output.zero_point, output_unsigned=output.unsigned, **bounds, **geometry)


def _bias(node, source, scales):
    """Bias as int64, one per channel; zeros if it is not given."""
    tensor = node.tensor(2)
    if tensor is None:
        return np.zeros(len(scales), np.int64)
    bias = node.constant(2, "int32").astype(np.int64).reshape(-1)
    if bias.size != len(scales):
        raise node.fault(f"{node.title(2)} has {bias.size} values, not {len(scales)}",
                         "give one bias per output channel")
    if np.any(tensor.zero_point):
        raise node.fault(f"{node.title(2)} has zero point "
                         f"{tensor.zero_point[np.argmax(tensor.zero_point != 0)]}, not 0",
                         "quantise biases symmetrically")
    if tensor.scale.size:
        given = node.scales(tensor, len(scales), 0).astype(np.float64)
        expected = np.float64(source) * scales.astype(np.float64)
        wrong = np.abs(given - expected) > _BIAS_TOLERANCE * expected
        if np.any(wrong):
            channel = int(np.argmax(wrong))
            raise node.fault(
                f"tensor {quoted(tensor.name)}: the scale of channel {channel} is "
                f"{given[channel]:.6g}, not the input's times the weights', "
                f"{expected[channel]:.6g}", "convert the model again")
    return bias


def _reach(weight, bias, source):
    """(least, greatest) accumulator of every channel, whatever the codes."""
    low, high = (limit - source.zero_point for limit in code_limits(source.dtype))
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    return (bias + positive * low + negative * high, bias + positive * high + negative * low)


def _check_accumulator(node, least, greatest, bits):
    """Refuse accumulators that do not fit in a sign and as many bits."""
    limit = np.where(bits < 0, 0, np.int64(1) << np.maximum(bits, 0))
    wide = np.flatnonzero((greatest >= limit) | (least < -limit))
    if wide.size:
        channel = wide[0]
        raise node.fault(f"the accumulator of channel {channel} spans [{least[channel]}, "
                         f"{greatest[channel]}], of which TFLite takes {max(bits[channel], 0) + 1} "
                         "bits", "reduce the bias or the input channels, or calibrate again")
