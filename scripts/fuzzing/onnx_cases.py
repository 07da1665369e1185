"""Cases of the ONNX reader: random graphs and damaged files."""

import functools
from functools import partial

import numpy as np
import onnx
import onnx.numpy_helper

from scripts.digits import float_model_path, model_path
from scripts.fuzzing import onnx_oracle
from scripts.fuzzing.checks import require
from scripts.fuzzing.float_draw import FloatDraw
from scripts.fuzzing.onnx_draw import Draw, random_codes
from scripts.fuzzing.reading import read_damaged, too_large

__all__ = ["RUNTIME", "SUFFIX", "bases", "check_damaged", "check_damaged_float", "compare",
           "damaged", "drawn", "float_bases", "frames_of", "wreck"]

#: End of the files' names, and the module of the runtime that they are compared with.
SUFFIX, RUNTIME = ".onnx", onnx_oracle.__name__
#: Most frames of a damaged file that is run.
MOST_FRAMES = 8


def drawn(seed):
    """A random graph of up to six operators: the `Draw` and the bytes of the file."""
    draw = Draw(seed, qdq=seed % 2 == 1, dyadic=seed % 3 == 0)
    return draw, draw.graph(1 + seed % 6).SerializeToString()


def frames_of(draw, model):
    """Frames for a drawn model."""
    return random_codes(draw.rng, model.input, int(draw.rng.integers(1, 4)))


def compare(model, content, frames):
    """Compare every tensor with and without the runtime's optimisations; see
    :func:`scripts.fuzzing.onnx_oracle.compare`."""
    made = [onnx_oracle.compare(model, content, frames, optimise=optimise)
            for optimise in (True, False)]
    return tuple(map(sum, zip(*made, strict=True)))


def bases(models=(), count=16):
    """Files to damage: the demo's, small ones, and those of the paths ``models``."""
    return [model_path().read_bytes(), float_model_path().read_bytes(),
            *(drawn(1000 + seed)[1] for seed in range(count)),
            *(path.read_bytes() for path in models if path.suffix == SUFFIX)]


@functools.cache
def float_bases(count=8):
    """Float files to damage."""
    return [float_model_path().read_bytes(),
            *(FloatDraw(seed).graph(seed).SerializeToString() for seed in range(count))]


# What scales, sizes and attributes are replaced with.
FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e-38, 1e-30, 1e30, 3e38, 0.5)
INTEGERS = (0, 1, -1, 2, 3, 255, 2**31 - 1, 2**31, -2**31, 2**40, 2**63 - 1)


def damaged(content, rng):
    """``content`` with one to three things wrong: bytes, or parts of the model."""
    if rng.random() < 0.4:
        return _damaged_bytes(bytearray(content), rng)
    model = onnx.ModelProto.FromString(content)
    for _ in range(_pick((1, 1, 1, 2, 3), rng)):
        change = CHANGES[rng.integers(len(CHANGES))]
        try:
            change(model, rng)
        except Exception:
            continue  # There is nothing of that kind, or it is broken already.
    return model.SerializeToString()


def _damaged_bytes(content, rng):
    """Half of the places are among the first bytes, where there are nodes rather than weights."""
    kind = rng.integers(4)
    if kind == 0:
        return bytes(content[:rng.integers(len(content))])
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(content) if rng.random() < 0.5 else min(len(content), 2000)))
        if kind == 1:
            content[place] ^= 1 << rng.integers(8)
        elif kind == 2:
            content[place] = rng.integers(256)
        else:
            content[place:place + rng.integers(9)] = rng.bytes(rng.integers(9))
    return bytes(content)


def _pick(parts, rng):
    return parts[int(rng.integers(len(parts)))]


def _attribute(model, rng):
    """Another value for an attribute, or an attribute too many or too few."""
    node = _pick([node for node in model.graph.node if node.attribute], rng)
    attribute = _pick(node.attribute, rng)
    kind = rng.integers(5)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.name = str(_pick(("group", "axis", "ceil_mode", "strides", "pads", "evil"), rng))
    elif attribute.ints:
        attribute.ints[rng.integers(len(attribute.ints))] = _pick(INTEGERS, rng)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = _pick(INTEGERS, rng)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = _pick(FLOATS, rng)
    else:
        attribute.s = bytes(_pick((b"SAME_UPPER", b"VALID", b"same", b"\xff"), rng))


def _number(model, rng):
    """Another value in a small constant: a scale, a zero point, a shape."""
    tensor = _pick([each for each in model.graph.initializer if len(each.raw_data) <= 64], rng)
    values = onnx.numpy_helper.to_array(tensor).copy()
    flat = values.reshape(-1)
    choices = FLOATS if values.dtype.kind == "f" else INTEGERS
    flat[rng.integers(flat.size)] = np.array(_pick(choices, rng)).astype(values.dtype)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _sizes(model, rng):
    """Another size of a constant."""
    tensor = _pick(model.graph.initializer, rng)
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.integers(len(tensor.dims))] = _pick(INTEGERS, rng)
    else:
        tensor.dims.append(_pick(INTEGERS, rng))


