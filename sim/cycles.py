"""Cycle model: how long the engine takes for a layer, and where the cycles go."""

from dataclasses import astuple, dataclass
from operator import add

from hdl.isa import Opcode
from hdl.memories import ActivationMemory
from hdl.operands import TABLE_ENTRIES, window_steps
from hdl.pipeline import array_delay, coefficient_delay
from hdl.reader import ActivationReader
from hdl.resultqueue import ResultQueue
from hdl.scaleshift import lane_latency
from hdl.vector import VectorUnit
from hdl.window import WindowUnit
from hdl.writer import ResultWriter
from sim.vector_cycles import Walk, vector_cycles
from sim.window_cycles import Raster, window_cycles

__all__ = ["Cycles", "layer_cycles", "table_cycles"]


#: Cycles from a last sum being taken by the lanes to tables being filled, and from these being
#: there to the first request.
_TABLES_TAKEN = 5


@dataclass(frozen=True)
class Cycles:
    """Cycles of a layer, from its first request for an activation to its last result written.

    Members
    -------
    compute : float
        What the multiplications would take if every element of the array had one in every cycle.
    channels : float
        Lost to input channels that fill up words, and output channels that fill up blocks.
    pixels : float
        Lost to output pixels that fill up the last tile.
    memory : float
        Of the units beside the array: a cycle for each word read, less what it computes. On the
        array, where the memory has one port: lost to results that are written.
    lanes : int
        Lost to results that come faster than the lanes take them, and between the tiles of a lean
        engine.
    coefficients : int
        Lost to blocks of output channels that are shorter than a set of coefficients needs.
    fill : int
        From the first request to the first operands in the array, and from the last to the last
        result written.
    """

    compute: float = 0
    channels: float = 0
    pixels: float = 0
    memory: float = 0
    lanes: int = 0
    coefficients: int = 0
    fill: int = 0

    def __add__(self, other):
        """Of one layer and then another."""
        return Cycles(*map(add, astuple(self), astuple(other)))

    @property
    def total(self):
        """All of them, as the hardware counts."""
        array = round(self.compute + self.channels + self.pixels + self.memory)
        return array + self.lanes + self.coefficients + self.fill


def layer_cycles(fields, config, macs):
    """Return the :class:`Cycles` of a layer that has to wait for the one before it, and whose
    coefficients have been read ahead by then.

    Parameters
    ----------
    fields : dict
        Of the instruction, those that are zero perhaps left out; see :func:`hdl.isa.assemble`.
    config : Configuration
    macs : int
        Multiplications that the layer needs.
    """
    model = {Opcode.CONV: _conv, Opcode.DEPTHWISE: _depthwise, Opcode.VECTOR: _vector}
    return model[fields["opcode"]](_Extents(fields, config), config, macs)


def table_cycles(before, fields, config):
    """Return the cycles from a layer's last result to the first request of the next one for which
    the next one's tables are to blame; none unless both are on the vector unit.

    An entry takes two cycles, from when the last sum of the layer before has left the unit.

    Parameters
    ----------
    before, fields : dict
        Of the two instructions, as for :func:`layer_cycles`.
    config : Configuration
    """
    if not (before["opcode"] == fields["opcode"] == Opcode.VECTOR and fields.get("table")):
        return 0
    return 2 * TABLE_ENTRIES + _TABLES_TAKEN - _lanes_latency(config)


class _Extents:
    """How often each loop of an instruction runs; ``dead`` rows of the last tile have no pixel."""

    def __init__(self, fields, config):
        counts = {name: fields.get(name, 0) + 1 for name in (
            "last_step", "tiles", "blocks", "pixels", "out_height", "out_width", "frames")}
        self.steps, self.tiles = counts["last_step"], counts["tiles"]
        self.blocks, self.pixels = counts["blocks"], counts["pixels"]
        self.out_height, self.out_width = counts["out_height"], counts["out_width"]
        self.frames = counts["frames"]
        self.stride = fields.get("window_stride_y", 0), fields.get("window_stride_x", 0)
        self.dead = self.tiles * config.rows - self.pixels
        self.groups = fields.get("out_groups", 0) + 1


def _conv(extents, config, macs):
    """On the array.

    A tile takes ``K`` cycles, its reduction (one more on a lean engine if another follows), but the
    next one no less than ``D``, the cycles that the lanes need for its results. So ``n`` tiles take
    ``K + (n - 1) · max(K, D)``; ``D`` more bring the last one out; the rest is the same for all
    layers. A block of output channels also takes no less than the next set of coefficients: its
    bank becomes free once the lanes are done with the block before, and takes a channel a cycle.
    """
    tiles = extents.tiles * extents.blocks
    reduction = extents.steps * config.channels
    compute = macs / (config.rows * config.columns)
    used_rows = extents.pixels / (extents.tiles * config.rows)
    array = tiles * reduction
    period = _period(config, reduction)
    short = max(0, _set_cycles(config, config.columns) - extents.tiles * period)
    writes = _writes(extents, config, reduction) if config.family == "ice40" else 0
    return Cycles(
        compute=compute, channels=array * used_rows - compute, pixels=array * (1 - used_rows),
        memory=writes, lanes=(tiles - 1) * (period - reduction),
        coefficients=(extents.blocks - 1) * short,
        fill=config.drain_cycles + _array_latency(config))


