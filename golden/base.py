"""What all layers share: checks on construction, of shapes and of codes. NumPy only."""

from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from golden.checks import INT8, INT32, UINT8, integer
from golden.requant import MULTIPLIER, SHIFT, check_rounding, requantise

__all__ = ["Layer", "code_type", "flags", "naming", "output_fields", "scalar_fields"]


@contextmanager
def naming(label):
    """Context whose errors about operands begin with ``label``."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise type(error)(f"{label}: {error}") from None


def code_type(unsigned):
    """Type of the codes of one side of a layer: numpy.uint8 if ``unsigned``, else numpy.int8."""
    return np.uint8 if unsigned else np.int8


class Layer:
    """A frozen dataclass that computes codes from codes; base of every kind of layer.

    A kind of layer defines ``input_types``, ``output_type``, ``_checked`` (every field in its final
    form), ``_output_shape`` (of shapes with 4 dimensions each) and ``_apply`` (of codes whose
    types and shapes go together). Arrays become read-only. Every error names the layer.
    """

    name: str
    # Of the layers that requantise, all but the concatenation.
    multiplier: Any
    shift: Any
    rounding: str
    output_unsigned: bool
    output_zero_point: int
    low: int
    high: int

    def __post_init__(self):
        with naming(f"Layer {self.name}"):
            if not isinstance(self.name, str):
                raise TypeError(f"name must be a string, not {self.name!r}")
            checked = self._checked()
        for name, value in checked.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def input_types(self) -> tuple[type, ...]:
        """numpy.int8 or numpy.uint8 of each input."""
        raise NotImplementedError

    @property
    def output_type(self) -> type:
        """numpy.int8 or numpy.uint8."""
        raise NotImplementedError

    def output_shape(self, *input_shapes):
        """Shape (N, Cout, Hout, Wout) of the output for inputs of shapes (N, Cin, H, W)."""
        with naming(f"Layer {self.name}"):
            count = len(self.input_types)
            if len(input_shapes) != count:
                raise ValueError(f"takes {count} inputs, not {len(input_shapes)}")
            shapes = [tuple(shape) for shape in input_shapes]
            for shape in shapes:
                if len(shape) != 4:
                    raise ValueError(f"codes must have 4 dimensions, not shape {shape}")
            return self._output_shape(shapes)

    def macs(self, *input_shapes):
        """Multiplications for inputs of those shapes, all frames, those with padding included."""
        return prod(self.output_shape(*input_shapes)) * self._macs_per_output()

    def __call__(self, *codes):
        """Output codes, of ``output_type``, shape (N, Cout, Hout, Wout)."""
        with naming(f"Layer {self.name}"):
            return self._apply(self._codes(codes))

    def _codes(self, codes):
        """The codes as arrays; an error unless they are what the layer takes."""
        arrays = [np.asarray(values) for values in codes]
        for array, expected in zip(arrays, self.input_types, strict=False):
            if array.dtype != expected:
                raise TypeError(f"codes must be {np.dtype(expected)}, not {array.dtype}")
        count = len(self.input_types)
        if len(arrays) != count:
            raise ValueError(f"takes {count} inputs, not {len(arrays)}")
        for array in arrays:
            if array.ndim != 4:
                raise ValueError(f"codes must have 4 dimensions, not shape {array.shape}")
        self._output_shape([array.shape for array in arrays])
        return arrays

    def _macs_per_output(self) -> int:
        return 0

    def _requantised(self, acc):
        """Output codes of accumulators, for layers with the fields of :func:`output_fields`."""
        return requantise(acc, self.multiplier, self.shift, rounding=self.rounding,
                          zero_point=self.output_zero_point, low=self.low,
                          high=self.high).astype(self.output_type)

    def _checked(self) -> dict[str, Any]:
        raise NotImplementedError

    def _output_shape(self, shapes) -> tuple[int, int, int, int]:
        raise NotImplementedError

    def _apply(self, codes) -> np.ndarray:
        raise NotImplementedError


def flags(layer, *names):
    """Fields that must be bools, checked."""
    for name in names:
        if not isinstance(getattr(layer, name), bool):
            raise TypeError(f"{name} must be a bool, not {getattr(layer, name)!r}")
    return {name: getattr(layer, name) for name in names}


def output_fields(layer):
    """Fields of the output's type, zero point, rounding and bounds, checked.

    A bound of None becomes the output type's.
    """
    unsigned = flags(layer, "output_unsigned")
    limits = UINT8 if layer.output_unsigned else INT8
    low = integer("low", limits[0] if layer.low is None else layer.low, *limits)
    high = integer("high", limits[1] if layer.high is None else layer.high, *limits)
    if low > high:
        raise ValueError(f"low must not exceed high, but {low} > {high}")
    return {
        **unsigned,
        "rounding": check_rounding(layer.rounding),
        "output_zero_point": integer("output_zero_point", layer.output_zero_point, *limits),
        "low": low,
        "high": high,
    }


def scalar_fields(layer):
    """Bias, multiplier and shift of a layer that has one of each for all channels, checked."""
    return {"bias": integer("bias", layer.bias, *INT32),
            "multiplier": integer("multiplier", layer.multiplier, *MULTIPLIER),
            "shift": integer("shift", layer.shift, *SHIFT)}
