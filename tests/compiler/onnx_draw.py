"""Random ONNX models: small graphs of quantised operators, in either of ONNX's forms."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from golden.quantisation import Quantisation

__all__ = ["OPERATORS", "Draw", "random_codes"]

MICROSOFT = "com.microsoft"


@dataclass
class Map:
    """Codes in a model that is being drawn: a name, (C, H, W) or (C,), and what they stand for."""

    name: str
    shape: tuple
    quantisation: Quantisation


class Draw:
    """A random model, operator by operator.

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
        attributes = {"kernel_shape": kernel, "strides": stride}
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

    # Operators: each takes a Map (C, H, W) and returns another

    def conv(self, codes):
        channels, *size = codes.shape
        group = self.choose(1, 1, channels, *(g for g in (2, 3) if channels % g == 0))
        made = group * self.number(1, 3 if group > 1 else 7)
        kernel, attributes, shape = self.window(size)
        weight, scale, zero = self.weights((made, channels // group, *kernel), 0)
        bias, target = self.sums(codes, weight, scale, zero, 0)
        attributes["group"] = group
        if self.qdq:
            inputs = [self.real(codes), self.dequantised(weight, scale, zero, 0)]
            if bias is not None:
                inputs.append(self.bias(bias, codes, scale))
            return self.codes(self.add("Conv", inputs, **attributes), (made, *shape), target)
        inputs = [codes.name, *self.parameters(codes.quantisation), self.constant(weight),
                  self.constant(scale), self.constant(zero), *self.parameters(target)]
        if bias is not None:
            inputs.append(self.constant(bias))
        name = self.add("QLinearConv", inputs, **attributes)
        return self.known(name, (made, *shape), target)

    def conv_integer(self, codes):
        """ConvInteger, Cast, Mul, Add, QuantizeLinear."""
        channels, *size = codes.shape
        kernel, attributes, shape = self.window(size)
        made = self.number(1, 5)
        weight, scale, zero = self.weights((made, channels, *kernel), 0)
        bias, target = self.sums(codes, weight, scale, zero, 0)
        # ONNX Runtime's kernel takes unsigned codes by signed weights, or two of one type.
        inputs = [codes.name, self.constant(weight),
                  self.constant(np.array(codes.quantisation.zero_point, self.dtype)),
                  self.constant(zero.reshape(-1)[0] if zero.ndim else zero)]
        factor = (np.float32(codes.quantisation.scale) * scale).astype(np.float32)
        value = self.add("Cast", [self.add("ConvInteger", inputs, **attributes)],
                         to=TensorProto.FLOAT)
        value = self.add("Mul", [value, self.constant(factor.reshape(1, -1, 1, 1))])
        if bias is not None:
            # A multiple of the factor, so that it is accumulators exactly.
            offset = (bias * factor.astype(np.float64)).astype(np.float32)
            value = self.add("Add", [value, self.constant(offset.reshape(-1, 1, 1))])
        return self.codes(value, (made, *shape), target)

    def max_pool(self, codes):
        channels, *size = codes.shape
        _, attributes, shape = self.window(size, pool=True)
        if self.qdq:
            value = self.add("MaxPool", [self.real(codes)], **attributes)
            name = self.add("QuantizeLinear", [value, *self.parameters(codes.quantisation)])
        else:
            name = self.add("MaxPool", [codes.name], **attributes)
        return self.known(name, (channels, *shape), codes.quantisation)

    def average_pool(self, codes):
        channels, *size = codes.shape
        _, attributes, shape = self.window(size, dilations=False, pool=True)
        if any(attributes.get("pads", ())) or "auto_pad" in attributes:
            attributes["count_include_pad"] = 1
        target = self.target(codes.quantisation.scale * 80)
        return self.unary("AveragePool", codes, (channels, *shape), target, **attributes)

    def global_average_pool(self, codes):
        target = self.target(codes.quantisation.scale * 60)
        return self.unary("GlobalAveragePool", codes, (codes.shape[0], 1, 1), target)

    def reduce_mean(self, codes):
        target = self.target(codes.quantisation.scale * 60)
        if self.opset < 18:
            value = self.add("ReduceMean", [self.real(codes)], axes=[2, 3], keepdims=1)
        else:
            value = self.add("ReduceMean", [self.real(codes), self.constant(np.array([-2, -1]))])
        return self.codes(value, (codes.shape[0], 1, 1), target)

    def sum(self, codes):
        """Add to another map of the same shape, or to itself."""
        others = [each for each in self.maps if each.shape == codes.shape]
        other = others[self.rng.integers(len(others))]
        target = self.target((codes.quantisation.scale + other.quantisation.scale) * 70)
        if self.qdq:
            return self.codes(self.add("Add", [self.real(codes), self.real(other)]), codes.shape,
                              target)
        name = self.add("QLinearAdd", [
            codes.name, *self.parameters(codes.quantisation), other.name,
            *self.parameters(other.quantisation), *self.parameters(target)], domain=MICROSOFT)
        return self.known(name, codes.shape, target)

    def concat(self, codes):
        others = [each for each in self.maps if each.shape[1:] == codes.shape[1:]]
        parts = [codes, *(others[self.rng.integers(len(others))]
                          for _ in range(self.number(1, 2)))]
        target = self.choose(codes.quantisation, self.target(codes.quantisation.scale * 70))
        shape = (sum(part.shape[0] for part in parts), *codes.shape[1:])
        if self.qdq:
            return self.codes(self.add("Concat", [self.real(part) for part in parts], axis=1),
                              shape, target)
        inputs = [each for part in parts for each in (part.name,
                                                      *self.parameters(part.quantisation))]
        name = self.add("QLinearConcat", [*self.parameters(target), *inputs], domain=MICROSOFT,
                        axis=1)
        return self.known(name, shape, target)

    def clip(self, codes):
        """Relu or Clip of reals, quantised otherwise."""
        value = self.real(codes)
        bound = codes.quantisation.scale * 50
        value = (self.add("Relu", [value]) if self.number(0, 1) else
                 self.add("Clip", [value, self.constant(np.float32(-bound)), ""][:2]))
        return self.codes(value, codes.shape, self.target(bound))

    def requantise(self, codes):
        return self.codes(self.real(codes), codes.shape,
                          self.target(codes.quantisation.scale * 80))

    def pad(self, codes):
        sides = [self.number(1, 2), *(self.number(0, 2) for _ in range(3))]
        channels, height, width = codes.shape
        shape = channels, height + sides[0] + sides[2], width + sides[1] + sides[3]
        pads = self.constant(np.array([0, 0, *sides[:2], 0, 0, *sides[2:]], np.int64))
        if self.qdq:
            value = self.add("Pad", [self.real(codes), pads])
            name = self.add("QuantizeLinear", [value, *self.parameters(codes.quantisation)])
        else:
            name = self.add("Pad", [codes.name, pads, self.constant(
                np.array(codes.quantisation.zero_point, self.dtype))])
        return self.known(name, shape, codes.quantisation)

    def unary(self, operator, codes, shape, target, **attributes):
        if self.qdq:
            value = self.add(operator, [self.real(codes)], **attributes)
            return self.codes(value, shape, target)
        name = self.add(f"QLinear{operator}", [
            codes.name, *self.parameters(codes.quantisation), *self.parameters(target)],
            domain=MICROSOFT, **attributes)
        return self.known(name, shape, target)

    # The end of a graph

    def dense(self, codes):
        """Flatten, then a matrix product of some form."""
        elements = int(np.prod(codes.shape))
        made = self.number(1, 6)
        form = self.choose("MatMul", "Gemm")
        transposed = form == "Gemm" and bool(self.number(0, 1))
        axis = 0 if transposed else 1
        shape = (made, elements) if transposed else (elements, made)
        weight, scale, zero = self.weights(shape, axis)
        bias, target = self.sums(codes, weight, scale, zero, axis)
        flat = self.choose(lambda name: self.add("Flatten", [name]), lambda name: self.add(
            "Reshape", [name, self.constant(np.array([0, -1], np.int64))]))
        if self.qdq:
            value = flat(self.real(codes))
            inputs = [value, self.dequantised(weight, scale, zero, axis)]
            if form == "Gemm":
                if bias is not None:
                    inputs.append(self.bias(bias, codes, scale))
                value = self.add("Gemm", inputs, transB=int(transposed))
            else:
                value = self.add("MatMul", inputs)
                if bias is not None and self.number(0, 1):
                    value = self.add("Add", [value, self.bias(bias, codes, scale)])
            return self.codes(value, (made,), target)
        inputs = [flat(codes.name), *self.parameters(codes.quantisation), self.constant(weight),
                  self.constant(scale), self.constant(zero)]
        if form == "MatMul":
            name = self.add("QLinearMatMul", [*inputs, *self.parameters(target)])
        else:
            inputs.append(self.constant(bias) if bias is not None else "")
            name = self.add("QGemm", [*inputs, *self.parameters(target)], domain=MICROSOFT,
                            transB=int(transposed))
        return self.known(name, (made,), target)

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
            return weight, np.float32([self.scale(-9, -5) for _ in range(channels)]), np.full(
                channels, zero)
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

    # Models

    def path(self, name):
        """Nodes that lead to a value, and the names that they read."""
        nodes, used = [], {name}
        for node in reversed(self.nodes):
            if not used.isdisjoint(node.output):
                nodes.append(node)
                used.update(node.input)
        return nodes[::-1], used

    def start(self):
        """The model's input."""
        shape = (self.choose(1, 2, 3, 4, 5, 6), self.number(4, 9), self.number(4, 9))
        return self.known("x", shape, self.quantisation())

    def graph(self, operators):
        """A random graph; the name of its last tensor."""
        codes, made = self.start(), []
        real = self.qdq and bool(self.number(0, 1))
        if real:
            codes.name = self.add("QuantizeLinear", ["x", *self.parameters(codes.quantisation)])
        for _ in range(operators):
            names = [name for name in OPERATORS if self.qdq or name not in ONLY_REALS]
            name = self.choose(*names)
            # At times from an earlier map, so that there are branches.
            source = codes if self.number(0, 2) else self.choose(*self.maps)
            codes = getattr(self, name)(source)
            made.append(name)
        if self.number(0, 2) == 0:
            codes = self.dense(codes)
        if all(node.op_type in MAY_DO_NOTHING for node in self.path(codes.name)[0]):
            codes = self.conv(codes)
        return self.model(codes, real)

    def model(self, codes, real=False):
        """The model whose output is ``codes``; what does not lead there is left out."""
        name = codes.name
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        output = kind
        if self.qdq and self.number(0, 1):
            name, output = self.real(codes), TensorProto.FLOAT
        nodes, used = self.path(name)
        graph = helper.make_graph(
            nodes, "drawn",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT if real else kind,
                                           ["N", *self.maps[0].shape])],
            [helper.make_tensor_value_info(name, output, ["N", *codes.shape])],
            [tensor for tensor in self.constants if tensor.name in used])
        return helper.make_model(graph, ir_version=8, opset_imports=[
            helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)])


OPERATORS = ("conv", "conv", "max_pool", "average_pool", "global_average_pool", "sum", "concat",
             "pad", "clip", "requantise", "reduce_mean", "conv_integer")
MAY_DO_NOTHING = ("QuantizeLinear", "DequantizeLinear", "Relu", "Clip")
ONLY_REALS = ("clip", "requantise", "reduce_mean", "conv_integer")


def random_codes(rng, port, frames):
    """Frames for a `compiler.model.Port`: codes, or reals around their range."""
    shape = (frames, *port.shape)
    if port.dtype is np.float32:
        return (rng.uniform(-300, 300, shape) * port.scale).astype(np.float32)
    limits = np.iinfo(port.dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(port.dtype)
