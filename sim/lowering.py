"""Lowers a layer and its input codes to the pipeline's operand streams, and its output back."""

from dataclasses import dataclass

import numpy as np

from golden.conv import windows
from golden.fold import fold_zero_point
from hdl.config import Configuration
from hdl.layouts import (
    STEP_WIDTH,
    Coefficients,
    Tile,
    array_zero_point,
    channel_records,
    pack_records,
)

__all__ = ["LayerJob", "lower"]


@dataclass(frozen=True, kw_only=True)
class LayerJob:
    """The streams of one layer.

    Parameters
    ----------
    config : Configuration
    payloads : dict of uint8 arrays, shape (tokens, bytes)
        ``tiles``, ``activations``, ``weights`` and ``coefficients``, in the order in which
        :class:`hdl.pipeline.ConvPipeline` takes them.
    words : int
        Words that come out.
    output_shape : (int, int, int, int)
        (N, Cout, Hout, Wout).
    output_type : type
        numpy.int8 or numpy.uint8.
    blocks : (int, int, int)
        Groups, channel blocks of a group, and pixel blocks: the loops from the outermost in.
    steps : int
        Activation words per row and tile.
    """

    config: Configuration
    payloads: dict[str, np.ndarray]
    words: int
    output_shape: tuple[int, int, int, int]
    output_type: type
    blocks: tuple[int, int, int]
    steps: int

    @property
    def array_cycles(self):
        """Cycles in which the array takes operands; the least that the layer can take."""
        return int(np.prod(self.blocks)) * self.steps * self.config.channels

    def assemble(self, words):
        """Output codes (N, Cout, Hout, Wout) from the pipeline's words, shape (words, lanes)."""
        groups, channel_blocks, pixel_blocks = self.blocks
        frames, channels, height, width = self.output_shape
        config = self.config
        codes = words.reshape(groups, channel_blocks, pixel_blocks, config.rows, config.columns)
        codes = codes.transpose(2, 3, 0, 1, 4).reshape(
            pixel_blocks * config.rows, groups, channel_blocks * config.columns)
        codes = codes[:frames * height * width, :, :channels // groups]
        codes = codes.reshape(frames, height, width, channels)
        return codes.transpose(0, 3, 1, 2).view(self.output_type)


def lower(layer, codes, config):
    """Return the :class:`LayerJob` of ``layer`` on ``codes``.

    The loops are, from the outermost: group, block of ``columns`` output channels, block of
    ``rows`` output pixels counted over all frames, and then kernel row, kernel column and input
    channel as one reduction, padded with zero weights to whole activation words.

    Parameters
    ----------
    layer : ConvLayer
    codes : int8 or uint8 array, shape (N, Cin, H, W)
        Of the layer's input type.
    config : Configuration

    Raises
    ------
    ValueError
        If a sum can leave the configuration's accumulators, or a reduction is too long.
    """
    _, channels, height, width = shape = layer.output_shape(codes.shape)
    group_channels = channels // layer.group
    depth = int(np.prod(layer.weight.shape[1:]))
    steps = -(-depth // config.channels)
    _check_reach(layer, config, steps)
    pixels = shape[0] * height * width
    blocks = (layer.group, -(-group_channels // config.columns), -(-pixels // config.rows))

    # Activations: (group, 1, pixel block, step, row, channel), the same for all channel blocks.
    under = _windows(layer, codes).reshape(pixels, layer.group, depth)
    words = _padded(under, (blocks[2] * config.rows, layer.group, steps * config.channels))
    words = words.reshape(blocks[2], config.rows, layer.group, 1, steps, config.channels)
    words = words.transpose(2, 3, 0, 4, 1, 5)
    activations = np.broadcast_to(words, (*blocks, *words.shape[3:]))

    # Weights: (group, channel block, 1, reduction, column), the same for all pixel blocks.
    kernel = layer.weight.transpose(0, 2, 3, 1).reshape(layer.group, group_channels, depth)
    kernel = _padded(kernel, (layer.group, blocks[1] * config.columns, steps * config.channels))
    kernel = kernel.reshape(*blocks[:2], 1, config.columns, -1).swapaxes(3, 4)
    weights = np.broadcast_to(kernel, (*blocks, *kernel.shape[3:]))

    renew = np.zeros(blocks, bool)
    renew[:, :, 0] = True
    payloads = {
        "tiles": _records(Tile(), ({"last_step": steps - 1, "renew": int(flag),
                                    "unsigned": int(layer.input_unsigned)}
                                   for flag in renew.ravel())),
        "activations": activations.reshape(-1, config.channels).view(np.uint8),
        "weights": weights.reshape(-1, config.columns).view(np.uint8),
        "coefficients": _coefficients(layer, blocks[1] * config.columns, config.columns),
    }
    return LayerJob(config=config, payloads=payloads, output_shape=shape, blocks=blocks,
                    words=int(np.prod(blocks)) * config.rows * config.slots,
                    output_type=layer.output_type, steps=steps)


def _check_reach(layer, config, steps):
    if steps > 1 << STEP_WIDTH:
        raise ValueError(f"Layer {layer.name}: a reduction of {steps} words is longer than the "
                         f"{1 << STEP_WIDTH} of a tile")
    if config.accumulator_width < 32:
        # At 32 bits sums may wrap on the way, because the final one is known to fit.
        reach = 128 * int(np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        if reach >= 1 << (config.accumulator_width - 1):
            raise ValueError(f"Layer {layer.name}: sums of up to {reach} do not fit the "
                             f"{config.accumulator_width} bit accumulators of {config.name}")


def _windows(layer, codes):
    """Codes under the kernel: (N, Hout, Wout, group, kh, kw, Cin / group)."""
    top, left, bottom, right = layer.padding
    padded = np.pad(codes, ((0, 0), (0, 0), (top, bottom), (left, right)),
                    constant_values=layer.input_zero_point)
    under = windows(padded, layer.weight.shape[2:], stride=layer.stride, dilation=layer.dilation)
    frames, channels = codes.shape[:2]
    under = under.reshape(frames, layer.group, channels // layer.group, *under.shape[2:])
    # (N, group, channel, y, x, ky, kx) becomes (N, y, x, group, ky, kx, channel).
    return under.transpose(0, 3, 4, 1, 5, 6, 2)


def _padded(values, shape):
    return np.pad(values, [(0, to - size) for size, to in zip(values.shape, shape, strict=True)])


def _coefficients(layer, block_channels, columns):
    """Coefficient records of every group's channels, padded to whole blocks of ``columns``."""
    bias = fold_zero_point(layer.weight, layer.bias, array_zero_point(
        layer.input_zero_point, unsigned=layer.input_unsigned))
    size = len(bias) // layer.group
    bounds = {"zero": layer.output_zero_point, "low": layer.low, "high": layer.high}
    records = []
    for start in range(0, len(bias), size):
        channels = slice(start, start + size)
        records += channel_records(
            bias[channels].tolist(), layer.multiplier[channels].tolist(),
            layer.shift[channels].tolist(), rounding=layer.rounding, channels=block_channels)
    return _records(Coefficients(), (
        record | bounds | {"last": int((index + 1) % columns == 0)}
        for index, record in enumerate(records)))


def _records(layout, records):
    return np.frombuffer(pack_records(layout, records), np.uint8).reshape(-1, -(-layout.size // 8))
