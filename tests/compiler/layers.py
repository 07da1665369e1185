"""Layers with random weights, and small engines to compile them for."""

from dataclasses import replace

import numpy as np

from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from hdl.config import CONFIGURATIONS, Configuration

__all__ = ["LARGE", "ODD", "TINY", "VECTOR", "addition", "conv", "pool"]


#: The smallest array that ships, with room for small networks.
TINY = replace(CONFIGURATIONS["tiny"], activation_words=4096, weight_words=4096,
               coefficient_words=512, program_words=1024, window_width=0, vector=False)
LARGE = CONFIGURATIONS["ecp5-85f"]
ODD = Configuration(name="odd", device="any", rows=2, columns=3, lanes=1, channels=4)
#: With a window and a vector unit, and words that small tensors do not fill.
VECTOR = Configuration(name="units", device="any", rows=4, columns=4, lanes=2, channels=4,
                       window_width=12, vector=True, coefficient_words=2048)


def conv(name, shape, *, seed=1, **parameters):
    """A convolution with weights of ``shape``."""
    rng = np.random.default_rng(seed)
    channels = shape[0]
    return ConvLayer(**{
        "name": name, "weight": rng.integers(-128, 128, shape),
        "bias": rng.integers(-9, 9, channels), "multiplier": np.full(channels, 2**30),
        "shift": np.full(channels, 40), "rounding": "half_even", **parameters})


def pool(name, kernel=(2, 2), kind="max", **parameters):
    """A pooling layer."""
    return PoolLayer(name=name, kind=kind, kernel=kernel, **parameters)


def addition(name, *, seed=1):
    """An addition of two tensors, whose tables are random."""
    tables = np.random.default_rng(seed).integers(-99, 99, (2, 256))
    return ElementwiseLayer(name=name, tables=tables, input_unsigned=(False, False))