def _type(model, rng):
    _pick(model.graph.initializer, rng).data_type = int(rng.integers(0, 25))


def _edge(model, rng):
    """A node reads something else: another value, nothing, or a name that nobody has."""
    node = _pick(model.graph.node, rng)
    names = [name for each in model.graph.node for name in (*each.input, *each.output)]
    node.input[rng.integers(len(node.input))] = _pick([*names, "", "nobody"], rng)


def _operator(model, rng):
    names = ("Relu", "Conv", "MaxPool", "QuantizeLinear", "DequantizeLinear", "Add", "Softmax",
             "QLinearConv", "Identity", "LSTM", "Loop", "")
    _pick(model.graph.node, rng).op_type = str(_pick(names, rng))


def _swap(model, rng):
    """Two nodes change places, or one is there twice or not at all."""
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    first, second = rng.integers(len(nodes), size=2)
    kind = rng.integers(3)
    if kind == 0:
        nodes[first], nodes[second] = nodes[second], nodes[first]
    elif kind == 1:
        nodes.insert(first, nodes[second])
    else:
        del nodes[first]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _end(model, rng):
    """Another size, type or name at either end."""
    value = _pick([*model.graph.input, *model.graph.output], rng)
    kind, dims = rng.integers(4), value.type.tensor_type.shape.dim
    if kind == 0:
        value.type.tensor_type.elem_type = int(rng.integers(0, 25))
    elif kind == 1:
        value.name = str(_pick([node.output[0] for node in model.graph.node], rng))
    elif kind == 2:
        dims[rng.integers(len(dims))].dim_value = _pick(INTEGERS, rng)
    else:
        dims.add().dim_value = 2


def _version(model, rng):
    if rng.random() < 0.5:
        model.opset_import[0].version = int(rng.integers(0, 40))
    else:
        model.ir_version = int(rng.integers(0, 40))


def _external(model, rng):
    tensor = _pick(model.graph.initializer, rng)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


CHANGES = (_attribute, _attribute, _attribute, _number, _number, _number, _sizes, _type, _edge,
           _edge, _operator, _swap, _end, _end, _version, _external)


def wreck(number, files):
    """Damaged content of this number out of what :func:`bases` returned, or of a float model each
    eighth time, and the function that reads it: :func:`check_damaged` or
    :func:`check_damaged_float`."""
    rng = np.random.default_rng(number)
    if number % 8 == 7:
        floats = float_bases()
        content = damaged(floats[number // 8 % len(floats)], rng)
        return content, partial(check_damaged_float, content, rng=rng)
    content = damaged(files[number % len(files)], rng)
    return content, partial(check_damaged, content, rng=rng)


def check_damaged_float(content, path, _sandbox, *, rng):
    """Read and quantise a damaged float model; return what became of it, in a word.

    It must be refused in one line, or give finite results.

    Raises
    ------
    MismatchError
        If it is read wrongly.
    """
    path.write_bytes(content)
    try:
        shape = onnx.ModelProto.FromString(content).graph.input[0].type.tensor_type.shape
        sizes = [dim.dim_value for dim in shape.dim][1:]
    except Exception:
        # What does not parse, protobuf refuses in many ways.
        sizes = [1, 28, 28]
    if not all(0 < size <= 64 for size in sizes):
        sizes = [1]
    images = rng.normal(0, 1, (4, *sizes)).astype(np.float32)
    model, outcome = read_damaged(path, images)
    if model is None:
        return outcome
    if too_large(model.network, len(images)):
        return "too large to run"
    require(np.all(np.isfinite(model.run(images))), "its results are not finite")
    return "quantised"


def check_damaged(content, path, sandbox, *, rng):
    """Read a damaged file; return what became of it, in a word.

    It must be refused in one line or read within bounded time, and what is read must give what
    ONNX Runtime gives, if that takes the file.

    Parameters
    ----------
    content : bytes
    path : path
        Where to put the file.
    sandbox : Sandbox
        Of :data:`RUNTIME`.
    rng : numpy.random.Generator
        For the frames.

    Raises
    ------
    MismatchError
        If it is read wrongly.
    """
    path.write_bytes(content)
    model, outcome = read_damaged(path)
    if model is None:
        return outcome
    batch = onnx.ModelProto.FromString(content).graph.input[0].type.tensor_type.shape.dim[0]
    frames = batch.dim_value or 2
    if frames > MOST_FRAMES or too_large(model.network, frames):
        return "too large to run"
    x = random_codes(rng, model.input, frames)
    model.run(x)
    if sandbox.run(content, x) is None:
        return "refused by the runtime only"
    # Its fusions ignore scales of biases, among others: what nodes say is what they mean.
    onnx_oracle.compare(model, content, x, optimise=False, rounded_bias=True)
    return "equal"
