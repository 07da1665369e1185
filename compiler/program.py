"""Code generation: a chain of layers becomes a program and the contents of the memories."""

from dataclasses import dataclass, replace

import numpy as np

from golden.layer import ConvLayer
from hdl.config import Configuration
from hdl.isa import INSTRUCTION_WORDS, Opcode, assemble
from hdl.layouts import Rounding

__all__ = ["Program", "Region", "compile_chain"]


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


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the engine is loaded with.

    Parameters
    ----------
    config : Configuration
    layers : tuple of ConvLayer
        As the engine computes them; the first one may have been folded.
    regions : tuple of Region
        Input of the first layer, then output of every layer.
    fold : ConvLayer or None
        The first layer as it was before its taps became channels of the frame.
    instructions : tuple of dict
        Fields of every instruction; see :func:`hdl.isa.assemble`.
    layer_of : tuple of int
        For each CONV instruction in order, the index of its layer.
    weights : uint8 array, shape (words, columns)
    coefficients : tuple of dict
        Fields of :class:`hdl.operands.StoredCoefficients`.
    """

    config: Configuration
    layers: tuple[ConvLayer, ...]
    regions: tuple[Region, ...]
    fold: ConvLayer | None
    instructions: tuple[dict, ...]
    layer_of: tuple[int, ...]
    weights: np.ndarray
    coefficients: tuple[dict, ...]

    def words(self):
        """The program memory's 32-bit words."""
        return [word for fields in self.instructions for word in assemble(**fields)]

    def pack(self, codes):
        """Words of a frame, uint8 (words, channels), from its codes (C, H, W)."""
        if self.fold is not None:
            codes = unfold(self.fold, codes)
        channels = self.config.channels
        region = self.regions[0]
        pixels = codes.transpose(1, 2, 0).reshape(-1, region.channels)
        padded = np.pad(pixels, ((0, 0), (0, region.words * channels - region.channels)))
        return padded.reshape(-1, channels).view(np.uint8)

    def unpack(self, words):
        """Output codes (C, H, W) from the words that the engine sends for a frame."""
        region = self.regions[-1]
        pixels = words.reshape(region.height, region.width, -1)[:, :, :region.channels]
        return pixels.transpose(2, 0, 1).view(self.layers[-1].output_type)


def unfold(layer, codes):
    """Codes (C · kh · kw, Hout, Wout) under the kernel at every output pixel of ``layer``."""
    _, _, height, width = layer.output_shape((1, *codes.shape))
    top, left, bottom, right = layer.padding
    padded = np.pad(codes, ((0, 0), (top, bottom), (left, right)),
                    constant_values=layer.input_zero_point)
    rows, columns = (np.arange(count)[:, None] * stride + np.arange(kernel) * dilation
                     for count, stride, kernel, dilation in zip(
                         (height, width), layer.stride, layer.weight.shape[2:], layer.dilation,
                         strict=True))
    windows = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    return windows.transpose(0, 3, 4, 1, 2).reshape(-1, height, width)