def _period(config, reduction):
    """Cycles from one tile to the next: the array of a lean engine has one between them."""
    return max(reduction + config.lean, config.drain_cycles)


def _writes(extents, config, reduction):
    """Cycles lost to results that are written while operands are still to be read.

    One port serves both, and operands come no faster than they are multiplied. So each write costs
    a cycle, but for those that fit the time for which the lanes hold a tile up anyway, and those
    of the last tile but one that come after the last request.
    """

    def written(number):
        """Times, from the capture of a tile on, at which its results are written."""
        block, tile = divmod(number, extents.tiles)
        rows = config.rows - (extents.dead if tile == extents.tiles - 1 else 0)
        slots = min(config.slots, extents.groups - block * config.slots)
        return [first + (row * config.slots + slot) * config.lane_interval
                for row in range(rows) for slot in range(slots)]

    first = array_delay(config) + _lanes_latency(config) + config.lane_interval - 1
    spare = _period(config, reduction) - reduction
    tiles = extents.tiles * extents.blocks
    lost = sum(max(0, len(written(number)) - spare) for number in range(tiles - 1))
    if not lost:
        return 0
    # The last request leaves so long before the last tile can be captured.
    request = (reduction - ActivationMemory.latency(config.family) - (not config.lean) - 2
               - config.channels)
    times = written(tiles - 2)
    while times and times[-1] > request + len(times):
        times.pop()
        lost -= 1
    return lost


def _vector(extents, config, macs):
    """On the vector unit: :func:`sim.vector_cycles.vector_cycles`."""
    walk = Walk(rows=config.rows, parts=config.parts, taps=extents.steps, tiles=extents.tiles,
                blocks=extents.blocks, dead=extents.dead)
    depth = VectorUnit.places(rows=config.rows, parts=config.parts)
    interval = config.lane_interval
    paced = vector_cycles(walk, depth=depth, sets=0, interval=interval)
    total = vector_cycles(walk, depth=depth, sets=_set_cycles(config, config.channels),
                          interval=interval)
    words = extents.pixels * extents.steps * extents.blocks
    passed = extents.dead * (extents.steps * extents.blocks - 1)
    compute = macs / (config.rows * config.columns)
    return Cycles(
        compute=compute, channels=0, pixels=passed, memory=words - compute,
        lanes=paced - words - passed, coefficients=total - paced,
        fill=_reading_latency(config) - 1 + VectorUnit.LATENCY + 1 + _lanes_latency(config))


def _depthwise(extents, config, macs):
    """On the window unit: :func:`sim.window_cycles.window_cycles`."""
    raster = Raster(frames=extents.frames, height=extents.out_height, width=extents.out_width,
                    stride=extents.stride, blocks=extents.blocks, dead=extents.dead)
    sets = _set_cycles(config, config.channels)
    weights = window_steps(config.columns) * config.channels
    free = window_cycles(raster, parts=1, sets=0, weights=weights)
    paced = window_cycles(raster, parts=config.parts, sets=0, weights=weights)
    total = window_cycles(raster, parts=config.parts, sets=sets, weights=weights)
    compute = macs / (config.rows * config.columns)
    return Cycles(
        compute=compute, channels=0, pixels=0, memory=free - compute, lanes=paced - free,
        coefficients=total - paced,
        fill=_reading_latency(config) + WindowUnit.LATENCY + 1 + _lanes_latency(config))


def _set_cycles(config, channels):
    """Cycles from one set of coefficients coming into use to the next one being there."""
    return coefficient_delay(config) + channels + 2


def _array_latency(config):
    """Cycles that every layer on the array takes beside its tiles and the drain of the last."""
    # The last row's wait for its second cycle, where its results need only one, is not waited for.
    short = int(config.rows > 1 and config.slots * config.lane_interval == 1)
    # Less one: the first word. The register in front of the buffer; the words of a step; that they
    # are there; the decision. The array, the lanes, and through the output buffer.
    return (_reading_latency(config) - 1 + (not config.lean) + config.rows + 2 + array_delay(config)
            + _lanes_latency(config) - short)


def _reading_latency(config):
    """Cycles from a layer being accepted to its first word being offered."""
    return ActivationReader.latency(config.instruction) + ActivationMemory.latency(config.family)


def _lanes_latency(config):
    """Cycles from a sum entering the first lane to its result, which the last one makes, written;
    the last result's lane need not be free again."""
    return (lane_latency(config.lane_interval) - (config.lane_interval - 1) + 2
            + ResultQueue.latency(config.lanes, config.family)
            + ResultWriter.latency(lean=config.lean))
