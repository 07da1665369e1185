"""Convolutions on the array."""

from dataclasses import dataclass
from math import lcm, prod

import numpy as np

from compiler.geometry import address, walk
from compiler.layout import Layout
from golden.fold import fold_zero_point
from golden.layer import ConvLayer
from hdl.config import Configuration
from hdl.isa import Opcode
from hdl.layouts import array_zero_point, channel_records

__all__ = ["Block", "ConvJob", "conv_blocks", "conv_jobs", "folded_bias", "write_fields"]


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


def conv_blocks(layer, source, config):
    """Split a layer into instructions: a single one if the input words that its blocks of output
    channels read advance evenly, else the smallest ones whose results begin a word.

    Parameters
    ----------
    layer : ConvLayer
    source : compiler.layout.Layout
        Of its input.
    config : Configuration

    Returns
    -------
    list of Block
    """
    count = -(-len(layer.weight) // config.columns)
    if layer.group == 1:
        return [Block(0, count, 0, source.words, 0)]
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    ranges = []
    for block in range(count):
        first = block * config.columns
        last = min(first + config.columns, len(layer.weight)) - 1
        words = source.places[first // outputs * inputs:
                              (last // outputs + 1) * inputs] // config.channels
        ranges.append((int(words.min()), int(words.max()) + 1))
    steps = {later[0] - earlier[0] for earlier, later in zip(ranges, ranges[1:], strict=False)}
    sizes = {end - start for start, end in ranges}
    if len(steps) <= 1 and len(sizes) == 1:
        return [Block(0, count, ranges[0][0], sizes.pop(), max(steps, default=0))]
    together = lcm(config.columns, config.channels) // config.columns
    blocks = []
    for block in range(0, count, together):
        starts, ends = zip(*ranges[block:block + together], strict=True)
        blocks.append(Block(block * config.columns, len(starts), min(starts),
                            max(ends) - min(starts), 0))
    return blocks


def folded_bias(layer):
    """The bias that stands for the zero point of the input as well, one per output channel."""
    return fold_zero_point(layer.weight, layer.bias, array_zero_point(
        layer.input_zero_point, unsigned=layer.input_unsigned))


def write_fields(target, *, first_word, groups):
    """Fields that say where results go: ``groups`` of lanes, from a word of each pixel on."""
    return {"out_base": address(target.base + first_word), "out_step": target.step,
            "out_groups": groups - 1}


@dataclass(frozen=True, eq=False)
class ConvJob:
    """One CONV.

    Members
    -------
    layer : ConvLayer
    block : Block
    source : Layout
        Of the input.
    config : Configuration
    """

    layer: ConvLayer
    block: Block
    source: Layout
    config: Configuration

    @property
    def weight_count(self):
        """Words of weight memory."""
        kernel = prod(self.layer.weight.shape[2:])
        return self.block.blocks * kernel * self.block.words * self.config.channels

    @property
    def coefficient_count(self):
        """Records of coefficient memory."""
        return self.block.blocks * self.config.columns

    def fields(self, sources, target, top):
        """Fields of the instruction, given the :class:`compiler.layout.Region` of every tensor,
        and rows of padding above."""
        layer, block, config = self.layer, self.block, self.config
        source, = sources
        kernel = layer.weight.shape[2:]
        out_word, out_place = divmod(block.first, config.channels)
        assert out_place == 0
        groups = -(-(len(layer.weight) - block.first) // config.lanes)
        # The last word of a pixel is written whole, as far as the columns go.
        groups = min(block.blocks * config.slots, -(-groups // config.parts) * config.parts)
        return {
            "opcode": Opcode.CONV, "unsigned": int(layer.input_unsigned),
            "pad_code": layer.input_zero_point % 256,
            **walk(source, target.shape[1:], config, kernel=kernel, stride=layer.stride,
                   padding=(top, layer.padding[1]), dilation=layer.dilation,
                   first_word=block.word),
            "block_step": address(block.step), "tap_words": block.words - 1,
            "last_step": prod(kernel) * block.words - 1, "blocks": block.blocks - 1,
            "zero": layer.output_zero_point, "low": layer.low, "high": layer.high,
            **write_fields(target, first_word=out_word, groups=groups),
        }

    def weights(self):
        """Weights, uint8 (words, columns), in the order in which the array takes them; zero where
        an output channel does not see an input channel."""
        layer, block, config = self.layer, self.block, self.config
        words = np.zeros((block.blocks, *layer.weight.shape[2:], block.words * config.channels,
                          config.columns), np.int8)
        outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
        last = min(block.first + block.blocks * config.columns, len(layer.weight))
        for channel in range(block.first, last):
            index, column = divmod(channel - block.first, config.columns)
            first = channel // outputs * inputs
            places = (self.source.places[first:first + inputs]
                      - (block.word + index * block.step) * config.channels)
            words[index, :, :, places, column] = layer.weight[channel]
        return words.reshape(-1, config.columns).view(np.uint8)

    def coefficients(self):
        """Records of the block's channels, padded to whole blocks of columns."""
        layer, count = self.layer, self.coefficient_count
        channels = slice(self.block.first, self.block.first + count)
        return channel_records(
            folded_bias(layer)[channels].tolist(), layer.multiplier[channels].tolist(),
            layer.shift[channels].tolist(), rounding=layer.rounding, channels=count)


def conv_jobs(layer, source, config):
    """Return the :class:`ConvJob` of every instruction of a layer.

    Raises
    ------
    ValueError
        If its sums could leave the accumulators. At 32 bits they may wrap, because the final one,
        with its bias, is known to fit.
    """
    if config.accumulator_width < 32:
        reach = 128 * int(np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        if reach >= 1 << (config.accumulator_width - 1):
            raise ValueError(f"Layer {layer.name}: sums of up to {reach} do not fit the "
                             f"{config.accumulator_width} bit accumulators of {config.name}; "
                             f"one with accumulator_width {reach.bit_length() + 1} would do")
    return [ConvJob(layer, block, source, config)
            for block in conv_blocks(layer, source, config)]
