"""What of each operator is refused, word for word."""

import numpy as np
import pytest
from onnx import TensorProto

from compiler.errors import ModelError
from compiler.onnx_node import OPERATORS
from compiler.onnx_reader import OPERATOR_MODULES, read_onnx
from tests.compiler.onnx_build import Graph
from tests.golden.refusal import refuses

FLOAT = TensorProto.FLOAT


def unary(operator, *, shape=(3, 6, 6), opset=13, codes=False, inputs=(), domain="", **attributes):
    """A graph of one operator on reals, or on codes, with further constant inputs."""
    def build():
        graph = Graph(shape, opset=opset)
        value = "x" if codes else graph.real("x")
        names = [each if isinstance(each, str) else graph.constant(each) for each in inputs]
        value = graph.add(operator, [value, *names], domain=domain, **attributes)
        graph.output(value if codes else graph.quantised(value), (3, 6, 6))
        return graph
    return build


def conv(*, inputs=None, **attributes):
    def build():
        graph = Graph((3, 6, 6))
        weights = inputs(graph) if inputs else [graph.weights((4, 3, 3, 3))]
        value = graph.add("Conv", [graph.real("x"), *weights], **attributes)
        graph.output(graph.quantised(value), (4, 4, 4))
        return graph
    return build


def graph(shape=(3, 6, 6), **options):
    """Decorator: a function that adds to a `Graph`."""
    def wrap(fill):
        def build():
            made = Graph(shape, **options)
            fill(made)
            return made
        return build
    return wrap


@graph()
def float_between(g):
    value = g.add("MaxPool", [g.conv(g.real("x"), (4, 3, 3, 3))], kernel_shape=[2, 2])
    g.output(g.quantised(value), (4, 3, 3))


@graph()
def changed_reals(g):
    value = g.add("Relu", [g.real("x")])
    g.output(g.quantised(g.conv(value, (4, 3, 3, 3))), (4, 4, 4))


@graph()
def float_output(g):
    g.output(g.conv(g.real("x"), (4, 3, 3, 3)), (4, 4, 4), FLOAT)


@graph()
def float_weights(g):
    weight = g.constant(np.ones((4, 3, 3, 3), np.float32))
    g.output(g.quantised(g.add("Conv", [g.real("x"), weight])), (4, 4, 4))


@graph()
def weights_that_are_computed(g):
    g.output(g.quantised(g.add("Conv", [g.real("x"), g.real("x")])), (4, 4, 4))


@graph()
def weights_along_another_axis(g):
    codes = g.constant(np.ones((4, 3, 3, 3), np.int8))
    scale, zero = g.constant(np.ones(3, np.float32)), g.constant(np.zeros(3, np.int8))
    weight = g.add("DequantizeLinear", [codes, scale, zero], axis=1)
    g.output(g.quantised(g.add("Conv", [g.real("x"), weight])), (4, 4, 4))


@graph()
def int32_weights(g):
    weight = g.add("DequantizeLinear", [g.constant(np.ones((4, 3, 3, 3), np.int32)),
                                        g.constant(np.float32(1))])
    g.output(g.quantised(g.add("Conv", [g.real("x"), weight])), (4, 4, 4))


@graph()
def other_shapes(g):
    first = g.add("MaxPool", [g.real("x")], kernel_shape=[2, 2])
    g.output(g.quantised(g.add("Add", [first, g.real("x")])), (3, 5, 5))


@graph((3, 4, 4))
def other_orders(g):
    first = g.add("MaxPool", [g.real("x")], kernel_shape=[1, 1])
    second = g.add("Transpose", [first], perm=[0, 1, 3, 2])
    g.output(g.quantised(g.add("Add", [first, second])), (3, 4, 4))


@graph((4, 6, 6))
def shuffled(g):
    value = g.add("MaxPool", [g.real("x")], kernel_shape=[1, 1])
    value = g.add("Reshape", [value, g.constant(np.array([0, 2, 2, 6, 6]))])
    value = g.add("Transpose", [value], perm=[0, 2, 1, 3, 4])
    value = g.add("Reshape", [value, g.constant(np.array([0, 4, 6, 6]))])
    g.output(g.quantised(g.conv(value, (4, 4, 3, 3))), (4, 4, 4))


