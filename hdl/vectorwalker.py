"""Where the vector unit is in a layer: which tap, tile and block, and where their sums lie."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import Instruction
from .walkers import countdown_ahead

__all__ = ["VectorWalker"]


class VectorWalker(wiring.Component):
    """Follows the words of a layer: rows of a tile, taps, tiles, blocks; and gives sums slots.

    The sums of a tile lie in successive slots, of its first row first; those of rows that are
    not live have none. Slots are given out in a ring.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Words of a tap.
    slots : :class:`int`, at least 2
        Slots of the ring.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts.
    restart : ``In(1)``
        Go to the first word.
    group : ``In(1)``
        A group of lanes is done; go to the next slot.
    word : ``In(1)``
        A word is done, in the same cycle as its last group; go to the next one.
    slot : ``Out(range(slots))``
        Slot of the next group.
    first, last, odd : ``Out(1)``
        The word belongs to the first tap, to the last one, to one of odd number.
    first_next : ``Out(1)``
        What ``first`` will be in the next cycle.
    renew : ``Out(1)``
        No group of this block has been done.
    done : ``Out(1)``
        The last word of the layer is done in this cycle.
    """

    def __init__(self, *, rows, slots):
        check_range("Rows", rows, 1, 64)
        check_range("Slots", slots, 2, 8192)
        self.rows = rows
        self.slots = slots
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "group": In(1),
            "word": In(1),
            "slot": Out(range(slots)),
            "first": Out(1),
            "first_next": Out(1),
            "last": Out(1),
            "odd": Out(1),
            "renew": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        tap, tile, block = Signal(), Signal(), Signal()     # What ends with this word.
        rows = Const(self.rows - 1, range(max(2, self.rows)))
        # Taps of four words leave time to find out a cycle later which tile and block are the last,
        # and what ends with a tap's last word before that is there.
        late = self.rows > 3
        ended = [Signal(name=f"{name}_ended") for name in ("tile", "block")]
        steps = ended if late else [tile, block]
        last_row, last_tap, last_tile, last_block = (
            countdown_ahead(m, name, start, restart=self.restart, step=step, late=after)
            for name, start, step, after in (
                ("rows", rows, self.word, False), ("taps", layer.last_step, tap, late),
                ("tiles", layer.tiles, steps[0], late), ("blocks", layer.blocks, steps[1], late)))
        ends_block, ends_layer = Signal(), Signal()
        domain = m.d.sync if late else m.d.comb
        domain += [ends_block.eq(last_tap & last_tile),
                   ends_layer.eq(last_tap & last_tile & last_block)]
        m.d.comb += [
            tap.eq(self.word & last_row),
            tile.eq(tap & last_tap),
            block.eq(tap & ends_block),
            self.done.eq(tap & ends_layer),
            self.last.eq(last_tap),
        ]
        m.d.sync += [each.eq(now) for each, now in zip(ended, (tile, block), strict=True)]
        m.d.comb += self.first_next.eq(self.restart | Mux(tap, last_tap, self.first))
        m.d.sync += self.first.eq(self.first_next)
        with m.If(self.restart | tap):
            m.d.sync += self.odd.eq(~self.restart & ~last_tap & ~self.odd)
        m.d.sync += self.renew.eq(self.restart | block | (self.renew & ~self.group))

        start = Signal.like(self.slot)      # First slot of the tile.
        following = Signal.like(self.slot)
        m.d.comb += following.eq(self.slot)
        with m.If(self.group):
            m.d.comb += following.eq(Mux(self.slot == self.slots - 1, 0, self.slot + 1))
        m.d.sync += self.slot.eq(Mux(tap & ~last_tap, start, following))
        with m.If(tile):
            m.d.sync += start.eq(following)
        return m
