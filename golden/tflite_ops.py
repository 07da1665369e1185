"""TFLite's quantised operators as layers, bit for bit with its reference kernels. NumPy only.

Sources are named as in TensorFlow's and LiteRT's trees, below ``kernels``. All scales are float32,
and are multiplied and divided in float64, as TFLite does. A fused activation is a pair of bounds,
``low`` and ``high`` (:mod:`golden.activation`).
"""

from typing import Any

import numpy as np

from golden.checks import INT32, integer, integer_tuple
from golden.elementwise import ElementwiseLayer
from golden.pool import PoolLayer
from golden.quantisation import Quantisation
from golden.requant import quantise_multiplier, requantise

__all__ = ["tflite_add", "tflite_average_pool", "tflite_mean", "tflite_quantize", "tflite_sub"]


#: Bits by which ADD and SUB shift their inputs left before scaling, to keep fractions.
ADD_SHIFT = 20


def tflite_add(name, first, second, output, *, low=None, high=None):
    r"""ADD of int8: ``add.cc``, ``internal/reference/integer_ops/add.h``.

    With :math:`s = 2 \max(s_1, s_2)` and :math:`\circ` for multiplication by a quantised
    multiplier, rounding as ``tflite``:

    .. math:: q = \left(\sum_i 2^{20} (x_i - z_i) \circ \frac{s_i}{s}\right) \circ
              \frac{s}{2^{20} s_y} + z_y

    The terms of the sum are the tables; each is at most 255 · 2^19 in magnitude, so that the sum
    stays below 2^28.

    Parameters
    ----------
    name : str
    first, second, output : golden.quantisation.Quantisation
    low, high : int or None
        Bounds of the output codes; None is the type's limit.

    Raises
    ------
    ValueError
        If :math:`s / (2^{20} s_y)` is not below 1, where TFLite stops too.
    """
    return _sum(name, first, second, output, 1, low, high)


def tflite_sub(name, first, second, output, *, low=None, high=None):
    """SUB of int8: ``sub.cc``, ``internal/reference/sub.h``.

    As :func:`tflite_add`, with the second term subtracted.
    """
    return _sum(name, first, second, output, -1, low, high)


def _sum(name, first, second, output, sign, low, high):
    largest = 2 * max(first.scale, second.scale)
    multiplier, shift = _multiplier(largest / ((1 << ADD_SHIFT) * output.scale))
    if multiplier and shift < 31:
        raise ValueError(f"Layer {name}: the inputs' scales, {first.scale} and {second.scale}, are "
                         f"beyond 2^{ADD_SHIFT - 1} times the output's, {output.scale}")
    tables = []
    for side, factor in ((first, 1), (second, sign)):
        shifted = (side.codes() - side.zero_point) << ADD_SHIFT
        scaled = requantise(shifted, *_multiplier(side.scale / largest), rounding="tflite",
                            low=INT32[0], high=INT32[1])
        tables.append(factor * scaled)
    return ElementwiseLayer(
        name=name, tables=np.array(tables), input_unsigned=(first.unsigned, second.unsigned),
        multiplier=multiplier, shift=shift, rounding="tflite",
        **_output(output, low, high))


def tflite_quantize(name, source, output, *, low=None, high=None):
    r"""QUANTIZE of codes, int8 or uint8 to either: ``internal/reference/requantize.h``.

    .. math:: q = (x - z_x) \circ \frac{s_x}{s_y} + z_y

    rounded as ``tflite``: for a quotient of 1 or more, that is ``half_up``.

    Raises
    ------
    ValueError
        If :math:`s_x / s_y` is 2^23 or more, where TFLite's arithmetic leaves int32.
    """
    multiplier, shift = _multiplier(source.scale / output.scale)
    if multiplier and shift < 8:
        raise ValueError(f"Layer {name}: the input's scale, {source.scale}, is 2^23 times the "
                         f"output's, {output.scale}, or more")
    return ElementwiseLayer(
        name=name, tables=(source.codes() - source.zero_point)[None],
        input_unsigned=(source.unsigned,), multiplier=multiplier, shift=shift, rounding="tflite",
        **_output(output, low, high))