@graph((4, 6, 6))
def turned_input(g):
    value = g.add("Transpose", [g.real("x")], perm=[0, 1, 3, 2])
    g.output(g.quantised(g.conv(value, (4, 4, 3, 3))), (4, 4, 4))


@graph((2, 2, 3, 6, 6))
def five_axes(g):
    g.output(g.quantised(g.add("Relu", [g.real("x")])), (2, 2, 3, 6, 6))


@graph()
def two_ways(g):
    g.ends[0].type.tensor_type.elem_type = FLOAT
    first, second = g.quantised("x", 0.25, 3), g.quantised("x", 0.5, 3)
    g.output(g.quantised(g.add("Add", [g.real(first), g.real(second)])), (3, 6, 6))


@graph()
def no_layer(g):
    g.output(g.add("Flatten", ["x"]), (108,))


@graph()
def constant_output(g):
    value = g.add("QuantizeLinear", [g.constant(np.float32([[1, 2]])), *g.parameters(1, 0)])
    g.output(value, (2,))


@graph()
def after_softmax(g):
    value = g.add("Softmax", [g.real("x")])
    g.output(g.quantised(g.add("Relu", [value])), (3, 6, 6))


@graph()
def codes_into_relu_6(g):
    value = g.add("Clip", ["x", g.constant(np.float32(0))])
    g.output(value, (3, 6, 6))


@graph(opset=11)
def hosted_twice(g):
    value = g.add("Softmax", [g.real("x")], axis=1)
    value = g.add("DequantizeLinear", [value, *g.parameters(1, 0)])
    g.output(value, (3, 6, 6), FLOAT)


@graph()
def two_operands(g):
    g.output(g.quantised(g.add("Mul", [g.real("x"), g.real("x")])), (3, 6, 6))


@graph()
def vector_on_codes(g):
    value = g.add("Mul", [g.real("x"), g.constant(np.ones((3, 1, 1), np.float32))])
    g.output(g.quantised(value), (3, 6, 6))


@graph()
def bias_of_wrong_axis(g):
    value = g.add("Add", [g.conv(g.real("x"), (4, 3, 3, 3)), g.constant(np.ones(4, np.float32))])
    g.output(g.quantised(value), (4, 4, 4))


@graph()
def divided(g):
    value = g.add("Div", [g.constant(np.float32(1)), g.conv(g.real("x"), (4, 3, 3, 3))])
    g.output(g.quantised(value), (4, 4, 4))


@graph()
def float_add_on_accumulators(g):
    weight = g.constant(np.ones((4, 3, 3, 3), np.int8))
    value = g.add("ConvInteger", ["x", weight])
    g.output(g.quantised(g.add("Mul", [value, g.constant(np.int32(1))])), (4, 4, 4))


@graph()
def accumulators_to_codes(g):
    value = g.add("ConvInteger", ["x", g.constant(np.ones((4, 3, 3, 3), np.int8))])
    g.output(g.add("Relu", [value]), (4, 4, 4))


@graph()
def mixed_concat(g):
    other = g.add("QuantizeLinear", [g.real("x"), *g.parameters(1, 0, np.uint8)])
    g.output(g.add("Concat", ["x", other], axis=1), (6, 6, 6))


@graph()
def uneven_concat(g):
    value = g.add("MaxPool", ["x"], kernel_shape=[2, 2])
    g.output(g.add("Concat", ["x", value], axis=1), (6, 6, 6))


@graph((18,))
def matrix_of_other_size(g):
    g.output(g.quantised(g.dense(g.real("x"), 17, 3)), (3,))


@graph((2, 9))
def rows(g):
    g.output(g.quantised(g.dense(g.real("x"), 9, 3)), (2, 3))


@graph((18,))
def transposed_rows(g):
    g.output(g.quantised(g.add("Gemm", [g.real("x"), g.weights((18, 3))], transA=1)), (3,))


