"""Concatenation of feature maps along channels. NumPy only."""

from dataclasses import dataclass

import numpy as np

from golden.base import Layer, code_type, flags
from golden.checks import integer

__all__ = ["ConcatLayer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConcatLayer(Layer):
    """Channels of several feature maps of equal scale, zero point and type, one after the other.

    Parameters
    ----------
    name : str
        Begins every error message.
    inputs : int
        Feature maps, at least 1.
    unsigned : bool
        Whether the codes of all sides are uint8; otherwise int8.
    """

    name: str
    inputs: int = 2
    unsigned: bool = False

    @property
    def input_types(self):
        """numpy.int8 or numpy.uint8 of each input."""
        return (code_type(self.unsigned),) * self.inputs

    @property
    def output_type(self):
        """numpy.int8 or numpy.uint8."""
        return code_type(self.unsigned)

    def _apply(self, codes):
        return np.concatenate(codes, axis=1)

    def _output_shape(self, shapes):
        frames, _, height, width = shapes[0]
        for shape in shapes:
            if (shape[0], *shape[2:]) != (frames, height, width):
                raise ValueError("inputs must have equal shapes but for the channels, "
                                 f"not {shapes[0]} and {shape}")
        return frames, sum(shape[1] for shape in shapes), height, width

    def _checked(self):
        return {"inputs": integer("inputs", self.inputs, 1), **flags(self, "unsigned")}
