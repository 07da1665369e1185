"""Sums of tabulated codes: residual addition, requantisation, any unary function. NumPy only."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from golden.base import Layer, code_type, naming, output_fields, scalar_fields
from golden.checks import INT32, in_range, integer_array

__all__ = ["ElementwiseLayer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ElementwiseLayer(Layer):
    r"""One or two feature maps, each code through a table, summed, then scale-shift.

    .. math:: q = \operatorname{clamp}\!\left(\operatorname{round}\!\left(
              \frac{(bias + \sum_i T_i[x_i]) \cdot M}{2^S}\right) + z_y, low, high\right)

    A table has an entry for every code, indexed by the code's byte (``code & 255``): the first 128
    entries are codes 0 to 127, the others -128 to -1 if the input is signed, 128 to 255 if not. The
    rounding is that of :func:`golden.requant.requantise`. For the models' operators see
    :mod:`golden.tflite_ops` and :mod:`golden.onnx_ops`. The tables are copied and read-only.

    Parameters
    ----------
    name : str
        Begins every error message.
    tables : array of integers, shape (inputs, 256)
        One or two inputs; kept as int32. No sum of entries and bias may leave int32.
    input_unsigned : tuple of bool
        One per input: whether its codes are uint8; otherwise int8.
    bias, multiplier, shift : int
        Ranges as in :func:`golden.requant.requantise`.
    rounding : str
        One of :data:`golden.requant.ROUNDINGS`.
    output_unsigned : bool
        Whether the output's codes are uint8; otherwise int8.
    output_zero_point, low, high : int
        Within the output's type; the bounds by default its limits.
    """

    name: str
    tables: np.ndarray
    input_unsigned: tuple[bool, ...]
    bias: int = 0
    multiplier: int = 1
    shift: int = 0
    rounding: str = "half_up"
    output_unsigned: bool = False
    output_zero_point: int = 0
    # None stands for the limit of the output type and is gone once the layer exists.
    low: int = field(default=cast(int, None))
    high: int = field(default=cast(int, None))

    @property
    def input_types(self):
        """numpy.int8 or numpy.uint8 of each input."""
        return tuple(code_type(unsigned) for unsigned in self.input_unsigned)

    @property
    def output_type(self):
        """numpy.int8 or numpy.uint8."""
        return code_type(self.output_unsigned)

    def accumulate(self, *codes):
        """Sums of entries and bias, int32 of shape (N, C, H, W)."""
        with naming(f"Layer {self.name}"):
            return self._accumulate(self._codes(codes))

    def _accumulate(self, codes):
        entries = [table[values.view(np.uint8)]
                   for table, values in zip(self.tables, codes, strict=True)]
        # A partial sum may wrap; the whole fits int32.
        return sum(entries[1:], start=entries[0] + np.int32(self.bias))

    def _apply(self, codes):
        return self._requantised(self._accumulate(codes))

    def _output_shape(self, shapes):
        if shapes[0] != shapes[-1]:
            raise ValueError(f"inputs must have equal shapes, not {shapes[0]} and {shapes[-1]}")
        return shapes[0]

    def _checked(self):
        tables = in_range("table entry", integer_array("tables", self.tables), *INT32)
        if tables.ndim != 2 or len(tables) not in (1, 2) or tables.shape[1] != 256:
            raise ValueError(f"tables must have shape (1, 256) or (2, 256), not {tables.shape}")
        unsigned = tuple(self.input_unsigned)
        for flag in unsigned:
            if not isinstance(flag, bool):
                raise TypeError(f"input_unsigned must hold bools, not {flag!r}")
        if len(unsigned) != len(tables):
            raise ValueError(f"input_unsigned must have {len(tables)} values, not {unsigned}")
        scalars = scalar_fields(self)
        low, high = (int(limits.sum(dtype=np.int64)) + scalars["bias"]
                     for limits in (tables.min(axis=1), tables.max(axis=1)))
        if low < INT32[0] or high > INT32[1]:
            raise OverflowError(f"accumulators would span [{low}, {high}], "
                                f"outside [{INT32[0]}, {INT32[1]}]")
        return {"tables": tables.astype(np.int32), "input_unsigned": unsigned, **scalars,
                **output_fields(self)}
