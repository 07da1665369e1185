"""A quantised convolution layer as a value, and a chain of layers. NumPy only."""

from dataclasses import dataclass, field
from math import prod
from typing import cast

import numpy as np

from golden.base import Layer, code_type, flags, naming, output_fields
from golden.checks import (
    INT8,
    INT32,
    UINT8,
    channel_vector,
    in_range,
    integer,
    integer_array,
    integer_tuple,
)
from golden.conv import conv2d, output_size
from golden.requant import MULTIPLIER, SHIFT

__all__ = ["ConvLayer", "run_network"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvLayer(Layer):
    """Convolution, scale-shift and clamp: everything one layer of the engine computes.

    ``requantise(conv2d(codes, weight, bias), multiplier, shift)`` with BatchNorm folded into the
    last three (:mod:`golden.fold`) and ReLU or another clip into the bounds
    (:mod:`golden.activation`). The arrays are copied and made read-only.

    Parameters
    ----------
    name : str
        Begins every error message.
    weight : array of integers, shape (Cout, Cin / group, kh, kw)
        In [-128, 127]; kept as int8.
    bias, multiplier, shift : arrays of integers, shape (Cout,)
        Ranges as in :func:`golden.conv.conv2d` and :func:`golden.requant.requantise`; kept as
        int64.
    rounding : str
        One of :data:`golden.requant.ROUNDINGS`.
    stride, dilation : (int, int)
        (height, width).
    padding : (int, int, int, int)
        (top, left, bottom, right).
    group : int
        Divides Cin and Cout.
    input_zero_point, output_zero_point : int
        Within the type of their side.
    input_unsigned, output_unsigned : bool
        Whether the codes of that side are uint8; otherwise int8.
    low, high : int
        Bounds of the output codes; by default those of their type.
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    rounding: str
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    group: int = 1
    input_zero_point: int = 0
    input_unsigned: bool = False
    output_zero_point: int = 0
    output_unsigned: bool = False
    # None stands for the limit of the output type and is gone once the layer exists.
    low: int = field(default=cast(int, None))
    high: int = field(default=cast(int, None))

    @property
    def input_type(self):
        """numpy.int8 or numpy.uint8."""
        return code_type(self.input_unsigned)

    @property
    def input_types(self):
        """The input's type, as a tuple of one."""
        return (self.input_type,)

    @property
    def output_type(self):
        """numpy.int8 or numpy.uint8."""
        return code_type(self.output_unsigned)

    def accumulate(self, codes):
        """Accumulators, int64 of shape (N, Cout, Hout, Wout), bias included."""
        with naming(f"Layer {self.name}"):
            return self._accumulate(self._codes((codes,)))

    def _accumulate(self, codes):
        return conv2d(codes[0], self.weight, self.bias, stride=self.stride, pad_mode="pad",
                      padding=self.padding, dilation=self.dilation, group=self.group,
                      input_zero_point=self.input_zero_point)

    def _apply(self, codes):
        return self._requantised(self._accumulate(codes))

    def _output_shape(self, shapes):
        frames, channels, height, width = shapes[0]
        expected = self.weight.shape[1] * self.group
        if channels != expected:
            raise ValueError(f"codes must have {expected} channels, not {channels}")
        top, left, bottom, right = self.padding
        return (frames, len(self.weight),
                output_size(height, self.weight.shape[2], stride=self.stride[0],
                            padding=(top, bottom), dilation=self.dilation[0]),
                output_size(width, self.weight.shape[3], stride=self.stride[1],
                            padding=(left, right), dilation=self.dilation[1]))

    def _macs_per_output(self):
        return prod(self.weight.shape[1:])

    def _checked(self):
        """Every field in its final form."""
        weight = in_range("weight", integer_array("weight", self.weight), *INT8, axis=0)
        if weight.ndim != 4 or 0 in weight.shape:
            raise ValueError(f"weight must have 4 dimensions, none empty, not shape {weight.shape}")
        channels = len(weight)
        group = integer("group", self.group, 1)
        if channels % group:
            raise ValueError(f"group must divide the {channels} output channels, not be {group}")
        inputs = flags(self, "input_unsigned")
        input_limits = UINT8 if self.input_unsigned else INT8
        return {
            "weight": weight.astype(np.int8),
            "bias": channel_vector("bias", self.bias, channels, *INT32),
            "multiplier": channel_vector("multiplier", self.multiplier, channels, *MULTIPLIER),
            "shift": channel_vector("shift", self.shift, channels, *SHIFT),
            "stride": integer_tuple("stride", self.stride, 2, 1),
            "padding": integer_tuple("padding", self.padding, 4, 0),
            "dilation": integer_tuple("dilation", self.dilation, 2, 1),
            "group": group,
            "input_zero_point": integer("input_zero_point", self.input_zero_point, *input_limits),
            **inputs,
            **output_fields(self),
        }


def run_network(layers, codes):
    """Outputs of every layer of a chain, each fed with the one before; ``codes`` feed the first."""
    outputs = []
    for layer in layers:
        codes = layer(codes)
        outputs.append(codes)
    return outputs
