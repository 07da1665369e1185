"""ONNX Runtime beside a network of golden layers, tensor by tensor."""

import numpy as np
import onnx
import onnxruntime

from golden.concat import ConcatLayer
from golden.conv import conv2d
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer

__all__ = ["assert_near_runtime", "runtime_tensors"]

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
    values = session.run(shown, {session.get_inputs()[0].name: frames})
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


def assert_near_runtime(model, content, frames, *, optimise, rounded_bias=False):
    """Every tensor of the network equals ONNX Runtime's, save one step next to a tie.

    Every layer is fed with the runtime's own codes. How near a tie has to be follows from the
    roundings of the runtime's float32 arithmetic; see ``docs/arithmetic.md``. ``rounded_bias`` is
    for models whose biases are no whole accumulators.

    Returns
    -------
    (int, int)
        Codes that differ, and codes in all.
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
        assert expected.dtype == ours.dtype
        wrong = ours != expected
        if wrong.any():
            _assert_next_to_ties(node.layer, sources, ours, expected, wrong, rounded_bias)
        differ, count = differ + int(wrong.sum()), count + ours.size
        tensors[node.output] = expected
    made = model.decode(tensors[network.output])
    assert made.shape == output.shape
    assert made.dtype == output.dtype
    np.testing.assert_array_equal(made, output)
    return differ, count


def _assert_next_to_ties(layer, sources, ours, expected, wrong, rounded_bias):
    assert not isinstance(layer, ConcatLayer)
    assert np.abs(ours.astype(int) - expected)[wrong].max() == 1
    # Longdouble has 64 bits: enough for products of 32 by 31 bits.
    scale = np.ldexp(np.asarray(layer.multiplier, np.longdouble),
                     -np.asarray(layer.shift, dtype=int))
    if scale.ndim:
        scale = scale[:, None, None]
    exact = layer.accumulate(*sources).astype(np.longdouble) * scale
    reach = _reach(layer, sources, scale)
    if rounded_bias and isinstance(layer, ConvLayer):
        reach = reach + np.abs(scale) / 2
    to_tie = np.abs(exact - np.floor(exact) - 0.5)
    worst = (to_tie - reach)[wrong].max()
    assert worst <= 0, f"{layer.name}: {worst} beyond what float32 explains"


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
    assert len(layer.tables) == 2, "a table must be exact"
    largest = np.abs(layer.tables.astype(np.int64)).max(axis=1).sum() * scale
    return 2.0**-20 * (256 + 2 * largest) + 2 * scale
