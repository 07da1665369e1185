"""QLinearConv models to read, and ONNX Runtime to run them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TYPES = {np.dtype(np.int8): TensorProto.INT8, np.dtype(np.uint8): TensorProto.UINT8,
         np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}


def chain(layers, input_shape, *, output_shape=(None,) * 4, typed=False):
    """Model of QLinearConv nodes; each layer is (node name, dict of inputs by name, attributes).

    ``typed`` stores constants in typed fields instead of raw bytes.
    """
    nodes, constants, value = [], [], "x"
    for index, (name, inputs, attributes) in enumerate(layers):
        names = []
        for key, array in inputs.items():
            names.append(f"{name}_{key}")
            constants.append(tensor(np.asarray(array), names[-1], typed=typed))
        made = "y" if index == len(layers) - 1 else f"{name}_out"
        nodes.append(helper.make_node("QLinearConv", [value, *names], [made], name=name,
                                      **attributes))
        value = made
    types = [TYPES[np.asarray(layers[end][1][key]).dtype]
             for end, key in ((0, "x_zero_point"), (-1, "y_zero_point"))]
    graph = helper.make_graph(
        nodes, "chain", [helper.make_tensor_value_info("x", types[0], ["N", *input_shape])],
        [helper.make_tensor_value_info("y", types[1], output_shape)], constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def tensor(array, name, *, typed=False):
    if typed:
        return helper.make_tensor(name, TYPES[array.dtype], array.shape, array.reshape(-1).tolist())
    return numpy_helper.from_array(array, name)


def conv_inputs(rng, channels, made, kernel, *, dtype=np.int8, group=1):
    """Random constants of one node, scaled so that outputs spread over all codes."""
    limits = np.iinfo(dtype)
    weight = rng.integers(-127, 128, (made, channels // group, *kernel)).astype(np.int8)
    reach = 73.0 * 73.0 * np.sqrt(weight[0].size)
    x_scale, y_scale = rng.uniform(0.01, 0.1, 2).astype(np.float32)
    w_scale = rng.uniform(20, 80, made) / reach * float(y_scale) / float(x_scale)
    x_zero_point, y_zero_point = rng.integers(limits.min, limits.max + 1, 2, dtype=dtype)
    return {"x_scale": x_scale, "x_zero_point": x_zero_point,
            "w": weight, "w_scale": w_scale.astype(np.float32),
            "w_zero_point": np.zeros(made, np.int8),
            "y_scale": y_scale, "y_zero_point": y_zero_point,
            "B": rng.integers(-3000, 3000, made).astype(np.int32)}


def small_model():
    """Nodes ``first``, 3×3 from 4 to 6 channels, and ``second``, 1×1 to 4, over 5×5 pixels."""
    rng = np.random.default_rng(0)
    layers = [("first", conv_inputs(rng, 4, 6, (3, 3)), {"pads": [1, 1, 1, 1]}),
              ("second", conv_inputs(rng, 6, 4, (1, 1)), {"strides": [1, 1]})]
    return chain(layers, (4, 5, 5), output_shape=["N", 4, 5, 5])


def constant(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def put(name, array):
    """Change: another value for a constant."""
    def change(model):
        constant(model, name).CopyFrom(numpy_helper.from_array(np.asarray(array), name))
    return change


def runtime_outputs(model, codes):
    """What ONNX Runtime makes at every node of a model, in order."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    dtype = helper.np_dtype_to_tensor_dtype(codes.dtype)
    names = [node.output[0] for node in model.graph.node]
    for name in names[:-1]:
        model.graph.output.append(helper.make_tensor_value_info(name, dtype, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), _options(),
                                           providers=["CPUExecutionProvider"])
    return session.run(names, {model.graph.input[0].name: codes})


def _options():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options
