"""Readers of what a layer needs beside activations: tiles, weights and coefficients."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fabric import counted_on, counted_up
from .isa import Instruction, Opcode
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, Coefficients, Tile
from .memoryreader import MemoryReader, begin_layer
from .walkers import countdown, countdown_ahead

__all__ = ["TABLE_ENTRIES", "WINDOW_TAPS", "CoefficientReader", "StoredCoefficients", "TileWriter",
           "WeightReader", "window_steps"]


#: Taps of the window unit's kernel.
WINDOW_TAPS = 9
#: Entries of a table: one for each code.
TABLE_ENTRIES = 256


def window_steps(columns):
    """Return the steps, of ``channels`` weight words each, that hold the window unit's weights for
    a word of channels: as many bytes as taps and channels, in words of ``columns`` bytes."""
    return -(-WINDOW_TAPS // columns)


class StoredCoefficients(data.StructLayout):
    """What coefficient memory holds of a channel; the rest is the same for a whole layer."""

    def __init__(self):
        super().__init__({
            "bias": signed(MULTIPLIER_WIDTH),
            "multiplier": signed(MULTIPLIER_WIDTH),
            "shift": 6,
            "rounding": 2,
        })


class WeightReader(MemoryReader):
    """Streams a layer's weight words: those of a block of output channels once for each tile, or
    once in all if they are the window unit's.

    Members
    -------
    window : ``Out(1)``
        The word is for the window unit, not for the array.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Weights in a word.
    channels : :class:`int`, 1 to 64
        Words of a step.
    depth : :class:`int`, 2 to 65536
        Words of the memory.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.
    """

    def __init__(self, *, columns, channels, depth, family="portable", instruction=None):
        check_range("Columns", columns, 1, 64)
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        self.columns = columns
        super().__init__(width=columns * OPERAND_WIDTH, depth=depth, flags=("window",),
                         family=family, instruction=instruction,
                         shape=data.ArrayLayout(OPERAND_WIDTH, columns))

    def elaborate(self, platform):
        m = Module()
        new = self.layers.payload
        lean = self.instruction.lean
        active = Signal()
        end = Signal()
        free, begin, active_next = begin_layer(m, self.layers, active, end, self.o.valid)
        side = Signal(data.StructLayout({"window": 1}), reset_less=True)
        address, block = (Signal(len(new.weight_base) + 1, name=name, reset_less=True)
                          for name in ("address", "block"))
        steps, tiles, blocks = (new[name] if lean else Signal.like(
            new[name], name=name, reset_less=True) for name in ("last_step", "tiles", "blocks"))
        taken, word, beside = self.read(m, address, active, active_next, side)
        m.d.comb += [Value.cast(self.o.payload).eq(word), self.window.eq(beside.window)]

        again, end_block, ends = self._count(m, free, begin, taken, steps, tiles, blocks)
        # What the address goes back to is there when it begins.
        again |= begin
        m.d.comb += end.eq(ends)
        with m.If(begin | taken):
            m.d.sync += address.eq(counted_up(address, again, block) if lean
                                   else Mux(again, block, address + 1))
        # A step of more than one word leaves time to see where the next block is.
        opening = Signal()
        domain = m.d.sync if self.channels > 1 else m.d.comb
        domain += opening.eq(end_block)
        with m.If(free | opening):
            m.d.sync += block.eq(Mux(free, new.weight_base,
                                     address if self.channels > 1 else address + 1))
        if lean:
            return m
        with m.If(free):
            to_window = new.opcode == Opcode.DEPTHWISE
            # Gates, since of choices synthesis would make a reset, which comes later to all bits.
            own = window_steps(self.columns) - 1
            wide = to_window.replicate(len(steps))
            m.d.sync += [
                steps.eq((new.last_step & ~wide) | (own & wide)),
                tiles.eq(new.tiles & ~to_window.replicate(len(tiles))), blocks.eq(new.blocks),
                side.window.eq(to_window),
            ]
        return m

    def _count(self, m, free, begin, taken, steps, tiles, blocks):
        """Return whether after the next word the block's words come again, for its next tile; and
        whether with the one that is ``taken`` a block ends, and a layer."""
        lean = self.instruction.lean
        end_step, end_tile, end_block = Signal(), Signal(), Signal()
        # Steps of four words leave time to find out a cycle later which tile and block are last.
        slow = self.channels > 3
        late = slow and not lean
        ended = [Signal(name=f"{name}_ended") for name in ("tile", "block")]
        m.d.sync += [each.eq(now) for each, now in zip(ended, (end_tile, end_block), strict=True)]
        counted = ended if late else [end_tile, end_block]
        channels = Const(self.channels - 1, range(max(2, self.channels)))
        last_channel, last_step, last_tile, last_block = (
            countdown(m, name, start, clear=free, step=begin | step, lean=True,
                      spaced=spaced and self.channels > 1) if lean else
            countdown_ahead(m, name, start, restart=begin, step=step, late=after)
            for name, start, step, spaced, after in (
                ("channels", channels, taken, False, False),
                ("steps", steps, end_step, True, late),
                ("tiles", tiles, counted[0], True, late),
                ("blocks", blocks, counted[1], True, late)))
        # The step is the last of a tile, but not of a block; is that of a block; of the layer.
        repeating, closing, ending = (Signal(name=name) for name in (
            "repeating", "closing", "ending"))
        domain = m.d.sync if slow else m.d.comb
        domain += [repeating.eq(last_step & ~last_tile), closing.eq(last_step & last_tile),
                   ending.eq(last_step & last_tile & last_block)]
        m.d.comb += [
            end_step.eq(taken & last_channel), end_tile.eq(end_step & last_step),
            end_block.eq(end_step & closing),
        ]
        return last_channel & repeating, end_block, end_step & ending


class CoefficientReader(MemoryReader):
    """Streams the coefficients of a layer's output channels, each once, in order, after those of
    its tables if it has any.

    Members
    -------
    table : ``Out(1)``
        What comes is an entry of each table: in ``bias`` for even taps, in ``multiplier`` for odd.

    Parameters
    ----------
    columns, channels : :class:`int`, 1 to 64
        Channels of a block that the array computes, and of one that another unit does.
    depth : :class:`int`, 2 to 65536
        Channels in the memory.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.
    parts : :class:`int`
        Parts of a word that are written alone (:class:`hdl.singleport.HeldMemory`).
    """

    def __init__(self, *, columns, channels, depth, family="portable", instruction=None,
                 parts=1):
        check_range("Columns", columns, 1, 64)
        check_range("Channels", channels, 1, 64)
        self.columns = columns
        self.channels = channels
        super().__init__(width=StoredCoefficients().size, depth=depth, flags=("table",),
                         family=family, instruction=instruction, parts=parts,
                         shape=Coefficients())

    def elaborate(self, platform):
        m = Module()
        new = self.layers.payload
        bounds = {name: signed(9) for name in ("zero", "low", "high")}
        lean = self.instruction.lean
        layer = new if lean else Signal(data.StructLayout(bounds), reset_less=True)
        side = Signal(data.StructLayout({**({} if lean else bounds), "last": 1, "table": 1}))
        active = Signal()
        end = Signal()
        free, begin, active_next = begin_layer(m, self.layers, active, end, self.o.valid)
        table, on_array = (C(0, 1), C(1, 1)) if lean else (
            Signal(reset_less=True), Signal(reset_less=True))
        address = Signal(len(new.coefficient_base) + 1, reset_less=True)
        size = Signal(range(TABLE_ENTRIES))     # Of the set or the tables, less one.
        blocks = new.blocks if lean else Signal.like(new.blocks, reset_less=True)
        taken, word, beside = self.read(m, address, active, active_next, side, wide=bounds)
        stored = data.View(StoredCoefficients(), word)
        m.d.comb += [self.o.p[name].eq(stored[name]) for name in StoredCoefficients().members]
        m.d.comb += [self.o.p[name].eq((layer if lean else beside)[name]) for name in bounds]
        m.d.comb += self.o.p.last.eq(beside.last)

        end_block = Signal()
        last, last_block = (countdown(m, name, start, clear=free, step=begin | step, lean=lean)
                            for name, start, step in (("records", size, taken),
                                                      ("blocks", blocks, end_block)))
        m.d.comb += [side[name].eq(layer[name]) for name in bounds if not lean]
        m.d.comb += [side.last.eq(last), side.table.eq(table), self.table.eq(beside.table),
                     end_block.eq(taken & last & ~table),
                     size.eq(Mux(begin & table, TABLE_ENTRIES - 1,
                                 Mux(on_array, self.columns - 1, self.channels - 1)))]
        m.d.comb += end.eq(end_block & last_block)
        if lean:
            with m.If(free | taken):
                m.d.sync += address.eq(counted_up(address, free, new.coefficient_base))
            return m
        with m.If(free):
            m.d.sync += [layer[name].eq(new[name]) for name in bounds]
            m.d.sync += [
                blocks.eq(new.blocks),
                table.eq((new.opcode == Opcode.VECTOR) & new.table),
                on_array.eq(new.opcode == Opcode.CONV),
            ]
        with m.Elif(taken):
            m.d.sync += table.eq(table & ~last)
        with m.If(free | taken):
            m.d.sync += address.eq(counted_on(address, free, new.coefficient_base, 1))
        return m


class TileWriter(wiring.Component):
    """Streams the tile descriptors of a layer.

    Parameters
    ----------
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
    o : ``Out(stream.Signature(Tile()))``
    """

    def __init__(self, instruction=None):
        self.instruction = instruction or Instruction()
        super().__init__({
            "layers": In(stream.Signature(self.instruction)),
            "o": Out(stream.Signature(Tile())),
        })

    def elaborate(self, platform):
        m = Module()
        new = self.layers.payload
        lean = self.instruction.lean
        active = Signal() if lean else self.o.valid
        end = Signal()
        free, begin, _ = begin_layer(m, self.layers, active, end, C(0, 1))
        tiles, blocks = (new[name] if lean else Signal.like(new[name], name=name, reset_less=True)
                         for name in ("tiles", "blocks"))
        taken, end_block = Signal(), Signal()
        last_tile, last_block = (countdown(m, name, start, clear=free, step=begin | step, lean=lean,
                                           spaced=lean)
                                 for name, start, step in (("tiles", tiles, taken),
                                                           ("blocks", blocks, end_block)))
        if lean:
            # Every other cycle: that leaves time to find out which tile and block are last.
            m.d.sync += self.o.valid.eq(active & ~taken)
        m.d.comb += [taken.eq(self.o.valid & self.o.ready), end_block.eq(taken & last_tile)]
        m.d.comb += end.eq(end_block & last_block)
        same = [self.o.p.unsigned.eq(new.unsigned), self.o.p.last_step.eq(new.last_step)]
        if lean:
            m.d.comb += same
        with m.If(free & ~self.o.valid):
            m.d.sync += [self.o.p.renew.eq(1), *([] if lean else [
                *same, tiles.eq(new.tiles), blocks.eq(new.blocks)])]
        with m.Elif(taken):
            m.d.sync += self.o.p.renew.eq(last_tile)
        return m
