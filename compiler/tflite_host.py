"""Steps of the host behind a network that was read from a TFLite file."""

from dataclasses import dataclass

from golden.quantisation import Quantisation
from golden.softmax import tflite_softmax
from golden.tflite_ops import tflite_quantize

__all__ = ["Requantise", "TFLiteSoftmax"]


@dataclass(frozen=True)
class TFLiteSoftmax:
    """Softmax of codes, bit for bit as TFLite's reference kernel.

    Members
    -------
    classes : int
        Elements that add up to 1; they follow each other.
    scale, beta : float
        Of the input's codes; factor of the exponents.
    """

    classes: int
    scale: float
    beta: float

    def __call__(self, codes):
        """Codes of probabilities in 1/256, in the type and shape of ``codes``."""
        rows = codes.reshape(-1, self.classes)
        return tflite_softmax(rows, self.scale, beta=self.beta).reshape(codes.shape)


@dataclass(frozen=True)
class Requantise:
    """Codes of another scale, zero point or type, bit for bit as TFLite's reference QUANTIZE.

    Members
    -------
    source, output : golden.quantisation.Quantisation
    """

    source: Quantisation
    output: Quantisation

    def __call__(self, codes):
        """Codes in the shape of ``codes``."""
        layer = tflite_quantize("QUANTIZE", self.source, self.output)
        return layer(codes.reshape(1, -1, 1, 1)).reshape(codes.shape)
