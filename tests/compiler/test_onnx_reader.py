from fractions import Fraction

import numpy as np
import onnx
import pytest

from compiler.model import Port
from compiler.onnx_reader import read_onnx
from scripts.digits import input_codes, load_images, model_path
from tests.compiler.models import chain, conv_inputs, runtime_outputs

# Two float32 roundings, of the accumulator and of its product with the scale.
FLOAT32 = (1 + Fraction(1, 2**24)) ** 2 - 1


def layers_of(model):
    return [node.layer for node in model.network.nodes]


def assert_equal_but_for_ties(layers, codes, outputs):
    """Golden equals ``outputs``, save one step within float32 rounding of a tie; how many those
    are."""
    count = 0
    for layer, output in zip(layers, outputs, strict=True):
        golden, acc = layer(codes), layer.accumulate(codes)
        assert golden.dtype == output.dtype
        assert golden.shape == output.shape
        for where in np.argwhere(golden != output):
            n, channel, y, x = where
            exact = int(acc[n, channel, y, x]) * Fraction(int(layer.multiplier[channel]),
                                                          2 ** int(layer.shift[channel]))
            to_tie = abs(exact - (exact.__floor__() + Fraction(1, 2)))
            assert to_tie <= FLOAT32 * abs(exact)
            assert abs(int(golden[tuple(where)]) - int(output[tuple(where)])) == 1
            count += 1
        # ONNX Runtime's own codes feed its next layer.
        codes = output
    return count


@pytest.mark.usefixtures("exact_runtime")
def test_demo_equals_onnx_runtime_in_every_element_of_every_layer():
    model = read_onnx(model_path())
    codes = input_codes(model, load_images()[0])
    proto = onnx.load(model_path())
    outputs = runtime_outputs(proto, codes)
    golden = model.network.run(codes)
    assert [output.shape for output in golden.values()] == [
        (200, 1, 28, 28), (200, 16, 14, 14), (200, 32, 7, 7), (200, 32, 7, 7), (200, 32, 4, 4),
        (200, 10, 1, 1)]
    for node, theirs in zip(proto.graph.node, outputs, strict=True):
        np.testing.assert_array_equal(golden[node.output[0]], theirs)
    np.testing.assert_array_equal(model.run(codes), outputs[-1])


def test_demo_metadata():
    model = read_onnx(model_path())
    layers = layers_of(model)
    assert [layer.name for layer in layers] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert model.file == "digits_int8.onnx"
    assert model.input == Port(name="codes", shape=(1, 28, 28), dtype=np.int8, channels_last=False,
                               scale=float(np.float32(1 / 255)), zero_point=-128)
    assert (model.output.name, model.output.shape, model.output.dtype) == (
        "logits", (10, 1, 1), np.int8)
    last = onnx.load(model_path()).graph.node[-1]
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor)
                 for tensor in onnx.load(model_path()).graph.initializer}
    assert model.output.scale == float(constants[last.input[6]])
    assert model.output.zero_point == int(constants[last.input[7]])
    assert [layer.output_zero_point for layer in layers[:-1]] == [-128] * 4
    assert {layer.rounding for layer in layers} == {"half_even"}


def random_chain(seed):
    """One or two layers with attributes of every kind, and codes to run through them."""
    rng = np.random.default_rng(seed)
    dtype = rng.choice([np.int8, np.uint8])
    # From 14 rows, dilated kernels span 7 and strides of 3 leave 3: enough for the second layer.
    shape = (int(rng.choice([1, 3, 4, 6])), *(int(size) for size in rng.integers(14, 18, 2)))
    codes = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (2, *shape), dtype=dtype)
    channels, layers = shape[0], []
    for index in range(rng.integers(1, 3)):
        kernel = tuple(int(size) for size in rng.integers(1, 4, 2))
        group = int(rng.choice([g for g in (1, 2, 3, channels) if channels % g == 0]))
        made = group * int(rng.integers(1, 4))
        inputs = conv_inputs(rng, channels, made, kernel, dtype=dtype, group=group)
        if rng.random() < 0.3:
            del inputs["B"]
        if rng.random() < 0.3:
            inputs["w_scale"], inputs["w_zero_point"] = inputs["w_scale"][0], np.int8(0)
        if rng.random() < 0.3:
            for name in ("x_scale", "x_zero_point", "y_scale", "y_zero_point"):
                inputs[name] = np.asarray(inputs[name]).reshape(1)
        mode = rng.choice(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "pads"])
        # SAME is refused where a stride is two or more above its kernel.
        stride = [int(rng.integers(1, min(3, size + 1) + 1)) for size in kernel]
        attributes = {"strides": stride, "group": group}
        if mode == "pads":
            attributes["pads"] = [int(side) for side in rng.integers(0, 3, 4)]
        else:
            attributes["auto_pad"] = str(mode)
        if mode not in ("SAME_UPPER", "SAME_LOWER") and index == 0:
            attributes["dilations"] = [int(step) for step in rng.integers(1, 4, 2)]
        if rng.random() < 0.5:
            attributes["kernel_shape"] = kernel
        layers.append((f"layer{index}", inputs, attributes))
        channels = made
    return chain(layers, shape, typed=seed % 2 == 1), codes


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize("seed", range(120))
def test_equals_onnx_runtime_whatever_the_attributes(seed, save):
    model, codes = random_chain(seed)
    layers = layers_of(read_onnx(save(model)))
    assert_equal_but_for_ties(layers, codes, runtime_outputs(model, codes))


