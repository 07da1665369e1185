"""What random ONNX models are made of: quantised values, windows and weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from golden.quantisation import Quantisation

__all__ = ["MICROSOFT", "Map", "Parts"]

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


@dataclass
class Map:
    """Codes in a model that is being drawn: a name, (C, H, W) or (C,), and what they stand for."""

    name: str
    shape: tuple
    quantisation: Quantisation


class Parts:
    """Parts of a random model.

    Parameters
    ----------
    seed : int
    qdq : bool
        Whether operators on reals stand between DequantizeLinear and QuantizeLinear; else they are
        operators on codes.
    dyadic : bool
        Whether scales are powers of two, so that ONNX Runtime's float32 arithmetic is exact.
    """

    def __init__(self, seed, *, qdq=False, dyadic=False):
        self.rng = np.random.default_rng(seed)
        self.qdq, self.dyadic = qdq, dyadic
        self.unsigned = bool(self.rng.integers(2))
        self.dtype = np.uint8 if self.unsigned else np.int8
        self.limits = np.iinfo(self.dtype)
        self.nodes, self.constants, self.maps = [], [], []
        self.opset = int(self.rng.integers(13, 21))

    # Parts

    def choose(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def number(self, low, high):
        """An integer from ``low`` to ``high``."""
        return int(self.rng.integers(low, high + 1))

    def scale(self, low=-6.0, high=0.0):
        exponent = self.rng.uniform(low, high)
        return float(np.float32(np.exp2(np.round(exponent) if self.dyadic else exponent)))

    def quantisation(self, scale=None):
        edge = self.choose(self.limits.min, self.limits.max, None, None)
        zero = self.number(self.limits.min, self.limits.max) if edge is None else int(edge)
        return Quantisation(self.scale() if scale is None else scale, zero, self.unsigned)

    def constant(self, values, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator, inputs, output=None, domain="", **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain,
                                           name=f"n{len(self.nodes)}", **attributes))
        return output

    def parameters(self, quantisation):
        """Names of constants for a scale and a zero point."""
        return [self.constant(np.float32(quantisation.scale)),
                self.constant(np.array(quantisation.zero_point, quantisation.dtype))]

    def real(self, codes):
        return self.add("DequantizeLinear", [codes.name, *self.parameters(codes.quantisation)])

    def codes(self, real, shape, quantisation):
        """QuantizeLinear, at times behind a Relu or Clip."""
        clip = self.number(0, 5)
        if clip == 0:
            real = self.add("Relu", [real])
        elif clip == 1:
            real = self.add("Clip", [real, self.constant(np.float32(-1)),
                                     self.constant(np.float32(6 * quantisation.scale * 10))])
        name = self.add("QuantizeLinear", [real, *self.parameters(quantisation)])
        return self.known(name, shape, quantisation)

    def known(self, name, shape, quantisation):
        made = Map(name, tuple(int(size) for size in shape), quantisation)
        self.maps.append(made)
        return made

    def target(self, spread):
        """A quantisation for reals with a deviation of about ``spread``."""
        scale = spread * self.rng.uniform(2, 8) / 256
        if self.dyadic:
            scale = np.exp2(np.round(np.log2(scale)))
        return self.quantisation(float(np.float32(scale)))

    def window(self, size, *, dilations=True, pool=False):
        """Kernel, attributes and output size of a window that fits."""
        kernel = [self.number(1, min(3, each)) for each in size]
        stride = [self.number(1, 2) for _ in size]
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
        mode = self.choose("pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", None)
        if mode in ("SAME_UPPER", "SAME_LOWER") and any(
                step > taps + (not pool) for step, taps in zip(stride, kernel, strict=True)):
            mode = "pads"
        dilation = [1, 1]
        if mode == "pads":
            attributes["pads"] = [self.number(0, taps - 1) for taps in kernel * 2]
        elif mode is not None:
            attributes["auto_pad"] = mode
        if dilations and mode not in ("SAME_UPPER", "SAME_LOWER"):
            dilation = [self.number(1, 2) for _ in size]
            attributes["dilations"] = dilation
        pads = attributes.get("pads", [0] * 4)
        # With ceil_mode, averages over what is beyond the padding would not be even.
        ceil = pool and dilations and "auto_pad" not in attributes and self.number(0, 2) == 0
        if ceil:
            attributes["ceil_mode"] = 1
        made = []
        for axis in (0, 1):
            extent = (kernel[axis] - 1) * dilation[axis] + 1
            padded = size[axis] + pads[axis] + pads[axis + 2]
            if mode in ("SAME_UPPER", "SAME_LOWER"):
                made.append(-(-size[axis] // stride[axis]))
            elif padded < extent:
                return self.window(size, dilations=dilations, pool=pool)
            else:
                count = -(-(padded - extent) // stride[axis]) if ceil else (
                    padded - extent) // stride[axis]
                if ceil and count * stride[axis] >= size[axis] + pads[axis]:
                    # ONNX counts a window that begins behind the map, ONNX Runtime does not.
                    return self.window(size, dilations=dilations, pool=pool)
                made.append(count + 1)
        return kernel, attributes, made

    # Weights

    def weights(self, shape, axis):
        """Codes, scales and zero points, per tensor or along ``axis``."""
        channels = shape[axis]
        if self.unsigned and self.number(0, 3) == 0:
            weight = self.rng.integers(0, 256, shape).astype(np.uint8)
            zero = np.uint8(128)
        else:
            weight, zero = self.rng.integers(-127, 128, shape).astype(np.int8), np.int8(0)
        if self.number(0, 1):
            return weight, np.array(
                [self.scale(-9, -5) for _ in range(channels)], np.float32), np.full(channels, zero)
        return weight, np.array(self.scale(-9, -5), np.float32), np.array(zero)

    def sums(self, codes, weight, scale, zero, axis):
        """An int32 bias, or None, and a quantisation for the sums."""
        taps = weight.size // weight.shape[axis]
        bias = None
        if self.number(0, 3):
            bias = self.rng.integers(-6000, 6000, weight.shape[axis]).astype(np.int32)
        spread = 73 * 73 * np.sqrt(taps) * float(np.max(scale)) * codes.quantisation.scale
        del zero
        return bias, self.target(spread)

    def dequantised(self, weight, scale, zero, axis):
        inputs = [self.constant(weight), self.constant(scale), self.constant(zero)]
        return self.add("DequantizeLinear", inputs, axis=axis)

    def bias(self, bias, codes, scale):
        factor = (np.float32(codes.quantisation.scale) * scale).astype(np.float32)
        return self.add("DequantizeLinear", [self.constant(bias), self.constant(factor)], axis=0)
