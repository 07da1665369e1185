"""Pooling of codes: the greatest or the sum of a window, requantised. NumPy only."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from golden.base import Layer, code_type, flags, naming, output_fields, scalar_fields
from golden.checks import INT8, INT32, UINT8, integer, integer_tuple
from golden.conv import output_size

__all__ = ["KINDS", "PoolLayer", "clip_layer", "window_taps"]


KINDS = ("max", "sum")


@dataclass(frozen=True, kw_only=True, eq=False)
class PoolLayer(Layer):
    r"""Greatest code or sum of the codes of every window, channel by channel, then scale-shift.

    .. math:: q = \operatorname{clamp}\!\left(\operatorname{round}\!\left(
              \frac{(acc + bias) \cdot M}{2^S}\right) + z_y, low, high\right)

    where acc is the maximum or the sum of the *raw* codes under the window, of which those in the
    padding are ``pad_code``; the rounding is that of :func:`golden.requant.requantise`. Maximum
    pooling needs no more than the maximum (M = 1, S = 0). An average is a sum whose M / 2^S is
    1 / taps times the quotient of the scales; a zero point comes in by ``bias``. With a window of
    1x1, a maximum pads and a sum requantises. For the models' operators see
    :mod:`golden.tflite_ops` and :mod:`golden.onnx_ops`.

    Parameters
    ----------
    name : str
        Begins every error message.
    kind : str
        "max" or "sum".
    kernel, stride, dilation : (int, int)
        (height, width).
    padding : (int, int, int, int)
        (top, left, bottom, right).
    pad_code : int
        Code in the padding, within the input's type; by default 0 for a sum and the type's lowest
        for a maximum, where it never wins over a code.
    bias, multiplier, shift : int
        For all channels; ranges as in :func:`golden.requant.requantise`. The sum of as many extreme
        codes as the window has taps, plus the bias, must fit int32.
    rounding : str
        One of :data:`golden.requant.ROUNDINGS`.
    input_unsigned, output_unsigned : bool
        Whether the codes of that side are uint8; otherwise int8.
    output_zero_point, low, high : int
        Within the output's type; the bounds by default its limits.
    """

    name: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    # None stands for the default and is gone once the layer exists.
    pad_code: int = field(default=cast(int, None))
    bias: int = 0
    multiplier: int = 1
    shift: int = 0
    rounding: str = "half_up"
    input_unsigned: bool = False
    output_unsigned: bool = False
    output_zero_point: int = 0
    low: int = field(default=cast(int, None))
    high: int = field(default=cast(int, None))

    @property
    def input_types(self):
        """The input's type, as a tuple of one."""
        return (code_type(self.input_unsigned),)

    @property
    def output_type(self):
        """numpy.int8 or numpy.uint8."""
        return code_type(self.output_unsigned)

    def accumulate(self, codes):
        """Maxima or sums, bias included, int32 of shape (N, C, Hout, Wout)."""
        with naming(f"Layer {self.name}"):
            return self._accumulate(self._codes((codes,)))

    def _accumulate(self, codes):
        codes = codes[0]
        top, left, bottom, right = self.padding
        if any(self.padding):
            codes = np.pad(codes, ((0, 0), (0, 0), (top, bottom), (left, right)),
                           constant_values=self.pad_code)
        combine, dtype = (np.maximum, codes.dtype) if self.kind == "max" else (np.add, np.int32)
        # A window is a column of rows: both operations go along one axis at a time.
        for side in (0, 1):
            kernel, stride, dilation = self.kernel[side], self.stride[side], self.dilation[side]
            codes = _reduce(combine, codes, dtype, 2 + side, kernel, stride, dilation)
        return codes.astype(np.int32) + np.int32(self.bias)

    def _apply(self, codes):
        return self._requantised(self._accumulate(codes))

    def _output_shape(self, shapes):
        frames, channels, height, width = shapes[0]
        top, left, bottom, right = self.padding
        return (frames, channels,
                output_size(height, self.kernel[0], stride=self.stride[0], padding=(top, bottom),
                            dilation=self.dilation[0]),
                output_size(width, self.kernel[1], stride=self.stride[1], padding=(left, right),
                            dilation=self.dilation[1]))

    def _checked(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        inputs = flags(self, "input_unsigned")
        limits = UINT8 if self.input_unsigned else INT8
        lowest = limits[0] if self.kind == "max" else 0
        fields = {
            "kernel": integer_tuple("kernel", self.kernel, 2, 1),
            "stride": integer_tuple("stride", self.stride, 2, 1),
            "padding": integer_tuple("padding", self.padding, 4, 0),
            "dilation": integer_tuple("dilation", self.dilation, 2, 1),
            "pad_code": integer("pad_code", lowest if self.pad_code is None else self.pad_code,
                                *limits),
            **inputs,
            **scalar_fields(self),
            **output_fields(self),
        }
        taps = fields["kernel"][0] * fields["kernel"][1] if self.kind == "sum" else 1
        low, high = (taps * limit + fields["bias"] for limit in limits)
        if low < INT32[0] or high > INT32[1]:
            raise OverflowError(f"accumulators would span [{low}, {high}], "
                                f"outside [{INT32[0]}, {INT32[1]}]")
        return fields


def _reduce(combine, codes, dtype, axis, kernel, stride, dilation):
    """``combine`` over the taps of one axis, in type ``dtype``."""
    along = np.moveaxis(codes, axis, 0)
    span = len(along) - (kernel - 1) * dilation  # Positions of the first tap.
    result = along[:span:stride].astype(dtype)
    for start in range(dilation, kernel * dilation, dilation):
        combine(result, along[start:start + span:stride], out=result)
    return np.moveaxis(result, 0, axis)


def clip_layer(name, *, unsigned=False, low, high):
    """Codes limited to [low, high], as a layer; the bounds are :mod:`golden.activation`'s."""
    return PoolLayer(name=name, kind="max", kernel=(1, 1), input_unsigned=unsigned,
                     output_unsigned=unsigned, low=low, high=high)


def window_taps(size, kernel, *, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1)):
    """How many codes of the input, padding not counted, lie under the windows.

    Parameters
    ----------
    size, kernel, stride, dilation : (int, int)
        (height, width) each; the dilated kernel fits the padded input.
    padding : (int, int, int, int)
        (top, left, bottom, right).

    Returns
    -------
    tuple of ints
        The different counts, least first: a single one if an average over the input's codes alone
        is the sum divided by a constant.
    """
    counts = []
    for side in (0, 1):
        before, after = padding[side], padding[side + 2]
        outputs = output_size(size[side], kernel[side], stride=stride[side],
                              padding=(before, after), dilation=dilation[side])
        first = np.arange(outputs) * stride[side] - before
        taps = first[:, None] + np.arange(kernel[side]) * dilation[side]
        counts.append(((taps >= 0) & (taps < size[side])).sum(axis=1))
    return tuple(np.unique(np.outer(*counts)).tolist())
