"""ONNX graphs made by hand, between DequantizeLinear and QuantizeLinear unless told otherwise."""

import numpy as np
from onnx import helper, numpy_helper

from compiler.onnx_reader import read_onnx
from scripts.fuzzing.onnx_draw import random_codes
from scripts.fuzzing.onnx_oracle import compare

__all__ = ["Graph", "check"]


class Graph:
    """A graph with one input, ``x``, of codes; nodes are n0, n1, ..., what they make t0, t1, ...

    Parameters
    ----------
    shape : tuple of ints
        Of the input, without the axis of frames.
    unsigned : bool
        Whether codes are uint8 rather than int8.
    elem_type : int, or None
        Of the input; by default that of the codes.
    batch : str or int
        First size of the input.
    """

    scale, zero = 0.25, 3

    def __init__(self, shape, *, unsigned=False, opset=13, elem_type=None, batch="N"):
        self.rng = np.random.default_rng(sum(shape))
        self.dtype = np.dtype(np.uint8 if unsigned else np.int8)
        self.opset, self.batch = opset, batch
        self.nodes, self.constants, self.ends = [], [], []
        self.port("x", shape, helper.np_dtype_to_tensor_dtype(self.dtype)
                  if elem_type is None else elem_type)

    def port(self, name, shape, elem_type):
        self.ends.append(helper.make_tensor_value_info(name, elem_type, [self.batch, *shape]))

    def add(self, operator, inputs, **attributes):
        """A node; the name of what it makes."""
        index = len(self.nodes)
        self.nodes.append(helper.make_node(operator, inputs, [f"t{index}"], name=f"n{index}",
                                           **attributes))
        return f"t{index}"

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def parameters(self, scale, zero, dtype=None):
        """Names of constants for a scale and a zero point."""
        return [self.constant(np.float32(scale)), self.constant(np.array(zero,
                                                                         dtype or self.dtype))]

    def real(self, name, scale=scale, zero=zero):
        return self.add("DequantizeLinear", [name, *self.parameters(scale, zero)])

    def quantised(self, name, scale=scale, zero=zero):
        return self.add("QuantizeLinear", [name, *self.parameters(scale, zero)])

    def weights(self, shape, scale=0.013):
        """Random dequantised weights."""
        codes = self.rng.integers(-100, 101, shape).astype(np.int8)
        return self.add("DequantizeLinear", [self.constant(codes),
                                             *self.parameters(scale, 0, np.int8)])

    def conv(self, name, shape, bias=None, **attributes):
        inputs = [name, self.weights(shape), *([] if bias is None else [bias])]
        return self.add("Conv", inputs, **attributes)

    def dense(self, name, inputs, outputs):
        return self.add("MatMul", [name, self.weights((inputs, outputs))])

    def output(self, name, shape, elem_type=None):
        self.port(name, shape, helper.np_dtype_to_tensor_dtype(self.dtype)
                  if elem_type is None else elem_type)

    def model(self):
        graph = helper.make_graph(self.nodes, "made", self.ends[:1], self.ends[1:],
                                  self.constants)
        return helper.make_model(graph, ir_version=8, opset_imports=[
            helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)])


def check(graph, save, *, frames=3, seed=0, kinds=None):
    """Read a `Graph`, compare it in both modes of the runtime, and return the model."""
    content = graph.model().SerializeToString()
    model = read_onnx(save(content))
    x = random_codes(np.random.default_rng(seed), model.input, frames)
    for optimise in (True, False):
        compare(model, content, x, optimise=optimise)
    if kinds is not None:
        assert [type(node.layer) for node in model.network.nodes] == kinds
    return model
