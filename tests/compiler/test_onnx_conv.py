"""Nodes and constants that are refused, word for word."""

import numpy as np
import pytest
from onnx import helper

from compiler.errors import ModelError
from compiler.onnx_reader import read_onnx
from tests.compiler.models import constant, put
from tests.golden.refusal import refuses


def attributes(**values):
    """Change: these attributes and no others for the first node."""
    def change(model):
        node = model.graph.node[0]
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(n, v) for n, v in values.items())
    return change


def both(first, second, array):
    """Change: another value for two constants."""
    def change(model):
        put(first, array)(model)
        put(second, array)(model)
    return change


def typed_weight_of_200(model):
    tensor = constant(model, "first_w")
    tensor.ClearField("raw_data")
    tensor.int32_data.extend([200] * 216)


CASES = {
    "unknown attribute": (attributes(ceil_mode=1),
        "node 'first' (QLinearConv): attribute 'ceil_mode' is unknown; use only auto_pad, "
        "dilations, group, kernel_shape, pads, strides"),
    "attribute type": (attributes(group=[1]),
        "node 'first' (QLinearConv): attribute 'group' is not of type INT; export the model "
        "again"),
    "attribute twice": (lambda m: m.graph.node[0].attribute.append( m.graph.node[0].attribute[0]),
        "node 'first' (QLinearConv): attribute 'pads' is given twice; give it once"),
    "attribute reference": (lambda m: setattr(m.graph.node[0].attribute[0], "ref_attr_name", "p"),
        "node 'first' (QLinearConv): attribute 'pads' refers to one of a function; export the "
        "model without functions"),
    "stride count": (attributes(strides=[2]),
        "node 'first' (QLinearConv): attribute 'strides' = [2] is not 2 integers of at least "
        "1; export a 2D network"),
    "stride zero": (attributes(strides=[0, 1]),
        "node 'first' (QLinearConv): attribute 'strides' = [0, 1] is not 2 integers of at "
        "least 1; export a 2D network"),
    "negative pad": (attributes(pads=[0, -1, 0, 0]),
        "node 'first' (QLinearConv): attribute 'pads' = [0, -1, 0, 0] is not 4 integers of at "
        "least 0; export a 2D network that pads on four sides and crops nothing"),
    "dilation": (attributes(dilations=[1, 0]),
        "node 'first' (QLinearConv): attribute 'dilations' = [1, 0] is not 2 integers of at "
        "least 1; export a 2D network"),
    "group": (attributes(group=3),
        "node 'first' (QLinearConv): attribute 'group' = 3 does not divide 4 input channels; "
        "export with a group that divides the channel count"),
    "group of outputs": (attributes(group=4),
        "node 'first' (QLinearConv): attribute 'group' = 4 does not divide 6 output channels; "
        "export with a group that divides the channel count"),
    "group of weights": (attributes(group=2),
        "node 'first' (QLinearConv): weights for 4 channels in each of 2 groups do not match 4"
        " input channels; make weights, 'group' and input agree"),
    "group zero": (attributes(group=0),
        "node 'first' (QLinearConv): attribute 'group' = 0 is not positive; export with a "
        "group that divides the channel count"),
    "kernel shape": (attributes(kernel_shape=[3, 5]),
        "node 'first' (QLinearConv): attribute 'kernel_shape' = [3, 5] is not the weights' [3,"
        " 3]; make them agree"),
    "auto_pad": (attributes(auto_pad="SAME"),
        "node 'first' (QLinearConv): attribute 'auto_pad' = 'SAME' is unknown; use one of "
        "NOTSET, SAME_UPPER, SAME_LOWER, VALID"),
    "auto_pad and pads": (attributes(auto_pad="VALID", pads=[0, 0, 0, 0]),
        "node 'first' (QLinearConv): attribute 'auto_pad' = 'VALID' excludes 'pads'; export "
        "with one of them"),
    "auto_pad and dilation": (attributes(auto_pad="SAME_UPPER", dilations=[1, 2]),
        "node 'first' (QLinearConv): attribute 'auto_pad' = 'SAME_UPPER' with 'dilations' = "
        "[1, 2] is not supported; export explicit 'pads'"),
    "auto_pad that crops": (attributes(auto_pad="SAME_LOWER", strides=[5, 1]),
        "node 'first' (QLinearConv): attribute 'auto_pad' = 'SAME_LOWER' with stride 5 over a "
        "kernel of 3 is ambiguous; export explicit 'pads'"),
    "kernel too large": (attributes(dilations=[3, 1]),
        "node 'first' (QLinearConv): the kernel spans 7 elements of 5; reduce kernel or "
        "dilation, or pad more"),
    "huge pads": (attributes(pads=[2**40, 0, 0, 0]),
        "node 'first' (QLinearConv): its padded input of shape (4, 1099511627781, 5) is too large; "
        "keep feature maps to 268435456 elements"),
    "missing": (lambda m: m.graph.initializer.remove(constant(m, "first_w_scale")),
        "node 'first' (QLinearConv): nothing makes its input 'first_w_scale'; connect it, or add "
        "the initialiser"),
    "not constant": (lambda m: m.graph.node[0].input.__setitem__(4, "x"),
        "node 'first' (QLinearConv): input 'w_scale' ('x') is not an initialiser; export it as a "
        "constant of the model"),
    "uint8 weights": (put("first_w", np.zeros((6, 4, 3, 3), np.uint8)),
        "node 'first' (QLinearConv): input 'w_zero_point' has type int8, not uint8; export it as "
        "uint8"),
    "int32 weights": (put("first_w", np.zeros((6, 4, 3, 3), np.int32)),
        "node 'first' (QLinearConv): input 'w' has type int32, not int8 or uint8; export it as "
        "int8 or uint8"),
    "weight zero point": (put("first_w_zero_point", np.int8([0, 0, 127, 0, 0, 0])),
        "node 'first' (QLinearConv): input 'w' less its zero point spans [-242, 127], more than "
        "int8; quantise weights symmetrically"),
    "1D weights": (put("first_w", np.zeros((6, 4, 3), np.int8)),
        "node 'first' (QLinearConv): input 'w' has shape (6, 4, 3); export a 2D convolution: "
        "weights of four sizes, none of them 0"),
    "empty weights": (put("first_w", np.zeros((6, 4, 0, 3), np.int8)),
        "node 'first' (QLinearConv): input 'w' has shape (6, 4, 0, 3); export a 2D "
        "convolution: weights of four sizes, none of them 0"),
    "double scale": (put("first_x_scale", np.float64(1)),
        "node 'first' (QLinearConv): input 'x_scale' has type double, not float; export it as "
        "float"),
    "scale shape": (put("first_w_scale", np.ones(5, np.float32)),
        "node 'first' (QLinearConv): input 'w_scale' has shape (5,), not a scalar or 6 values;"
        " quantise per tensor, or weights per output channel"),
    "x scale shape": (put("first_x_scale", np.ones(4, np.float32)),
        "node 'first' (QLinearConv): input 'x_scale' has shape (4,), not a scalar; quantise "
        "per tensor, or weights per output channel"),
    "zero scale": (put("first_w_scale", np.float32([1, 1, 0, 1, 1, 1])),
        "node 'first' (QLinearConv): input 'w_scale' of channel 2 is 0.0; scales must be "
        "positive, finite and not denormal: calibrate again"),
    "negative scale": (put("first_y_scale", np.float32(-2)),
        "node 'first' (QLinearConv): input 'y_scale' of channel 0 is -2.0; scales must be "
        "positive, finite and not denormal: calibrate again"),
    "NaN scale": (put("first_x_scale", np.float32(np.nan)),
        "node 'first' (QLinearConv): input 'x_scale' of channel 0 is nan; scales must be "
        "positive, finite and not denormal: calibrate again"),
    "infinite scale": (put("first_x_scale", np.float32(np.inf)),
        "node 'first' (QLinearConv): input 'x_scale' of channel 0 is inf; scales must be "
        "positive, finite and not denormal: calibrate again"),
    "denormal scale": (put("first_w_scale", np.float32(1e-45)),
        "node 'first' (QLinearConv): input 'w_scale' of channel 0 is 1.401298464324817e-45; "
        "scales must be positive, finite and not denormal: calibrate again"),
    "scale underflow": (both("first_x_scale", "first_w_scale", np.float32(1e-30)),
        "node 'first' (QLinearConv): x_scale · w_scale / y_scale of channel 0 is 0.0 in "
        "float32; calibrate again"),
    "scale overflow": (both("first_x_scale", "first_w_scale", np.float32(1e30)),
        "node 'first' (QLinearConv): x_scale · w_scale / y_scale of channel 0 is inf in "
        "float32; calibrate again"),
    "scale too large": (put("first_w_scale", np.float32(1e12)),
        "node 'first' (QLinearConv): x_scale · w_scale / y_scale: scale 179834781696.0 is "
        "beyond the multiplier, at most 2147483647; calibrate again"),
    "zero point type": (put("first_x_zero_point", np.int32(0)),
        "node 'first' (QLinearConv): input 'x_zero_point' has type int32, not int8 or uint8; "
        "export it as int8 or uint8"),
    "zero point of another type": (put("first_x_zero_point", np.uint8(0)),
        "node 'first' (QLinearConv): input 'x_zero_point' has type uint8, input 'x' int8; give"
        " both the same type"),
    "bias type": (put("first_B", np.zeros(6, np.float32)),
        "node 'first' (QLinearConv): input 'B' has type float, not int32; export it as int32"),
    "bias shape": (put("first_B", np.zeros(1, np.int32)),
        "node 'first' (QLinearConv): input 'B' has shape (1,), not (6,); give one bias per "
        "output channel"),
    "accumulator": (put("first_B", np.full(6, 2**31 - 1, np.int32)),
        "node 'first' (QLinearConv): the accumulator of channel 0 spans [2147169478, "
        "2147795758], more than 32 bits; reduce the bias or the input channels"),
    "absurd": (lambda m: constant(m, "first_w").dims.__setitem__(0, 2**40),
        "node 'first' (QLinearConv): tensor 'first_w' has shape (1099511627776, 4, 3, 3); keep"
        " sizes positive and tensors to 67108864 elements"),
    "negative size": (lambda m: constant(m, "first_w").dims.__setitem__(0, -6),
        "node 'first' (QLinearConv): tensor 'first_w' has shape (-6, 4, 3, 3); keep sizes "
        "positive and tensors to 67108864 elements"),
    "too few values": (lambda m: constant(m, "first_w").dims.__setitem__(0, 7),
        "node 'first' (QLinearConv): tensor 'first_w' of shape (7, 4, 3, 3) holds 216 values; "
        "export the model again: the file is damaged"),
    "half a value": (lambda m: setattr(constant(m, "first_B"), "raw_data", b"123"),
        "node 'first' (QLinearConv): tensor 'first_B' of shape (6) holds 0 values; export the "
        "model again: the file is damaged"),
    "values twice": (lambda m: constant(m, "first_B").int32_data.append(1),
        "node 'first' (QLinearConv): tensor 'first_B' holds its values twice, or in a field of"
        " another type; export the model again"),
    "typed range": (typed_weight_of_200,
        "node 'first' (QLinearConv): tensor 'first_w' has values outside int8; export the "
        "model again: the file is damaged"),
    "segment": (lambda m: setattr(constant(m, "first_B").segment, "begin", 0),
        "node 'first' (QLinearConv): tensor 'first_B' is stored in segments; save the tensor "
        "whole"),
}


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=list(CASES))
def test_refuses(change, message, model, save):
    change(model)
    with refuses(ModelError, f"model.onnx: {message}"):
        read_onnx(save(model))