def compile_chain(layers, input_shape, config):
    """Return the :class:`Program` of a chain of layers.

    A first layer of few channels is folded: the frame then holds, for each output pixel, the
    codes under the kernel, so that no lane of a word is idle.

    Parameters
    ----------
    layers : sequence of ConvLayer
    input_shape : (int, int, int)
        (C, H, W) of a frame.
    config : Configuration

    Raises
    ------
    ValueError
        If something does not fit the configuration; the message says what, and by how much.
    """
    layers = list(layers)
    first, fold = layers[0], None
    if first.group == 1 and _folds(first, config):
        fold, input_shape = first, (first.weight[0].size,
                                    *first.output_shape((1, *input_shape))[2:])
        layers[0] = ConvLayer(**{
            **vars(first), "weight": first.weight.reshape(len(first.weight), -1, 1, 1),
            "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)})

    shapes = [tuple(input_shape)]
    for layer in layers:
        shapes.append(layer.output_shape((1, *shapes[-1]))[1:])
    regions = _allocate(shapes, config)
    weights, coefficients, convolutions, layer_of = [], [], [], []
    for index, layer in enumerate(layers):
        for block in _blocks(layer, config):
            fields = _geometry(layer, regions[index], regions[index + 1], block, config)
            fields |= {"weight_base": sum(map(len, weights)),
                       "coefficient_base": len(coefficients)}
            weights.append(_weight_words(layer, block, config))
            coefficients += _stored_coefficients(layer, block, config)
            fields |= {"wait": int(block.first == 0), "wait_input": int(not convolutions)}
            convolutions.append(fields)
            layer_of.append(index)
    program = Program(
        config=config, layers=tuple(layers), regions=tuple(regions), fold=fold,
        instructions=_program(convolutions, layer_of, regions, config.rows),
        layer_of=tuple(layer_of),
        weights=np.concatenate(weights), coefficients=tuple(coefficients))
    _check_capacity(program)
    return program


def _folds(layer, config):
    steps = layer.weight.shape[2] * layer.weight.shape[3] * -(-layer.weight.shape[1]
                                                              // config.channels)
    return -(-layer.weight[0].size // config.channels) < steps


def _allocate(shapes, config):
    """The frame has its own place; the other tensors alternate between two."""
    regions = [Region(0, *shape, words=-(-shape[0] // config.channels)) for shape in shapes]
    odd = regions[0].size
    even = odd + max(region.size for region in regions[1::2])
    return [replace(region, base=(even, odd)[index % 2] if index else 0)
            for index, region in enumerate(regions)]


@dataclass(frozen=True)
class _Block:
    """Output channels that one instruction computes, and the input words that it reads."""

    first: int      # Of the output channels.
    blocks: int     # Of ``columns`` output channels.
    word: int       # First input word.
    words: int      # Input words of a tap.
    step: int       # Input words from one block to the next.


def _blocks(layer, config):
    """Split a layer's output channels into instructions: one if the input words that they read
    advance evenly, else one for each block."""
    count = -(-len(layer.weight) // config.columns)
    if layer.group == 1:
        return [_Block(0, count, 0, -(-layer.weight.shape[1] // config.channels), 0)]
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    ranges = []
    for block in range(count):
        first = block * config.columns
        last = min(first + config.columns, len(layer.weight)) - 1
        start = first // outputs * inputs // config.channels
        end = ((last // outputs + 1) * inputs - 1) // config.channels
        ranges.append((start, end - start + 1))
    steps = {later[0] - earlier[0] for earlier, later in zip(ranges, ranges[1:], strict=False)}
    if len(steps | {0}) <= 2 and len({words for _, words in ranges}) == 1:
        return [_Block(0, count, *ranges[0], step=max(steps, default=0))]
    return [_Block(block * config.columns, 1, start, words, 0)
            for block, (start, words) in enumerate(ranges)]


def _geometry(layer, source, target, block, config):
    (top, left), stride, dilation = layer.padding[:2], layer.stride, layer.dilation
    kernel = layer.weight.shape[2:]
    row = source.width * source.words
    pixels = target.height * target.width
    parts = config.channels // config.lanes
    out_word, out_part = divmod(block.first, config.channels)
    if out_part:
        raise ValueError(f"Layer {layer.name}: a block of output channels must begin a word")
    remaining = len(layer.weight) - block.first
    groups = min(block.blocks * config.slots, -(-remaining // config.lanes))
    # The last word of a pixel is written whole.
    groups = min(block.blocks * config.slots, -(-groups // parts) * parts)
    return {
        "opcode": Opcode.CONV, "unsigned": int(layer.input_unsigned),
        "pad_code": layer.input_zero_point % 256,
        "base": (source.base + block.word - top * row - left * source.words) % (1 << 16),
        "x_step": stride[1] * source.words, "y_step": stride[0] * row % (1 << 16),
        "block_step": block.step, "tap_x_step": dilation[1] * source.words,
        "tap_y_step": dilation[0] * row % (1 << 16),
        "in_height": source.height, "in_width": source.width,
        "pad_top": top, "pad_left": left, "stride_y": stride[0], "stride_x": stride[1],
        "dilation_y": dilation[0], "dilation_x": dilation[1],
        "out_height": target.height - 1, "out_width": target.width - 1, "pixels": pixels - 1,
        "kernel_height": kernel[0] - 1, "kernel_width": kernel[1] - 1,
        "tap_words": block.words - 1, "last_step": kernel[0] * kernel[1] * block.words - 1,
        "tiles": -(-pixels // config.rows) - 1, "blocks": block.blocks - 1,
        "zero": layer.output_zero_point, "low": layer.low, "high": layer.high,
        "out_base": target.base + out_word, "out_step": target.words, "out_groups": groups - 1,
    }


def _weight_words(layer, block, config):
    """Weights (words, columns) in the order in which the array takes them; zero where an output
    channel does not see an input channel."""
    columns = block.blocks * config.columns
    depth = block.words * config.channels
    kernel = layer.weight.shape[2:]
    words = np.zeros((block.blocks, *kernel, depth, config.columns), np.int8)
    outputs, inputs = len(layer.weight) // layer.group, layer.weight.shape[1]
    for channel in range(block.first, min(block.first + columns, len(layer.weight))):
        index, column = divmod(channel - block.first, config.columns)
        start = (channel // outputs * inputs
                 - (block.word + index * block.step) * config.channels)
        words[index, :, :, start:start + inputs, column] = layer.weight[channel].transpose(1, 2, 0)
    return words.reshape(-1, config.columns).view(np.uint8)


def _stored_coefficients(layer, block, config):
    """Coefficients of the block's channels, padded to whole blocks of columns.

    The array multiplies codes as they are (uint8 less 128), so what their zero point adds to a
    sum goes into the bias; it may wrap there as the lane's adder does.
    """
    zero = layer.input_zero_point - (128 if layer.input_unsigned else 0)
    bias = layer.bias - zero * layer.weight.astype(np.int64).sum(axis=(1, 2, 3))
    bias = (bias + (1 << 31)) % (1 << 32) - (1 << 31)
    channels = slice(block.first, block.first + block.blocks * config.columns)
    records = [{"bias": b, "multiplier": m, "shift": s,
                "rounding": Rounding.encode(layer.rounding, s)}
               for b, m, s in zip(bias[channels].tolist(), layer.multiplier[channels].tolist(),
                                  layer.shift[channels].tolist(), strict=True)]
    return records + [{}] * (block.blocks * config.columns - len(records))


def _program(convolutions, layer_of, regions, rows):
    """The frame after the present one is received once the first layer has read the present."""
    receive = {"opcode": Opcode.RECEIVE, "base": regions[0].base, "pixels": regions[0].size - 1}
    first = layer_of.count(0)
    return (receive, *convolutions[:first], {**receive, "wait": 1, "next": 1},
            *convolutions[first:], _send(regions[-1], rows),
            {"opcode": Opcode.END, "base": INSTRUCTION_WORDS})


def _send(region, rows):
    """Read a region word by word: a pixel is a word here, and its coordinates stay at zero."""
    width = region.width * region.words
    return {"opcode": Opcode.SEND, "wait": 1, "base": region.base, "x_step": 1, "y_step": width,
            "in_height": 1, "in_width": 1, "out_width": width - 1,
            "out_height": region.height - 1, "pixels": region.size - 1,
            "tiles": -(-region.size // rows) - 1}


def _check_capacity(program):
    config = program.config
    for name, needed, has in (
            ("program_words", len(program.instructions) * INSTRUCTION_WORDS, config.program_words),
            ("weight_words", len(program.weights), config.weight_words),
            ("coefficient_words", len(program.coefficients), config.coefficient_words),
            ("activation_words", max(region.base + region.size for region in program.regions),
             config.activation_words)):
        if needed > has:
            raise ValueError(f"The network needs {needed} {name}; {config.name} has {has}")
