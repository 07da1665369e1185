import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.calibrate import Calibration, Range, quantise_weights, read_float, survey_float
from compiler.calibrate_run import run_float
from compiler.errors import ModelError
from compiler.onnx_file import read_graph
from compiler.onnx_graph import Reader
from compiler.onnx_reader import read_onnx
from compiler.reader import read_model
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.digits import float_model_path, load_images, model_path
from scripts.fuzzing.float_draw import FloatDraw
from tests.compiler.onnx_build import Graph
from tests.golden.refusal import refuses


def run_runtime(model, frames, names=()):
    """ONNX Runtime's values of tensors, by default of the output."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    shown = [value.name for value in model.graph.output]
    for name in names:
        if name not in shown:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(list(names) or shown, {model.graph.input[0].name: frames})


def frames_for(model, count, seed=0):
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)


def test_digits_keep_their_accuracy():
    """Calibrated on every fourth image, within half a point of float, on all and on the others."""
    images, labels = load_images()
    expected = run_runtime(onnx.load(float_model_path()), images)[0].reshape(200, 10)
    model = read_model(float_model_path(), images[::4])
    assert (model.input.dtype, model.output.dtype) == (np.float32, np.float32)
    logits = model.run(images).reshape(200, 10)
    others = np.arange(200) % 4 != 0
    for chosen in (np.full(200, True), others):
        right, wanted = (np.mean(each[chosen].argmax(axis=1) == labels[chosen])
                         for each in (logits, expected))
        assert right >= wanted - 0.005
    assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.02 * np.abs(expected).max()


def test_digits_have_a_layer_for_each_convolution():
    found = survey_float(float_model_path(), load_images()[0][:8])
    assert [row.layer_names for row in found.rows if row.operator == "Conv"] == [
        (f"conv{index}",) for index in range(1, 6)]
    assert list(found.model.network.shapes()) == ["image", "conv1_relu", "conv2_relu",
                                                  "conv3_relu", "conv4_relu", "logits"]
    assert {type(node.layer) for node in found.model.network.nodes} == {ConvLayer}
    assert all(node.layer.low == node.layer.output_zero_point == -128
               for node in found.model.network.nodes[:-1])


@pytest.mark.parametrize("seed", range(40))
def test_random_models_come_near_their_float_selves(seed, save):
    """Quantisation noise of a few percent of the deviation; a wrong operator gives much more."""
    model = FloatDraw(seed).graph(seed % 7)
    x = frames_for(model, 60)
    expected = run_runtime(model, x)[0]
    quantised = read_float(save(model), x[:30])
    made = quantised.run(x)
    assert made.dtype == np.float32
    assert made.shape == expected.shape
    noise = np.sqrt(np.mean((made - expected)[30:] ** 2))
    assert noise <= 0.15 * np.std(expected[30:]) + 1e-3


@pytest.mark.parametrize("seed", range(15))
def test_float_run_equals_onnx_runtime(seed, save):
    model = FloatDraw(seed).graph(6)
    x = frames_for(model, 3)
    graph = read_graph(save(model))
    reader = Reader(graph, Calibration())
    nodes = [reader.read(proto).node for proto in graph.nodes]
    values = run_float(reader, nodes, x)
    names = [name for name in values if name != "x"]
    assert len(names) >= len(graph.nodes) - 1
    for name, expected in zip(names, run_runtime(model, x, names), strict=True):
        np.testing.assert_allclose(values[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("operator", "attributes"), [
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1], "ceil_mode": 1}),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3], "auto_pad": "VALID"}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [4, 4], "strides": [4, 4], "pads": [1, 1, 1, 1]}),
    ("GlobalMaxPool", {}), ("ReduceMean", {"axes": [2, 3], "keepdims": 0}),
    ("ReduceMean", {"axes": [-1]}), ("Transpose", {"perm": [0, 2, 3, 1]}),
])
def test_float_run_of_single_operators_equals_onnx_runtime(operator, attributes, save):
    graph = Graph((3, 6, 6), elem_type=TensorProto.FLOAT)
    value = graph.add(operator, ["x"], **attributes)
    graph.output(value, (), TensorProto.FLOAT)
    model = graph.model()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = frames_for(model, 2)
    parsed = read_graph(save(model))
    reader = Reader(parsed, Calibration())
    values = run_float(reader, [reader.read(proto).node for proto in parsed.nodes], x)
    np.testing.assert_allclose(values[value], run_runtime(model, x)[0], rtol=1e-6, atol=1e-6)


def test_float_run_of_a_batchnorm_behind_a_product_equals_onnx_runtime(save):
    graph, rng = Graph((5,), elem_type=TensorProto.FLOAT), np.random.default_rng(8)

    def drawn(*shape):
        return graph.constant(rng.uniform(0.5, 2, shape).astype(np.float32))

    value = graph.add("Gemm", ["x", drawn(5, 4), drawn(4)])
    value = graph.add("BatchNormalization", [value, *(drawn(4) for _ in range(4))])
    graph.output(value, (4,), TensorProto.FLOAT)
    model = graph.model()
    x = frames_for(model, 3)
    parsed = read_graph(save(model))
    reader = Reader(parsed, Calibration())
    values = run_float(reader, [reader.read(proto).node for proto in parsed.nodes], x)
    np.testing.assert_allclose(values[value], run_runtime(model, x)[0], rtol=1e-5, atol=1e-5)


def normalised(gamma, beta, variance, *, weight=None):
    """A model of a convolution 3x3 from 2 channels, a BatchNorm and a Relu."""
    channels = len(gamma)
    graph = Graph((2, 6, 6), elem_type=TensorProto.FLOAT)
    rng = np.random.default_rng(4)
    weight = rng.normal(0, 0.3, (channels, 2, 3, 3)) if weight is None else weight
    value = graph.add("Conv", ["x", graph.constant(weight.astype(np.float32)),
                               graph.constant(rng.normal(0, 0.1, channels).astype(np.float32))])
    vectors = (gamma, beta, rng.normal(0, 0.3, channels), variance)
    value = graph.add("BatchNormalization", [value, *(
        graph.constant(np.asarray(vector, np.float32)) for vector in vectors)])
    graph.output(graph.add("Relu", [value]), (channels, 4, 4), TensorProto.FLOAT)
    return graph.model()


def test_gains_of_every_kind(save):
    """Negative, zero, tiny and huge: within three steps of the float model."""
    gamma = [1, -1, 0, 1e-30, 1e-9, -0.3, 50]
    beta = [0.1, 0.4, 0.7, 0.6, 1.2, 1.2, 0]
    weight = np.random.default_rng(3).normal(0, 0.3, (7, 2, 3, 3))
    weight[5] = 0
    model = normalised(gamma, beta, [1, 2, 1, 1, 1, 0.5, 2000], weight=weight)
    x = frames_for(model, 20)
    quantised = read_float(save(model), x)
    layer = quantised.network.nodes[0].layer
    assert layer.multiplier[0] > 0 > layer.multiplier[1]
    # Channels whose gain does nothing are constant, and so are their weights.
    assert not layer.weight[2:6].any()
    made, expected = quantised.run(x), run_runtime(model, x)[0]
    assert np.ptp(made[:, 2:6], axis=(0, 2, 3)).tolist() == [0] * 4
    assert np.abs(made - expected).max() <= 3 * quantised.output.scale


def test_a_bias_beyond_32_bits_makes_the_channel_constant(save):
    model = normalised([1e-7, 1], [5, 1], [1, 1])
    x = frames_for(model, 20)
    quantised = read_float(save(model), x)
    layer = quantised.network.nodes[0].layer
    assert not layer.weight[0].any()
    assert layer.weight[1].any()
    expected = run_runtime(model, x)[0]
    assert np.abs(quantised.run(x) - expected).max() <= 3 * quantised.output.scale


def test_one_batchnorm_behind_the_other(save):
    """And a product and a difference with constants, which are another one."""
    graph = Graph((2, 6, 6), elem_type=TensorProto.FLOAT)
    rng = np.random.default_rng(4)
    value = graph.add("Conv", ["x", graph.constant(
        rng.normal(0, 0.3, (3, 2, 3, 3)).astype(np.float32))])
    for _ in range(2):
        vectors = (rng.uniform(0.5, 2, 3), rng.normal(0, 3, 3), rng.normal(0, 1, 3),
                   rng.uniform(0.5, 2, 3))
        value = graph.add("BatchNormalization", [value, *(
            graph.constant(vector.astype(np.float32)) for vector in vectors)])
    value = graph.add("Div", [value, graph.constant(np.float32([[[2]], [[-3]], [[0.5]]]))])
    value = graph.add("Sub", [graph.constant(np.float32(1.5)), value])
    graph.output(value, (3, 4, 4), TensorProto.FLOAT)
    model = graph.model()
    x = frames_for(model, 20)
    quantised = read_float(save(model), x)
    assert len(quantised.network.nodes) == 1
    error = np.abs(quantised.run(x) - run_runtime(model, x)[0]).max()
    assert error <= 4 * quantised.output.scale


def test_channels_last(save):
    graph = Graph((8, 8, 3), elem_type=TensorProto.FLOAT)
    rng = np.random.default_rng(0)
    value = graph.add("Transpose", ["x"], perm=[0, 3, 1, 2])
    value = graph.add("Conv", [value, graph.constant(
        rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32))])
    value = graph.add("Transpose", [graph.add("Relu", [value])], perm=[0, 2, 3, 1])
    graph.output(value, (6, 6, 4), TensorProto.FLOAT)
    model = graph.model()
    x = frames_for(model, 20)
    quantised = read_float(save(model), x)
    assert quantised.input.channels_last
    error = np.abs(quantised.run(x) - run_runtime(model, x)[0]).max()
    assert error <= 4 * quantised.output.scale


def test_batchnorm_on_its_own_is_depthwise(save):
    """Behind a pool there is no convolution to take it."""
    graph = Graph((3, 6, 6), elem_type=TensorProto.FLOAT)
    value = graph.add("MaxPool", ["x"], kernel_shape=[2, 2])
    vectors = ([1, -2, 0.1], [0.5, 1, -1], [0, 1, 0.3], [1, 0.5, 2])
    value = graph.add("BatchNormalization", [value, *(
        graph.constant(np.float32(vector)) for vector in vectors)])
    graph.output(value, (3, 5, 5), TensorProto.FLOAT)
    model = graph.model()
    x = frames_for(model, 20)
    quantised = read_float(save(model), x)
    assert [type(node.layer) for node in quantised.network.nodes] == [PoolLayer, ConvLayer]
    assert quantised.network.nodes[1].layer.group == 3
    error = np.abs(quantised.run(x) - run_runtime(model, x)[0]).max()
    assert error <= 2 * (quantised.output.scale + 2 * quantised.input.scale)


def test_what_several_nodes_read_is_quantised_once(save):
    graph = Graph((3, 6, 6), elem_type=TensorProto.FLOAT)
    rng = np.random.default_rng(1)
    weight = graph.constant(rng.normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32))
    value = graph.add("Conv", ["x", weight], pads=[1] * 4)
    value = graph.add("Add", [graph.add("Relu", [value]), value])
    graph.output(value, (3, 6, 6), TensorProto.FLOAT)
    found = survey_float(save(graph.model()), frames_for(graph.model(), 4))
    assert [row.layer_names for row in found.rows] == [("n0",), (), ("n2", "t2")]
    assert list(found.model.network.shapes()) == ["x", "t0", "t1", "t2"]


def test_ranges_leave_outliers_out_where_that_pays():
    rng = np.random.default_rng(0)
    seen = Range()
    seen.add(np.concatenate([rng.normal(0, 1, 60_000), [8.0]]).astype(np.float32))
    assert (seen.low, seen.high) == (pytest.approx(seen.low), 8.0)
    chosen, extremes = seen.quantisation(), seen.quantisation(fractions=(1.0,))
    assert extremes.scale == pytest.approx((8 - seen.low) / 255)
    assert 0.4 * extremes.scale < chosen.scale < 0.9 * extremes.scale
    assert extremes.dequantise(np.array([127], np.int8))[0] == pytest.approx(8, abs=0.03)


@pytest.mark.parametrize(("values", "scale", "zero_point"), [
    ([0, 0], 1.0, 0), ([0, 255], 1.0, -128), ([-255, -1], 1.0, 127), ([-51, 204], 1.0, -77),
    ([1e-44, 0], float(np.finfo(np.float32).tiny), -128)])
def test_ranges_hold_zero(values, scale, zero_point):
    seen = Range()
    seen.add(np.float32(values))
    made = seen.quantisation(fractions=(1.0,))
    assert (made.scale, made.zero_point, made.unsigned) == (scale, zero_point, False)


def test_ranges_sample_evenly_over_batches():
    seen = Range(share=1000)
    seen.add(np.full(500_000, 1, np.float32))
    seen.add(np.full(500_000, 100, np.float32))
    assert seen.quantisation().scale == pytest.approx(100 / 255, rel=0.01)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_weights_are_symmetric_per_channel(axis):
    rng = np.random.default_rng(axis)
    values = rng.normal(0, 1, (4, 3, 2, 5)) * np.exp(rng.normal(0, 2, (4, 3, 1, 5)))
    codes, scale = quantise_weights(values.astype(np.float32), axis)
    others = tuple(each for each in range(4) if each != axis)
    assert np.abs(codes).max(axis=others).tolist() == [127] * values.shape[axis]
    along = scale.reshape([-1 if each == axis else 1 for each in range(4)])
    assert np.abs(codes * along - values).max() <= along.max() * 0.501
    assert np.all(np.abs(codes * along - values) <= along * 0.501)


def test_weights_of_nothing_are_zero():
    codes, scale = quantise_weights(np.float32([[0, 0], [1e-44, 0], [1, -1]]), 0)
    assert codes.tolist() == [[0, 0], [0, 0], [127, -127]]
    assert scale.tolist() == [1, 1, pytest.approx(1 / 127)]


IMAGES = np.zeros((2, 3, 6, 6), np.float32)


@pytest.mark.parametrize(("images", "message"), [
    (np.zeros((2, 3, 6, 6), np.uint8),
     "input 'x': calibration images are uint8; give them as float32"),
    (np.zeros((2, 3, 6), np.float32),
     "input 'x': calibration images have shape (2, 3, 6), not (N, 3, 6, 6); give at least one as "
     "the model takes it"),
    (IMAGES[:0],
     "input 'x': calibration images have shape (0, 3, 6, 6), not (N, 3, 6, 6); give at least one "
     "as the model takes it"),
    (IMAGES + np.float32(np.inf),
     "input 'x': calibration images are not finite; give finite values"),
    (IMAGES, "input 'x': calibration images are all zero; give frames like those that the network "
     "will see"),
    (IMAGES + np.float32(1e38),
     "tensor 't0': it is not finite on a calibration image; give images that the model is for"),
])
def test_images_that_are_refused(images, message, save):
    graph = Graph((3, 6, 6), elem_type=TensorProto.FLOAT)
    weight = graph.constant(np.full((4, 3, 3, 3), 9, np.float32))
    graph.output(graph.add("Conv", ["x", weight]), (4, 4, 4), TensorProto.FLOAT)
    with refuses(ModelError, f"model.onnx: {message}"):
        read_float(save(graph.model()), images)


def test_a_quantised_model_is_not_calibrated():
    with refuses(ModelError, "digits_int8.onnx: the model is quantised already; leave out the "
                 "calibration images"):
        read_float(model_path(), load_images()[0])


@pytest.mark.parametrize(("name", "values", "message"), [
    ("c0", np.full((4, 3, 3, 3), np.nan, np.float32),
     "node 'n0' (Conv): input 'W' is not finite; export the model again"),
    ("c0", np.zeros((4, 3, 3, 3), np.float64),
     "node 'n0' (Conv): input 'W' has type double, not float; export it as float"),
    ("c1", np.full(4, np.inf, np.float32),
     "node 'n0' (Conv): input 'B' is not finite; export the model again"),
    ("c2", np.full(4, np.nan, np.float32),
     "node 'n1' (BatchNormalization): input 'scale' is not finite; export the model again"),
    ("c2", np.zeros(3, np.float32),
     "node 'n1' (BatchNormalization): input 'scale' has shape (3,), not (4,); give one value per "
     "channel"),
    ("c3", np.zeros(1, np.float32),
     "node 'n1' (BatchNormalization): input 'B' has shape (1,), not (4,); give one value per "
     "channel"),
    ("c5", np.full(4, -1, np.float32),
     "node 'n1' (BatchNormalization): its variance plus epsilon is not positive; export the model "
     "again"),
])
def test_constants_that_are_refused(name, values, message, save):
    model = normalised(np.ones(4), np.ones(4), np.ones(4), weight=np.ones((4, 3, 3, 3)))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    tensor = next(each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    with refuses(ModelError, f"model.onnx: {message}"):
        read_float(save(model), IMAGES)


def test_every_float_node_that_does_not_map_is_in_the_survey(save):
    graph = Graph((3, 6, 6), elem_type=TensorProto.FLOAT)
    value = graph.add("HardSwish", ["x"])
    value = graph.add("Mul", [value, graph.add("Sigmoid", [value])])
    graph.output(graph.add("Elu", [value]), (3, 6, 6), TensorProto.FLOAT)
    found = survey_float(save(graph.model()), IMAGES)
    assert found.model is None
    assert [fault.where for fault in found.faults] == [
        "node 'n0' (HardSwish)", "node 'n1' (Sigmoid)", "node 'n2' (Mul)", "node 'n3' (Elu)"]


def test_float_model_without_images_is_refused_with_its_remedy():
    with refuses(ModelError, "digits_float.onnx: node 'conv1' (Conv): input 'X' ('image') is float "
                 "where codes are needed; quantise the model to int8, or give calibration images"):
        read_onnx(float_model_path())


def test_helper_makes_models_that_the_checker_takes():
    for seed in range(5):
        onnx.checker.check_model(FloatDraw(seed).graph(5), full_check=True)
    assert helper
