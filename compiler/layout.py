"""Where everything lies: tensors in activation memory, weights and coefficients in theirs."""

from dataclasses import dataclass, replace
from math import lcm

import numpy as np

from golden.conv import windows
from golden.fold import fold_zero_point
from golden.layer import ConvLayer
from hdl.config import Configuration
from hdl.layouts import array_zero_point, channel_records

__all__ = ["Block", "Plan", "Region", "plan_chain", "stored_coefficients", "unfold",
           "weight_words"]


@dataclass(frozen=True)
class Region:
    """Where a tensor lies in activation memory: pixels in order, each of ``words`` words."""

    base: int
    channels: int
    height: int
    width: int
    words: int

    @property
    def size(self):
        """Words of activation memory."""
        return self.height * self.width * self.words


@dataclass(frozen=True)
class Block:
    """Output channels that one instruction computes, and the input words that it reads.

    Members
    -------
    first : int
        First output channel, which begins a word of the output.
    blocks : int
        Blocks of ``columns`` output channels.
    word, words : int
        First input word of a tap, and their number.
    step : int
        Input words from one block to the next.
    """

    first: int
    blocks: int
    word: int
    words: int
    step: int

    def weight_count(self, layer, config):
        """Words of weight memory."""
        return self.blocks * int(np.prod(layer.weight.shape[2:])) * self.words * config.channels


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What goes where, before any of it is made.

    Parameters
    ----------
    config : Configuration
    layers : tuple of ConvLayer
        As the engine computes them; the first one may have been folded.
    fold : ConvLayer or None
        The first layer as it was before its taps became channels of the frame.
    regions : tuple of Region
        Input of the first layer, then output of every layer.
    blocks : tuple of tuples of Block
        For each layer, its instructions.
    """

    config: Configuration
    layers: tuple[ConvLayer, ...]
    fold: ConvLayer | None
    regions: tuple[Region, ...]
    blocks: tuple[tuple[Block, ...], ...]

    @property
    def activation_words(self):
        """Words of activation memory in use."""
        return max(region.base + region.size for region in self.regions)

    def weight_counts(self):
        """Words of weight memory, for each layer."""
        return [sum(block.weight_count(layer, self.config) for block in blocks)
                for layer, blocks in zip(self.layers, self.blocks, strict=True)]

    def coefficient_counts(self):
        """Words of coefficient memory, for each layer."""
        return [sum(block.blocks for block in blocks) * self.config.columns
                for blocks in self.blocks]

    def tensor_words(self):
        """Words of activation memory that each layer's input and output take together."""
        return [source.size + target.size
                for source, target in zip(self.regions, self.regions[1:], strict=False)]


def plan_chain(layers, input_shape, config):
    """Return the :class:`Plan` of a chain of layers for frames of shape (C, H, W)."""
    layers, fold, shape = list(layers), None, tuple(input_shape)
    if _folds(layers[0], config):
        fold = layers[0]
        shape = fold.weight[0].size, *fold.output_shape((1, *shape))[2:]
        layers[0] = ConvLayer(**{
            **vars(fold), "weight": fold.weight.reshape(len(fold.weight), -1, 1, 1),
            "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)})
    shapes = [shape]
    for layer in layers:
        shapes.append(layer.output_shape((1, *shapes[-1]))[1:])
    return Plan(config=config, layers=tuple(layers), fold=fold,
                regions=tuple(_allocate(shapes, config)),
                blocks=tuple(tuple(_blocks(layer, config)) for layer in layers))


def _folds(layer, config):
    """Whether a first layer takes fewer words if its taps become channels of the frame."""
    channels, *kernel = layer.weight.shape[1:]
    words = int(np.prod(kernel)) * -(-channels // config.channels)
    return layer.group == 1 and -(-layer.weight[0].size // config.channels) < words


def unfold(layer, codes):
    """Codes (C · kh · kw, Hout, Wout) under the kernel at every output pixel of ``layer``."""
    top, left, bottom, right = layer.padding
    padded = np.pad(codes, ((0, 0), (top, bottom), (left, right)),
                    constant_values=layer.input_zero_point)
    under = windows(padded[None], layer.weight.shape[2:], stride=layer.stride,
                    dilation=layer.dilation)[0]
    return under.transpose(0, 3, 4, 1, 2).reshape(-1, *under.shape[1:3])


def _allocate(shapes, config):
    """The frame has its own place; the other tensors alternate between two."""
    regions = [Region(0, *shape, words=-(-shape[0] // config.channels)) for shape in shapes]
    odd = regions[0].size
    even = odd + max(region.size for region in regions[1::2])
    return [replace(region, base=(even, odd)[index % 2] if index else 0)
            for index, region in enumerate(regions)]


def _blocks(layer, config):
    """Split a layer into instructions: a single one if the input words that its blocks of output
    channels read advance evenly, else the smallest ones whose results begin a word."""
    count = -(-len(layer.weight) // config.columns)
    if layer.group == 1:
        return [Block(0, count, 0, -(-layer.weight.shape[1] // config.channels), 0)]
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    ranges = []
    for block in range(count):
        first = block * config.columns
        last = min(first + config.columns, len(layer.weight)) - 1
        start = first // outputs * inputs // config.channels
        end = ((last // outputs + 1) * inputs - 1) // config.channels
        ranges.append((start, end + 1))
    steps = {later[0] - earlier[0] for earlier, later in zip(ranges, ranges[1:], strict=False)}
    sizes = {end - start for start, end in ranges}
    if len(steps) <= 1 and len(sizes) == 1:
        return [Block(0, count, ranges[0][0], sizes.pop(), max(steps, default=0))]
    together = lcm(config.columns, config.channels) // config.columns
    blocks = []
    for block in range(0, count, together):
        starts, ends = zip(*ranges[block:block + together], strict=True)
        blocks.append(Block(block * config.columns, len(starts), starts[0],
                            ends[-1] - starts[0], 0))
    return blocks


def weight_words(layer, block, config):
    """Weights (words, columns) in the order in which the array takes them; zero where an output
    channel does not see an input channel."""
    columns = block.blocks * config.columns
    words = np.zeros((block.blocks, *layer.weight.shape[2:], block.words * config.channels,
                      config.columns), np.int8)
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    for channel in range(block.first, min(block.first + columns, len(layer.weight))):
        index, column = divmod(channel - block.first, config.columns)
        start = (channel // outputs * inputs
                 - (block.word + index * block.step) * config.channels)
        words[index, :, :, start:start + inputs, column] = layer.weight[channel].transpose(1, 2, 0)
    return words.reshape(-1, config.columns).view(np.uint8)


def stored_coefficients(layer, block, config):
    """Coefficients of the block's channels, padded to whole blocks of columns."""
    bias = fold_zero_point(layer.weight, layer.bias, array_zero_point(
        layer.input_zero_point, unsigned=layer.input_unsigned))
    count = block.blocks * config.columns
    channels = slice(block.first, block.first + count)
    return channel_records(bias[channels].tolist(), layer.multiplier[channels].tolist(),
                           layer.shift[channels].tolist(), rounding=layer.rounding, channels=count)
