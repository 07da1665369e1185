"""Feeders: operands from words of a memory into the systolic skew of the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
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
    """Delays weights by ``column % lanes`` cycles, beside the activations of row 0.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Columns of the array.
    lanes : :class:`int`, a divisor of ``columns``
        Columns from one entry of the activations to the next.

    Members
    -------
    word : ``In(ArrayLayout(unsigned(8), columns))``
        One weight a column.
    w : ``Out(ArrayLayout(signed(8), columns))``
        Weight of column ``c``, ``1 + c % lanes`` cycles later.
    """

    LATENCY = 1

    def __init__(self, *, columns, lanes):
        check_range("Columns", columns, 1, 64)
        check_lanes(lanes, columns)
        self.columns = columns
        self.lanes = lanes
        super().__init__({
            "word": In(data.ArrayLayout(OPERAND_WIDTH, columns)),
            "w": Out(data.ArrayLayout(signed(OPERAND_WIDTH), columns)),
        })

    def elaborate(self, platform):
        m = Module()
        for column in range(self.columns):
            weight = self.word[column]
            for stage in range(1 + column % self.lanes):
                delayed = Signal(OPERAND_WIDTH, name=f"w{column}_{stage}", reset_less=True)
                m.d.sync += delayed.eq(weight)
                weight = delayed
            m.d.comb += self.w[column].eq(weight)
        return m
