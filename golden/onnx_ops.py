"""ONNX's quantised operators as layers. NumPy only.

Each stands for both of ONNX's forms, DequantizeLinear - operator - QuantizeLinear and QLinear... of
ONNX Runtime's own domain. The models define them on real numbers; the runtime computes in float32,
and its rounding on the way can move a result by one step where the exact one is near a tie. The
docstrings say how near. A fused activation is a pair of bounds, ``low`` and ``high``
(:mod:`golden.activation`).
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from golden.checks import integer, integer_tuple
from golden.elementwise import ElementwiseLayer
from golden.pool import PoolLayer
from golden.requant import SHIFT, quantise_multiplier

__all__ = ["onnx_add", "onnx_average_pool", "onnx_global_average_pool", "onnx_requantise"]


def onnx_add(name, first, second, output, *, fused=False, low=None, high=None):
    r"""Add, QLinearAdd: sum of two feature maps of any scales, types and zero points.

    .. math:: v = \frac{s_1 (x_1 - z_1) + s_2 (x_2 - z_2)}{s_y}, \qquad
              q = \operatorname{clamp}(\operatorname{round}(v) + z_y)

    with ties to even: so ONNX defines it. ONNX Runtime's QLinearAdd, into which it also fuses
    DequantizeLinear - Add - QuantizeLinear unless told not to, computes
    :math:`\operatorname{round}(v + z_y)` instead: ``fused``. The two differ in ties if
    :math:`z_y` is odd.

    The tables hold the two terms of v in fixed point with as many fractional bits k as int32 allows
    for the terms' largest values and :math:`z_y` together: 22 if these add up to less than 512, one
    less for every doubling; at most 62. Each is rounded to the nearest, so that the sum is within
    2^-k of v; if both terms are multiples of 2^-k the result is exact.

    ONNX Runtime gets v + z_y by some eight operations in float32, each of which rounds by at most
    2^-24 of a magnitude that :math:`B = |z_y| + 255 (s_1 + s_2) / s_y` bounds. Its results are
    these except where v is within 2^-20 · B of a tie, and there differ by at most 1.

    Parameters
    ----------
    name : str
    first, second, output : golden.quantisation.Quantisation
    fused : bool
        Whether the zero point is added before rounding.
    low, high : int or None
        Bounds of the output codes; None is the type's limit.

    Raises
    ------
    ValueError
        If the terms' largest values add up to 2^31 or more.
    """
    terms = np.stack([(side.codes() - side.zero_point) * side.scale / output.scale
                      for side in (first, second)])
    largest = float(np.abs(terms).max(axis=1).sum()) + abs(output.zero_point)
    # The margin leaves room for rounding both terms up.
    bits = min(31 - math.frexp(largest * (1 + 2.0**-30))[1], SHIFT[1])
    if bits < 0:
        raise ValueError(f"Layer {name}: the inputs' scales, {first.scale} and {second.scale}, are "
                         f"too large for the output's, {output.scale}")
    offset = {"output_zero_point": 0, "bias": output.zero_point << bits} if fused else {}
    return ElementwiseLayer(
        name=name, tables=np.rint(np.ldexp(terms, bits)).astype(np.int64), shift=bits,
        rounding="half_even", input_unsigned=(first.unsigned, second.unsigned),
        **{**_output(output, low, high), **offset})


def onnx_requantise(name, source, output, *, function=None, low=None, high=None):
    r"""DequantizeLinear - QuantizeLinear, or with a function of the reals between them.

    .. math:: q = \operatorname{clamp}\!\left(\operatorname{round}\!\left(
              \frac{f(s_x (x - z_x))}{s_y}\right) + z_y\right)

    in float32 with ties to even, bit for bit as ONNX Runtime computes it (its float32 function may
    differ in the last bit): the table holds the resulting codes.

    Parameters
    ----------
    name : str
    source, output : golden.quantisation.Quantisation
    function : callable or None
        float32 array to float32 array of the same shape, element by element: Relu, LeakyRelu, ...
        None changes nothing.
    low, high : int or None
        Bounds of the output codes; None is the type's limit.
    """
    reals = source.dequantise(source.codes().astype(source.dtype))
    if function is not None:
        reals = function(reals)
    codes = output.quantise(reals, rounding="half_even")
    return ElementwiseLayer(
        name=name, tables=codes.astype(np.int64)[None], rounding="half_even",
        input_unsigned=(source.unsigned,),
        **{**_output(output, low, high), "output_zero_point": 0})


def onnx_average_pool(name, source, output, *, kernel, stride=(1, 1), padding=(0, 0, 0, 0),
                      dilation=(1, 1), taps=None, fused=False, low=None, high=None):
    r"""AveragePool, QLinearAveragePool.

    .. math:: v = \frac{s_x \sum (x - z_x)}{taps \cdot s_y}, \qquad
              q = \operatorname{clamp}(\operatorname{round}(v) + z_y)

    with ties to even: so ONNX defines it. ONNX Runtime's QLinearAveragePool, into which it also
    fuses DequantizeLinear - AveragePool - QuantizeLinear unless told not to, computes
    :math:`\operatorname{round}(v + z_y)` instead: ``fused``. The two differ in ties if
    :math:`z_y` is odd.

    Padding contributes zero. M / 2^S is s_x / (taps · s_y) to 31 bits. Where that is exact, as it
    is for equal scales and taps a power of two, so is the result; elsewhere it can differ by 1
    where v is within 2^-31 · \|v\| of a tie. ``fused``, the zero point is in the bias if it is a
    whole number of accumulator steps, s_x / (taps · s_y); if not, ties are rare.

    ONNX Runtime adds and divides in float32. Its results are these except where v is within
    (taps + 4) · 2^-24 · (\|z_y\| + 255 s_x / s_y) of a tie, and there differ by at most 1.

    Parameters
    ----------
    name : str
    source, output : golden.quantisation.Quantisation
    kernel, stride, padding, dilation
        As in :class:`golden.pool.PoolLayer`.
    taps : int or None
        What every sum is divided by: the kernel's size, which None stands for, if the padding
        counts (``count_include_pad``) or there is none; else the codes under *every* window, which
        must be equal (:func:`golden.pool.window_taps` counts).
    fused : bool
        Whether the zero point is added before rounding.
    low, high : int or None
        Bounds of the output codes; None is the type's limit.
    """
    height, width = integer_tuple("kernel", kernel, 2, 1)
    size = height * width
    taps = integer("taps", size if taps is None else taps, 1)
    multiplier, shift = quantise_multiplier(source.scale / (taps * output.scale),
                                            rounding="tflite")
    fields = {"bias": -size * source.zero_point, **_output(output, low, high)}
    steps = Fraction(output.scale) / Fraction(source.scale) * taps * output.zero_point
    if fused and steps.denominator == 1 and abs(steps) < 2**30:
        fields |= {"bias": fields["bias"] + int(steps), "output_zero_point": 0}
    return PoolLayer(
        name=name, kind="sum", kernel=(height, width), stride=stride, padding=padding,
        dilation=dilation, pad_code=source.zero_point, multiplier=int(multiplier),
        shift=int(shift), rounding="half_even", input_unsigned=source.unsigned, **fields)


def onnx_global_average_pool(name, source, output, *, size, low=None, high=None):
    """GlobalAveragePool, QLinearGlobalAveragePool, ReduceMean over height and width.

    :func:`onnx_average_pool` with a kernel of the input's ``size`` (height, width). ONNX Runtime
    adds the zero point after rounding in all its forms, an AveragePool of the whole input included.
    """
    return onnx_average_pool(name, source, output, kernel=size, low=low, high=high)


def _output(output, low, high) -> dict[str, Any]:
    return {"output_zero_point": output.zero_point, "output_unsigned": output.unsigned,
            "low": low, "high": high}