def tflite_average_pool(name, *, kernel, stride=(1, 1), padding=(0, 0, 0, 0), taps=None,
                        unsigned=False, low=None, high=None):
    r"""AVERAGE_POOL_2D of codes, int8 or uint8: ``internal/reference/integer_ops/pooling.h``.

    .. math:: q = \operatorname{round}\left(\frac{\sum x}{taps}\right)

    of the raw codes, with ties away from zero; input and output have one scale and zero point.
    Here it is :math:`\lfloor acc \cdot M / 2^S + 1/2 \rfloor` with :math:`S = 30 + \lfloor
    \log_2 taps \rfloor` and :math:`M = \lfloor 2^S / taps \rfloor + 1`, which is the same number:
    M is above 2^S / taps by at most 1, so the product is off by at most 255 · taps / 2^S < 2^-21,
    away from zero. That decides ties as TFLite does, and no other quotient is so near to one: it
    is at least 1 / (2 · taps) away.

    Parameters
    ----------
    name : str
    kernel, stride, padding
        As in :class:`golden.pool.PoolLayer`.
    taps : int or None
        Codes under *every* window, at most 2^20: TFLite leaves the padding out of the average
        (:func:`golden.pool.window_taps` counts). None is the kernel's size.
    unsigned : bool
        Whether the codes are uint8; otherwise int8.
    low, high : int or None
        Bounds of the output codes; None is the type's limit.
    """
    height, width = integer_tuple("kernel", kernel, 2, 1)
    taps = integer("taps", height * width if taps is None else taps, 1, 1 << 20)
    shift = 30 + taps.bit_length() - 1
    return PoolLayer(
        name=name, kind="sum", kernel=(height, width), stride=stride, padding=padding,
        multiplier=(1 << shift) // taps + 1, shift=shift, rounding="half_up",
        input_unsigned=unsigned, **_output(Quantisation(1, 0, unsigned), low, high))


def tflite_mean(name, source, output, *, size, low=None, high=None):
    r"""MEAN over height and width, int8 or uint8: ``QuantizedMeanOrSum`` in
    ``internal/reference/reduce.h``, its multiplier from ``PrepareMeanOrSum`` in ``reduce.cc``.

    With n = height · width, and M and S of :math:`s_x / s_y`:

    .. math:: b = \min(\lfloor \log_2 n \rfloor, 32, 62 - S), \quad M' = \lfloor 2^b M / n \rfloor,
              \quad S' = S + b, \quad
              q = \operatorname{round}\left(\frac{(\sum x - n z_x) M'}{2^{S'}}\right) + z_y

    rounded as ``tflite``.

    Parameters
    ----------
    name : str
    source, output : golden.quantisation.Quantisation
        Of one type.
    size : (int, int)
        Height and width of the input.
    low, high : int or None
        Bounds of the output codes; None is the type's limit.

    Raises
    ------
    ValueError
        If :math:`s_x / s_y` is 2^22 or more, where TFLite's arithmetic may leave int32.
    """
    height, width = integer_tuple("size", size, 2, 1)
    taps = height * width
    multiplier, shift = _multiplier(source.scale / output.scale)
    if multiplier and shift < 9:
        raise ValueError(f"Layer {name}: the input's scale, {source.scale}, is 2^22 times the "
                         f"output's, {output.scale}, or more")
    left = min(taps.bit_length() - 1, 32, 62 - shift)
    return PoolLayer(
        name=name, kind="sum", kernel=(height, width), bias=-taps * source.zero_point,
        multiplier=(multiplier << left) // taps, shift=shift + left, rounding="tflite",
        input_unsigned=source.unsigned, **_output(output, low, high))


def _multiplier(scale):
    """TFLite's multiplier and shift of a real scale, as Python integers."""
    multiplier, shift = quantise_multiplier(scale, rounding="tflite")
    return int(multiplier), int(shift)


def _output(output, low, high) -> dict[str, Any]:
    return {"output_zero_point": output.zero_point, "output_unsigned": output.unsigned,
            "low": low, "high": high}
