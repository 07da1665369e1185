"""Float graphs in NumPy, node by node, to see which values their tensors take."""

import numpy as np
from onnx import TensorProto

from compiler.onnx_values import Constant, Hosted, Sizes, along
from compiler.onnx_window import read_window

__all__ = ["run_float"]


def run_float(reader, nodes, frames):
    """Run a float graph.

    Parameters
    ----------
    reader : compiler.onnx_graph.Reader
        That has read the graph, with any calibration: what it knows of constants and shapes is
        used.
    nodes : sequence of compiler.onnx_node.Node
        All of the graph, in order.
    frames : array of float32, shape (N, ...)

    Returns
    -------
    dict of str to array of float32
        Every value but constants, sizes and what the host computes.
    """
    values = {reader.graph.input.name: frames}
    for node in nodes:
        made = reader.values[node.output]
        if isinstance(made, (Constant, Hosted, Sizes)):
            continue
        kernel = _KERNELS.get(node.proto.op_type)
        inputs = [values.get(name) for name in node.proto.input]
        with np.errstate(all="ignore"):
            result = (kernel(node, *inputs) if kernel else
                      np.reshape(values[node.proto.input[0]], (len(frames), *made.layout.shape)))
        values[node.output] = np.asarray(result, np.float32)
    return values


def _weights(node, name):
    return node.constant(name, TensorProto.FLOAT)


def _padded(x, window, fill):
    top, left, bottom, right = window.padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)


def _taps(padded, window):
    """For every tap of a window, what lies under it: views (N, C, Hout, Wout)."""
    for index in np.ndindex(*window.kernel):
        slices = []
        for axis in (0, 1):
            start = index[axis] * window.dilation[axis]
            stop = start + (window.size[axis] - 1) * window.stride[axis] + 1
            slices.append(slice(start, stop, window.stride[axis]))
        yield index, padded[:, :, slices[0], slices[1]]


def _conv(node, x, *_):
    weight = _weights(node, "W")
    window = read_window(node, x.shape[1:], kernel=weight.shape[2:])
    group, made = node.integer("group", 1), len(weight)
    weight = weight.reshape(group, made // group, -1, *window.kernel)
    total = np.zeros((len(x), group, made // group, window.size[0] * window.size[1]), np.float32)
    for (row, column), tap in _taps(_padded(x, window, 0), window):
        flat = tap.reshape(len(x), group, x.shape[1] // group, -1)
        total += np.matmul(weight[:, :, :, row, column], flat)
    total = total.reshape(len(x), made, *window.size)
    return total + _weights(node, "B").reshape(-1, 1, 1) if node.given("B") else total


def _gemm(node, x, *_):
    weight = _weights(node, "B")
    total = node.number("alpha", 1.0) * (x @ (weight.T if node.flag("transB") else weight))
    return total + node.number("beta", 1.0) * _weights(node, "C") if node.given("C") else total


def _max_pool(node, x):
    window = read_window(node, x.shape[1:])
    return np.maximum.reduce([tap for _, tap in _taps(_padded(x, window, -np.inf), window)])


def _average_pool(node, x):
    window = read_window(node, x.shape[1:])
    taps = window.kernel[0] * window.kernel[1]
    if not node.flag("count_include_pad"):
        taps = window.valid_taps(x.shape[2:])
    return sum(tap for _, tap in _taps(_padded(x, window, 0), window)) / np.float32(taps)


def _reduce_mean(node, x, *_):
    # The shape says which axes: one that stays is as long as it was.
    shape = (len(x), *node.reader.values[node.output].layout.shape)
    axes = node.axes("axes")
    if node.given("axes"):
        axes = tuple(map(int, node.constant("axes", TensorProto.INT64).reshape(-1)))
    return x.mean(axis=axes).reshape(shape)


def _batch_norm(node, x, *_):
    gamma, beta, mean, variance = (
        along(_weights(node, name), x.ndim, 1) for name in node.operator.inputs[1:])
    return (x - mean) / np.sqrt(variance + np.float32(node.number("epsilon", 1e-5))) * gamma + beta


def _clip(node, x, *_):
    low, high = (_weights(node, name) if node.given(name) else node.number(name, default)
                 for name, default in (("min", -np.inf), ("max", np.inf)))
    return np.clip(x, low, high)


def _pad(node, x, *_):
    # As the reader has checked, height and width only.
    pads = node.axes("pads") or tuple(map(int, node.constant("pads",
                                                             TensorProto.INT64).reshape(-1)))
    axes = tuple(range(4))
    if node.given("axes"):
        axes = tuple(map(int, node.constant("axes", TensorProto.INT64).reshape(-1) % 4))
    sides = [(0, 0)] * 4
    for index, axis in enumerate(axes):
        sides[axis] = (pads[index], pads[index + len(axes)])
    value = (node.constant("constant_value", TensorProto.FLOAT).reshape(())
             if node.given("constant_value") else node.number("value", 0.0))
    return np.pad(x, sides, constant_values=value)


def _arithmetic(function):
    def kernel(node, *inputs):
        return function(*(node.constant(name, TensorProto.FLOAT) if given is None else given
                          for name, given in zip(("A", "B"), inputs, strict=True)))
    return kernel


def _transpose(node, x):
    return x.transpose(node.axes("perm") or tuple(reversed(range(x.ndim))))


# Those of layout alone are reshapes, to the shape that the reader has found.
_KERNELS = {
    "Add": _arithmetic(np.add), "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply), "Div": _arithmetic(np.divide),
    "AveragePool": _average_pool, "BatchNormalization": _batch_norm, "Clip": _clip,
    "Concat": lambda node, *parts: np.concatenate(parts, axis=node.integer("axis", 1)),
    "Conv": _conv, "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(axis=(2, 3), keepdims=True),
    "GlobalMaxPool": lambda _, x: x.max(axis=(2, 3), keepdims=True),
    "MatMul": lambda node, x, _: x @ _weights(node, "B"),
    "MaxPool": _max_pool, "Pad": _pad, "ReduceMean": _reduce_mean,
    "Relu": lambda _, x: np.maximum(x, 0), "Transpose": _transpose,
}
