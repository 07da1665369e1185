"""The network that an ONNX graph becomes, while it is built."""

import math

import numpy as np

from compiler.onnx_values import Codes, Layout, in_order
from golden.network import Network
from golden.network import Node as Step

__all__ = ["MAX_ELEMENTS", "NetworkBuilder", "shape_text"]

MAX_ELEMENTS = 1 << 28
"""The largest feature map accepted, in elements of one frame."""


def shape_text(shape):
    """``shape`` of a whole tensor as text, from that of a frame, with N for the frames."""
    return f"({', '.join(map(str, ('N', *shape)))})"


class NetworkBuilder:
    """Layers and named tensors, and how the input's axes become channels, height and width.

    The input's tensor gets its shape from the first layer that reads it: the model may reshape it,
    or turn (H, W, C) into (C, H, W), before that.

    Parameters
    ----------
    frame : tuple of ints
        Shape of the model's input, without the axis of frames.
    place : Place
        The input, for reporting faults.
    """

    def __init__(self, frame, place):
        self.frame, self.place = tuple(frame), place
        self.input = ""  # No value has that name.
        self.channels_last = False
        self.shapes, self.unsigned = {}, {}
        self.settled = {}  # Codes by what was quantised and how: see compiler.onnx_quantise.
        self._quantisations, self._aliases = {}, {}
        self._steps, self._provisional = [], set()

    # Tensors

    def start(self, name, unsigned):
        """Name the input's tensor; return its codes."""
        self.input, self.unsigned[name] = name, unsigned
        return Codes(name, Layout(self.frame), unsigned)

    def learn(self, tensor, quantisation):
        """Remember what a tensor's codes stand for; the first to say so is believed."""
        self._quantisations.setdefault(tensor, quantisation)

    def quantisation(self, tensor):
        """What a tensor's codes stand for, or None if nobody has said so."""
        return self._quantisations.get(tensor)

    def rename(self, tensor, name):
        """Name a tensor that was called after a float value by the codes that it turned out to
        be."""
        if tensor in self._provisional:
            self._provisional.remove(tensor)
            self._aliases[tensor] = name

    def final(self, tensor):
        """A tensor's name in the network."""
        return self._aliases.get(tensor, tensor)

    # Layouts

    def map_shape(self, node, codes):
        """(C, H, W) of a tensor that ``node`` reads as a feature map.

        `ModelError` if the value has another number of axes, or is not the tensor as it lies.
        """
        layout = codes.layout
        if len(layout.shape) != 3:
            raise node.fault(f"its input has shape {shape_text(layout.shape)}, not "
                             "(N, channels, height, width)", "export a 2D network")
        if self._undecided(codes):
            self._decide(node, layout)
        order = self.order(codes)
        if order is not None or self.shapes[codes.tensor] != layout.shape:
            raise node.fault(
                f"its input, of shape {shape_text(layout.shape)}, is not a feature map as a layer "
                "made it: elements would have to move", "remove the Reshape or Transpose before it")
        return layout.shape

    def order(self, codes):
        """Order of the elements of ``codes`` within its tensor (C, H, W): see `Layout.order`."""
        if self._undecided(codes):
            self._decide_by_default(codes.layout)
        order = codes.layout.order
        if codes.tensor != self.input or not self.channels_last:
            return order
        channels, height, width = self.shapes[self.input]
        moved = np.arange(codes.layout.size).reshape(channels, height, width)
        moved = moved.transpose(1, 2, 0).reshape(-1)
        return in_order(codes.layout.shape, moved if order is None else moved[order]).order

    def placed(self, codes):
        """`Layout` of ``codes`` within its tensor, whatever that is."""
        return Layout(codes.layout.shape, self.order(codes))

    def same_place(self, first, second):
        """Whether two values' elements lie at the same places of tensors of the same shape."""
        places = [self.placed(codes) for codes in (first, second)]
        return (places[0] == places[1] and places[0].same_order(places[1])
                and self.shapes[first.tensor] == self.shapes[second.tensor])

    def _undecided(self, codes):
        return codes.tensor == self.input and self.input not in self.shapes

    def _decide(self, node, layout):
        """Give the input's tensor the shape in which its first reader sees it."""
        if layout.order is not None:
            if not self._is_channels_last(layout):
                raise node.fault("the model's input is reordered before it, and not from "
                                 "(N, H, W, C) to (N, C, H, W)", "export the model again with "
                                 "its input in one of these layouts")
            self.channels_last = True
        self.shapes[self.input] = tuple(layout.shape)

    def _is_channels_last(self, layout):
        return len(self.frame) == 3 and layout.same_order(
            Layout(self.frame).transposed((2, 0, 1)))

    def _decide_by_default(self, layout):
        """For an input whose first reader takes any shape: that in which it sees it if it may be a
        feature map, else the input's own, with axes of 1."""
        if len(layout.shape) == 3 and (layout.order is None or self._is_channels_last(layout)):
            self._decide(None, layout)
            return
        if not 1 <= len(self.frame) <= 3:
            raise self.place.fault(f"it has shape {shape_text(self.frame)}",
                                   "export with one to three axes beside the batch")
        shape = (*self.frame, 1, 1) if len(self.frame) == 1 else self.frame
        self._decide(None, Layout(shape if len(shape) == 3 else (1, *shape)))

    # Layers

    def add(self, node, layer, sources, output, *, layout=None, quantisation=None,
            provisional=False):
        """Add a layer; return what it makes.

        Parameters
        ----------
        node : Node
            Where to report faults.
        layer : golden layer
        sources : sequence of Codes
            What it reads, as it lies.
        output : str
            Tensor that it makes.
        layout : Layout, or None
            Of the result within its tensor; by default the tensor's own shape.
        quantisation : Quantisation, or None
            What the result stands for.
        provisional : bool
            Whether the name is a float value's, so that codes may give a better one.
        """
        for codes in sources:
            self.order(codes)  # So that the input has a shape.
        names = tuple(codes.tensor for codes in sources)
        shape = tuple(layer.output_shape(*((1, *self.shapes[name]) for name in names)))[1:]
        if math.prod(shape) > MAX_ELEMENTS:
            raise node.fault(f"its output of {math.prod(shape)} elements is too large",
                             f"keep feature maps to {MAX_ELEMENTS} elements")
        self.shapes[output] = shape
        self.unsigned[output] = layer.output_type is np.uint8
        if quantisation is not None:
            self.learn(output, quantisation)
        if provisional:
            self._provisional.add(output)
        self._steps.append((layer, names, output))
        node.layers.append(layer.name)
        return Codes(output, layout or Layout(shape), self.unsigned[output])

    def finish(self, output):
        """The network whose output is tensor ``output``, which a layer must have made."""
        if output == self.input:
            raise self.place.fault("no layer lies between it and the output",
                                   "there is nothing to accelerate")
        steps = tuple(Step(layer, tuple(map(self.final, sources)), self.final(made))
                      for layer, sources, made in self._steps)
        return Network(input=self.input, input_shape=self.shapes[self.input],
                       input_unsigned=self.unsigned[self.input], nodes=steps,
                       output=self.final(output))
