"""Result writer: puts the pipeline's words where the layer wants them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Instruction, Opcode
from .layouts import OPERAND_WIDTH
from .memories import ActivationWrite

__all__ = ["ResultWriter"]


class ResultWriter(wiring.Component):
    """Writes results to activation memory, pixel after pixel as the units give them.

    The array gives ``slots`` groups of ``lanes`` channels a pixel, and whole tiles; the other
    units give the groups of one word, ``parts = channels / lanes``, and only pixels that exist.
    Group ``g`` of a pixel's channels goes to part ``g % parts`` of word
    ``out_base + pixel * out_step + g // parts``. What fills up the last tile and the last block
    of channels is dropped.

    Parameters
    ----------
    rows, slots : :class:`int`, 1 to 64
        Output pixels of a tile, and groups of channels that a row of the array gives.
    channels : :class:`int`, 1 to 64
        Codes in a word of activation memory.
    lanes : :class:`int`, a divisor of ``channels``, ``channels / lanes`` being a power of two
        Codes in a group.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Whose results come. Accepted after the last result of the layer before.
    results : ``In(stream.Signature(ArrayLayout(unsigned(8), lanes)))``
    write_en, write : ``Out``
        A write, and its :class:`hdl.memories.ActivationWrite`.
    done : ``Out(1)``
        The last result of a layer was written in the cycle before.
    """

    def __init__(self, *, rows, slots, channels, lanes):
        check_range("Rows", rows, 1, 64)
        check_range("Slots", slots, 1, 64)
        check_range("Channels", channels, 1, 64)
        check_range("Lanes", lanes, 1, channels)
        parts = channels // lanes
        if channels % lanes or parts & (parts - 1):
            raise ValueError(f"Channels must be a power of two times lanes ({lanes}), "
                             f"not {channels}")
        self.rows = rows
        self.slots = slots
        self.channels = channels
        self.lanes = lanes
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "results": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, lanes))),
            "write_en": Out(1),
            "write": Out(ActivationWrite(channels=channels, lanes=lanes)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        parts = self.channels // self.lanes
        part_bits = parts.bit_length() - 1
        layer = Signal(Instruction(), reset_less=True)
        busy = Signal()
        group = Signal(len(layer.out_groups) + 1)
        block_group = Signal.like(group)
        slots = Signal(range(max(self.slots, parts) + 1))   # Of a pixel.
        slot = Signal.like(slots)
        row = Signal(range(max(2, self.rows)))
        pixel_address = Signal(ADDRESS_WIDTH)
        blocks_left = Signal.like(layer.blocks)
        pixels, pixels_left = Signal.like(layer.pixels), Signal.like(layer.pixels)
        on_array = Signal()
        live = Signal()

        take = busy & self.results.valid
        last_row, last_block = row == self.rows - 1, blocks_left == 0
        end_row = take & (slot == slots - 1)
        end_block = end_row & (last_row | ~on_array) & ((pixels_left == 0) | ~live)
        m.d.comb += [self.layers.ready.eq(~busy), self.results.ready.eq(busy)]
        with m.If(self.layers.valid & self.layers.ready):
            new = self.layers.payload
            array = new.opcode == Opcode.CONV
            count = Mux(new.opcode == Opcode.DEPTHWISE, new.out_pixels, new.pixels)
            m.d.sync += [
                layer.eq(new), busy.eq(1), group.eq(0), block_group.eq(0), slot.eq(0), row.eq(0),
                pixel_address.eq(new.out_base), blocks_left.eq(new.blocks), pixels.eq(count),
                pixels_left.eq(count), live.eq(1), on_array.eq(array),
                slots.eq(Mux(array, self.slots, parts)),
            ]
        with m.If(take):
            m.d.sync += [group.eq(group + 1), slot.eq(slot + 1)]
        with m.If(end_row):
            m.d.sync += [
                slot.eq(0), group.eq(block_group), row.eq(Mux(last_row, 0, row + 1)),
                pixel_address.eq(pixel_address + layer.out_step),
                pixels_left.eq(pixels_left - 1), live.eq(live & (pixels_left != 0)),
            ]
        with m.If(end_block):
            m.d.sync += [
                blocks_left.eq(blocks_left - 1), block_group.eq(block_group + slots),
                group.eq(block_group + slots), pixel_address.eq(layer.out_base),
                pixels_left.eq(pixels), live.eq(1), busy.eq(~last_block),
            ]

        # The write leaves from registers, so that it may travel far.
        wanted = live & (group <= layer.out_groups)
        part = group[:part_bits]
        m.d.sync += [
            self.write_en.eq(take & wanted),
            self.write.address.eq(pixel_address + (group >> part_bits)),
            self.write.enable.eq(1 << part if part_bits else 1),
            Value.cast(self.write.codes).eq(Value.cast(self.results.payload).replicate(parts)),
            self.done.eq(end_block & last_block),
        ]
        return m
