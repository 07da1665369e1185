"""Fuzz the ONNX reader: random graphs and damaged files against ONNX Runtime.

``python -m tests.compiler.fuzz_onnx --help`` tells how to run it at any length.
"""

import time
from collections import Counter
from math import prod
from pathlib import Path

import click
import numpy as np
import onnx

from compiler.calibrate import survey_float
from compiler.errors import ModelError
from compiler.onnx_reader import read_onnx, survey_onnx
from scripts.digits import float_model_path, model_path
from tests.compiler.float_draw import FloatDraw
from tests.compiler.onnx_draw import Draw, random_codes
from tests.compiler.onnx_runtime import assert_near_runtime, runtime_tensors

__all__ = ["bases", "check_damaged", "check_damaged_float", "check_graph", "damaged", "drawn",
           "float_bases"]

#: Seconds that reading may take, whatever the file.
PATIENCE = 10.0
#: Multiplications, and elements of a map, beyond which an accepted file is not run.
MOST_WORK, MOST_ELEMENTS = 1 << 26, 1 << 20


def drawn(seed):
    """A random graph of up to six operators: the `Draw` and the bytes of the file."""
    draw = Draw(seed, qdq=seed % 2 == 1, dyadic=seed % 3 == 0)
    return draw, draw.graph(1 + seed % 6).SerializeToString()


def check_graph(seed, path):
    """Write a random graph to ``path``, read it, and compare every tensor of it, with and without
    the runtime's optimisations.

    Returns
    -------
    (int, int)
        Codes that differ, all next to ties, and codes in all.
    """
    draw, content = drawn(seed)
    path.write_bytes(content)
    model = read_onnx(path)
    frames = random_codes(draw.rng, model.input, 1 + seed % 3)
    made = [assert_near_runtime(model, content, frames, optimise=optimise)
            for optimise in (True, False)]
    return tuple(map(sum, zip(*made, strict=True)))


def bases(count=16):
    """Files to damage: the demo's, and small ones."""
    return [model_path().read_bytes(), float_model_path().read_bytes(),
            *(drawn(1000 + seed)[1] for seed in range(count))]


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


def _read(content, path, read):
    """The model in a damaged file, or None; everything that is said of it must be one line."""
    path.write_bytes(content)
    start = time.perf_counter()
    try:
        found = read(path)
        faults, model = found.faults, found.model
    except ModelError as fault:
        faults, model = (fault,), None
    assert time.perf_counter() - start < PATIENCE
    assert (model is None) == bool(faults)
    for fault in faults:
        assert str(fault).startswith(f"{path.name}: ")
        assert "; " in str(fault)
        assert str(fault).isprintable()
        assert len(str(fault)) < 1000
    return model


def _is_large(model):
    return model.network.macs() > MOST_WORK or max(
        map(prod, model.network.shapes().values())) > MOST_ELEMENTS


def check_damaged_float(content, path, rng):
    """Quantise a damaged float model; return what became of it, in a word."""
    try:
        shape = onnx.ModelProto.FromString(content).graph.input[0].type.tensor_type.shape
        sizes = [dim.dim_value for dim in shape.dim][1:]
    except Exception:
        sizes = [1, 28, 28]
    if not all(0 < size <= 64 for size in sizes):
        sizes = [1]
    images = rng.normal(0, 1, (4, *sizes)).astype(np.float32)
    model = _read(content, path, lambda name: survey_float(name, images))
    if model is None:
        return "refused"
    if _is_large(model):
        return "too large to run"
    assert np.all(np.isfinite(model.run(images)))
    return "quantised"


def check_damaged(content, path, rng):
    """Read a damaged file; return what became of it, in a word.

    It must be refused in one line or read within bounded time, and what is read must give what
    ONNX Runtime gives, if that takes the file.
    """
    model = _read(content, path, survey_onnx)
    if model is None:
        return "refused"
    if _is_large(model):
        return "too large to run"
    batch = onnx.ModelProto.FromString(content).graph.input[0].type.tensor_type.shape.dim[0]
    if batch.dim_value > 8:
        return "too large to run"
    frames = random_codes(rng, model.input, batch.dim_value or 2)
    model.run(frames)
    try:
        runtime_tensors(content, frames, optimise=False)
    except Exception:
        return "refused by ONNX Runtime only"
    # Its fusions ignore scales of biases, among others: what nodes say is what they mean.
    assert_near_runtime(model, content, frames, optimise=False, rounded_bias=True)
    return "equal"


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the first case.")
@click.option("--graphs", default=2000, show_default=True, help="Random graphs to compare.")
@click.option("--damaged", "wrecks", default=2000, show_default=True, help="Files to damage.")
@click.option("--folder", default="build/fuzz", show_default=True, type=click.Path(path_type=Path),
              help="Where the file of the last case is.")
def main(seed, graphs, wrecks, folder):
    """Random graphs, then damaged files, against ONNX Runtime.

    Stops at the first case that fails, and says its number: --seed NUMBER begins with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    outcomes, differ, count = Counter(), 0, 0
    for case in range(seed, seed + graphs):
        try:
            made = check_graph(case, path)
        except Exception:
            click.echo(f"Graph {case} fails: {path}", err=True)
            raise
        differ, count = differ + made[0], count + made[1]
    files, floats = bases(), float_bases()
    for case in range(seed, seed + wrecks):
        rng = np.random.default_rng(case)
        try:
            # Every eighth is a float model, to be quantised.
            check, content = ((check_damaged_float, floats[case // 8 % len(floats)])
                              if case % 8 == 7 else (check_damaged, files[case % len(files)]))
            outcomes[check(damaged(content, rng), path, rng)] += 1
        except Exception:
            click.echo(f"Damaged file {case} fails: {path}", err=True)
            raise
    told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    click.echo(f"{graphs} graphs: {count - differ:,} codes equal ONNX Runtime's, {differ:,} next "
               f"to ties do not. {wrecks} damaged files: {told}")


if __name__ == "__main__":
    main()
