"""ONNX Runtime and the ONNX backend's own node cases as oracles."""

import functools
import warnings

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def run_node(op, inputs, outputs=("y",), *, output_type=TensorProto.FLOAT, domain="",
             **attributes):
    """Outputs of a model of one node on ONNX Runtime's CPU kernels."""
    node = helper.make_node(op, list(inputs), list(outputs), domain=domain, **attributes)
    return run_graph([node], inputs, outputs, output_type=output_type)


def run_graph(nodes, inputs, outputs, *, output_type, optimise=True):
    """Outputs of a model on ONNX Runtime's CPU kernels, with or without its fusions."""
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                       value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 15), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def run_quantised(op, tensors, output, *, fused, optimise=True, **attributes):
    """Output codes of an operator on codes.

    Parameters
    ----------
    op : str
        The float operator's name.
    tensors : list of (codes, golden.quantisation.Quantisation)
    output : golden.quantisation.Quantisation
    fused : bool
        QLinear... of ONNX Runtime's own domain; else DequantizeLinear, the operator and
        QuantizeLinear, fused by the runtime or not as ``optimise`` says.
    """
    inputs = {}
    for name, (codes, side) in zip("ab", tensors, strict=False):
        inputs |= {name: codes, **_parameters(name, side)}
    inputs |= _parameters("y", output)
    sources = [name for name in "ab" if name in inputs]
    if fused:
        nodes = [helper.make_node(f"QLinear{op}", list(inputs), ["y"], domain="com.microsoft",
                                  **attributes)]
    else:
        constants = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
                     for name, value in inputs.items() if name not in sources]
        inputs = {name: inputs[name] for name in sources}
        nodes = [*constants, *(helper.make_node(
            "DequantizeLinear", [name, f"{name}_scale", f"{name}_zero"], [f"{name}_real"])
            for name in sources),
            helper.make_node(op, [f"{name}_real" for name in sources], ["y_real"], **attributes),
            helper.make_node("QuantizeLinear", ["y_real", "y_scale", "y_zero"], ["y"])]
    return run_graph(nodes, inputs, ["y"], optimise=optimise,
                     output_type=helper.np_dtype_to_tensor_dtype(np.dtype(output.dtype)))[0]


def _parameters(name, side):
    return {f"{name}_scale": np.array(side.scale, np.float32),
            f"{name}_zero": np.array(side.zero_point, side.dtype)}


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
