"""Vector unit: sums and maxima over taps, word by word, for pooling and residual addition."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fifo import StreamRegister, counted
from .isa import Instruction
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, SumGroups
from .memories import FetchedWord
from .operands import TABLE_ENTRIES
from .vectorlane import VectorControl, VectorLane
from .vectorwalker import VectorWalker

__all__ = ["TableEntry", "VectorUnit"]


class TableEntry(data.StructLayout):
    """What a code stands for under the taps 0, 2, 4, … (``even``), and 1, 3, 5, … (``odd``)."""

    def __init__(self):
        super().__init__({"even": signed(MULTIPLIER_WIDTH), "odd": signed(MULTIPLIER_WIDTH)})


class VectorUnit(wiring.Component):
    """Adds up what lies under the taps of each output pixel, channel by channel, or finds the
    greatest.

    ::

        words ─ register ─ lanes ─ groups
        tables ──────────────┘

    ``sum = Σ operand``, or ``max operand``, over the taps of a pixel. An operand is a code,
    sign- or zero-extended as the layer's ``unsigned`` says, or, if the layer has ``table``, the
    table's entry for the byte that the code is. All of them have 32 bits; sums wrap.

    Words come block by block, in a block tile by tile of ``rows`` pixels, in a tile tap by tap,
    for each row one word. Words that are not ``live`` are passed over. Sums leave pixel by pixel,
    in ``channels / lanes`` groups each, the first group of a block with ``renew``.

    Timing, with ``parts = channels / lanes``, each rule with nothing else in the way:

    - A word takes ``parts`` cycles, one that is not live takes one; no cycle is lost between
      taps, tiles and blocks.
    - The first group of a layer can be offered :attr:`LATENCY` cycles after its pixel's last word
      was taken. If there is one tap, groups leave as fast as they are made. Else the groups of a
      tile leave in the cycles in which no word of a second or later tap is at work, that is,
      while the first tap of the next tile comes: the memory of the sums is read once a cycle.
    - So, if words and groups never wait, and ``t`` is the cycle in which the last live word begins
      to go on, the last group of a layer is offered in cycle ``t + parts + 6`` if there is one tap,
      else in cycle ``t + parts + 3 + max(3, n)``. Here ``n`` is the number of groups that have
      not left: ``live * parts`` of the last tile, and if ``dead`` of its rows are not live, and
      the block has a tile before it, ``max(0, dead * (parts + 1 - taps))`` of that.
    - A table's entry takes two cycles. Words go on from the second cycle after the last one's on.
    - A layer is accepted from the third cycle on after the last group of the one before, and
      after the last word, live or not. Its first word goes on two cycles later or when it has
      come.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Words of a tap.
    channels : :class:`int`, 1 to 64
        Codes in a word.
    lanes : :class:`int`, a divisor of ``channels``, the quotient a power of two
        Sums in a group.
    slots : :class:`int`, at least ``channels / lanes``
        Of a group's layout.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Layers, all of them VECTOR.
    words : ``In(stream.Signature(FetchedWord(...)))``
    tables : ``In(stream.Signature(TableEntry()))``
        For each layer with ``table`` 256 entries, of code byte 0 first; taken once the layer has
        been.
    sums : ``Out(SumGroups(...))``
    loaded : ``Out(1)``
        The tables of the layer that was taken last, if it has any, are there.
    """

    LATENCY = 3 + VectorLane.LATENCY
    #: Sums that have room beside those of a tile. At full rate less are finished or on their way.
    SPARE = 8

    def __init__(self, *, rows, channels, lanes, slots, family="portable"):
        check_range("Rows", rows, 1, 64)
        check_range("Channels", channels, 1, 64)
        check_range("Lanes", lanes, 1, channels)
        parts = channels // lanes
        if channels % lanes or parts & (parts - 1):
            raise ValueError(f"Channels must be a power of two times lanes ({lanes}), "
                             f"not {channels}")
        check_range("Slots", slots, parts, 64)
        self.rows = rows
        self.family = family
        self.channels = channels
        self.lanes = lanes
        self.slots = slots
        self.parts = parts
        self.depth = self.places(rows=rows, parts=parts)
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "words": In(stream.Signature(FetchedWord(channels=channels))),
            "tables": In(stream.Signature(TableEntry())),
            "sums": Out(SumGroups(lanes=lanes, slots=slots)),
            "loaded": Out(1),
        })

    @classmethod
    def places(cls, *, rows, parts):
        """Return how many sums have room in a unit of so many rows, and groups of a word."""
        return max(rows * parts + cls.SPARE, 11)

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = VectorWalker(rows=self.rows, slots=self.depth)
        layer = Signal(Instruction(), reset_less=True)
        busy = Signal()         # A layer has been accepted, and the end of its last word not seen.
        running = Signal()      # Its tables, if any, are filled, and its words may go on.
        free, accepted = Signal(init=1), Signal()
        m.d.comb += [walker.layer.eq(layer), self.layers.ready.eq(free),
                     accepted.eq(self.layers.valid & free)]
        done = Signal()
        m.d.sync += [walker.restart.eq(accepted), done.eq(walker.done)]
        with m.If(accepted):
            m.d.sync += [layer.eq(self.layers.payload), busy.eq(1)]
        with m.Elif(done):
            m.d.sync += busy.eq(0)

        # Sums begun, and not yet taken at the output, but for those of the cycle before; until a
        # group goes for which there was room, another three may have begun.
        occupied = Signal(range(self.depth + 1))
        begun, left, room, tag = Signal(), Signal(), Signal(), self.sums.tag
        m.d.sync += [
            begun.eq(walker.group & walker.first), left.eq(tag.valid & tag.ready),
            occupied.eq(counted(occupied, begun, left)), room.eq(occupied <= self.depth - 4),
        ]
        m.d.sync += free.eq(~accepted & ~busy & (occupied == 0))

        # A word waits in a register of its own, from which its groups go one by one. The first
        # tap's go only if there is room for their sums. Whether they may is known a cycle before.
        m.submodules.word = word = StreamRegister(
            self.words.payload.shape(), wide=("codes",))
        wiring.connect(m, wiring.flipped(self.words), word.i)
        able, go, live = Signal(), Signal(), word.o.p.live
        part, last = Signal(range(max(2, self.parts))), Signal(init=self.parts == 1)
        group = Value.cast(word.o.p.codes).word_select(part, self.lanes * OPERAND_WIDTH)
        m.d.comb += [
            go.eq(word.o.valid & able),
            walker.group.eq(go & live),
            walker.word.eq(go & (last | ~live)),
            word.o.ready.eq(walker.word),
        ]
        if self.parts > 1:
            with m.If(go):
                m.d.sync += [part.eq(Mux(walker.word, 0, part + 1)),
                             last.eq(~walker.word & (part == self.parts - 2))]

        control = Signal(VectorControl(slots=self.depth))
        self._control(m, control, layer, walker)
        filled = self._tables(m, control)
        self._lanes(m, control, group)
        running_next = Signal()
        m.d.comb += running_next.eq((walker.restart & ~layer.table) | filled
                                    | (running & ~walker.done))
        m.d.sync += [running.eq(running_next),
                     able.eq(running_next & (room | ~walker.first_next))]
        return m

    def _control(self, m, control, layer, walker):
        """Say in ``control`` what the first lane is to do with each group, and let sums out."""
        tags = data.StructLayout({"valid": 1, "first": 1, "last": 1, "slot": walker.slot.shape()})
        stage0, stage1, stage2, stage3, stage4 = (
            Signal(tags, name=f"stage{number}") for number in range(5))
        clear2, odd = Signal(), Signal()
        m.d.sync += [
            odd.eq(walker.odd),
            stage0.valid.eq(walker.group), stage0.first.eq(walker.first),
            stage0.last.eq(walker.last), stage0.slot.eq(walker.slot),
            stage1.eq(stage0), stage2.eq(stage1), clear2.eq(stage1.first | layer.maximum),
            stage3.eq(stage2), stage4.eq(stage3),
        ]

        # A sum leaves when the memory is not read for a next tap. Its address is a register that
        # either of them has set in the cycle before.
        tag = self.sums.tag
        head, slot2 = Signal.like(walker.slot), Signal.like(walker.slot)
        after = Signal.like(head, init=1)       # The place that follows.
        following = Signal.like(head)
        # Sums that have not left their slots, or did so in the cycle before.
        finished, gave = Signal(range(self.depth + 2)), Signal()
        waiting = Signal.like(finished)             # Those that have not.
        there, finishing = Signal(), Signal()       # Whether there are any; one more.
        next1, next2, give = Signal(), Signal(), Signal()
        m.d.comb += [
            next1.eq(stage1.valid & ~stage1.first),
            finishing.eq(stage4.valid & stage4.last),
            give.eq(there & ~next2 & (~tag.valid | tag.ready)),
            following.eq(Mux(give, after, head)), waiting.eq(finished - gave),
        ]
        with m.If(give):
            m.d.sync += after.eq(Mux(after == self.depth - 1, 0, after + 1))
        m.d.sync += [
            head.eq(following), next2.eq(next1), slot2.eq(Mux(next1, stage1.slot, following)),
            finished.eq(counted(finished, finishing, gave)), gave.eq(give),
            there.eq(finishing | Mux(give, waiting > 1, waiting > 0)),
            tag.valid.eq(give | (tag.valid & ~tag.ready)),
        ]
        self._tags(m, walker, head, give)

        m.d.comb += [
            control.table.eq(layer.table), control.maximum.eq(layer.maximum),
            control.unsigned.eq(layer.unsigned), control.odd.eq(odd),
            control.slot2.eq(slot2), control.clear2.eq(clear2), control.give.eq(give),
            control.slot3.eq(stage3.slot), control.valid3.eq(stage3.valid),
            control.first3.eq(stage3.first), control.slot4.eq(stage4.slot),
            control.valid4.eq(stage4.valid), control.first4.eq(stage4.first),
        ]

    def _lanes(self, m, control, group):
        """Give each ``group`` of codes to the lanes, of which each is a cycle after the one before:
        what decides has a short way to the first of them, and tells the others through that."""
        codes = Signal(group.shape(), reset_less=True)
        m.d.sync += codes.eq(group)
        for index in range(self.lanes):
            if index:
                late = Signal(control.shape(), name=f"control{index}", reset_less=True)
                rest = Signal(len(codes) - OPERAND_WIDTH, name=f"codes{index}", reset_less=True)
                m.d.sync += [late.eq(control), rest.eq(codes[OPERAND_WIDTH:])]
                control, codes = late, rest
            lane = VectorLane(slots=self.depth, distance=self.rows * self.parts,
                              family=self.family)
            m.submodules[f"lane{index}"] = lane
            m.d.comb += [lane.control.eq(control), lane.code.eq(codes[:OPERAND_WIDTH]),
                         self.sums.values[index].eq(lane.given)]

    def _tags(self, m, walker, head, give):
        """Give ``slot`` and ``renew`` with the sums."""
        m.submodules.renewals = renewals = memory.Memory(shape=1, depth=self.depth, init=[])
        write, read = renewals.write_port(), renewals.read_port(domain="comb")
        tag = self.sums.tag
        part = Signal.like(tag.p.slot)
        slot, renew = Signal.like(part), Signal()
        m.d.comb += [
            write.addr.eq(walker.slot), write.data.eq(walker.renew),
            write.en.eq(walker.group & walker.first), read.addr.eq(head),
            tag.p.slot.eq(slot), tag.p.renew.eq(renew),
        ]
        with m.If(give):
            m.d.sync += [slot.eq(part), renew.eq(read.data)]
            if self.parts > 1:
                m.d.sync += part.eq(Mux(part == self.parts - 1, 0, part + 1))

    def _tables(self, m, control):
        """Fill the tables of a layer that has any; return the cycle in which that is done.

        An entry's even half is written in a first cycle, its odd one in a second.
        """
        # There is an odd half only of an entry that is there, and is taken with it.
        filling, odd, filled = Signal(), Signal(), Signal()
        index = Signal(range(TABLE_ENTRIES))
        last = Signal()         # Known in time for the odd half.
        write = Signal()
        m.d.comb += [
            write.eq(filling & self.tables.valid), self.tables.ready.eq(odd),
            filled.eq(odd & last), self.loaded.eq(~filling),
        ]
        address = Signal.like(control.table_address, reset_less=True)
        entry = Signal.like(control.table_data, reset_less=True)
        enable = Signal()
        m.d.sync += [enable.eq(write), address.eq(Cat(index, odd)),
                     entry.eq(Mux(odd, self.tables.p.odd, self.tables.p.even))]
        m.d.comb += [control.table_en.eq(enable), control.table_address.eq(address),
                     control.table_data.eq(entry)]
        m.d.sync += filling.eq((filling & ~filled)
                               | (self.layers.valid & self.layers.ready & self.layers.p.table))
        m.d.sync += [odd.eq(write & ~odd), index.eq(index + odd)]
        written = Signal()
        m.d.sync += [written.eq(filled), last.eq(index == TABLE_ENTRIES - 1)]
        return written
