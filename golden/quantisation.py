"""Real values as codes and back. NumPy only."""

from dataclasses import dataclass

import numpy as np

from golden.checks import INT8, UINT8, code_limits, integer, positive_real
from golden.requant import check_rounding

__all__ = ["Quantisation"]


@dataclass(frozen=True)
class Quantisation:
    """Scale, zero point and type of a tensor's codes: real = scale · (code - zero point).

    Parameters
    ----------
    scale : float
        Positive and finite; rounded to float32, the type of both model formats.
    zero_point : int
        Within the type.
    unsigned : bool
        Whether the codes are uint8; otherwise int8.
    """

    scale: float
    zero_point: int
    unsigned: bool = False

    def __post_init__(self):
        if not isinstance(self.unsigned, bool):
            raise TypeError(f"unsigned must be a bool, not {self.unsigned!r}")
        limits = UINT8 if self.unsigned else INT8
        with np.errstate(over="ignore"):  # An infinity is refused with the others.
            scale = positive_real("scale", np.float32(self.scale))
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", integer("zero_point", self.zero_point, *limits))

    @property
    def dtype(self):
        """numpy.int8 or numpy.uint8."""
        return np.uint8 if self.unsigned else np.int8

    def codes(self):
        """Every code once, int64 of shape (256,), in the order of their bytes."""
        return np.arange(256, dtype=np.uint8).view(self.dtype).astype(np.int64)

    def quantise(self, values, *, rounding):
        r"""Codes of real values, as the models' runtimes compute them, in float32.

        .. math:: q = \operatorname{clamp}(\operatorname{round}(x / s) + z)

        with the quotient rounded to float32. Ties go to the even integer with ``half_even``, as
        ONNX's QuantizeLinear has it, and away from zero with ``tflite``, as TFLite's QUANTIZE has
        it; ``half_up`` sends them towards plus infinity.

        Parameters
        ----------
        values : array of floats
            Rounded to float32; no NaN. Infinities become the limits.

        Returns
        -------
        array of int8 or uint8, the shape of ``values``
        """
        check_rounding(rounding)
        values = np.asarray(values)
        if not np.issubdtype(values.dtype, np.floating):
            raise TypeError(f"values must be a floating array, not {values.dtype}")
        if np.isnan(values).any():
            raise ValueError("values must not hold NaN")
        low, high = code_limits(self.dtype)
        with np.errstate(over="ignore"):
            quotient = values.astype(np.float32) / np.float32(self.scale)
        # Beyond ±512 every result is a limit; within, a float64 holds quotient + 1/2.
        quotient = np.clip(quotient, -512, 512).astype(np.float64)
        if rounding == "half_even":
            steps = np.rint(quotient)
        elif rounding == "half_up":
            steps = np.floor(quotient + 0.5)
        else:
            steps = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
        return np.clip(steps + self.zero_point, low, high).astype(self.dtype)

    def dequantise(self, codes):
        """Real values of codes: scale · (code - zero point) in float32, rounded once."""
        codes = np.asarray(codes)
        if codes.dtype != self.dtype:
            raise TypeError(f"codes must be {np.dtype(self.dtype)}, not {codes.dtype}")
        return (codes.astype(np.int32) - self.zero_point).astype(np.float32) * np.float32(
            self.scale)
