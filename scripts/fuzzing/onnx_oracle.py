"""ONNX Runtime beside a network of golden layers, tensor by tensor."""

import functools
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime

from golden.concat import ConcatLayer
from golden.conv import conv2d
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.fuzzing.checks import require, require_equal

__all__ = ["compare", "outcome", "runtime_saturates", "runtime_tensors"]

LIKE_INPUT = {"MaxPool", "Concat", "Relu", "Clip", "Pad"}
"""Operators that are on codes if their input is codes."""


def runtime_tensors(content, frames, names=(), *, optimise=True):
    """What ONNX Runtime makes of ``frames``: its output, and a dict of the codes called ``names``.

    ``content`` are the bytes of a model; ``names`` that it does not have are left out.
    """
    model = onnx.ModelProto.FromString(content)
    made = {name for node in model.graph.node for name in node.output}
    shown = [value.name for value in model.graph.output]
    # The runtime knows their types; shown reals would keep it from its fusions.
    for name in sorted(made.intersection(names, _codes(model)) - set(shown)):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
        shown.append(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    values: Any = session.run(shown, {session.get_inputs()[0].name: frames})
    return values[0], dict(zip(shown, values, strict=True))


def _codes(model):
    """Names of the values that are codes."""
    codes = {value.name for value in (*model.graph.input, *model.graph.output)
             if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT}
    for node in model.graph.node:
        of_codes = node.op_type == "QuantizeLinear" or node.op_type[:2] == "QL" or (
            node.op_type == "QGemm")
        if of_codes or (codes.intersection(node.input[:1]) and node.op_type in LIKE_INPUT):
            codes.update(node.output)
    return codes


@functools.cache
def runtime_saturates():
    """Whether ONNX Runtime's products of int8 weights saturate at 16 bits: on x86 without VNNI they
    do, on some machines those of uint8 activations alone."""
    return any(map(_saturates, (np.int8, np.uint8)))


def _saturates(kind):
    low, high = (kind(value) for value in (np.iinfo(kind).min, np.iinfo(kind).max))
    constants = {"scale": np.float32(1), "low": low, "zero": np.int8(0), "out": kind(0),
                 "weight": np.full((1, 8, 1, 1), 127, np.int8),
                 "small": np.array([2.0**-11], np.float32)}
    node = onnx.helper.make_node("QLinearConv", ["x", "scale", "low", "weight", "small", "zero",
                                                 "scale", "out"], ["y"])
    coded = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    ends = [onnx.helper.make_tensor_value_info(name, coded, shape)
            for name, shape in (("x", (1, 8, 1, 1)), ("y", (1, 1, 1, 1)))]
    graph = onnx.helper.make_graph([node], "probe", ends[:1], ends[1:], [
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()])
    model = onnx.helper.make_model(graph, ir_version=8,
                                   opset_imports=[onnx.helper.make_opsetid("", 13)])
    made, _ = runtime_tensors(model.SerializeToString(), np.full((1, 8, 1, 1), high, kind))
    return int(made.item()) != round(8 * 127 * 255 / 2**11)


def compare(model, content, frames, *, optimise, rounded_bias=False):
    """Compare every tensor of the network with ONNX Runtime's: equal, save one step next to a tie.

    Every layer is fed with the runtime's own codes. How near a tie has to be follows from the
    roundings of the runtime's float32 arithmetic; see ``docs/arithmetic.md``. ``rounded_bias`` is
    for models whose biases are no whole accumulators.

    Returns
    -------
    (int, int)
        Codes that differ, and codes in all.

    Raises
    ------
    MismatchError
        If a code differs by more, or elsewhere.
    """
    network = model.network
    output, theirs = runtime_tensors(content, frames, [node.output for node in network.nodes],
                                     optimise=optimise)
    tensors, differ, count = {network.input: model.encode(frames)}, 0, 0
    for node in network.nodes:
        sources = [tensors[name] for name in node.inputs]
        ours = node.layer(*sources)
        expected = theirs.get(node.output)
        if expected is None or expected.dtype == np.float32 or (
                expected.ndim == 4 and expected.shape != ours.shape):
            tensors[node.output] = ours  # The model has no such tensor, or in another order.
            continue
        expected = expected.reshape(ours.shape)
        require(expected.dtype == ours.dtype, f"Tensor {node.output!r} is {ours.dtype}, not "
                f"{expected.dtype}")
        wrong = ours != expected
        if wrong.any():
            _require_next_to_ties(node, sources, ours, expected, wrong, rounded_bias)
        differ, count = differ + int(wrong.sum()), count + ours.size
        tensors[node.output] = expected
    require_equal("The output", model.decode(tensors[network.output]), output)
    return differ, count


def outcome(content, frames):
    """The output for ``frames``; None if ONNX Runtime refuses the model."""
    try:
        return runtime_tensors(content, frames, optimise=False)[0]
    except Exception:
        # The runtime raises errors of a dozen kinds, some of them plain ones.
        return None


def _require_next_to_ties(node, sources, ours, expected, wrong, rounded_bias):
    layer, name = node.layer, node.output
    steps = int(np.abs(ours.astype(int) - expected).max())
    require(steps == 1 and not isinstance(layer, ConcatLayer),
            f"Tensor {name!r}: {np.count_nonzero(wrong)} of {wrong.size} codes differ, by up to "
            f"{steps}")
    assert isinstance(layer, (ConvLayer, PoolLayer, ElementwiseLayer))
    if isinstance(layer, ElementwiseLayer):
        require(len(layer.tables) == 2, f"Tensor {name!r}: a table must be exact")
    # Longdouble has 64 bits: enough for products of 32 by 31 bits.
    scale = np.ldexp(np.asarray(layer.multiplier, np.longdouble),
                     -np.asarray(layer.shift, dtype=int))
    if scale.ndim:
        scale = scale[:, None, None]
    exact = np.asarray(layer.accumulate(*sources)).astype(np.longdouble) * scale
    reach = _reach(layer, sources, scale)
    if rounded_bias and isinstance(layer, ConvLayer):
        reach = reach + np.abs(scale) / 2
    to_tie = np.abs(exact - np.floor(exact) - 0.5)
    worst = (to_tie - reach)[wrong].max()
    require(worst <= 0, f"Tensor {name!r}: a code differs by one step, {worst} further from a tie "
                        "than float32 explains")


def _reach(layer, sources, scale):
    """How far from a tie the runtime's float32 arithmetic can round the other way."""
    unit = 2.0**-24
    if isinstance(layer, ConvLayer):
        codes, weight = sources[0].astype(np.int16), np.abs(layer.weight.astype(np.int16))
        size = np.abs(codes - layer.input_zero_point)
        # conv2d takes codes of 9 bits less one: halves, rounded up.
        absolute = 2 * conv2d((size + 1) // 2, np.minimum(weight, 127), None, stride=layer.stride,
                              pad_mode="pad", padding=layer.padding, dilation=layer.dilation,
                              group=layer.group).astype(np.longdouble)
        absolute += np.abs(layer.bias)[:, None, None]
        terms = layer.weight[0].size + 1
        return (terms + 4) * unit * absolute * np.abs(scale) * (128 / 127) + unit * 4
    if isinstance(layer, PoolLayer):
        assert layer.kind == "sum"
        taps = layer.kernel[0] * layer.kernel[1]
        return (taps + 6) * unit * 255 * taps * scale + 2.0**-22
    assert isinstance(layer, ElementwiseLayer)
    largest = np.abs(layer.tables.astype(np.int64)).max(axis=1).sum() * scale
    return 2.0**-20 * (256 + 2 * largest) + 2 * scale
