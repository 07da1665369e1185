"""Code generation: a chain of layers becomes a program and the contents of the memories."""

from dataclasses import dataclass

import numpy as np

from compiler.layout import (
    Plan,
    Region,
    plan_chain,
    stored_coefficients,
    unfold,
    weight_words,
)
from golden.layer import ConvLayer
from hdl.config import CONFIGURATIONS, Configuration
from hdl.isa import FIELDS, INSTRUCTION_WORDS, TAP_SPAN, Opcode, assemble

__all__ = ["Program", "compile_chain"]


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
    plan = plan_chain(layers, input_shape, config)
    _check_sums(plan)
    _check_capacity(plan, layers, input_shape)
    weights, coefficients, convolutions, layer_of = [], [], [], []
    weight_base = 0
    for index, layer in enumerate(plan.layers):
        source, target = plan.regions[index], plan.regions[index + 1]
        for number, block in enumerate(plan.blocks[index]):
            convolutions.append({
                **_geometry(layer, source, target, block, config),
                "weight_base": weight_base, "coefficient_base": len(coefficients),
                "wait": int(number == 0), "wait_input": int(not convolutions)})
            _check_fields(f"Layer {layer.name}", convolutions[-1])
            layer_of.append(index)
            weights.append(weight_words(layer, block, config))
            weight_base += len(weights[-1])
            coefficients += stored_coefficients(layer, block, config)
    return Program(
        config=config, layers=plan.layers, regions=plan.regions, fold=plan.fold,
        instructions=_program(convolutions, layer_of, plan.regions, config.rows),
        layer_of=tuple(layer_of), weights=np.concatenate(weights),
        coefficients=tuple(coefficients))


def _geometry(layer, source, target, block, config):
    (top, left), stride, dilation = layer.padding[:2], layer.stride, layer.dilation
    kernel = layer.weight.shape[2:]
    row = source.width * source.words
    pixels = target.height * target.width
    parts = config.channels // config.lanes
    out_word, out_part = divmod(block.first, config.channels)
    assert out_part == 0
    groups = -(-(len(layer.weight) - block.first) // config.lanes)
    # The last word of a pixel is written whole, as far as the columns go.
    groups = min(block.blocks * config.slots, -(-groups // parts) * parts)
    addresses = {
        "base": source.base + block.word - top * row - left * source.words,
        "x_step": stride[1] * source.words, "y_step": stride[0] * row,
        "block_step": block.step,
        "tap_x_step": dilation[1] * source.words, "tap_y_step": dilation[0] * row,
        "out_base": target.base + out_word, "out_step": target.words,
    }
    return {
        "opcode": Opcode.CONV, "unsigned": int(layer.input_unsigned),
        "pad_code": layer.input_zero_point % 256,
        **{name: address % (1 << 16) for name, address in addresses.items()},
        "in_height": source.height, "in_width": source.width,
        "pad_top": top, "pad_left": left, "stride_y": stride[0], "stride_x": stride[1],
        "dilation_y": dilation[0], "dilation_x": dilation[1],
        "out_height": target.height - 1, "out_width": target.width - 1, "pixels": pixels - 1,
        "kernel_height": kernel[0] - 1, "kernel_width": kernel[1] - 1,
        "tap_words": block.words - 1, "last_step": kernel[0] * kernel[1] * block.words - 1,
        "tiles": -(-pixels // config.rows) - 1, "blocks": block.blocks - 1,
        "zero": layer.output_zero_point, "low": layer.low, "high": layer.high,
        "out_groups": groups - 1,
    }


def _program(convolutions, layer_of, regions, rows):
    """Compute, send, and begin anew; let the next frame in as soon as this one has been read.

    A layer that waits for the first one's results has been taken by the reader when the first
    layer is done with the frame: the RECEIVE right behind it comes neither too early nor in the
    way of its being read ahead.
    """
    receive = {"opcode": Opcode.RECEIVE, "base": regions[0].base, "pixels": regions[0].size - 1}
    send = _send(regions[-1], rows)
    later = [*convolutions, send][layer_of.count(0):]
    return (receive, *convolutions[:layer_of.count(0)], later[0], {**receive, "next": 1},
            *later[1:], {"opcode": Opcode.END, "base": INSTRUCTION_WORDS})


def _send(region, rows):
    """Read a region word by word: a pixel is a word here, and its coordinates stay at zero."""
    width = region.width * region.words
    fields = {"opcode": Opcode.SEND, "wait": 1, "base": region.base, "x_step": 1, "y_step": width,
              "in_height": 1, "in_width": 1, "out_width": width - 1,
              "out_height": region.height - 1, "pixels": region.size - 1,
              "tiles": -(-region.size // rows) - 1}
    _check_fields("The output", fields)
    return fields


def _check_fields(subject, fields):
    """Refuse what the instruction's fields cannot hold."""
    known = {field.name: field for field in FIELDS}
    for name, value in fields.items():
        width, less = known[name].width, int(known[name].meaning.endswith("less one."))
        # Signed fields hold codes, which a layer has checked.
        if not known[name].signed and value >> width:
            raise ValueError(f"{subject}: {name} is {value + less}, more than the "
                             f"{(1 << width) - 1 + less} of an instruction")
    for axis, side in (("height", "y"), ("width", "x")):
        span = fields.get(f"kernel_{axis}", 0) * fields.get(f"dilation_{side}", 0) + 1
        if span > TAP_SPAN:
            raise ValueError(f"{subject}: the dilated kernel's {axis} is {span}, more than the "
                             f"{TAP_SPAN} of the engine")


def _check_sums(plan):
    """Refuse sums that leave the accumulators. At 32 bits they may wrap, because the final one,
    with its bias, is known to fit."""
    config = plan.config
    for layer in plan.layers if config.accumulator_width < 32 else ():
        reach = 128 * int(np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        if reach >= 1 << (config.accumulator_width - 1):
            raise ValueError(f"Layer {layer.name}: sums of up to {reach} do not fit the "
                             f"{config.accumulator_width} bit accumulators of {config.name}")


def _demands(plan):
    """What each memory must hold: its words, and the most that one layer has to do with."""
    counts = {"weight_words": plan.weight_counts(),
              "coefficient_words": plan.coefficient_counts()}
    instructions = 4 + sum(map(len, plan.blocks))
    return {
        "program_words": (instructions * INSTRUCTION_WORDS,
                          [len(blocks) * INSTRUCTION_WORDS for blocks in plan.blocks]),
        **{name: (sum(words), words) for name, words in counts.items()},
        "activation_words": (plan.activation_words, plan.tensor_words()),
    }


def _check_capacity(plan: Plan, layers, input_shape):
    config = plan.config
    for name, (needed, by_layer) in _demands(plan).items():
        if needed > getattr(config, name):
            most = int(np.argmax(by_layer))
            fitting = [other for other in CONFIGURATIONS if _fits(
                plan_chain(layers, input_shape, CONFIGURATIONS[other]))]
            remedy = (f"it fits {', '.join(fitting)}" if fitting
                      else "it fits no configuration that ships; one of your own may")
            raise ValueError(
                f"The network needs {needed} {name}, {by_layer[most]} of them for layer "
                f"{plan.layers[most].name}; {config.name} has {getattr(config, name)}; {remedy}")


def _fits(plan):
    return all(needed <= getattr(plan.config, name)
               for name, (needed, _) in _demands(plan).items())
