"""TFLite models as networks: random ones against the reference kernels, and layouts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.model import Model
from compiler.tflite_reader import survey_tflite
from golden.pool import PoolLayer
from scripts.fuzzing import tflite_cases
from scripts.fuzzing.tflite_build import Op, T, build
from scripts.fuzzing.tflite_draw import OPERATORS, Draw, random_frames
from scripts.fuzzing.tflite_oracle import compare
from tests.compiler.cases import compare_drawn
from tests.golden.conv_cases import SEARCH as LONG_SEARCH

CODES = [0.5], [3]
SEARCH = settings(LONG_SEARCH, max_examples=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / "model.tflite"


def read(content, path):
    path.write_bytes(content)
    found = survey_tflite(path)
    if found.model is None:
        raise found.faults[0]
    return found.model


def same(content, path, frames=2, seed=0):
    """The model, whose tensors all equal TFLite's for random frames."""
    model = read(content, path)
    frames = random_frames(np.random.default_rng(seed), model.input, frames)
    compare(model, content, frames)
    return model


@pytest.mark.parametrize("operator", OPERATORS)
@SEARCH
@given(seed=st.integers(0, 2**32 - 1), uint8=st.booleans(), frames=st.integers(1, 3))
def test_any_operator_equals_tflite(operator, path, seed, uint8, frames):
    draw = Draw(seed, uint8=uint8, frames=frames)
    content = draw.model(getattr(draw, operator)(draw.input()))
    same(content, path, frames, seed)


@pytest.mark.parametrize("kind", ["INT8", "UINT8"])
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_products_of_scales_are_rounded_as_in_tflite(kind, name, path):
    """Biases as accumulators, so large that the 24 bits of a float32 product can be told from the
    48 of a float64 one: next to ties of the one or the other."""
    rng = np.random.default_rng(0)
    lowest = np.iinfo(kind.lower()).min
    for _ in range(10):
        scales = np.exp2(rng.uniform(-0.5, 0.5, 3)).astype(np.float32)
        source, weight = scales[:2] * np.float32(2.0**-10)
        products = [np.float64(source) * np.float64(weight), np.float64(source * weight)]
        ties = np.arange(5, 250) + 0.5
        bias = np.concatenate([np.round(ties * scales[2] / product) + offset
                               for product in products for offset in (-1, 0, 1)]).astype(np.int32)
        channels = len(bias)
        zero = 128 if kind == "UINT8" else 0
        tensors = [
            T((1, 1, 1, 1), kind, [source], [3]),
            T((1, 1, 1, channels) if name[0] == "D" else (channels, 1, 1, 1), kind, [weight],
              [zero], data=np.full(channels, zero, kind.lower())),
            T((channels,), "INT32", [source * weight], [0], data=bias),
            T((1, 1, 1, channels), kind, [scales[2]], [lowest])]
        options = {"StrideH": 1, "StrideW": 1}
        if name[0] == "D":
            options["DepthMultiplier"] = channels
        table = "Conv2DOptions" if name[0] == "C" else "DepthwiseConv2DOptions"
        same(build(tensors, [Op(name, [0, 1, 2], [3], table, options, 3)], [0], [3]), path,
             frames=1)


@pytest.mark.parametrize("block", range(6))
def test_random_graphs_equal_tflite(block, path):
    for case in range(50):
        compare_drawn(tflite_cases, 10_000 + 50 * block + case, path.parent)


def chain(*steps, frame=(4, 3, 2), last=None):
    """Model of operators that each take the tensor before, and constants.

    A step is (name, shape made, constants, options table, options); frames are the first axis.
    """
    tensors, operators = [T((1, *frame), "INT8", *CODES)], []
    before = 0
    for name, shape, constants, table, options in steps:
        inputs = [before]
        for constant in constants:
            constant = np.asarray(constant, np.int32)
            tensors.append(T(constant.shape, "INT32", data=constant))
            inputs.append(len(tensors) - 1)
        tensors.append(T(shape, "INT8", *CODES))
        before = len(tensors) - 1
        operators.append(Op(name, inputs, [before], table, options))
    return build(tensors, operators, [0], [before if last is None else last])


def max_pool(shape):
    options = {"Padding": "SAME", "FilterHeight": 2, "FilterWidth": 2, "StrideH": 1, "StrideW": 1}
    return "MAX_POOL_2D", shape, [], "Pool2DOptions", options


def test_reshapes_before_the_first_layer_are_the_hosts(path):
    content = chain(("RESHAPE", (1, 4, 3, 2), [[-1, 4, 3, 2]], None, {}), max_pool((1, 4, 3, 2)),
                    ("RESHAPE", (1, 12, 2), [[-1, 12, 2]], None, {}), frame=(24,))
    model = same(content, path)
    assert model.input.shape == (24,)
    assert model.network.input_shape == (2, 4, 3)
    assert model.output.shape == (12, 2)


def test_channels_first_at_both_ends(path):
    content = chain(("TRANSPOSE", (1, 3, 2, 4), [[0, 2, 3, 1]], None, {}), max_pool((1, 3, 2, 4)),
                    ("TRANSPOSE", (1, 4, 3, 2), [[0, 3, 1, 2]], None, {}), frame=(4, 3, 2))
    model = same(content, path)
    assert not model.input.channels_last
    assert not model.output.channels_last
    assert model.network.input_shape == (4, 3, 2)


