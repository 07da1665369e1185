"""Layers joined by named tensors. NumPy only."""

from dataclasses import dataclass, field

import numpy as np

from golden.base import Layer, code_type, naming
from golden.checks import integer_tuple

__all__ = ["Network", "Node"]


@dataclass(frozen=True)
class Node:
    """A layer, the tensors that it reads and the one that it makes.

    Members
    -------
    layer : golden.base.Layer
    inputs : tuple of str
        Names of tensors, one per input of the layer; a name may come twice.
    output : str
        Name of the tensor that the layer makes.
    """

    layer: Layer
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """Layers in order of execution, from one input tensor to one output tensor.

    Parameters
    ----------
    input : str
        Name of the input tensor.
    input_shape : (int, int, int)
        (C, H, W) of the input, each at least 1.
    input_unsigned : bool
        Whether the input's codes are uint8; otherwise int8.
    nodes : tuple of Node
        At least one; every tensor is made before it is read and has a name of its own, and so has
        every layer.
    output : str
        A tensor that a node makes.

    Raises
    ------
    TypeError, ValueError
        If a name is missing or comes twice, a type or a shape does not fit; the message names the
        node by its layer.
    """

    input: str
    input_shape: tuple[int, int, int]
    input_unsigned: bool
    nodes: tuple[Node, ...]
    output: str
    _shapes: dict[str, tuple[int, int, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        with naming("Network"):
            shape = integer_tuple("input_shape", self.input_shape, 3, 1)
            if not isinstance(self.input_unsigned, bool):
                raise TypeError(f"input_unsigned must be a bool, not {self.input_unsigned!r}")
            nodes = tuple(Node(node.layer, tuple(node.inputs), node.output) for node in self.nodes)
            if not nodes:
                raise ValueError("nodes must not be empty")
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "_shapes", self._checked_shapes())

    @classmethod
    def chain(cls, layers, input_shape):
        """Layers with one input each, one after the other.

        The input tensor is called "input"; every other one has its layer's name.
        """
        layers = tuple(layers)
        if not layers:
            raise ValueError("Network: layers must not be empty")
        names = ["input", *(layer.name for layer in layers)]
        return cls(input="input", input_shape=input_shape,
                   input_unsigned=layers[0].input_types[0] is np.uint8,
                   nodes=tuple(Node(layer, (before,), layer.name)
                               for layer, before in zip(layers, names, strict=False)),
                   output=names[-1])

    def shapes(self):
        """(C, H, W) of every tensor by name, in order of execution."""
        return dict(self._shapes)

    def macs(self):
        """Multiplications of one frame, those with padding included."""
        return sum(node.layer.macs(*((1, *self._shapes[name]) for name in node.inputs))
                   for node in self.nodes)

    def run(self, codes):
        """Codes of every tensor by name, the input's included.

        Parameters
        ----------
        codes : array of int8 or uint8, shape (N, C, H, W)
        """
        codes = np.asarray(codes)
        if codes.dtype != code_type(self.input_unsigned):
            raise TypeError(f"Network: codes must be {np.dtype(code_type(self.input_unsigned))}, "
                            f"not {codes.dtype}")
        if codes.ndim != 4 or codes.shape[1:] != self.input_shape:
            raise ValueError(f"Network: codes must be frames of shape {self.input_shape}, "
                             f"not of shape {codes.shape}")
        tensors = {self.input: codes}
        for node in self.nodes:
            tensors[node.output] = node.layer(*(tensors[name] for name in node.inputs))
        return tensors

    def __call__(self, codes):
        """Codes of the output tensor, shape (N, C, H, W)."""
        return self.run(codes)[self.output]

    def _checked_shapes(self):
        """Shapes of all tensors, in order of execution; an error if the nodes do not fit."""
        shapes = {self.input: self.input_shape}
        types = {self.input: code_type(self.input_unsigned)}
        layers = set()
        for node in self.nodes:
            with naming(f"Network, node {node.layer.name}"):
                if node.layer.name in layers:
                    raise ValueError("the name comes twice")
                layers.add(node.layer.name)
                if node.output in shapes:
                    raise ValueError(f"tensor {node.output} is already made")
                for name in node.inputs:
                    if name not in shapes:
                        raise ValueError(f"tensor {name} is not made before it")
                for name, expected in zip(node.inputs, node.layer.input_types, strict=False):
                    if types[name] is not expected:
                        raise TypeError(f"tensor {name} must be {np.dtype(expected)}, "
                                        f"not {np.dtype(types[name])}")
            made = node.layer.output_shape(*((1, *shapes[name]) for name in node.inputs))
            shapes[node.output] = made[1:]
            types[node.output] = node.layer.output_type
        if self.output not in shapes or self.output == self.input:
            raise ValueError(f"Network: no node makes the output tensor {self.output}")
        return shapes
