"""ONNX Runtime and the ONNX backend's own node cases as oracles."""

import functools
import warnings

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def run_node(op, inputs, outputs=("y",), *, output_type=TensorProto.FLOAT, **attributes):
    """Outputs of a model of one node on ONNX Runtime's CPU kernels."""
    node = helper.make_node(op, list(inputs), list(outputs), **attributes)
    graph = helper.make_graph(
        [node], op,
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                       value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def conv_integer(case, **padding):
    """Accumulators, without bias, of a ConvCase.

    Codes and weights go in as uint8 with their zero points moved along, which changes no
    accumulator: without VNNI, the runtime's products of uint8 and int8 saturate at 16 bits.
    """
    offset = 0 if case.x.dtype == np.uint8 else 128
    inputs = {"x": (case.x.astype(np.int64) + offset).astype(np.uint8),
              "w": (case.weight.astype(np.int64) + 128).astype(np.uint8),
              "x_zero_point": np.array(case.input_zero_point + offset, np.uint8),
              "w_zero_point": np.array(128, np.uint8)}
    return run_node("ConvInteger", inputs, output_type=TensorProto.INT32,
                    **case.attributes, **padding)[0]


def qlinear_conv(x, weight, bias, *, scales, zero_points, **attributes):
    """Output codes; float32 scales of (input, weight channels, output), zero points (in, out)."""
    inputs = {"x": x, "x_scale": np.asarray(scales[0]),
              "x_zero_point": np.array(zero_points[0], x.dtype),
              "w": weight, "w_scale": scales[1], "w_zero_point": np.zeros(len(weight), np.int8),
              "y_scale": np.asarray(scales[2]), "y_zero_point": np.array(zero_points[1], x.dtype),
              "b": bias.astype(np.int32)}
    return run_node("QLinearConv", inputs,
                    output_type=helper.np_dtype_to_tensor_dtype(x.dtype), **attributes)[0]


@functools.cache
def node_cases():
    """ONNX's node cases by name: (attributes, input arrays, output arrays)."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Other operators' cases divide by zero on purpose.
        cases = collect_testcases(None)
    return {case.name: (
        {a.name: helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute},
        *[[_array(value) for value in values] for values in case.data_sets[0]])
        for case in cases if case.model is not None and case.data_sets
        and case.model.graph.node[0].op_type in
        ("BatchNormalization", "Conv", "ConvInteger", "QLinearConv")}


def _array(value):
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
