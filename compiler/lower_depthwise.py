"""Depthwise convolutions on the window unit."""

from dataclasses import dataclass
from math import prod

import numpy as np

from compiler.estimate import array_cycles, window_cycles
from compiler.geometry import walk
from compiler.layout import Layout
from compiler.lower_conv import conv_blocks, folded_bias, write_fields
from golden.layer import ConvLayer
from hdl.config import Configuration
from hdl.isa import Opcode
from hdl.layouts import channel_records
from hdl.operands import window_steps

__all__ = ["WINDOW", "DepthwiseJob", "suits_window"]


#: Rows, and columns, of the window.
WINDOW = 3
#: Largest stride that the window unit's instructions hold.
LARGEST_STRIDE = 15


def _raster(layer, out_size):
    """Rows and columns of the padded input that the window has to see.

    A smaller kernel is filled up with zeros at the bottom and right, under which there must be
    something; and what no window reaches, behind the last stride, is left out.
    """
    return tuple((count - 1) * step + WINDOW
                 for count, step in zip(out_size, _strides(layer, out_size), strict=True))


def _strides(layer, out_size):
    return [step if count > 1 else 1 for step, count in zip(layer.stride, out_size, strict=True)]


def suits_window(layer, in_shape, out_shape, config, batch):
    """Whether the window unit can do a convolution, and is the faster way to do it.

    Parameters
    ----------
    layer : ConvLayer
    in_shape, out_shape : (int, int, int)
        (C, H, W).
    config : Configuration
    batch : int
        Frames.
    """
    channels, out_size = in_shape[0], out_shape[1:]
    kernel = layer.weight.shape[2:]
    if not (config.window_width and layer.group == channels == len(layer.weight)
            and max(kernel) <= WINDOW
            and all(step == 1 or taps == 1
                    for step, taps in zip(layer.dilation, kernel, strict=True))):
        return False
    raster = _raster(layer, out_size)
    positions, pixels = batch * prod(raster), batch * prod(out_size)
    # What the fields of the instruction cannot hold.
    if (raster[1] > config.window_width or raster[0] > 4096 or positions > 1 << 20
            or positions > config.rows << 16 or max(layer.padding[:2]) > 255
            or max(_strides(layer, out_size)) > LARGEST_STRIDE):
        return False
    source = Layout.plain(channels, config.channels)
    window = window_cycles(config, blocks=source.words, positions=positions, pixels=pixels)
    array = sum(array_cycles(config, tiles=-(-pixels // config.rows), blocks=block.blocks,
                             steps=prod(kernel) * block.words)
                for block in conv_blocks(layer, source, config))
    return window <= array


@dataclass(frozen=True, eq=False)
class DepthwiseJob:
    """One DEPTHWISE.

    Members
    -------
    layer : ConvLayer
        With as many groups as channels, and a kernel of at most 3x3.
    source : Layout
        Of input and output.
    config : Configuration
    """

    layer: ConvLayer
    source: Layout
    config: Configuration

    @property
    def weight_count(self):
        """Words of weight memory."""
        return self.source.words * window_steps(self.config.columns) * self.config.channels

    @property
    def coefficient_count(self):
        """Records of coefficient memory."""
        return self.source.words * self.config.channels

    def fields(self, sources, target, top):
        """Fields of the instruction, given the :class:`compiler.layout.Region` of every tensor,
        and rows of padding above."""
        layer, config, words = self.layer, self.config, self.source.words
        source, = sources
        out_size = target.shape[1:]
        stride_y, stride_x = _strides(layer, out_size)
        return {
            "opcode": Opcode.DEPTHWISE, "unsigned": int(layer.input_unsigned),
            "pad_code": layer.input_zero_point % 256,
            **walk(source, _raster(layer, out_size), config,
                   padding=(top, layer.padding[1])),
            "block_step": 1, "tap_words": 0, "last_step": 0, "blocks": words - 1,
            "window_stride_y": stride_y, "window_stride_x": stride_x,
            "out_pixels": target.pixels - 1,
            "zero": layer.output_zero_point, "low": layer.low, "high": layer.high,
            **write_fields(target, first_word=0, groups=words * config.parts),
        }

    def weights(self):
        """Weights, uint8 (words, columns): for each word of channels tap after tap of all its
        channels, without gaps but at the end."""
        layer, config = self.layer, self.config
        height, width = layer.weight.shape[2:]
        kernel = np.zeros((WINDOW, WINDOW, self.source.words * config.channels), np.int8)
        kernel[:height, :width, self.source.places] = layer.weight[:, 0].transpose(1, 2, 0)
        taps = kernel.reshape(WINDOW**2, self.source.words, config.channels).swapaxes(0, 1)
        taps = taps.reshape(self.source.words, -1)
        size = self.weight_count // self.source.words * config.columns
        filled = np.pad(taps, ((0, 0), (0, size - taps.shape[1])))
        return filled.reshape(-1, config.columns).view(np.uint8)

    def coefficients(self):
        """Records of the channels in their places."""
        layer = self.layer
        records = [{} for _ in range(self.coefficient_count)]
        real = channel_records(folded_bias(layer).tolist(), layer.multiplier.tolist(),
                               layer.shift.tolist(), rounding=layer.rounding,
                               channels=len(layer.weight))
        for place, record in zip(self.source.places.tolist(), real, strict=True):
            records[place] = record
        return records
