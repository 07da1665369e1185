"""Cycle model: how long the engine takes for an instruction, and where the cycles go."""

from dataclasses import dataclass

from hdl.array import array_latency
from hdl.multiplier import multiplier_class
from hdl.pipeline import coefficient_delay
from hdl.scaleshift import lane_latency

__all__ = ["Cycles", "conv_cycles"]


@dataclass(frozen=True)
class Cycles:
    """Cycles of one CONV, from its first request for an activation to its last result written.

    Members
    -------
    compute : float
        What the multiplications would take if every element had one in every cycle.
    channels : float
        Lost to input channels that fill up words, and output channels that fill up blocks.
    pixels : float
        Lost to output pixels that fill up the last tile.
    lanes : int
        Lost to tiles that are shorter than the lanes need to take them out.
    coefficients : int
        Lost to blocks of output channels that are shorter than a set of coefficients needs.
    fill : int
        From the first request to the first operands in the array, and from the last to the last
        result written.
    """

    compute: float
    channels: float
    pixels: float
    lanes: int
    coefficients: int
    fill: int

    @property
    def total(self):
        """All of them, as the hardware counts."""
        array = round(self.compute + self.channels + self.pixels)
        return array + self.lanes + self.coefficients + self.fill


def conv_cycles(fields, config, macs):
    """Return the :class:`Cycles` of a CONV that has to wait for the layer before it.

    A tile takes ``K`` cycles, its reduction, but the next one no less than ``D``, the cycles that
    the lanes need for its results. So ``n`` tiles take ``K + (n - 1) · max(K, D)``; ``D`` more
    bring the last one out; the rest is the same for all layers. A block of output channels also
    takes no less than the next set of coefficients: its bank becomes free once the lanes are done
    with the block before, and takes a channel a cycle.

    Parameters
    ----------
    fields : dict
        Of the instruction; see :func:`hdl.isa.assemble`.
    config : Configuration
    macs : int
        Multiplications that the layer needs.
    """
    steps = fields["last_step"] + 1
    pixel_tiles, blocks = fields["tiles"] + 1, fields["blocks"] + 1
    tiles = pixel_tiles * blocks
    reduction = steps * config.channels
    elements = config.rows * config.columns
    compute = macs / elements
    used_rows = (fields["pixels"] + 1) / (pixel_tiles * config.rows)
    array = tiles * reduction
    period = max(reduction, config.drain_cycles)
    set_cycles = coefficient_delay(config) + config.columns + 2
    return Cycles(
        compute=compute, channels=array * used_rows - compute, pixels=array * (1 - used_rows),
        lanes=(tiles - 1) * (period - reduction),
        coefficients=(blocks - 1) * max(0, set_cycles - pixel_tiles * period),
        fill=config.drain_cycles + _latency(config))


def _latency(config):
    """Cycles that every layer takes beside its tiles and the drain of the last one."""
    array = array_latency(multiplier_class(config.multiplier))
    lane = lane_latency(config.lane_interval)
    # The last row's wait for its second cycle, where its results need only one, is not waited for.
    short = int(config.rows > 1 and config.slots * config.lane_interval == 1)
    idle_end = config.lane_interval - 1
    # 5: request, memory and buffer. The words of a step, or the two cycles of the buffer.
    # 1: decision. The array, the lanes one after the other, and through the output buffer.
    return 5 + max(config.rows, 2) + 1 + array + config.lanes - 1 + lane + 5 - short - idle_end
