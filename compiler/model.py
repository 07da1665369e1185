"""What a model reader returns."""

from dataclasses import dataclass

import numpy as np

__all__ = ["QuantisedModel"]


@dataclass(frozen=True)
class QuantisedModel:
    """A chain of layers, and what turns images into its codes and its codes into numbers.

    Members
    -------
    layers : tuple of golden.layer.ConvLayer
        In order of execution; at least one. Run by ``golden.layer.run_network(layers, codes)``.
    input_scale, output_scale : float
        Real value of one step of an input or output code; a float32's value, positive.
    input_zero_point, output_zero_point : int
        Code of the real value 0, in [−128, 127] (int8) or [0, 255] (uint8).
    input_unsigned, output_unsigned : bool
        Whether those codes are uint8 rather than int8.
    input_shape, output_shape : tuple of three ints
        Channels, height and width of one frame.
    """

    layers: tuple
    input_scale: float
    input_zero_point: int
    input_unsigned: bool
    input_shape: tuple
    output_scale: float
    output_zero_point: int
    output_unsigned: bool
    output_shape: tuple

    def quantise(self, images):
        r"""Turn real images into input codes, as ONNX ``QuantizeLinear`` does.

        .. math:: q = \operatorname{clamp}(\operatorname{half\_even}(x / s) + z, low, high)

        with a float32 division; low and high are those of int8 or uint8.

        Parameters
        ----------
        images : array of float, shape (N, C, H, W)
            Finite values; (C, H, W) equals ``input_shape``.

        Returns
        -------
        array of int8 or uint8, shape (N, C, H, W)

        Raises
        ------
        TypeError
            If the images are not floating point.
        ValueError
            If their shape is another, or a value is not finite.
        """
        images = np.asarray(images)
        if not np.issubdtype(images.dtype, np.floating):
            raise TypeError(f"Images must be floating point, not {images.dtype}")
        if images.ndim != 4 or images.shape[1:] != self.input_shape:
            channels, height, width = self.input_shape
            raise ValueError(f"Images must have shape (N, {channels}, {height}, {width}), "
                             f"not {images.shape}")
        if not np.all(np.isfinite(images)):
            raise ValueError("Images must be finite")
        dtype = np.uint8 if self.input_unsigned else np.int8
        limits = np.iinfo(dtype)
        with np.errstate(over="ignore"):
            steps = np.rint(images.astype(np.float32) / np.float32(self.input_scale))
        return np.clip(steps + self.input_zero_point, limits.min, limits.max).astype(dtype)

    def dequantise(self, codes):
        """Turn output codes, shape (N, C, H, W), into float32 real values of the same shape."""
        steps = np.asarray(codes).astype(np.int64) - self.output_zero_point
        return steps.astype(np.float32) * np.float32(self.output_scale)