@pytest.mark.usefixtures("exact_runtime")
def test_differs_from_onnx_runtime_at_ties_of_float32_only(save):
    """Scales next to tie / acc, so that the float32 product is the tie and the exact one is not."""
    rng = np.random.default_rng(5)
    acc = rng.integers(200, 2**27, 512)
    ties = rng.integers(-100, 100, 512) + 0.5
    one = np.float32(1)
    inputs = {"x_scale": one, "x_zero_point": np.int8(0), "w": np.zeros((512, 1, 1, 1), np.int8),
              "w_scale": np.abs(ties / acc).astype(np.float32),
              "w_zero_point": np.zeros(512, np.int8), "y_scale": one, "y_zero_point": np.int8(0),
              "B": (acc * np.sign(ties)).astype(np.int32)}
    model, codes = chain([("ties", inputs, {})], (1, 1, 1)), np.zeros((1, 1, 1, 1), np.int8)
    layers = layers_of(read_onnx(save(model)))
    count = assert_equal_but_for_ties(layers, codes, runtime_outputs(model, codes))
    assert 0 < count < 512


@pytest.mark.usefixtures("exact_runtime")
def test_exact_ties_go_to_the_even_code_as_in_onnx_runtime(save):
    one, count = np.float32(1), 41
    inputs = {"x_scale": one, "x_zero_point": np.int8(0), "w": np.zeros((count, 1, 1, 1), np.int8),
              "w_scale": np.float32([0.5]), "w_zero_point": np.int8([0]), "y_scale": one,
              "y_zero_point": np.int8(3), "B": np.arange(count, dtype=np.int32) - 20}
    model, codes = chain([("ties", inputs, {})], (1, 1, 1)), np.zeros((1, 1, 1, 1), np.int8)
    golden = read_onnx(save(model)).run(codes)
    np.testing.assert_array_equal(golden, runtime_outputs(model, codes)[0])
    np.testing.assert_array_equal(golden.reshape(-1), 3 + np.rint((np.arange(count) - 20) / 2))


def test_scale_is_computed_in_the_order_of_onnx_runtime(save):
    """Where (x·w)/y, x·(w/y) and (x/y)·w differ in float32, it is the first."""
    rng = np.random.default_rng(6)
    inputs = conv_inputs(rng, 4, 64, (1, 1))
    x, w, y = inputs["x_scale"], inputs["w_scale"], inputs["y_scale"]
    scale = (x * w) / y
    assert np.any(scale != x * (w / y))
    assert np.any(scale != (x / y) * w)
    layer, = layers_of(read_onnx(save(chain([("only", inputs, {})], (4, 3, 3)))))
    np.testing.assert_array_equal(np.ldexp(layer.multiplier.astype(float), -layer.shift), scale)


def test_output_may_be_of_another_type_than_the_input(save):
    """uint8 codes with a zero point 128 higher are the int8 codes plus 128."""
    inputs = conv_inputs(np.random.default_rng(7), 4, 6, (3, 3))
    codes = np.random.default_rng(8).integers(-128, 128, (2, 4, 5, 5), dtype=np.int8)
    signed = read_onnx(save(chain([("only", inputs, {})], (4, 5, 5)))).run(codes)
    inputs["y_zero_point"] = np.uint8(int(inputs["y_zero_point"]) + 128)
    model = read_onnx(save(chain([("only", inputs, {})], (4, 5, 5))))
    assert (model.input.dtype, model.output.dtype) == (np.int8, np.uint8)
    np.testing.assert_array_equal(model.run(codes), signed.astype(int) + 128)


def test_nodes_without_names_of_their_own_are_named_by_what_they_make(model, save):
    model.graph.node[0].name = ""
    assert [layer.name for layer in layers_of(read_onnx(save(model)))] == ["first_out", "second"]
    model.graph.node[0].name = "second"
    assert [layer.name for layer in layers_of(read_onnx(save(model)))] == ["second", "y"]


def test_constants_may_be_listed_as_inputs(model, save):
    """IR versions before 4 demand it."""
    model.ir_version = 3
    for constant in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(
            constant.name, constant.data_type, constant.dims))
    assert read_onnx(save(model)).input.shape == (4, 5, 5)


def test_documentation_and_metadata_are_ignored(model, save):
    before = read_onnx(save(model))
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "text"
    model.metadata_props.add(key="author", value="nobody")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3), "unused"))
    after = read_onnx(save(model))
    for old, new in zip(layers_of(before), layers_of(after), strict=True):
        np.testing.assert_array_equal(old.weight, new.weight)
