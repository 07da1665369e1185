"""Result writer: puts the pipeline's words where the layer wants them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import Instruction, Opcode
from .layouts import OPERAND_WIDTH
from .memories import ActivationWrite
from .walkers import countdown

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
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Whose results come. Accepted after the last result of the layer before; its own are taken
        from :attr:`BEGINNING` cycles after it on.
    results : ``In(stream.Signature(ArrayLayout(unsigned(8), lanes)))``
    write_en, write : ``Out``
        A write, and its :class:`hdl.memories.ActivationWrite`.
    write_next : ``Out(1)``
        What ``write_en`` will be in the next cycle.
    write_free : ``Out(1)``
        The opposite of ``write_en``, in a register of its own.
    done : ``Out(1)``
        The last result of a layer is written in this cycle, if it is wanted.
    """

    BEGINNING = 3

    def __init__(self, *, rows, slots, channels, lanes, instruction=None):
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
        self._slot_bits = (slots - 1).bit_length()
        self.channels = channels
        self.lanes = lanes
        self.instruction = instruction or Instruction()
        super().__init__({
            "layers": In(stream.Signature(self.instruction)),
            "results": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, lanes))),
            "write_en": Out(1),
            "write_next": Out(1),
            "write_free": Out(1, init=1),
            "write": Out(ActivationWrite(channels=channels, lanes=lanes,
                                         instruction=self.instruction)),
            "done": Out(1),
        })

    @staticmethod
    def latency(*, lean):
        """Return the cycles from a result to its write."""
        return 2 if lean else 3

    def elaborate(self, platform):
        m = Module()
        parts = self.channels // self.lanes
        layer = Signal(self.instruction, reset_less=True)
        idle, busy = Signal(init=1), Signal()
        counting, beginning = Signal(), Signal()
        m.d.comb += [self.layers.ready.eq(idle), self.results.ready.eq(busy)]
        with m.If(idle):
            m.d.sync += [layer.eq(self.layers.payload), idle.eq(~self.layers.valid)]

        # Between two layers: how much there is of each.
        on_array = Signal()
        count = Signal.like(layer.pixels, reset_less=True)
        m.d.sync += [counting.eq(idle & self.layers.valid), beginning.eq(counting)]
        if self.instruction.lean:
            m.d.comb += [on_array.eq(1), count.eq(layer.pixels)]
        else:
            m.d.sync += [
                on_array.eq(layer.opcode == Opcode.CONV),
                count.eq(Mux(layer.opcode == Opcode.DEPTHWISE, layer.out_pixels, layer.pixels)),
            ]
        slots = Mux(on_array, self.slots, parts)
        end = (self._count_lean(m, busy, idle | counting, beginning, layer)
               if self.instruction.lean
               else self._count(m, busy, beginning, on_array, slots, count, layer.blocks))
        m.d.sync += busy.eq(Mux(busy, ~end.layer, beginning))

        # Stage 1: the result and what ends with it.
        active, taken, row_end, block_end, live = (Signal(name=name) for name in (
            "active", "taken", "row_end", "block_end", "live1"))
        layer_end = Signal()
        codes = Signal.like(self.results.payload, reset_less=True)
        m.d.sync += [
            active.eq(busy), taken.eq(busy & self.results.valid), row_end.eq(busy & end.row),
            block_end.eq(busy & end.block), layer_end.eq(busy & end.layer), live.eq(end.live),
            codes.eq(self.results.payload),
        ]
        with m.If(layer_end):
            m.d.sync += idle.eq(1)

        # Stage 2: where it goes.
        group = Signal(len(layer.out_groups) + 1, reset_less=True)
        pixel_address = Signal.like(layer.out_base, reset_less=True)
        with m.If(row_end | ~active):
            m.d.sync += pixel_address.eq(Mux(block_end | ~active, layer.out_base,
                                             pixel_address + layer.out_step))
        if self.instruction.lean:
            self._count_groups_lean(m, group, active, taken, block_end)
        else:
            self._count_groups(m, group, active, taken, row_end, block_end, slots)
        place = Signal(data.StructLayout({
            "live": 1, "fits": 1, "group": len(group), "pixel": len(pixel_address), "done": 1}))
        m.d.comb += [place.live.eq(taken & live), place.fits.eq(group <= layer.out_groups),
                     place.group.eq(group), place.pixel.eq(pixel_address),
                     place.done.eq(layer_end)]
        self._write(m, place, codes)
        return m

    def _write(self, m, place, codes):
        """Write ``codes`` to their place, from registers, so that it may travel far."""
        parts = self.channels // self.lanes
        part_bits = parts.bit_length() - 1
        if not self.instruction.lean:
            # Stage 3, for the address and whether there is one.
            last_place, last_codes = Signal.like(place), Signal.like(codes)
            m.d.sync += [last_place.eq(place), last_codes.eq(codes)]
            place, codes = last_place, last_codes
        part = place.group[:part_bits]
        m.d.comb += self.write_next.eq(place.live & place.fits)
        m.d.sync += [
            self.write_en.eq(self.write_next), self.write_free.eq(~self.write_next),
            self.write.address.eq(place.pixel + (place.group >> part_bits)),
            self.write.enable.eq(1 << part if part_bits else 1),
            Value.cast(self.write.codes).eq(Value.cast(codes).replicate(parts)),
            self.done.eq(place.done),
        ]

    def _count_groups_lean(self, m, group, active, taken, block_end):
        """The same as :meth:`_count_groups`: a group is the slot of a row, and the block."""
        slot, block = group[:self._slot_bits], group[self._slot_bits:]
        with m.If(~active):
            m.d.sync += slot.eq(0)
        with m.Elif(taken):
            m.d.sync += slot.eq(slot + 1)
        with m.If(~active):
            m.d.sync += block.eq(0)
        with m.Elif(block_end):
            m.d.sync += block.eq(block + 1)

    def _count_groups(self, m, group, active, taken, row_end, block_end, slots):
        """Count the groups of a pixel, from the first of its block on."""
        block_group, next_group = (Signal.like(group, name=name) for name in (
            "block_group", "next_group"))       # Of this block.
        with m.If(~active):
            m.d.sync += [group.eq(0), block_group.eq(0), next_group.eq(slots)]
        with m.Else():
            with m.If(taken):
                m.d.sync += group.eq(Mux(row_end, block_group, group + 1))
            with m.If(block_end):
                m.d.sync += [group.eq(next_group), block_group.eq(next_group),
                             next_group.eq(next_group + slots)]

    def _count(self, m, busy, beginning, on_array, slots, count, blocks):
        """Return, of a result that comes while ``busy``, what ends with it and whether its pixel
        exists. In the cycle before that it is ``beginning``.

        Counters hold what is left after this one, less one: so their sign says that it is the
        last, and need not be found out. Before the layer they take their first values.
        """
        most = max(self.slots, self.channels // self.lanes)
        def register(name, shape=1):
            return Signal(shape, name=name, reset_less=True)

        slots_left = register("slots_left", range(-1, max(2, most)))
        row = register("row", range(max(2, self.rows)))
        last_row = Signal(init=1, reset_less=True)
        pixels_left = Signal(signed(len(count) + 1), init=-1, reset_less=True)
        blocks_left, live = register("blocks_left", signed(len(blocks) + 1)), register("live")
        first_row_last = ~on_array | (self.rows == 1)
        end = Signal(data.StructLayout({"row": 1, "block": 1, "layer": 1, "live": 1}))
        wraps = last_row & (pixels_left < 0)
        m.d.comb += [
            end.row.eq(self.results.valid & (slots_left < 0)), end.block.eq(end.row & wraps),
            end.layer.eq(end.block & (blocks_left < 0)), end.live.eq(live),
        ]
        # They wrap as the layer begins, which so takes no choice of its own.
        with m.If(~(busy | beginning)):
            m.d.sync += [pixels_left.eq(-1), last_row.eq(1)]
        with m.Elif(beginning | end.row):
            m.d.sync += [
                pixels_left.eq(Mux(wraps, count, pixels_left) - 1),
                last_row.eq(first_row_last | (~last_row & (row == self.rows - 2))),
            ]
        with m.If(~busy):
            m.d.sync += [slots_left.eq(slots - 2), row.eq(0), live.eq(1),
                         blocks_left.eq(blocks - 1)]
        with m.Elif(self.results.valid):
            m.d.sync += slots_left.eq(Mux(slots_left < 0, slots - 2, slots_left - 1))
            with m.If(end.row):
                m.d.sync += [
                    row.eq(Mux(last_row, 0, row + 1)),
                    live.eq(wraps | (live & (pixels_left >= 0))),
                ]
            with m.If(end.block):
                m.d.sync += blocks_left.eq(blocks_left - 1)
        return end

    def _count_lean(self, m, busy, clear, begin, layer):
        """The same with fewer cells, and a longer way; all results are those of the array."""
        end = Signal(data.StructLayout({"row": 1, "block": 1, "layer": 1, "live": 1}))
        taken, live = Signal(), Signal()
        last_slot, last_row, last_pixel, last_block = (
            countdown(m, name, start, clear=clear, step=begin | step, lean=True, spaced=spaced)
            for name, start, step, spaced in (
                ("slots", Const(self.slots - 1, range(max(2, self.slots))), taken, False),
                ("rows", Const(self.rows - 1, range(max(2, self.rows))), end.row, False),
                ("pixels", layer.pixels, end.row & live, self.slots > 1),
                ("blocks", layer.blocks, end.block, self.slots > 1)))
        m.d.comb += [
            taken.eq(busy & self.results.valid), end.row.eq(taken & last_slot),
            end.block.eq(end.row & last_row & (last_pixel | ~live)),
            end.layer.eq(end.block & last_block), end.live.eq(live),
        ]
        with m.If(begin | end.block):
            m.d.sync += live.eq(1)
        with m.Elif(end.row & last_pixel):
            m.d.sync += live.eq(0)
        return end
