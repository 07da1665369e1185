"""Roughly how long instructions take, to choose between several that would do.

What no choice depends on is left out: filling and draining, some dozens of cycles for each
instruction. The exact model is ``sim.cycles``.
"""

from hdl.isa import Opcode

__all__ = ["array_cycles", "frame_beats", "instruction_cycles", "window_cycles"]


def array_cycles(config, *, tiles, blocks, steps):
    """Cycles of a convolution on the array."""
    return tiles * blocks * max(steps * config.channels, config.drain_cycles)


def window_cycles(config, *, blocks, positions, pixels):
    """Cycles of a depthwise convolution of so many words read and output pixels."""
    return blocks * max(positions, _lane_cycles(config, pixels))


def instruction_cycles(fields, config):
    """Cycles of an instruction, given its fields."""
    opcode, blocks, pixels = (fields.get(name, 0) for name in ("opcode", "blocks", "pixels"))
    blocks, pixels, steps = blocks + 1, pixels + 1, fields.get("last_step", 0) + 1
    if opcode == Opcode.CONV:
        return array_cycles(config, tiles=fields["tiles"] + 1, blocks=blocks, steps=steps)
    if opcode == Opcode.DEPTHWISE:
        return window_cycles(config, blocks=blocks, positions=pixels,
                             pixels=fields["out_pixels"] + 1)
    if opcode == Opcode.VECTOR:
        return blocks * max(pixels * steps, _lane_cycles(config, pixels))
    if opcode == Opcode.SEND:
        return frame_beats(config, pixels)
    return 0


def frame_beats(config, words):
    """Beats of 32 bits in so many activation words."""
    return words * -(-config.channels // 4)


def _lane_cycles(config, pixels):
    """Cycles in which the lanes requantise a word of each of so many pixels."""
    return pixels * config.parts * config.lane_interval
