"""Feeders: operands from words of a memory into the systolic skew of the array."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
from .fifo import counted
from .layouts import OPERAND_WIDTH

__all__ = ["RowFeeder", "WeightFeeder"]


class RowFeeder(wiring.Component):
    """Serialises activation words, one row a cycle after the other.

    A step takes one word of ``channels`` codes for each row. Row ``r`` loads its word ``r``
    cycles after ``start`` and shifts it out, first channel first, from the cycle after that. One
    word a cycle therefore feeds every row, with the skew that the array wants. An empty row
    shifts out zeros, which add nothing to a sum.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Rows of the array.
    channels : :class:`int`, ``rows`` to 64
        Codes in a word; ``start`` may come every ``channels`` cycles.

    Members
    -------
    start : ``In(1)``
        Row 0's word of a step is at ``word``; the other rows' follow in the next cycles.
    word : ``In(ArrayLayout(unsigned(8), channels))``
        Codes.
    unsigned : ``In(1)``
        Whether ``word`` holds uint8 codes: then ``code - 128`` is what comes out.
    x : ``Out(ArrayLayout(signed(8), rows))``
        Code of every row.
    """

    LATENCY = 1

    def __init__(self, *, rows, channels):
        check_range("Rows", rows, 1, 64)
        check_range("Channels", channels, rows, 64)
        self.rows = rows
        self.channels = channels
        super().__init__({
            "start": In(1),
            "word": In(data.ArrayLayout(OPERAND_WIDTH, channels)),
            "unsigned": In(1),
            "x": Out(data.ArrayLayout(signed(OPERAND_WIDTH), rows)),
        })

    def elaborate(self, platform):
        m = Module()
        # Inverting the topmost bit of a uint8 code subtracts 128.
        word = Cat(code ^ (self.unsigned << (OPERAND_WIDTH - 1)) for code in self.word)
        load = self.start
        for row in range(self.rows):
            register = Signal(self.channels * OPERAND_WIDTH, name=f"row{row}", reset_less=True)
            m.d.sync += register.eq(Mux(load, word, register >> OPERAND_WIDTH))
            m.d.comb += self.x[row].eq(register[:OPERAND_WIDTH])
            if row + 1 < self.rows:
                load, previous = Signal(name=f"load{row + 1}"), load
                m.d.sync += load.eq(previous)
        return m


class WeightFeeder(wiring.Component):
    """Keeps weights beside their columns until they are taken, and gives them to each column
    ``column % lanes`` cycles late, beside the activations of row 0.

    ::

        words ─┬──────────── ring of columns 0, lanes, …     ─ w[0], w[lanes], …
               └─ register ─ ring of columns 1, lanes + 1, … ─ w[1], w[lanes + 1], …
                      └ …

    Nothing has to reach all columns at once: what is written and what is read goes from one ring to
    the next by registers.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Columns of the array.
    lanes : :class:`int`, a divisor of ``columns``
        Columns from one entry of the activations to the next.
    depth : :class:`int`, 2 to 256
        Words that a ring holds.

    Members
    -------
    i : ``In(stream.Signature(ArrayLayout(unsigned(8), columns)))``
        One weight a column. Always ready: who fills it keeps count, and never offers more than it
        can hold.
    take : ``In(1)``
        The oldest word is taken; there has to be one.
    level : ``Out(range(depth + 1))``
        Words that can be taken. One that came in the cycle before is among them.
    w : ``Out(ArrayLayout(signed(8), columns))``
        Weight of column ``c``, ``LATENCY + c % lanes`` cycles after its word was taken.
    """

    #: One less would do; but so the room of a word that is taken is known a cycle earlier.
    LATENCY = 2

    def __init__(self, *, columns, lanes, depth):
        check_range("Columns", columns, 1, 64)
        check_lanes(lanes, columns)
        check_range("Depth", depth, 2, 256)
        self.columns = columns
        self.lanes = lanes
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, columns))),
            "take": In(1),
            "level": Out(range(depth + 1)),
            "w": Out(data.ArrayLayout(signed(OPERAND_WIDTH), columns)),
        })

    def elaborate(self, platform):
        m = Module()
        # Places wrap by themselves.
        places = 1 << (self.depth - 1).bit_length()
        going = Signal(data.StructLayout({
            "en": 1, "write": range(places), "read": range(places)}))
        # With the one that was taken in the cycle before.
        held, took = Signal.like(self.level), Signal()
        m.d.comb += [self.i.ready.eq(1), going.en.eq(self.i.valid), self.level.eq(held - took)]
        m.d.sync += [
            held.eq(counted(held, self.i.valid, took)), took.eq(self.take),
            going.write.eq(going.write + self.i.valid), going.read.eq(going.read + took),
        ]
        words = [self.i.payload[lane::self.lanes] for lane in range(self.lanes)]
        for lane, columns in enumerate(words):
            word = Cat(columns)
            for stage in range(lane):
                delayed = Signal(len(word), name=f"word{lane}_{stage}", reset_less=True)
                m.d.sync += delayed.eq(word)
                word = delayed
            if lane:
                late = Signal.like(going, name=f"going{lane}", reset_less=True)
                m.d.sync += late.eq(going)
                going = late
            m.submodules[f"ring{lane}"] = ring = memory.Memory(
                shape=len(word), depth=places, init=[])
            write, read = ring.write_port(), ring.read_port(domain="comb")
            taken = Signal(len(word), name=f"taken{lane}", reset_less=True)
            m.d.comb += [write.en.eq(going.en), write.addr.eq(going.write), write.data.eq(word),
                         read.addr.eq(going.read)]
            m.d.sync += taken.eq(read.data)
            for index in range(len(columns)):
                m.d.comb += self.w[index * self.lanes + lane].eq(
                    taken.word_select(index, OPERAND_WIDTH))
        return m
