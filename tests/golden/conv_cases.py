"""Random convolutions for property tests."""

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

# Property tests draw anew on every run; a failure prints the blob that reproduces it.
SEARCH = settings(deadline=None, print_blob=True, max_examples=200)


@dataclass
class ConvCase:
    """Operands and parameters of :func:`golden.conv.conv2d`."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple
    padding: tuple
    dilation: tuple
    group: int
    input_zero_point: int
    rng: np.random.Generator

    @property
    def parameters(self):
        """Keyword arguments of conv2d, the padding excepted."""
        return {"stride": self.stride, "dilation": self.dilation, "group": self.group,
                "input_zero_point": self.input_zero_point}

    @property
    def attributes(self):
        """Attributes of ONNX's convolutions, the padding excepted."""
        return {"strides": self.stride, "dilations": self.dilation, "group": self.group}


@st.composite
def conv_cases(draw, *, weight_limit=128, max_dilation=3, unsigned=None):
    """Every parameter drawn separately per axis and side, so that no two can be confused."""
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride, dilation = pair(1, 4), pair(1, 3), pair(1, max_dilation)
    padding = pair(0, 3) + pair(0, 3)
    size = [max(1, (k - 1) * d + 1 - before - after) + draw(st.integers(0, 6))
            for k, d, before, after in zip(kernel, dilation, padding, padding[2:], strict=False)]
    group = draw(st.sampled_from([1, 1, 2, 3, 8]))
    per_group, outputs = pair(1, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unsigned = draw(st.booleans()) if unsigned is None else unsigned
    dtype = np.uint8 if unsigned else np.int8
    limits = np.iinfo(dtype)
    shape = (draw(st.integers(1, 2)), group * per_group, *size)
    return ConvCase(
        x=rng.integers(limits.min, limits.max, shape, dtype, endpoint=True),
        weight=rng.integers(-weight_limit, min(weight_limit, 127),
                            (group * outputs, per_group, *kernel), np.int8, endpoint=True),
        bias=rng.integers(-5000, 5000, group * outputs),
        stride=stride, padding=padding, dilation=dilation, group=group,
        input_zero_point=draw(st.integers(limits.min, limits.max)), rng=rng)
