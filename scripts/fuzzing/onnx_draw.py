"""Random ONNX models: small graphs of quantised operators, in either of ONNX's forms."""

import numpy as np
from onnx import TensorProto, helper

from scripts.fuzzing.onnx_parts import MICROSOFT, Parts

__all__ = ["OPERATORS", "Draw", "random_codes"]


class Draw(Parts):
    """A random model, operator by operator; parameters as for its :class:`Parts`."""

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

    def view(self, name):
        """What PyTorch's exporter makes of ``x.view(x.size(0), -1)``."""
        size = self.add("Gather", [self.add("Shape", [name]), self.constant(np.array([0]))])
        shape = self.add("Concat", [size, self.constant(np.array([-1]))], axis=0)
        return self.add("Reshape", [name, shape])

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
            "Reshape", [name, self.constant(np.array([0, -1], np.int64))]), self.view)
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
