"""TFLite's pooling, averages and padding as layers of the arithmetic contract."""

import numpy as np

from compiler.tflite_conv import check_padding, padding_of, window_size
from compiler.tflite_node import operator
from compiler.tflite_values import Extent, natural
from golden.pool import PoolLayer, window_taps
from golden.tflite_ops import tflite_average_pool, tflite_mean

__all__ = []

MAX_TAPS = 1 << 20
"""The largest window that is averaged, in codes."""

MAX_REACH = 1 << 22
"""The most codes that the windows of a row or a column have together."""


@operator("MAX_POOL_2D", (1, 1), options="Pool2DOptions", version=3, mapped="maximum of a window",
          limits="equal scales of input and output")
def read_max_pool(node):
    """MAX_POOL_2D; its padding is below every code."""
    value, window, size = _window(node)
    output = node.same_quantisation(0)
    layer = PoolLayer(name=node.layer_name, kind="max", **window, input_unsigned=output.unsigned,
                      output_unsigned=output.unsigned, **node.bounds(output))
    return node.emit(layer, [value], (value.shape[0], *size, value.shape[3]),
                     Extent((*size, value.shape[3])))


@operator("AVERAGE_POOL_2D", (1, 1), options="Pool2DOptions", version=3, mapped="sum of a window",
          limits="equal scales of input and output; as many codes under every window")
def read_average_pool(node):
    """AVERAGE_POOL_2D, which leaves its padding out of the average."""
    value, window, size = _window(node)
    output = node.same_quantisation(0)
    taps = list(window_taps(value.shape[1:3], **window))
    if len(taps) > 1:
        raise node.fault(f"Padding = SAME leaves between {taps[0]} and {taps[-1]} codes under a "
                         "window", "use Padding = VALID, or a kernel that divides the input")
    if not 1 <= taps[0] <= MAX_TAPS:
        raise node.fault(f"its window has {taps[0]} codes", f"keep it to {MAX_TAPS}")
    layer = tflite_average_pool(node.layer_name, **window, taps=taps[0],
                                unsigned=output.unsigned, **node.bounds(output))
    return node.emit(layer, [value], (value.shape[0], *size, value.shape[3]),
                     Extent((*size, value.shape[3])))


@operator("MEAN", (2, 2), options="ReducerOptions", version=3, mapped="sum of a window",
          limits="over height and width together")
def read_mean(node):
    """MEAN over all axes between that of the frames and the channels."""
    value = node.codes()
    rank = len(value.shape)
    axes = np.unique(node.constant(1, "int32").reshape(-1)[:64])
    if np.any((axes < -rank) | (axes >= rank)):
        raise node.fault(f"axes {axes.tolist()} do not exist in shape {value.shape}",
                         "convert the model again")
    axes = {int(axis) % rank for axis in axes}
    inner = {axis for axis in range(1, rank - 1) if value.shape[axis] > 1}
    if not inner <= axes or not axes <= set(range(1, rank - 1)):
        raise node.fault(f"axes {sorted(axes)} of shape {value.shape} are not height and width",
                         "average over height and width, both of them and nothing else")
    height, width, channels = natural(value.shape)
    node.placed(0, value, (height, width, channels))
    source, output = value.quantisation, node.quantisation(node.output)
    if source.unsigned != output.unsigned:
        raise node.fault("input and output differ in type", "convert the model again")
    if height * width > MAX_TAPS:
        raise node.fault(f"it averages {height * width} codes", f"keep it to {MAX_TAPS}")
    try:
        layer = tflite_mean(node.layer_name, source, output, size=(height, width))
    except (ValueError, OverflowError) as error:
        raise node.fault(str(error), "calibrate again") from error
    keep = node.option("KeepDims")
    shape = [1 if axis in axes else size for axis, size in enumerate(value.shape)
             if keep or axis not in axes]
    return node.emit(layer, [value], shape, Extent((1, 1, channels)))


@operator("PAD", (2, 2), options="PadOptions", optional=True, version=5,
          mapped="padding of the next layer, or a maximum of one code",
          limits="height and width only; equal scales of input and output")
def read_pad(node):
    """PAD with the code of the real value 0."""
    return _pad(node, node.same_quantisation(0).zero_point)


@operator("PADV2", (2, 3), options="PadV2Options", optional=True, version=5,
          mapped="padding of the next layer, or a maximum of one code",
          limits="height and width only; equal scales of input, output and padding")
def read_pad_v2(node):
    """PADV2 with a constant code."""
    output = node.same_quantisation(0)
    tensor = node.tensor(2)
    if tensor is None:
        return _pad(node, output.zero_point)
    code = node.constant(2, "uint8" if output.unsigned else "int8")
    if code.size != 1 or node.quantisation(tensor) != output:
        raise node.fault(f"{node.title(2)} is not a single code of the output's scale and zero "
                         "point", "convert the model again")
    return _pad(node, int(code.reshape(-1)[0]))


def _pad(node, code):
    value = node.map()
    pads = node.constant(1, "int32", "int64")
    if pads.shape != (4, 2) or np.any(pads < 0):
        raise node.fault(f"{node.title(1)} is {pads.reshape(-1)[:8].tolist()}",
                         "give (before, after) of four axes, none of them negative")
    if np.any(pads[[0, 3]]):
        raise node.fault("it pads frames or channels", "pad height and width only")
    (top, bottom), (left, right) = pads[1:3].tolist()
    padding = check_padding(node, value, (top, left, bottom, right))
    unsigned = value.quantisation.unsigned
    layer = PoolLayer(name=node.layer_name, kind="max", kernel=(1, 1), padding=padding,
                      pad_code=code, input_unsigned=unsigned, output_unsigned=unsigned)
    frames, height, width, channels = value.shape
    size = height + top + bottom, width + left + right
    return node.emit(layer, [value], (frames, *size, channels), Extent((*size, channels)))


def _window(node):
    """(input, window as keywords of a layer, size of the output) of a pooling operator."""
    value = node.map()
    kernel = node.pair(("FilterHeight", "FilterWidth"))
    stride = node.pair(("StrideH", "StrideW"))
    padding = padding_of(node, value, kernel, stride)
    size = window_size(node, value.shape[1:3], kernel, stride, padding)
    if any(count * taps > MAX_REACH for count, taps in zip(size, kernel, strict=True)):
        raise node.fault(f"a window of {kernel} over {value.shape[1:3]} is too large",
                         "reduce the window or the input")
    return value, {"kernel": kernel, "stride": stride, "padding": padding}, size
