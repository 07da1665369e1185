"""Matrix products with constant weights: fully connected layers.

Each becomes a convolution whose kernel is the whole feature map that the rows of the first matrix
were, so that no element moves: behind a Flatten, the weights of an output are laid out as its
elements lie.
"""

import math

import numpy as np

from compiler.onnx_conv import integer_bias
from compiler.onnx_file import MICROSOFT
from compiler.onnx_network import shape_text
from compiler.onnx_node import FLOAT, INT, operator
from compiler.onnx_sums import Sums
from compiler.onnx_values import Layout
from compiler.onnx_weights import integer_weights, read_bias, read_weights
from compiler.onnx_window import Window

__all__ = []

MAPPED = "convolution with a kernel of the whole map"
LIMITS = "the second matrix constant; one row of the first a frame"


@operator("QLinearMatMul", "a a_scale a_zero_point b b_scale b_zero_point y_scale y_zero_point",
          mapped=MAPPED, limits=LIMITS)
def qlinear_matmul(node):
    """Product of codes, quantised."""
    codes, quantisation = node.quantised("a", "a_scale", "a_zero_point")
    _check_matrix(node, "b")
    weight = integer_weights(node, "b", "b_zero_point", 1)
    scale = node.scales("b_scale", weight.shape[1])
    made = node.quantisation("y_scale", "y_zero_point")
    with np.errstate(over="ignore", under="ignore"):
        factor = np.float32(quantisation.scale) * scale
    sums = _sums(node, codes, quantisation.zero_point, weight.T, factor=factor,
                 bias=np.zeros(len(factor), np.int64), scales=("a_scale", "b_scale"))
    return sums.settle(node.output, made)


@operator("QGemm", "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point?",
          domain=MICROSOFT, mapped=MAPPED, limits=f"{LIMITS}; transA 0", alpha=FLOAT, transA=INT,
          transB=INT)
def qgemm(node):
    """Product of codes plus bias; quantised, or else to be quantised."""
    codes, quantisation = node.quantised("A", "a_scale", "a_zero_point")
    axis = _columns(node, "B")
    weight = integer_weights(node, "B", "b_zero_point", axis)
    scale = node.scales("b_scale", weight.shape[axis])
    with np.errstate(over="ignore", under="ignore"):
        factor = _alpha(node) * np.float32(quantisation.scale) * scale
    sums = _sums(node, codes, quantisation.zero_point, np.moveaxis(weight, axis, 0),
                 factor=factor, bias=integer_bias(node, "C", len(factor)),
                 scales=("alpha", "a_scale", "b_scale"))
    if not node.given("y_scale"):
        if node.given("y_zero_point"):
            raise node.fault("there is a y_zero_point without a y_scale", "give both or none")
        return sums
    return sums.settle(node.output, node.quantisation("y_scale", "y_zero_point"))


@operator("Gemm", "A B C?", mapped=MAPPED, limits=f"{LIMITS}; transA 0", alpha=FLOAT, beta=FLOAT,
          transA=INT, transB=INT)
def gemm(node):
    """Product of reals that are codes plus bias, to be quantised."""
    real, axis = node.affine("A"), _columns(node, "B")
    weight, scale = read_weights(node, "B", axis)
    with np.errstate(over="ignore", under="ignore"):
        factor = _alpha(node) * np.float32(real.quantisation.scale) * scale
    bias, offset = read_bias(node, "C", factor, node.number("beta", 1.0))
    return _sums(node, real.codes, real.quantisation.zero_point, np.moveaxis(weight, axis, 0),
                 factor=factor, bias=bias, offset=offset)


@operator("MatMul", "A B", mapped=MAPPED, limits=LIMITS)
def matmul(node):
    """Product of reals that are codes, to be quantised; an Add behind it is its bias."""
    real = node.affine("A")
    _check_matrix(node, "B")
    weight, scale = read_weights(node, "B", 1)
    with np.errstate(over="ignore", under="ignore"):
        factor = np.float32(real.quantisation.scale) * scale
    return _sums(node, real.codes, real.quantisation.zero_point, weight.T, factor=factor,
                 bias=np.zeros(len(factor), np.int64))


@operator("MatMulInteger", "A B a_zero_point? b_zero_point?", mapped=MAPPED,
          limits=f"{LIMITS}; only Cast, Mul, Add, Relu, Clip and QuantizeLinear may follow")
def matmul_integer(node):
    """Accumulators of a product of codes."""
    codes, zero_point = node.integer_codes("A", "a_zero_point")
    _check_matrix(node, "B")
    weight = integer_weights(node, "B", "b_zero_point", 1)
    channels = weight.shape[1]
    return _sums(node, codes, zero_point, weight.T, bias=np.zeros(channels, np.int64),
                 factor=np.ones(channels, np.float32), integer=True, scales=("the factor",))


def _sums(node, codes, zero_point, weight, **fields):
    """The `Sums` of a product with ``weight``, an array (outputs, elements of a frame)."""
    shape = codes.layout.shape
    outputs, elements = weight.shape
    if not shape or math.prod(shape[:-1]) != 1 or shape[-1] != elements:
        raise node.fault(f"its first matrix has shape {shape_text(shape)}, not (N, {elements})",
                         "flatten to one row a frame that fits the weights")
    order = node.network.order(codes)
    size = node.network.shapes[codes.tensor]
    if order is not None:
        moved = np.empty_like(weight)
        moved[:, order] = weight
        weight = moved
    window = Window(size[1:], (1, 1), (1, 1), (0, 0, 0, 0), (1, 1))
    return Sums(node=node, layout=Layout((*shape[:-1], outputs)), source=codes,
                zero_point=zero_point, weight=weight.reshape(outputs, *size), window=window,
                group=1, **fields, **node.reader.sums_fields(outputs))


def _check_matrix(node, name):
    """Refuse weights that are no matrix, before they are read."""
    shape = getattr(node.value(name), "shape", None)
    if shape is not None and (len(shape) != 2 or 0 in shape):
        raise node.fault(f"input '{name}' has shape {tuple(shape)}", "give a matrix, none of "
                         "whose sizes is 0")


def _columns(node, name):
    """The axis of the weights that counts outputs."""
    _check_matrix(node, name)
    if node.flag("transA"):
        raise node.fault("attribute 'transA' = 1 is not supported", "export with transA = 0")
    return 1 - node.flag("transB")


def _alpha(node):
    """Attribute ``alpha``, a float32."""
    alpha = np.float32(node.number("alpha", 1.0))
    if alpha == 0:
        raise node.fault("attribute 'alpha' is 0", "export the model again")
    return alpha
