"""Where a network's tensors are, and what computes them: rewrites that change how, and not what."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from compiler.layout import Layout, View, layouts_of, views_of
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer
from hdl.config import CONFIGURATIONS
from hdl.isa import Opcode

__all__ = ["Placed", "on_the_array", "place", "pruned", "reordered"]


def pruned(network):
    """Leave out the nodes that the output does not depend on."""
    wanted, nodes = {network.output}, []
    for node in reversed(network.nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            nodes.append(node)
    return replace(network, nodes=tuple(reversed(nodes)))


def on_the_array(network, config):
    """Let convolutions do what the vector unit would, if there is none.

    Raises
    ------
    ValueError
        If a layer is none that a convolution can do.
    """
    if config.vector:
        return network
    shapes = network.shapes()
    return replace(network, nodes=tuple(
        Node(_convolution(node.layer, shapes[node.inputs[0]][0], config), node.inputs, node.output)
        if isinstance(node.layer, PoolLayer | ElementwiseLayer) else node
        for node in network.nodes))


def _convolution(layer, channels, config):
    r"""Sum pooling, or padding, as a depthwise convolution with weights of one.

    With the padding's code p as zero point, its sums lack p for each of n taps:
    :math:`\sum x = \sum (x - p) + n p`.
    """
    if isinstance(layer, ElementwiseLayer) or (layer.kind == "max" and prod(layer.kernel) > 1):
        what = "maximum pooling" if isinstance(layer, PoolLayer) else "elementwise arithmetic"
        units = [name for name, other in CONFIGURATIONS.items() if other.vector]
        remedy = f"use {', '.join(units)}, or " if units else ""
        raise ValueError(f"Layer {layer.name}: {what} needs a vector unit, and {config.name} has "
                         f"none; {remedy}set vector = true in a configuration of your own")
    full = np.full(channels, 1)
    return ConvLayer(
        name=layer.name, weight=np.ones((channels, 1, *layer.kernel), int), group=channels,
        bias=full * (layer.bias + prod(layer.kernel) * layer.pad_code),
        multiplier=full * layer.multiplier, shift=full * layer.shift, rounding=layer.rounding,
        stride=layer.stride, padding=layer.padding, dilation=layer.dilation,
        input_zero_point=layer.pad_code, input_unsigned=layer.input_unsigned,
        output_zero_point=layer.output_zero_point, output_unsigned=layer.output_unsigned,
        low=layer.low, high=layer.high)


def reordered(network, config):
    """The same nodes in the order in which each next one adds the least to what is live."""
    shapes = network.shapes()
    words = {name: -(-channels // config.channels) * height * width
             for name, (channels, height, width) in shapes.items()}
    left = {name: sum(name in node.inputs for node in network.nodes) for name in words}
    left[network.output] += 1
    done, waiting, order = {network.input}, list(network.nodes), []
    while waiting:
        ready = [node for node in waiting if done.issuperset(node.inputs)]
        added = {node.output: words[node.output] - sum(
            words[name] for name in set(node.inputs) if left[name] == 1) for node in ready}
        chosen = min(ready, key=lambda node: added[node.output])
        waiting.remove(chosen)
        order.append(chosen)
        done.add(chosen.output)
        for name in set(chosen.inputs):
            left[name] -= 1
    return replace(network, nodes=tuple(order))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A network whose tensors each have one place, and units that take them as they lie.

    Members
    -------
    network : golden.network.Network
        With copies, where a tensor has to be in two places.
    units : dict of Opcode
        For each tensor that an instruction makes, which kind does.
    layouts : dict of Layout
    views : dict of View
    """

    network: Network
    units: dict[str, Opcode]
    layouts: dict[str, Layout]
    views: dict[str, View]

    @classmethod
    def of(cls, network, choose, forced, config):
        """Place tensors; ``choose`` says which unit makes a tensor that is not in ``forced``."""
        shapes = network.shapes()
        units = {node.output: forced.get(node.output) or choose(
            node.layer, shapes[node.inputs[0]], shapes[node.output])
            for node in network.nodes if not isinstance(node.layer, ConcatLayer)}
        layouts = layouts_of(network, units, config)
        return cls(network=network, units=units, layouts=layouts,
                   views=views_of(network, layouts))

    def step(self, name):
        """Words from one pixel of a tensor to the next."""
        return self.layouts[self.views[name].buffer].words

    def in_place(self):
        """The same with results in the places of operands that nobody else reads any more, where
        an instruction reads each word once, before it writes the result there."""
        network, views = self.network, dict(self.views)
        last = {name: node for node in network.nodes for name in node.inputs}
        for node in network.nodes:
            if not _word_by_word(node.layer) or self.units[node.output] != Opcode.VECTOR:
                continue
            for name in node.inputs:
                alone = (views[name] == View(views[name].buffer, 0)
                         and self.step(name) == self.layouts[name].words)
                if (alone and views[node.output] == View(node.output, 0)
                        and name not in (network.input, network.output) and last[name] is node):
                    views[node.output] = views[name]
        return replace(self, views=views)


