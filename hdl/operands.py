"""Readers of what a layer needs beside activations: tiles, weights and coefficients."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, Coefficients, Tile
from .memories import block_memory

__all__ = ["CoefficientReader", "StoredCoefficients", "TileWriter", "WeightReader"]


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
    """Common to the readers of weights and coefficients: a memory, its write port, its pipeline.

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

    def __init__(self, *, width, depth, shape):
        check_range("Depth", depth, 2, 1 << ADDRESS_WIDTH)
        self.width = width
        self.depth = depth
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "write_en": In(1),
            "write_address": In(ADDRESS_WIDTH),
            "write_data": In(width),
            "o": Out(stream.Signature(shape)),
            "beyond": Out(1),
        })

    def _read(self, m, address, reading, payload):
        """Read ``address`` in each cycle of ``reading``, into ``payload(data)``; return a pulse
        for each address taken."""
        m.submodules.storage = storage = block_memory(width=self.width, depth=self.depth)
        write, read = storage.write_port(), storage.read_port()
        advance = ~self.o.valid | self.o.ready
        valid = Signal()
        m.d.comb += [
            write.addr.eq(self.write_address), write.data.eq(self.write_data),
            write.en.eq(self.write_en), read.addr.eq(address), read.en.eq(advance),
            self.beyond.eq(reading & (address >= self.depth)),
        ]
        with m.If(advance):
            m.d.sync += [valid.eq(reading), self.o.valid.eq(valid)] + payload(read.data)
        return reading & advance


class WeightReader(_MemoryReader):
    """Streams a layer's weight words: those of a block of output channels once for each tile.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Weights in a word.
    channels : :class:`int`, 1 to 64
        Words of a step.
    depth : :class:`int`, 2 to 65536
        Words of the memory.
    """

    def __init__(self, *, columns, channels, depth):
        check_range("Columns", columns, 1, 64)
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        super().__init__(width=columns * OPERAND_WIDTH, depth=depth,
                         shape=data.ArrayLayout(OPERAND_WIDTH, columns))

    def elaborate(self, platform):
        m = Module()
        layer = Signal(Instruction())
        busy = Signal()
        address = Signal(ADDRESS_WIDTH + 1)
        block = Signal(ADDRESS_WIDTH + 1)
        channel = Signal(range(max(2, self.channels)))
        steps_left = Signal.like(layer.last_step)
        tiles_left = Signal.like(layer.tiles)
        blocks_left = Signal.like(layer.blocks)
        taken = self._read(m, address, busy,
                           lambda word: [Value.cast(self.o.payload).eq(word)])

        m.d.comb += self.layers.ready.eq(~busy)
        with m.If(self.layers.valid & self.layers.ready):
            new = self.layers.payload
            m.d.sync += [
                layer.eq(new), busy.eq(1), address.eq(new.weight_base), block.eq(new.weight_base),
                channel.eq(0), steps_left.eq(new.last_step), tiles_left.eq(new.tiles),
                blocks_left.eq(new.blocks),
            ]
        with m.If(taken):
            m.d.sync += [address.eq(address + 1), channel.eq(channel + 1)]
            with m.If(channel == self.channels - 1):
                m.d.sync += [channel.eq(0), steps_left.eq(steps_left - 1)]
                with m.If(steps_left == 0):
                    m.d.sync += [steps_left.eq(layer.last_step), tiles_left.eq(tiles_left - 1),
                                 address.eq(block)]
                    with m.If(tiles_left == 0):
                        m.d.sync += [
                            tiles_left.eq(layer.tiles), blocks_left.eq(blocks_left - 1),
                            address.eq(address + 1), block.eq(address + 1),
                            busy.eq(blocks_left != 0),
                        ]
        return m


class CoefficientReader(_MemoryReader):
    """Streams the coefficients of a layer's output channels, each once, in order.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Channels of a block.
    depth : :class:`int`, 2 to 65536
        Channels in the memory.
    """

    def __init__(self, *, columns, depth):
        check_range("Columns", columns, 1, 64)
        self.columns = columns
        super().__init__(width=StoredCoefficients().size, depth=depth, shape=Coefficients())

    def elaborate(self, platform):
        m = Module()
        layer = Signal(Instruction())
        busy = Signal()
        address = Signal(ADDRESS_WIDTH + 1)
        column = Signal(range(max(2, self.columns)))
        blocks_left = Signal.like(layer.blocks)
        bounds = Signal(data.StructLayout({name: signed(9) for name in ("zero", "low", "high")}))

        def payload(word):
            stored = data.View(StoredCoefficients(), word)
            names = StoredCoefficients().members
            return [self.o.p[name].eq(stored[name]) for name in names] + [
                self.o.p[name].eq(bounds[name]) for name in bounds.shape().members] + [
                bounds[name].eq(layer[name]) for name in bounds.shape().members]

        taken = self._read(m, address, busy, payload)
        m.d.comb += self.layers.ready.eq(~busy)
        with m.If(self.layers.valid & self.layers.ready):
            new = self.layers.payload
            m.d.sync += [layer.eq(new), busy.eq(1), address.eq(new.coefficient_base),
                         column.eq(0), blocks_left.eq(new.blocks)]
        with m.If(taken):
            m.d.sync += [address.eq(address + 1), column.eq(column + 1)]
            with m.If(column == self.columns - 1):
                m.d.sync += [column.eq(0), blocks_left.eq(blocks_left - 1),
                             busy.eq(blocks_left != 0)]
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