def test_there_and_back_is_nothing(path):
    there = ("TRANSPOSE", (1, 2, 4, 3), [[0, 3, 1, 2]], "TransposeOptions", {})
    back = ("TRANSPOSE", (1, 4, 3, 2), [[0, 2, 3, 1]], None, {})
    model = same(chain(max_pool((1, 4, 3, 2)), there, back, max_pool((1, 4, 3, 2))), path)
    assert [type(node.layer) for node in model.network.nodes] == [PoolLayer, PoolLayer]


def dense(content_of, path):
    """A model whose flattened map, channels first or last, feeds a FULLY_CONNECTED."""
    rng = np.random.default_rng(1)
    tensors = [T((1, 4, 3, 2), "INT8", *CODES), T((1, 4, 3, 2), "INT8", *CODES)]
    name, _, _, table, options = max_pool(None)
    operators = [Op(name, [0], [1], table, options)]
    flat = content_of(tensors, operators)
    weight = rng.integers(-127, 128, (5, 24)).astype(np.int8)
    tensors += [T((5, 24), "INT8", [0.01], [0], 0, weight),
                T((1, 5), "INT8", [0.7], [-4])]
    operators.append(Op("FULLY_CONNECTED", [flat, len(tensors) - 2], [len(tensors) - 1],
                        "FullyConnectedOptions"))
    model = same(build(tensors, operators, [0], [len(tensors) - 1]), path, frames=20)
    assert model.network.nodes[-1].layer.weight.shape == (5, 2, 4, 3)


def test_a_map_that_is_flattened_channels_first_is_multiplied_where_it_is(path):
    def content(tensors, operators):
        order, shape = (np.array(each, np.int32) for each in ([0, 3, 1, 2], [-1, 24]))
        tensors += [T((4,), "INT32", data=order), T((1, 2, 4, 3), "INT8", *CODES),
                    T((2,), "INT32", data=shape), T((1, 24), "INT8", *CODES)]
        operators += [Op("TRANSPOSE", [1, 2], [3]), Op("RESHAPE", [3, 4], [5])]
        return 5
    dense(content, path)


def test_a_map_needs_no_flattening(path):
    dense(lambda *_: 1, path)


def test_squeeze_and_expand_dims(path):
    content = chain(
        max_pool((1, 1, 4, 6)), ("SQUEEZE", (1, 4, 6), [], "SqueezeOptions", {"SqueezeDims": [1]}),
        ("EXPAND_DIMS", (1, 4, 1, 6), [2], None, {}),
        ("TRANSPOSE", (1, 1, 4, 6), [[0, 2, 1, 3]], None, {}), max_pool((1, 1, 4, 6)),
        ("SQUEEZE", (1, 4, 6), [], "SqueezeOptions", {"SqueezeDims": [-3]}), frame=(1, 4, 6))
    assert same(content, path).output.shape == (4, 6)


def test_tensors_that_share_a_name_are_told_apart(path):
    content = chain(max_pool((1, 4, 3, 2)), max_pool((1, 4, 3, 2)))
    assert list(read(content, path).network.shapes()) == ["t0", "t1", "t2"]
    tensors = [T((1, 4, 3, 2), "INT8", *CODES, name=name) for name in ("x", "", "x")]
    name, _, _, table, options = max_pool(None)
    content = build(tensors, [Op(name, [0], [1], table, options), Op(name, [1], [2], table,
                                                                      options)], [0], [2])
    model = same(content, path)
    assert list(model.network.shapes()) == ["x#0", "#1", "x#2"]
    assert [node.layer.name for node in model.network.nodes] == ["max_pool_2d_0", "max_pool_2d_1"]


def test_a_float_input_may_be_quantised_for_two_readers(path):
    tensors = [T((1, 4, 3, 2), "FLOAT32"), T((1, 4, 3, 2), "INT8", *CODES),
               T((1, 4, 3, 2), "INT8", *CODES), T((1, 4, 3, 2), "INT8", [0.6], [9])]
    operators = [Op("QUANTIZE", [0], [1]), Op("QUANTIZE", [0], [2]),
                 Op("ADD", [1, 2], [3], "AddOptions")]
    model = read(build(tensors, operators, [0], [3]), path)
    assert model.network.nodes[0].inputs == ("t1", "t1")
    assert isinstance(model, Model)


def test_survey_goes_on_after_a_fault(path):
    """Every node that does not map is found, not only the first one."""
    shape = (1, 4, 3, 2)
    tensors = [T(shape, "INT8", *CODES) for _ in range(5)]
    name, _, _, table, options = max_pool(None)
    operators = [Op("TANH", [0], [1]), Op(name, [1], [2], table, options),
                 Op("FLOOR", [2], [3]), Op(name, [3], [4], table, options, version=9)]
    path.write_bytes(build(tensors, operators, [0], [4]))
    found = survey_tflite(path)
    assert found.model is None
    assert [row.node for row in found.rows] == ["0 t1", "1 t2", "2 t3", "3 t4"]
    assert [row.operator for row in found.rows] == ["TANH", name, "FLOOR", name]
    assert [row.mapped_to for row in found.rows] == [None, "maximum of a window", None, None]
    assert [bool(row.reason) for row in found.rows] == [True, False, True, True]
    assert [row.layer_names for row in found.rows] == [(), ("max_pool_2d_1",), (), ()]
    assert len(found.faults) == 3
    assert "; " in found.rows[0].reason
