"""A quantised convolution layer as a value, and a chain of them. NumPy only."""

from dataclasses import dataclass, field
from math import prod
from typing import cast

import numpy as np

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
from golden.requant import MULTIPLIER, SHIFT, check_rounding, requantise

__all__ = ["ConvLayer", "run_network"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvLayer:
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

    def __post_init__(self):
        try:
            checked = self._checked()
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(f"Layer {self.name}: {error}") from None
        for name, value in checked.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def input_type(self):
        """numpy.int8 or numpy.uint8."""
        return np.uint8 if self.input_unsigned else np.int8

    @property
    def output_type(self):
        """numpy.int8 or numpy.uint8."""
        return np.uint8 if self.output_unsigned else np.int8

    def output_shape(self, input_shape):
        """Shape (N, Cout, Hout, Wout) of the output for an input of shape (N, Cin, H, W)."""
        channels, height, width = self._input_shape(input_shape)[1:]
        expected = self.weight.shape[1] * self.group
        if channels != expected:
            raise ValueError(f"Layer {self.name}: codes must have {expected} channels, "
                             f"not {channels}")
        top, left, bottom, right = self.padding
        try:
            return (input_shape[0], len(self.weight),
                    output_size(height, self.weight.shape[2], stride=self.stride[0],
                                padding=(top, bottom), dilation=self.dilation[0]),
                    output_size(width, self.weight.shape[3], stride=self.stride[1],
                                padding=(left, right), dilation=self.dilation[1]))
        except ValueError as error:
            raise ValueError(f"Layer {self.name}: {error}") from None

    def macs(self, input_shape):
        """Multiplications for an input of that shape, all frames, those with padding included."""
        return prod(self.output_shape(input_shape)) * prod(self.weight.shape[1:])

    def accumulate(self, codes):
        """Accumulators, int64 of shape (N, Cout, Hout, Wout), bias included."""
        codes = np.asarray(codes)
        if codes.dtype != self.input_type:
            raise TypeError(f"Layer {self.name}: codes must be {np.dtype(self.input_type)}, "
                            f"not {codes.dtype}")
        self.output_shape(codes.shape)
        try:
            return conv2d(codes, self.weight, self.bias, stride=self.stride, pad_mode="pad",
                          padding=self.padding, dilation=self.dilation, group=self.group,
                          input_zero_point=self.input_zero_point)
        except OverflowError as error:
            raise OverflowError(f"Layer {self.name}: {error}") from None

    def __call__(self, codes):
        """Output codes, int8 or uint8 of shape (N, Cout, Hout, Wout)."""
        return requantise(self.accumulate(codes), self.multiplier, self.shift,
                          rounding=self.rounding, zero_point=self.output_zero_point,
                          low=self.low, high=self.high).astype(self.output_type)

    def _checked(self):
        """Every field in its final form."""
        weight = in_range("weight", integer_array("weight", self.weight), *INT8, axis=0)
        if weight.ndim != 4 or 0 in weight.shape:
            raise ValueError(f"weight must have 4 dimensions, none empty, not shape {weight.shape}")
        channels = len(weight)
        group = integer("group", self.group, 1)
        if channels % group:
            raise ValueError(f"group must divide the {channels} output channels, not be {group}")
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string, not {self.name!r}")
        for name in ("input_unsigned", "output_unsigned"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {getattr(self, name)!r}")
        input_limits = UINT8 if self.input_unsigned else INT8
        limits = UINT8 if self.output_unsigned else INT8
        low = integer("low", limits[0] if self.low is None else self.low, *limits)
        high = integer("high", limits[1] if self.high is None else self.high, *limits)
        if low > high:
            raise ValueError(f"low must not exceed high, but {low} > {high}")
        return {
            "weight": weight.astype(np.int8),
            "bias": channel_vector("bias", self.bias, channels, *INT32),
            "multiplier": channel_vector("multiplier", self.multiplier, channels, *MULTIPLIER),
            "shift": channel_vector("shift", self.shift, channels, *SHIFT),
            "rounding": check_rounding(self.rounding),
            "stride": integer_tuple("stride", self.stride, 2, 1),
            "padding": integer_tuple("padding", self.padding, 4, 0),
            "dilation": integer_tuple("dilation", self.dilation, 2, 1),
            "group": group,
            "input_zero_point": integer("input_zero_point", self.input_zero_point, *input_limits),
            "output_zero_point": integer("output_zero_point", self.output_zero_point, *limits),
            "low": low,
            "high": high,
        }

    def _input_shape(self, shape):
        if len(shape) != 4:
            raise ValueError(f"Layer {self.name}: codes must have 4 dimensions, "
                             f"not shape {tuple(shape)}")
        return tuple(shape)


def run_network(layers, codes):
    """Outputs of every layer of a chain, each fed with the one before; ``codes`` feed the first."""
    outputs = []
    for layer in layers:
        codes = layer(codes)
        outputs.append(codes)
    return outputs