def place(network, choose, config, batch):
    """Find a place for every tensor, and insert copies where it would need two.

    A tensor can be part of one concatenation, and the frame of none, because it arrives in one
    piece. What is added must have its channels in the same places of words that are equally far
    apart.

    Parameters
    ----------
    network : golden.network.Network
    choose : function of (layer, input shape, output shape) to Opcode
    config : Configuration
    batch : int

    Returns
    -------
    Placed
    """
    names = _Names(network)
    network = _single_parts(network, names, config)
    forced = {}
    while True:
        placed = Placed.of(network, choose, forced, config)
        for index, node in enumerate(network.nodes):
            if isinstance(node.layer, ElementwiseLayer) and not _together(placed, node, batch):
                network = _together_by_copies(placed, index, names, forced, config)
                break
        else:
            return placed


class _Names:
    """Names for copies that nothing else has."""

    def __init__(self, network):
        self.taken = {network.input, *(node.output for node in network.nodes),
                      *(node.layer.name for node in network.nodes)}

    def copy(self, tensor):
        """Return a new name for a copy of ``tensor``."""
        name, number = f"copy of {tensor}", 1
        while name in self.taken:
            number += 1
            name = f"copy {number} of {tensor}"
        self.taken.add(name)
        return name


def _word_by_word(layer):
    if isinstance(layer, PoolLayer):
        return prod(layer.kernel) == prod(layer.stride) == 1 and not any(layer.padding)
    return isinstance(layer, ElementwiseLayer)


def _single_parts(network, names, config):
    """Insert copies of what concatenations cannot share."""
    shapes, parts, nodes = network.shapes(), {network.input}, []
    for node in network.nodes:
        inputs = []
        for name in node.inputs:
            if isinstance(node.layer, ConcatLayer):
                if name in parts:
                    copy = names.copy(name)
                    layer = _copy(copy, shapes[name], node.layer.unsigned, config)
                    nodes.append(Node(layer, (name,), copy))
                    name = copy
                parts.add(name)
            inputs.append(name)
        nodes.append(Node(node.layer, tuple(inputs), node.output))
    return replace(network, nodes=tuple(nodes))


def _together(placed, node, batch):
    """Whether one walk finds all inputs of the node."""
    first, *others = node.inputs
    height, width = placed.network.shapes()[first][1:]
    return all(placed.layouts[first].equals(placed.layouts[name])
               and (batch * height * width == 1 or placed.step(first) == placed.step(name))
               for name in others)


def _together_by_copies(placed, index, names, forced, config):
    """Copy those inputs of a node that lie in parts of a word or of a buffer, so that all lie
    densely."""
    network = placed.network
    node, shapes = network.nodes[index], network.shapes()
    layouts = [placed.layouts[name] for name in node.inputs]
    alike = all(layouts[0].equals(layout) for layout in layouts)
    inputs, copies = [], []
    for name, layout, dtype in zip(node.inputs, layouts, node.layer.input_types, strict=True):
        if (alike or layout.is_plain) and placed.step(name) == layout.words:
            inputs.append(name)
            continue
        copy = names.copy(name)
        unsigned = dtype is np.uint8
        if alike or layout.is_plain:
            layer = _copy(copy, shapes[name], unsigned, config)
        else:
            layer = _identity(copy, shapes[name][0], unsigned)
            forced[copy] = Opcode.CONV
        copies.append(Node(layer, (name,), copy))
        inputs.append(copy)
    nodes = network.nodes
    return replace(network, nodes=(*nodes[:index], *copies, Node(node.layer, tuple(inputs),
                                                                 node.output), *nodes[index + 1:]))


def _copy(name, shape, unsigned, config):
    """A layer that changes nothing, nor the places of channels."""
    if not config.vector:
        return _identity(name, shape[0], unsigned)
    return PoolLayer(name=name, kind="max", kernel=(1, 1), input_unsigned=unsigned,
                     output_unsigned=unsigned)


def _identity(name, channels, unsigned):
    """A convolution that changes nothing but the places of channels."""
    full = np.full(channels, 1)
    return ConvLayer(name=name, weight=np.ones((channels, 1, 1, 1), int), bias=full * 0,
                     multiplier=full, shift=full * 0, rounding="half_up", group=channels,
                     input_unsigned=unsigned, output_unsigned=unsigned)
