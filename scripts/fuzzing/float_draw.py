"""Random float ONNX models of every operator that can be quantised from calibration images."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FloatDraw"]


class FloatDraw:
    """A random float graph with branches; weights keep activations around one.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.maps = [], [], []
        self.opset = int(self.rng.integers(13, 21))

    def number(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def floats(self, *shape, scale=1.0, offset=0.0):
        return self.constant((self.rng.normal(0, scale, shape) + offset).astype(np.float32))

    def add(self, operator, inputs, shape, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"n{len(self.nodes)}",
                                           **attributes))
        self.maps.append((name, tuple(shape)))
        return self.maps[-1]

    # Operators on maps (C, H, W), two of which keep height and width

    def conv(self, source):
        name, (channels, height, width) = source
        kernel = self.number(1, 3)
        group = channels if self.number(0, 2) == 0 else 1
        made = group if group > 1 else self.number(2, 8)
        scale = 1 / np.sqrt(channels // group * kernel * kernel)
        inputs = [name, self.floats(made, channels // group, kernel, kernel, scale=scale)]
        if self.number(0, 1):
            inputs.append(self.floats(made, scale=0.3))
        return self.add("Conv", inputs, (made, height, width), group=group,
                        auto_pad="SAME_UPPER")

    def norm(self, source):
        name, shape = source
        channels = shape[0]
        inputs = [name, self.floats(channels, scale=0.3, offset=1), self.floats(channels),
                  self.floats(channels, scale=0.3), self.constant(self.rng.uniform(
                      0.5, 2, channels).astype(np.float32))]
        return self.add("BatchNormalization", inputs, shape, epsilon=1e-3)

    def relu(self, source):
        return self.add("Relu", [source[0]], source[1])

    def clip(self, source):
        return self.add("Clip", [source[0], self.constant(np.float32(0)),
                                 self.constant(np.float32(1.5))], source[1])

    def block(self, source):
        """Convolution, BatchNorm, Relu."""
        return self.relu(self.norm(self.conv(source)))

    def sum(self, source):
        others = [each for each in self.maps if each[1] == source[1]]
        other = others[self.number(0, len(others) - 1)]
        return self.add("Add", [source[0], other[0]], source[1])

    def concat(self, source):
        others = [each for each in self.maps if each[1][1:] == source[1][1:]]
        other = others[self.number(0, len(others) - 1)]
        return self.add("Concat", [source[0], other[0]],
                        (source[1][0] + other[1][0], *source[1][1:]), axis=-3)

    def scale(self, source):
        factor = self.floats(source[1][0], 1, 1, scale=0.2, offset=1)
        value = self.add("Mul", [source[0], factor], source[1])
        return self.add("Sub", [value[0], self.floats(1, source[1][0], 1, 1)], source[1])

    def pool(self, source):
        channels, height, width = source[1]
        if min(height, width) < 2:
            return self.relu(source)
        return self.add(("MaxPool", "AveragePool")[self.number(0, 1)], [source[0]],
                        (channels, height // 2, width // 2), kernel_shape=[2, 2], strides=[2, 2])

    def pad(self, source):
        channels, height, width = source[1]
        pads = self.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
        return self.add("Pad", [source[0], pads], (channels, height + 1, width + 1))

    def graph(self, operators):
        """The model: some operators, then a mean, a Gemm, and at times Softmax."""
        source = "x", (self.number(1, 4), self.number(5, 9), self.number(5, 9))
        self.maps.append(source)
        frame = source[1]
        source = self.block(source)
        for _ in range(operators):
            name = OPERATORS[self.number(0, len(OPERATORS) - 1)]
            source = getattr(self, name)(source if self.number(0, 3) else self.maps[-2])
        channels = source[1][0]
        source = self.add("GlobalAveragePool", [source[0]], (channels, 1, 1))
        source = self.add("Flatten", [source[0]], (channels,))
        source = self.add("Gemm", [source[0], self.floats(10, channels), self.floats(10)], (10,),
                          transB=1)
        if self.number(0, 2) == 0:
            source = self.add("Softmax", [source[0]], (10,))
        nodes, used = [], {source[0]}
        for node in reversed(self.nodes):
            if not used.isdisjoint(node.output):
                nodes.append(node)
                used.update(node.input)
        graph = helper.make_graph(
            nodes[::-1], "float", [helper.make_tensor_value_info("x", TensorProto.FLOAT,
                                                                 ["N", *frame])],
            [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, ["N", 10])],
            [tensor for tensor in self.constants if tensor.name in used])
        return helper.make_model(graph, ir_version=8,
                                 opset_imports=[helper.make_opsetid("", self.opset)])


OPERATORS = ("block", "block", "conv", "norm", "relu", "clip", "sum", "sum", "concat", "scale",
             "pool", "pad")
