"""One lane of the vector unit: tables, partial sums, and what adds up or finds the greatest."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import BlockMemory
from .checks import check_range
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH
from .operands import TABLE_ENTRIES
from .repeated import repeated

__all__ = ["VectorControl", "VectorLane"]


class VectorControl(data.StructLayout):
    """What a lane is told in each cycle; see the stages of :class:`VectorLane`.

    Members
    -------
    table_en, table_address, table_data
        Port that fills the tables: 256 entries for even taps, then 256 for odd ones.
    table, maximum, unsigned : 1 bit
        Operands are entries of the tables; the greatest is wanted; codes are uint8. Steady.
    odd : 1 bit
        Stage 0: the tap of the code is odd.
    slot2, clear2
        Stage 2: slot to read, and whether to add nothing to the operand.
    slot3, valid3, first3
        Stage 3: where the sum belongs, whether there is one, and whether it is a pixel's first.
    slot4, valid4, first4
        The same in stage 4.
    give : 1 bit
        Stage 2: ``given`` is what is read in this cycle, from the next one on.
    """

    def __init__(self, *, slots):
        slot = range(slots)
        super().__init__({
            "table_en": 1, "table_address": range(2 * TABLE_ENTRIES),
            "table_data": MULTIPLIER_WIDTH, "table": 1, "maximum": 1, "unsigned": 1, "odd": 1,
            "slot2": slot, "clear2": 1, "slot3": slot, "valid3": 1, "first3": 1,
            "slot4": slot, "valid4": 1, "first4": 1, "give": 1,
        })


class VectorLane(wiring.Component):
    """Keeps sums, or maxima, of codes or of what tables make of them.

    ::

        code ─┬─ tables ─┬─ operand ─┬─ sum, comparison ─ sums ─┬─ given
              └──────────┘           └────── sum so far ────────┘

    Operands and sums have 32 bits and are signed; sums wrap. Free-running, in five stages:

    0. ``code`` is looked up.
    1. What the tables give is registered.
    2. The operand is the table's entry or the code itself. ``slot2`` of the sums is read.
    3. The sum, and whether the operand is greater than what was read.
    4. ``slot4`` is written with the sum; if ``maximum``, where the operand is greater, or if
       ``first4``.

    Parameters
    ----------
    slots : :class:`int`, 2 to 8192
        Sums that are kept.
    distance : :class:`int`, at least 1
        Cycles from an operand to that of the next tap, at least.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    control : ``In(VectorControl(...))``
    code : ``In(8)``
        Stage 0.
    given : ``Out(signed(32))``
    """

    #: Stages, and so cycles from a code to the first one in which its sum can be read.
    LATENCY = 5

    def __init__(self, *, slots, distance, family="portable"):
        check_range("Slots", slots, 2, 8192)
        check_range("Distance", distance, 1, 4096)
        self.family = family
        self.slots = slots
        self.distance = distance
        super().__init__({
            "control": In(VectorControl(slots=slots)),
            "code": In(OPERAND_WIDTH),
            "given": Out(signed(MULTIPLIER_WIDTH)),
        })

    @repeated
    def elaborate(self, platform):
        m = Module()
        control = self.control
        operand = self._operand(m)

        def register(name):
            return Signal(signed(MULTIPLIER_WIDTH), name=name, reset_less=True)

        # Stage 2: the sum so far goes to two registers, one to compare the operand with, and one
        # to add to it, which flip-flops make zero without a table in the adder's way.
        m.submodules.sums = sums = memory.Memory(shape=MULTIPLIER_WIDTH, depth=self.slots, init=[])
        write, read = sums.write_port(), sums.read_port(domain="comb")
        compared, addend, given = register("compared"), register("addend"), register("given_sum")
        so_far = Signal(signed(MULTIPLIER_WIDTH))
        m.d.comb += [read.addr.eq(control.slot2), so_far.eq(read.data), self.given.eq(given)]
        m.d.sync += [compared.eq(so_far), addend.eq(Mux(control.clear2, 0, so_far))]
        with m.If(control.give):
            m.d.sync += given.eq(read.data)

        # Stages 3 and 4: a maximum stays as it is where the operand is not greater.
        total3, total4 = addend + operand, register("total4")
        greater3, greater4 = (compared - operand)[-1], Signal(reset_less=True)
        m.d.sync += [total4.eq(total3), greater4.eq(greater3)]
        m.d.comb += [
            write.addr.eq(control.slot4), write.data.eq(total4),
            write.en.eq(control.valid4 & (control.first4 | ~control.maximum | greater4)),
        ]
        # What is wanted before it has been written.
        if self.distance <= 2:
            with m.If(write.en & (control.slot4 == control.slot2)):
                m.d.comb += so_far.eq(total4)
        if self.distance == 1:
            with m.If(control.valid3 & (control.slot3 == control.slot2)):
                m.d.comb += so_far.eq(
                    Mux(control.first3 | ~control.maximum | greater3, total3, compared))
        return m

    def _operand(self, m):
        """Stages 0 to 2 of what is added."""
        control = self.control
        m.submodules.tables = tables = BlockMemory(
            width=MULTIPLIER_WIDTH, depth=2 * TABLE_ENTRIES, family=self.family)
        m.d.comb += [
            tables.write_address.eq(control.table_address),
            tables.write_data.eq(control.table_data), tables.write_en.eq(control.table_en),
            tables.read_en.eq(1),
            tables.read_address.eq(Cat(self.code, control.odd)),
        ]
        code1, code2 = (Signal(OPERAND_WIDTH, name=name, reset_less=True)
                        for name in ("code1", "code2"))
        operand = Signal(signed(MULTIPLIER_WIDTH), reset_less=True)
        sign = code2[-1] & ~control.unsigned
        extended = Cat(code2, sign.replicate(MULTIPLIER_WIDTH - OPERAND_WIDTH))
        m.d.sync += [code1.eq(self.code), code2.eq(code1),
                     operand.eq(Mux(control.table, tables.read_data, extended))]
        return operand
