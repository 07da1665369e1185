"""What random TFLite models are made of: tensors, constants, windows and weights."""

from dataclasses import dataclass

import numpy as np

from scripts.fuzzing.tflite_build import Op, T, build

__all__ = ["Map", "Parts", "out_size", "window_options"]

VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "SUB": 2,
            "AVERAGE_POOL_2D": 2, "MAX_POOL_2D": 2, "MEAN": 2, "SOFTMAX": 2, "QUANTIZE": 2,
            "DEQUANTIZE": 2, "PAD": 2, "PADV2": 2, "CONCATENATION": 2, "RELU": 2, "RELU6": 2}
ACTIVATIONS = ["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"]


@dataclass
class Map:
    """A tensor of a model that is being drawn."""

    index: int
    shape: tuple
    type: str
    scale: float
    zero_point: int


class Parts:
    """Parts of a random model.

    Parameters
    ----------
    seed : int
    uint8 : bool
        Whether its codes are uint8 rather than int8.
    frames : int
    """

    def __init__(self, seed, *, uint8=False, frames=1):
        self.rng = np.random.default_rng(seed)
        self.type = "UINT8" if uint8 else "INT8"
        self.limits = np.iinfo(self.type.lower())
        self.frames = frames
        self.tensors, self.operators, self.maps = [], [], []

    # Parts

    def scale(self):
        return float(np.float32(np.exp2(self.rng.uniform(-8, 2))))

    def zero_point(self):
        choices = [self.limits.min, self.limits.max, self.rng.integers(self.limits.min,
                                                                       self.limits.max + 1)]
        return int(self.rng.choice(choices))

    def tensor(self, shape, *, quantisation=None, kind=None):
        """A new map, with a scale and zero point of its own or those given."""
        kind = kind or self.type
        scale, zero_point = quantisation or (self.scale(), self.zero_point())
        if kind == "FLOAT32":
            self.tensors.append(T(tuple(shape), kind))
        else:
            self.tensors.append(T(tuple(shape), kind, [scale], [zero_point]))
        made = Map(len(self.tensors) - 1, tuple(int(size) for size in shape), kind, scale,
                   zero_point)
        self.maps.append(made)
        return made

    def constant(self, data, kind, scale=(), zero_point=(), axis=0):
        """A new constant; its index."""
        data = np.asarray(data, kind.lower())
        self.tensors.append(T(data.shape, kind, scale, zero_point, axis, data))
        return len(self.tensors) - 1

    def ints(self, values):
        return self.constant(values, "INT32")

    def add(self, name, inputs, output, table=None, **options):
        self.operators.append(Op(name, list(inputs), [output.index], table, options,
                                 VERSIONS.get(name, 1)))
        return output

    def chance(self, probability):
        return self.rng.random() < probability

    def integers(self, low, high, count=2):
        return [int(value) for value in self.rng.integers(low, high + 1, count)]

    def input(self, shape=None):
        if shape is None:
            shape = (*self.integers(3, 9), int(self.rng.choice([1, 2, 3, 4, 5, 8])))
        return self.tensor((self.frames, *shape))

    def model(self, output):
        """The bytes of the file, from the first map to ``output``."""
        return build(self.tensors, self.operators, [self.maps[0].index], [output.index])

    def weights(self, source, output, shape, axis, channels, *, single=False):
        """Indices of random weights and bias, with scales that spread the sums over the codes."""
        taps = int(np.prod(shape)) // channels
        unsigned = self.type == "UINT8"
        values = self.rng.integers(-127, 128, shape)
        spread = 74 * 74 * np.sqrt(taps) * source.scale / output.scale
        count = 1 if unsigned or single or self.chance(0.2) else channels
        scale = (self.rng.uniform(20, 90, count) / spread).astype(np.float32)
        if self.chance(0.1):
            scale *= np.exp2(self.rng.uniform(-40, 3, count)).astype(np.float32)
        elif self.chance(0.1):  # Ties.
            scale = np.exp2(np.round(np.log2(scale))).astype(np.float32)
        zero = int(self.rng.integers(120, 129)) if unsigned else 0
        values = np.clip(values + zero, 0, 255) if unsigned else values
        bias_scale = np.float32(source.scale) * scale
        bias = np.clip(self.rng.normal(0, 60, channels) * output.scale / bias_scale,
                       -2.0**24, 2.0**24).astype(np.int32)
        return (self.constant(values, self.type, scale, [zero] * count, axis),
                self.constant(bias, "INT32", bias_scale, [0] * count))

    def window(self, source, *, same=False):
        """Kernel, stride and dilation that fit, per axis."""
        kernel, stride, dilation = [], [], []
        for size in source.shape[1:3]:
            dilation.append(self.integers(1, 3, 1)[0])
            kernel.append(self.integers(1, max(1, min(4, (size - 1) // dilation[-1] + 1)), 1)[0])
            stride.append(1 if same else self.integers(1, 3, 1)[0])
        return kernel, stride, dilation

    def fused(self):
        return {"FusedActivationFunction": str(self.rng.choice(ACTIVATIONS))}

    def near(self, source):
        """A scale within a few octaves of the source's, and any zero point."""
        scale = np.float32(source.scale * np.exp2(self.rng.uniform(-3, 3)))
        return float(source.scale if self.chance(0.2) else scale), self.zero_point()


def window_options(stride, dilation):
    return {"StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": dilation[0],
            "DilationWFactor": dilation[1]}


def out_size(sizes, kernel, stride, dilation, padding):
    """Height and width of the output, by TFLite's ComputeOutSize."""
    return tuple(
        -(-size // step) if padding == "SAME" else (size - (taps - 1) * spread - 1) // step + 1
        for size, taps, step, spread in zip(sizes, kernel, stride, dilation, strict=True))
