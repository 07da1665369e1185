"""What a model reader returns."""

from dataclasses import dataclass

import numpy as np

from golden.network import Network
from golden.quantisation import Quantisation

__all__ = ["Dequantise", "Model", "Port"]


@dataclass(frozen=True, kw_only=True)
class Port:
    """The model's input or output as the user sees it, and the codes that stand for it.

    Members
    -------
    name : str
        As in the model file.
    shape : tuple of ints
        Of one frame, in the model's own layout, without the axis of frames; any number of sizes.
    dtype : numpy.int8, numpy.uint8 or numpy.float32
        What the user gives or gets. Codes pass as they are, reals are quantised or dequantised.
    channels_last : bool
        Whether the values of ``shape`` are in the order (H, W, C) rather than (C, H, W).
    scale : float
        Real value of one step of the codes; a float32's value, positive.
    zero_point : int
        Code of the real value 0, within the type of the codes.
    rounding : str
        How reals become codes: ``half_even`` (ONNX) or ``tflite`` (ties away from zero).
    """

    name: str
    shape: tuple[int, ...]
    dtype: type
    channels_last: bool
    scale: float
    zero_point: int
    rounding: str = "half_even"


@dataclass(frozen=True)
class Dequantise:
    """Host step from codes to float32 reals: (code − zero point) · scale, rounded once."""

    scale: float
    zero_point: int

    def __call__(self, codes):
        """Return reals in the shape of ``codes``."""
        steps = np.asarray(codes).astype(np.int64) - self.zero_point
        return steps.astype(np.float32) * np.float32(self.scale)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A quantised network, and how the user's arrays become its codes and its codes results.

    Members
    -------
    file : str
        Name of the model's file, without its directories.
    network : golden.network.Network
        What the engine computes; its tensors are named as in the model file.
    input, output : Port
        What the user gives and gets.
    host : tuple of callables
        What the host does with the network's output, in order: each takes and returns an array
        (N, ...) in the layout of ``output``, the first one codes. If what the last one returns is
        codes still, and ``output.dtype`` is float32, they are dequantised.
    """

    file: str
    network: Network
    input: Port
    output: Port
    host: tuple = ()

    def encode(self, x):
        """Turn the user's frames into input codes of the network.

        Reals are quantised by :meth:`golden.quantisation.Quantisation.quantise`, with the rounding
        of the port.

        Parameters
        ----------
        x : array, shape (N, *input.shape)
            Of ``input.dtype``, or of any floating point type where that is float32; finite.

        Returns
        -------
        array of int8 or uint8, shape (N, C, H, W)

        Raises
        ------
        TypeError
            If the array is of another type.
        ValueError
            If its shape is another, or a value is not finite.
        """
        x, port = np.asarray(x), self.input
        wanted = np.floating if port.dtype is np.float32 else port.dtype
        if not np.issubdtype(x.dtype, wanted):
            raise TypeError(f"Input {port.name!r} must be {np.dtype(port.dtype)}, not {x.dtype}")
        if x.shape[1:] != tuple(port.shape) or not x.ndim:
            sizes = ", ".join(map(str, ("N", *port.shape)))
            raise ValueError(f"Input {port.name!r} must have shape ({sizes}), not {x.shape}")
        if port.dtype is np.float32:
            if not np.all(np.isfinite(x)):
                raise ValueError(f"Input {port.name!r} must be finite")
            codes = Quantisation(port.scale, port.zero_point, self.network.input_unsigned)
            x = codes.quantise(x, rounding=port.rounding)
        channels, height, width = self.network.input_shape
        if port.channels_last:
            x = x.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(x.reshape(len(x), channels, height, width))

    def decode(self, codes):
        """Turn output codes of the network into what the model returns.

        Parameters
        ----------
        codes : array of int8 or uint8, shape (N, C, H, W)

        Returns
        -------
        array of ``output.dtype``, shape (N, *output.shape)
        """
        codes = np.asarray(codes)
        if self.output.channels_last:
            codes = codes.transpose(0, 2, 3, 1)
        y = np.ascontiguousarray(codes).reshape(len(codes), *self.output.shape)
        for step in self.host:
            y = step(y)
        if self.output.dtype is np.float32 and np.issubdtype(y.dtype, np.integer):
            y = Dequantise(self.output.scale, self.output.zero_point)(y)
        return y

    def run(self, x):
        """Return the model's results for the user's frames ``x``, computed by golden."""
        return self.decode(self.network(self.encode(x)))
