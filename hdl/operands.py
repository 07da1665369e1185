"""Readers of what a layer needs beside activations: tiles, weights and coefficients."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import StreamedMemory
from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction, Opcode
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, Coefficients, Tile

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


class _MemoryReader(wiring.Component):
    """Common to the readers of weights and coefficients: a memory, and its write port.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Accepted as soon as the layer before has been read to its end.
    write_en, write_address, write_data : ``In``
        Port that fills the memory.
    o : ``Out(stream.Signature(...))``
    beyond : ``Out(1)``
        An address beyond the memory is read in this cycle.
    """

    def __init__(self, *, width, depth, shape, family, flags=()):
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        self.width = width
        self.depth = depth
        self.family = family
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "write_en": In(1),
            "write_address": In(ADDRESS_WIDTH),
            "write_data": In(width),
            "o": Out(stream.Signature(shape)),
            "beyond": Out(1),
            **{flag: Out(1) for flag in flags},
        })

    def _read(self, m, address, reading, side):
        """Read ``address`` in each cycle of ``reading``, with the view ``side`` beside it; return
        a pulse for each address taken, the word and what came beside it."""
        m.submodules.storage = storage = StreamedMemory(
            width=self.width, depth=self.depth, side=side.shape(), family=self.family)
        m.d.comb += [
            storage.write_address.eq(self.write_address), storage.write_en.eq(self.write_en),
            storage.write_data.eq(self.write_data),
            storage.i.valid.eq(reading), storage.i.p.address.eq(address),
            storage.i.p.side.eq(side),
            self.beyond.eq(reading & (address >= self.depth)),
            self.o.valid.eq(storage.o.valid), storage.o.ready.eq(self.o.ready),
        ]
        return reading & storage.i.ready, storage.o.p.word, storage.o.p.side


class WeightReader(_MemoryReader):
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

    def __init__(self, *, columns, channels, depth, family="portable"):
        check_range("Columns", columns, 1, 64)
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        self.columns = columns
        super().__init__(width=columns * OPERAND_WIDTH, depth=depth, flags=("window",),
                         family=family, shape=data.ArrayLayout(OPERAND_WIDTH, columns))

    def elaborate(self, platform):
        m = Module()
        new = self.layers.payload
        busy = Signal()
        side = Signal(data.StructLayout({"window": 1}))
        address = Signal(ADDRESS_WIDTH + 1)
        block = Signal(ADDRESS_WIDTH + 1)
        channel = Signal(range(max(2, self.channels)))
        last_step, steps_left = Signal.like(new.last_step), Signal.like(new.last_step)
        tiles, tiles_left = Signal.like(new.tiles), Signal.like(new.tiles)
        blocks_left = Signal.like(new.blocks)
        taken, word, beside = self._read(m, address, busy, side)
        m.d.comb += [Value.cast(self.o.payload).eq(word), self.window.eq(beside.window)]
        to_window = new.opcode == Opcode.DEPTHWISE
        new_last_step = Mux(to_window, window_steps(self.columns) - 1, new.last_step)
        new_tiles = Mux(to_window, 0, new.tiles)

        m.d.comb += self.layers.ready.eq(~busy)
        with m.If(self.layers.valid & self.layers.ready):
            m.d.sync += [
                busy.eq(1), address.eq(new.weight_base), block.eq(new.weight_base), channel.eq(0),
                last_step.eq(new_last_step), steps_left.eq(new_last_step), tiles.eq(new_tiles),
                tiles_left.eq(new_tiles), blocks_left.eq(new.blocks), side.window.eq(to_window),
            ]
        with m.If(taken):
            m.d.sync += [address.eq(address + 1), channel.eq(channel + 1)]
            with m.If(channel == self.channels - 1):
                m.d.sync += [channel.eq(0), steps_left.eq(steps_left - 1)]
                with m.If(steps_left == 0):
                    m.d.sync += [steps_left.eq(last_step), tiles_left.eq(tiles_left - 1),
                                 address.eq(block)]
                    with m.If(tiles_left == 0):
                        m.d.sync += [
                            tiles_left.eq(tiles), blocks_left.eq(blocks_left - 1),
                            address.eq(address + 1), block.eq(address + 1),
                            busy.eq(blocks_left != 0),
                        ]
        return m


class CoefficientReader(_MemoryReader):
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
    """

    def __init__(self, *, columns, channels, depth, family="portable"):
        check_range("Columns", columns, 1, 64)
        check_range("Channels", channels, 1, 64)
        self.columns = columns
        self.channels = channels
        super().__init__(width=StoredCoefficients().size, depth=depth, flags=("table",),
                         family=family, shape=Coefficients())

    def elaborate(self, platform):
        m = Module()
        new = self.layers.payload
        bounds = {name: signed(9) for name in ("zero", "low", "high")}
        layer = Signal(data.StructLayout(bounds), reset_less=True)
        side = Signal(data.StructLayout({**bounds, "last": 1, "table": 1}))
        busy, table, on_array = Signal(), Signal(), Signal()
        address = Signal(ADDRESS_WIDTH + 1)
        left = Signal(range(TABLE_ENTRIES))     # Of the set or the tables, after this one.
        blocks_left = Signal.like(new.blocks)
        last = left == 0
        taken, word, beside = self._read(m, address, busy, side)
        stored = data.View(StoredCoefficients(), word)
        m.d.comb += [self.o.p[name].eq(stored[name]) for name in StoredCoefficients().members]
        m.d.comb += [self.o.p[name].eq(beside[name]) for name in (*bounds, "last")]
        m.d.comb += [side[name].eq(layer[name]) for name in bounds]
        m.d.comb += [side.last.eq(last), side.table.eq(table), self.table.eq(beside.table),
                     self.layers.ready.eq(~busy)]
        with m.If(self.layers.valid & self.layers.ready):
            array, tables = new.opcode == Opcode.CONV, (new.opcode == Opcode.VECTOR) & new.table
            m.d.sync += [layer[name].eq(new[name]) for name in bounds]
            m.d.sync += [
                busy.eq(1), address.eq(new.coefficient_base), blocks_left.eq(new.blocks),
                on_array.eq(array), table.eq(tables),
                left.eq(Mux(tables, TABLE_ENTRIES, Mux(array, self.columns, self.channels)) - 1),
            ]
        with m.If(taken):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
            with m.If(last):
                m.d.sync += [left.eq(Mux(on_array, self.columns, self.channels) - 1), table.eq(0)]
                with m.If(~table):
                    m.d.sync += [blocks_left.eq(blocks_left - 1), busy.eq(blocks_left != 0)]
        return m


class TileWriter(wiring.Component):
    """Streams the tile descriptors of a layer.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
    o : ``Out(stream.Signature(Tile()))``
    """

    def __init__(self):
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "o": Out(stream.Signature(Tile())),
        })

    def elaborate(self, platform):
        m = Module()
        tiles = Signal.like(self.layers.p.tiles)
        tiles_left = Signal.like(tiles)
        blocks_left = Signal.like(self.layers.p.blocks)
        m.d.comb += self.layers.ready.eq(~self.o.valid)
        with m.If(self.layers.valid & self.layers.ready):
            new = self.layers.payload
            m.d.sync += [
                self.o.valid.eq(1), self.o.p.renew.eq(1), self.o.p.unsigned.eq(new.unsigned),
                self.o.p.last_step.eq(new.last_step), tiles.eq(new.tiles),
                tiles_left.eq(new.tiles), blocks_left.eq(new.blocks),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [self.o.p.renew.eq(tiles_left == 0), tiles_left.eq(tiles_left - 1)]
            with m.If(tiles_left == 0):
                m.d.sync += [tiles_left.eq(tiles), blocks_left.eq(blocks_left - 1),
                             self.o.valid.eq(blocks_left != 0)]
        return m