@graph((18,))
def no_alpha(g):
    g.output(g.quantised(g.add("Gemm", [g.real("x"), g.weights((18, 3))], alpha=0.0)), (3,))


@graph((18,), unsigned=True)
def zero_point_alone(g):
    value = g.add("QGemm", ["x", *g.parameters(1, 3), g.constant(np.ones((18, 3), np.int8)),
                            *g.parameters(1, 0, np.int8), "", "", g.constant(np.uint8(0))],
                  domain="com.microsoft")
    g.output(value, (3,))


@graph(batch=4)
def frames_mixed(g):
    value = g.add("Reshape", [g.real("x"), g.constant(np.array([2, -1]))])
    g.output(g.quantised(value), (216,))


@graph()
def frames_of_one(g):
    value = g.add("Reshape", [g.real("x"), g.constant(np.array([1, -1]))])
    g.output(g.quantised(value), (108,))


@graph()
def unequal_types(g):
    value = g.add("DequantizeLinear", ["x", *g.parameters(1, 3, np.uint8)])
    g.output(g.quantised(value), (3, 6, 6))


@graph()
def codes_quantised(g):
    g.output(g.quantised("x"), (3, 6, 6))


@graph()
def float_input_unquantised(g):
    g.ends[0].type.tensor_type.elem_type = FLOAT
    g.output(g.quantised(g.conv("x", (4, 3, 3, 3))), (4, 4, 4))


@graph()
def per_channel_activations(g):
    value = g.add("DequantizeLinear", ["x", g.constant(np.ones(3, np.float32)),
                                       g.constant(np.zeros(3, np.int8))], axis=1)
    g.output(g.quantised(value), (3, 6, 6))


@graph()
def huge_scale(g):
    g.output(g.quantised(g.real("x", 3e38, 0)), (3, 6, 6))


@graph()
def padded_without_code(g):
    value = g.add("Pad", [g.real("x"), g.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])),
                          g.constant(np.float32(0.1))])
    g.output(g.quantised(value), (3, 8, 8))


@graph()
def reordered_weights(g):
    codes = g.constant(np.ones((4, 3, 9), np.int8))
    weight = g.add("DequantizeLinear", [codes, g.constant(np.ones(4, np.float32)),
                                        g.constant(np.zeros(4, np.int8))], axis=0)
    weight = g.add("Reshape", [weight, g.constant(np.array([4, 3, 3, 3]))])
    g.output(g.quantised(g.add("Conv", [g.real("x"), weight])), (4, 4, 4))


PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
CASES = {
    "float between": (float_between, "node 'n3' (MaxPool): input 'X' ('t2') is float where codes "
        "are needed; put QuantizeLinear and DequantizeLinear before this node"),
    "changed reals": (changed_reals, "node 'n3' (Conv): input 'X' ('t1') was changed since it was "
        "dequantised; put QuantizeLinear and DequantizeLinear before this node"),
    "float output": (float_output, "output 't2': it is float and not quantised; end with "
        "QuantizeLinear, or that and DequantizeLinear"),
    "float input": (float_input_unquantised, "node 'n1' (Conv): input 'X' ('x') is float where "
        "codes are needed; quantise the model to int8, or give calibration images"),
    "float weights": (float_weights, "node 'n1' (Conv): input 'W' ('c0') is a constant of type "
        "float, not dequantised constant weights; quantise the weights to int8, or give "
        "calibration images"),
    "computed weights": (weights_that_are_computed, "node 'n2' (Conv): input 'W' ('t1') is float, "
        "not dequantised constant weights; quantise the weights to int8, or give calibration "
        "images"),
    "weights along inputs": (weights_along_another_axis, "node 'n2' (Conv): input 'W' is quantised "
        "along axis 1, not 0; quantise per tensor, or weights per output channel"),
    "int32 weights": (int32_weights, "node 'n2' (Conv): input 'W' is int32 values; quantise the "
        "weights to int8"),
    "reshaped weights": (reordered_weights, "node 'n1' (Reshape): it reshapes weights that are "
        "quantised along an axis; reshape them before DequantizeLinear"),
    "weights of three sizes": (conv(inputs=lambda g: [g.weights((4, 3, 3))]),
        "node 'n2' (Conv): input 'W' has shape (4, 3, 3); export a 2D convolution: weights of "
        "four sizes, none of them 0"),
    "float bias": (conv(inputs=lambda g: [g.weights((4, 3, 3, 3)), g.constant(
        np.float32([0, 1, np.inf, 2]))]),
        "node 'n2' (Conv): input 'B' is not finite; export the model again"),
    "one bias": (conv(inputs=lambda g: [g.weights((4, 3, 3, 3)), g.constant(np.float32([1]))]),
        "node 'n2' (Conv): input 'B' has shape (1,), not (4,); give one value per output channel"),
    "bias shape": (conv(inputs=lambda g: [g.weights((4, 3, 3, 3)), g.constant(
        np.ones(3, np.float32))]),
        "node 'n2' (Conv): input 'B' has shape (3,), not (4,); give one value per output channel"),
    "huge bias": (conv(inputs=lambda g: [g.weights((4, 3, 3, 3)), g.constant(
        np.full(4, 1e9, np.float32))]),
        "node 'n2' (Conv): the bias of channel 0 is 307692301343.8841 accumulators; calibrate "
        "again: it must fit 32 bits"),
    "shapes of a sum": (other_shapes, "node 'n3' (Add): its operands have shapes (N, 3, 5, 5) and "
        "(N, 3, 6, 6); give them one shape: nothing is broadcast"),
    "orders of a sum": (other_orders, "node 'n3' (Add): the elements of its operands lie in "
        "different orders; remove the Reshape or Transpose before it"),
    "channel shuffle": (shuffled, "node 'n6' (Conv): its input, of shape (N, 4, 6, 6), is not a "
        "feature map as a layer made it: elements would have to move; remove the Reshape or "
        "Transpose before it"),
    "turned input": (turned_input, "node 'n3' (Conv): the model's input is reordered before it, "
        "and not from (N, H, W, C) to (N, C, H, W); export the model again with its input in one "
        "of these layouts"),
    "five axes": (five_axes, "input 'x': it has shape (N, 2, 2, 3, 6, 6); export with one to three "
        "axes beside the batch"),
    "two quantisations of the input": (two_ways, "node 'n1' (QuantizeLinear): the model's input is "
        "quantised in two ways; quantise it once"),
    "no layer": (no_layer, "input 'x': no layer lies between it and the output; there is nothing "
        "to accelerate"),
    "constant output": (constant_output, "output 't0': it does not depend on the input; there is "
        "nothing to accelerate"),
    "after Softmax": (after_softmax, "node 'n2' (Relu): input 'X' ('t1') is computed on the host, "
        "not float; dequantise it"),
    "float bound of codes": (codes_into_relu_6, "node 'n0' (Clip): input 'min' is no single number "
        "of the type of its input; export the model again"),
    "softmax axis": (unary("Softmax", axis=0), "node 'n1' (Softmax): attribute 'axis' = 0 is not "
        "between 1 and 3; give one of these"),
    "reals dequantised": (hosted_twice, "node 'n2' (DequantizeLinear): input 'x' ('t1') is "
        "computed on the host, not int8 or uint8 codes; quantise the model"),
    "two operands": (two_operands, "node 'n2' (Mul): neither of its operands is constant; remove "
        "it: the engine adds two values and no more"),
    "vector behind codes": (vector_on_codes, "node 'n1' (Mul): input 'B' has shape (3, 1, 1); keep "
        "to one number behind a DequantizeLinear; a bias must follow its convolution at once"),
    "axis of a bias": (bias_of_wrong_axis, "node 'n3' (Add): input 'B' has shape (4,), not (4, 1, "
        "1); give one value per output channel"),
    "divided by a convolution": (divided, "node 'n3' (Div): it divides by its input, or has a "
        "factor of 0; export the model again"),
    "product of accumulators": (float_add_on_accumulators, "node 'n1' (Mul): it computes on int32 "
        "accumulators; cast them to float before it"),
    "Relu of accumulators": (accumulators_to_codes, "node 'n1' (Relu): input 'X' ('t0') is int32 "
        "accumulators, not float; dequantise it"),
    "cast": (unary("Cast", to=FLOAT), "node 'n1' (Cast): only int32 accumulators may be cast, to "
        "float, and sizes, to int64; export without Cast"),
    "types of a concatenation": (mixed_concat, "node 'n2' (Concat): its inputs are int8 and uint8; "
        "quantise them to one type"),
    "sizes of a concatenation": (uneven_concat, "node 'n1' (Concat): its inputs have shapes (N, 3, "
        "6, 6), (N, 3, 5, 5); give them one shape but for the axis"),
    "concatenated frames": (unary("Concat", codes=True, axis=0), "node 'n0' (Concat): attribute "
        "'axis' = 0 is not between 1 and 3; concatenate along channels"),
    "matrix of another size": (matrix_of_other_size, "node 'n2' (MatMul): its first matrix has "
        "shape (N, 18), not (N, 17); flatten to one row a frame that fits the weights"),
    "rows": (rows, "node 'n2' (MatMul): its first matrix has shape (N, 2, 9), not (N, 9); flatten "
        "to one row a frame that fits the weights"),
    "transA": (transposed_rows, "node 'n2' (Gemm): attribute 'transA' = 1 is not supported; export "
        "with transA = 0"),
    "alpha": (no_alpha, "node 'n2' (Gemm): attribute 'alpha' is 0; export the model again"),
    "zero point without scale": (zero_point_alone, "node 'n0' (QGemm): there is a y_zero_point "
        "without a y_scale; give both or none"),
    "mixed frames": (frames_mixed, "node 'n1' (Reshape): shape [2, -1] of (4, 3, 6, 6) does not "
        "keep the batch; export so that the first axis stays the batch"),
    "frames made one": (frames_of_one, "node 'n1' (Reshape): shape [1, -1] of (N, 3, 6, 6) does "
        "not keep the batch; export so that the first axis stays the batch"),
    "reshape to fewer": (unary("Reshape", inputs=[np.array([0, 3, 5, -1])]),
        "node 'n1' (Reshape): shape [0, 3, 5, -1] does not have the 108 elements of its input; "
        "export the model again"),
    "reshape beyond": (unary("Reshape", inputs=[np.array([0, 3, 6, 6, 0])]),
        "node 'n1' (Reshape): shape [0, 3, 6, 6, 0] has a 0 for an axis that is not there; export "
        "the model again"),
    "reshape to nothing": (unary("Reshape", inputs=[np.array([-1, 3, 0, 6])], opset=14,
        allowzero=1), "node 'n1' (Reshape): shape [-1, 3, 0, 6] of (N, 3, 6, 6) does not keep the "
        "batch; export so that the first axis stays the batch"),
    "flatten frames": (unary("Flatten", axis=2), "node 'n1' (Flatten): attribute 'axis' = 2 is not "
        "supported; export so that the first axis stays the batch"),
    "squeeze all": (unary("Squeeze"), "node 'n1' (Squeeze): its axes are not given; export with "
        "axes"),
    "squeeze frames": (unary("Squeeze", inputs=[np.array([0])]), "node 'n1' (Squeeze): axes [0] "
        "are not different ones between 1 and 3; export so that the first axis stays the batch"),
    "squeeze rows": (unary("Squeeze", inputs=[np.array([2])]), "node 'n1' (Squeeze): axis 2 of "
        "shape (N, 3, 6, 6) is not 1; export the model again"),
    "unsqueeze frames": (unary("Unsqueeze", inputs=[np.array([-5])]), "node 'n1' (Unsqueeze): axes "
        "[-5] are not different ones between 1 and 4; export so that the first axis stays the "
        "batch"),
    "transpose frames": (unary("Transpose", perm=[1, 0, 2, 3]), "node 'n1' (Transpose): attribute "
        "'perm' = [1, 0, 2, 3] moves the axis of the frames; export so that the first axis stays "
        "the batch"),
    "transpose twice": (unary("Transpose", perm=[0, 1, 2, 2]), "node 'n1' (Transpose): attribute "
        "'perm' = [0, 1, 2, 2] is no order of 4 axes; export the model again"),
    "training": (unary("Dropout", inputs=[np.float32(0.5), np.array(True)]), "node 'n1' (Dropout): "
        "it has a training mode; export the model for inference"),
    "types of a scale": (unequal_types, "node 'n0' (DequantizeLinear): input 'x_zero_point' has "
        "type uint8, input 'x' int8; give both the same type"),
    "codes quantised": (codes_quantised, "node 'n0' (QuantizeLinear): input 'x' ('x') is int8 "
        "codes, not float; export the model again"),
    "per channel activations": (per_channel_activations, "node 'n0' (DequantizeLinear): input "
        "'x_scale' has shape (3,), not a scalar; quantise per tensor, or weights per output "
        "channel"),
    "huge scale": (huge_scale, "node 'n0' (DequantizeLinear): input 'x_scale' is "
        "3.0000000054977558e+38: codes are beyond float32; calibrate again"),
    "blocks": (unary("DequantizeLinear", codes=True, opset=21, inputs=[np.float32(1), np.int8(0)],
        block_size=2), "node 'n0' (DequantizeLinear): attribute 'block_size' = 2 is not supported; "
        "quantise per tensor, or weights per output channel"),
    "saturate": (unary("QuantizeLinear", opset=19, inputs=[np.float32(1), np.int8(0)],
        saturate=0), "node 'n1' (QuantizeLinear): attribute 'saturate' = 0 is not supported; leave "
        "it out: it means nothing for int8 and uint8"),
    "output type": (unary("QuantizeLinear", opset=21, inputs=[np.float32(1), np.int8(0)],
        output_dtype=TensorProto.UINT8), "node 'n1' (QuantizeLinear): attribute 'output_dtype' = "
        "uint8 is not int8; leave it out"),
    "int16": (unary("QuantizeLinear", opset=21, inputs=[np.float32(1), np.int32(0)]),
        "node 'n1' (QuantizeLinear): input 'y_zero_point' has type int32, not int8 or uint8; "
        "export it as int8 or uint8"),
    "kernel shape": (unary("MaxPool"), "node 'n1' (MaxPool): attribute 'kernel_shape' is missing; "
        "export the model again"),
    "padding of a kernel": (unary("MaxPool", kernel_shape=[2, 2], pads=[0, 2, 0, 0]),
        "node 'n1' (MaxPool): padding of 2 is not less than the kernel's 2; pad less"),
    "storage order": (unary("MaxPool", kernel_shape=[2, 2], storage_order=1),
        "node 'n1' (MaxPool): attribute 'storage_order' = 1 is not supported; leave it out"),
    "ceil_mode": (unary("MaxPool", kernel_shape=[2, 2], ceil_mode=2),
        "node 'n1' (MaxPool): attribute 'ceil_mode' = 2 is not 0 or 1; export the model again"),
    "ceil_mode and auto_pad": (unary("MaxPool", kernel_shape=[2, 2], ceil_mode=1,
        auto_pad="VALID"), "node 'n1' (MaxPool): attribute 'auto_pad' = 'VALID' with 'ceil_mode' = "
        "1 is not supported; export explicit 'pads'"),
    "1D pool": (unary("MaxPool", kernel_shape=[2]), "node 'n1' (MaxPool): attribute 'kernel_shape' "
        "= [2] is not 2 integers of at least 1; export a 2D network"),
    "uneven average": (unary("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        "node 'n1' (AveragePool): its windows hold different numbers of elements; calculate with "
        "count_include_pad = 1, or without padding"),
    "average beyond": (unary("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
        count_include_pad=1), "node 'n1' (AveragePool): attribute 'ceil_mode' = 1 adds windows "
        "that go beyond the padding; leave it out, or pad the map"),
    "channels last": (unary("QLinearGlobalAveragePool", codes=True, domain="com.microsoft",
        inputs=[np.float32(1), np.int8(0)] * 2, channels_last=1), "node 'n0' "
        "(QLinearGlobalAveragePool): attribute 'channels_last' = 1 is not supported; export in the "
        "layout (N, C, H, W)"),
    "mean of channels": (unary("ReduceMean", axes=[1, 2]), "node 'n1' (ReduceMean): axes [1, 2] "
        "are not 2, 3 or both; reduce over height and width only"),
    "mean of all": (unary("ReduceMean"), "node 'n1' (ReduceMean): axes [] are not 2, 3 or both; "
        "reduce over height and width only"),
    "reversed clip": (unary("Clip", inputs=[np.float32(2), np.float32(1)]), "node 'n1' (Clip): min "
        "= 2.0 is not at most max = 1.0; export the model again"),
    "clip at NaN": (unary("Clip", inputs=[np.float32(np.nan)]), "node 'n1' (Clip): input 'min' is "
        "NaN; export the model again"),
    "clip by a vector": (unary("Clip", inputs=[np.float32([1, 2])]), "node 'n1' (Clip): input "
        "'min' is no single number of the type of its input; export the model again"),
    "pad value": (padded_without_code, "node 'n1' (Pad): its value 0.10000000149011612 has no "
        "code; pad with one that has"),
    "pad mode": (unary("Pad", inputs=[PADS], mode="reflect"), "node 'n1' (Pad): attribute 'mode' = "
        "'reflect' is unknown; use one of constant"),
    "pad channels": (unary("Pad", inputs=[np.array([0, 1, 0, 0, 0, 0, 0, 0])]), "node 'n1' (Pad): "
        "its pads [0, 1, 0, 0, 0, 0, 0, 0] are not of height and width, or negative; pad height "
        "and width of (N, C, H, W)"),
    "crop": (unary("Pad", inputs=[-PADS]), "node 'n1' (Pad): its pads [0, 0, -1, -1, 0, 0, -1, -1] "
        "are not of height and width, or negative; pad height and width of (N, C, H, W)"),
    "too few pads": (unary("Pad", inputs=[PADS[:6]]), "node 'n1' (Pad): its pads are missing, or "
        "not two for each axis; export the model again"),
    "huge pads": (unary("Pad", inputs=[PADS << 40]), "node 'n1' (Pad): its padding [1099511627776, "
        "1099511627776, 1099511627776, 1099511627776] is too large; pad less"),
    "BatchNorm": (unary("BatchNormalization", inputs=[np.ones(3, np.float32)] * 4),
        "node 'n1' (BatchNormalization): a quantised model has a BatchNormalization; fold it into "
        "the Conv before it when you quantise"),
    "optional input": (unary("QuantizeLinear", inputs=["", np.int8(0)]), "node 'n1' "
        "(QuantizeLinear): a required input or the output has no name; connect it"),
    "too many inputs": (unary("Relu", inputs=[np.float32(0)]), "node 'n1' (Relu): it has 2 "
        "input(s) and 1 output(s); give 1 input and 1 output"),
    "attribute of none": (unary("Relu", evil=1), "node 'n1' (Relu): attribute 'evil' is unknown; "
        "it has none"),
}


@pytest.mark.parametrize(("build", "message"), CASES.values(), ids=list(CASES))
def test_refuses(build, message, save):
    with refuses(ModelError, f"model.onnx: {message}"):
        read_onnx(save(build().model()))


def test_operators_say_what_they_become():
    assert {known.read.__module__ for known in OPERATORS.values()} == {
        module.__name__ for module in OPERATOR_MODULES}
    for (domain, name), known in OPERATORS.items():
        assert (known.domain, known.name) == (domain, name)
        assert known.mapped
        assert known.title == (f"com.microsoft.{name}" if domain else name)
    assert len(OPERATORS) == 42
