"""Float ONNX models, quantised here: ranges of activations from frames that the user gives."""

import numpy as np
from onnx import TensorProto

from compiler.calibrate_run import run_float
from compiler.errors import quoted
from compiler.onnx_file import read_graph, run_checker
from compiler.onnx_graph import Reader
from compiler.onnx_reader import survey_graph
from golden.quantisation import Quantisation

__all__ = ["Calibration", "Range", "quantise_weights", "read_float", "survey_float"]

BATCH = 8
"""Frames that are run at once."""

SAMPLES = 1 << 16
"""Values of a tensor that are kept to choose its range by, at most."""

ALL_SAMPLES = 1 << 26
"""The same of all tensors together."""

CODES = frozenset(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm",
                   "QLinearAdd", "QLinearConcat", "QLinearAveragePool", "QLinearSoftmax",
                   "QLinearGlobalAveragePool", "ConvInteger", "MatMulInteger"))
"""Operators that only a quantised model has."""


class Range:
    """Values that a tensor takes.

    Parameters
    ----------
    share : int
        How many of the values that are added at once are kept, about.

    Attributes
    ----------
    low, high : float
        The extremes, and zero.
    """

    def __init__(self, share=SAMPLES):
        self.low = self.high = 0.0
        self._share, self._samples = share, []

    def add(self, values):
        """Note values, an array of finite floats."""
        flat = values.reshape(-1)
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        # Evenly over the batch, by an odd stride, which few axes share.
        self._samples.append(flat[::max(1, flat.size // self._share) | 1])

    def quantisation(self, *, fractions=None):
        r"""Int8 `Quantisation` whose codes span a part of the range, zero among them.

        The part is the one, of some down to 0.4 of the extremes, with the least mean square of
        rounding and saturation errors over the samples: outliers saturate where that pays.

        Parameters
        ----------
        fractions : sequence of floats, or None
            Parts to try; ``(1.0,)`` keeps the extremes.
        """
        if self.high == self.low:
            return Quantisation(1.0, 0)
        samples = np.concatenate(self._samples)
        tries = [_spanning(self.low * part, self.high * part)
                 for part in (np.linspace(1, 0.4, 31) if fractions is None else fractions)]
        return min(tries, key=lambda each: _error(each, samples))


def _spanning(low, high):
    """The `Quantisation` of int8 codes that span [low, high], which holds zero."""
    scale = max(np.float32((high - low) / 255), np.finfo(np.float32).tiny)
    return Quantisation(float(scale), int(np.clip(np.rint(-128 - low / float(scale)), -128, 127)))


def _error(quantisation, samples):
    """Mean square of what quantisation changes."""
    codes = quantisation.quantise(samples, rounding="half_even")
    return float(np.mean((quantisation.dequantise(codes) - samples.astype(np.float64)) ** 2))


class Calibration:
    """What `compiler.onnx_graph.Reader` asks in order to quantise a float model.

    Parameters
    ----------
    ranges : dict of str to Range, or None
        Of tensors, by their names in the graph. None gives every tensor the same quantisation, in
        order to look at the graph alone.
    """

    def __init__(self, ranges=None):
        self._ranges, self._known = ranges, {}

    def quantisation(self, tensor):
        """`Quantisation` of a tensor."""
        if self._ranges is None:
            return Quantisation(1.0, 0)
        if tensor not in self._known:
            self._known[tensor] = self._ranges[tensor].quantisation()
        return self._known[tensor]

    def weights(self, node, name, axis):
        """Float weights as int8 values and a float32 scale per output channel: see
        `quantise_weights`."""
        values = node.constant(name, TensorProto.FLOAT)
        if not np.all(np.isfinite(values)):
            raise node.fault(f"input '{name}' is not finite", "export the model again")
        return quantise_weights(values, axis)


def quantise_weights(values, axis):
    """Symmetric int8 weights in [-127, 127] of a float array, and a scale for each index of
    ``axis``: the greatest magnitude is 127."""
    others = tuple(each for each in range(values.ndim) if each != axis)
    largest = np.abs(values).max(axis=others).astype(np.float64)
    # Weights that are as good as zero are zero, and have any scale.
    scale = np.where(largest / 127 >= 2.0**-100, largest / 127, 1.0).astype(np.float32)
    along = [-1 if each == axis else 1 for each in range(values.ndim)]
    steps = np.rint(values / scale.astype(np.float64).reshape(along))
    return np.clip(steps, -127, 127).astype(np.int8), scale


def read_float(path, images):
    """Read a float model, quantised here; see :func:`survey_float`.

    Returns
    -------
    compiler.model.Model

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, or asks for something not supported, or the images
        do not fit; of several faults, the first one.
    """
    found = survey_float(path, images)
    if found.model is None:
        raise found.faults[0]
    return found.model


def survey_float(path, images):
    r"""Read a float ONNX model, quantise it, and say of every node what becomes of it.

    Activations become int8 codes with a scale and a zero point per tensor, chosen from the values
    that the float graph takes on the images: see `Range`. What a convolution, BatchNorm, Relu and
    Clip in a row make is quantised once, at their end. Weights become int8 with a scale per output
    channel. A BatchNorm stays in the layer's multiplier and bias, and costs the weights nothing
    (:func:`golden.fold.fold_batchnorm`); a channel whose gain is so small that its bias would leave
    32 bits becomes constant. Biases are rounded to accumulators. Rounding is half to even.

    Parameters
    ----------
    path : str or path
        File of at most 512 MiB with all weights inside.
    images : array of float32, shape (N, ...)
        Frames as the model takes them, finite, at least one, not all zero; some hundred typical
        ones do.

    Returns
    -------
    compiler.survey.Survey
        Its model takes and returns float32. Tensors of the network are named as in the file.

    Raises
    ------
    ModelError
        If the file cannot be read or is damaged, its graph is not one input to one output, it is
        quantised already, or the images do not fit.
    """
    graph = read_graph(path)
    place = graph.place.at(f"input {quoted(graph.input.name)}")
    if graph.input.elem_type != TensorProto.FLOAT or any(
            node.op_type in CODES for node in graph.nodes):
        raise graph.place.fault("the model is quantised already", "leave out the calibration "
                                "images")
    found = survey_graph(graph, Calibration())
    if found.model is None:
        return found
    images = _checked(images, place, found.model.input.shape)
    found = survey_graph(graph, Calibration(_observed(graph, images)))
    if found.model is not None:
        run_checker(graph)
    return found


def _checked(images, place, shape):
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise place.fault(f"calibration images are {images.dtype}", "give them as float32")
    if images.shape[1:] != tuple(shape) or not len(images):
        wanted = ", ".join(map(str, ("N", *shape)))
        raise place.fault(f"calibration images have shape {images.shape}, not ({wanted})",
                          "give at least one as the model takes it")
    images = images.astype(np.float32)
    if not np.all(np.isfinite(images)):
        raise place.fault("calibration images are not finite", "give finite values")
    if not images.any():
        raise place.fault("calibration images are all zero", "give frames like those that the "
                          "network will see")
    return images


def _observed(graph, images):
    """Ranges of all tensors."""
    reader = Reader(graph, Calibration())
    nodes = [reader.read(proto).node for proto in graph.nodes]
    starts = range(0, len(images), BATCH)
    share = max(1, min(SAMPLES, ALL_SAMPLES // len(nodes)) // len(starts))
    ranges = {}
    for start in starts:
        for name, values in run_float(reader, nodes, images[start:start + BATCH]).items():
            if not np.all(np.isfinite(values)):
                raise graph.place.at(f"tensor {quoted(name)}").fault(
                    "it is not finite on a calibration image", "give images that the model is for")
            ranges.setdefault(name, Range(share)).add(values)
    return ranges
