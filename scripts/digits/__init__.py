"""The demo's network, images and labels: handwritten digits. See ``README.md`` beside this file."""

from pathlib import Path

import numpy as np

from golden.quantisation import Quantisation

__all__ = ["float_model_path", "input_codes", "load_images", "model_path"]

_HERE = Path(__file__).parent


def model_path():
    """Path of the int8 network: QLinearConv nodes, input (N, 1, 28, 28), output (N, 10, 1, 1)."""
    return _HERE / "digits_int8.onnx"


def float_model_path():
    """Path of the float network it was made from: Conv, BatchNormalization and Relu nodes."""
    return _HERE / "digits_float.onnx"


def load_images():
    """Read the images that ship with the package.

    Returns
    -------
    images : array of float32, shape (200, 1, 28, 28)
        Grey levels divided by 255: 0.0 is paper, 1.0 is ink. The int8 network's input scale is
        1/255 and its zero point −128, so every grey level has a code of its own.
    labels : array of int64, shape (200,)
        The digit each image shows, 0 to 9; twenty of each.
    """
    with np.load(_HERE / "digits_images.npz", allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
    return images[:, None].astype(np.float32) / np.float32(255), labels.astype(np.int64)


def input_codes(model, images):
    """Turn real images (N, 1, 28, 28) into the codes that a `compiler.model.Model` takes."""
    port = model.input
    quantisation = Quantisation(port.scale, port.zero_point, port.dtype is np.uint8)
    return quantisation.quantise(images, rounding=port.rounding)
