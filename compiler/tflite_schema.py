"""Fields of the tables of a TFLite file, in the order of their slots, as far as they are read."""

from tflite import BuiltinOptions

__all__ = ["SCHEMA"]

_OPTIONS = {
    "Conv2DOptions": ("b", "i", "i", "b", "i", "i", "b"),
    "DepthwiseConv2DOptions": ("b", "i", "i", "i", "b", "i", "i"),
    "FullyConnectedOptions": ("b", "b", "?", "?", "b"),
    "Pool2DOptions": ("b", "i", "i", "i", "i", "b"),
    "ReducerOptions": ("?",),
    "AddOptions": ("b", "?"),
    "SubOptions": ("b", "?"),
    "ConcatenationOptions": ("i", "b"),
    "SoftmaxOptions": ("f",),
    "QuantizeOptions": (),
    "DequantizeOptions": (),
    "PadOptions": (),
    "PadV2Options": (),
    "ReshapeOptions": (["i"],),
    "SqueezeOptions": (["i"],),
    "ExpandDimsOptions": (),
    "TransposeOptions": (),
    "ShapeOptions": ("b",),
    "StridedSliceOptions": ("i", "i", "i", "i", "i", "?"),
    "PackOptions": ("i", "i"),
}

SCHEMA = {
    "Model": ("I", ["OperatorCode"], ["SubGraph"], "string", ["Buffer"], ["i"], ["Metadata"],
              ["SignatureDef"]),
    "OperatorCode": ("b", "string", "i", "i"),
    "SubGraph": (["Tensor"], ["i"], ["i"], ["Operator"], "string", "i"),
    "Tensor": (["i"], "b", "I", "string", "QuantizationParameters", "?", None, ["i"], "?", None),
    "QuantizationParameters": (["f"], ["f"], ["f"], ["q"], "B", None, "i"),
    "Operator": ("I", ["i"], ["i"], "B",
                 {getattr(BuiltinOptions, name): name for name in _OPTIONS},
                 ["B"], "b", ["?"], ["i"], "Q", "Q", "B", None, "i"),
    "Buffer": (["B"], "Q", "Q"),
    "Metadata": ("string", "I"),
    "SignatureDef": (["TensorMap"], ["TensorMap"], "string", None, "I"),
    "TensorMap": ("string", "I"),
    **_OPTIONS,
}
"""For :func:`compiler.flatbuffer.verify`. Sparsity, variants and quantisation of other kinds are
refused wherever they come up, and the options of other operators with them."""
