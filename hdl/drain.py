"""Drain: takes finished tiles out of the array, a slot of results at a time."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["DrainController", "SlotToken"]


class SlotToken(data.StructLayout):
    """What a lane is told of the result it takes from the top row.

    Members
    -------
    slot : unsigned
        The column is ``slot * lanes + lane``.
    bank : 1 bit
        Coefficient set to use.
    """

    def __init__(self, *, slots):
        super().__init__({"slot": range(max(2, slots)), "bank": 1})


class DrainController(wiring.Component):
    """Captures a finished tile as soon as the one before has left, and paces its results.

    For each row, top to bottom, the ``slots`` groups of results in the top row go to the lanes,
    ``interval`` cycles apart; then results move up. A row takes at least two cycles (see
    :class:`hdl.array.SystolicArray`), so a tile takes
    :attr:`hdl.config.Configuration.drain_cycles`, longer only when there is no ``credit``.

    Parameters
    ----------
    rows : :class:`int`, 1 to 64
        Rows of the array.
    slots : :class:`int`, 1 to 64
        Groups of results in a row.
    interval : :class:`int`, 1 to 32, a power of two
        Cycles that a lane spends on a result.
    singly : :class:`bool`
        Whether results move up behind each group, not each row, as in a
        :class:`hdl.leanarray.LeanArray`; only at an interval of two or more.

    Members
    -------
    finished, renew : ``In(1)``
        A tile waits to be captured, and whether it takes a new set of coefficients.
    set_ready : ``In(1)``
        Whether a new set of coefficients is there.
    credit : ``In(1)``
        Whether there is room for one more group of results.
    swap : ``In(1)``
        Somebody else takes a new set of coefficients; only while nothing drains.
    capture, shift : ``Out(1)``
        Tags for the array.
    valid, token : ``Out``
        A group of results leaves the top row, and its :class:`SlotToken`.
    """

    def __init__(self, *, rows, slots, interval, singly=False):
        check_range("Rows", rows, 1, 64)
        check_range("Slots", slots, 1, 64)
        check_range("Interval", interval, 1, 32)
        if interval & (interval - 1):
            raise ValueError(f"Interval must be a power of two, not {interval}")
        self.rows = rows
        self.slots = slots
        self.interval = interval
        self.singly = singly
        super().__init__({
            "finished": In(1),
            "renew": In(1),
            "set_ready": In(1),
            "credit": In(1),
            "swap": In(1),
            "capture": Out(1),
            "shift": Out(1),
            "valid": Out(1),
            "token": Out(SlotToken(slots=slots)),
        })

    def elaborate(self, platform):
        m = Module()
        row_cycles = self.slots * self.interval
        if self.rows > 1:
            row_cycles = max(2, row_cycles)

        draining = Signal()
        row = Signal(range(max(2, self.rows)))
        cycle = Signal(range(max(2, row_cycles)))       # Of the row.
        # What the counters say, known from the cycle in which they come to say it: whether the
        # next tile may begin hangs on it.
        at_slot = Signal(init=1)
        last_cycle = Signal(init=row_cycles == 1)
        last_row = Signal(init=self.rows == 1)
        last = Signal(init=row_cycles == 1 and self.rows == 1)      # Both.
        # The next tile may be captured; or it may if there is credit.
        able, able_by_credit = Signal(init=1), Signal()

        advance = draining & (~at_slot | self.credit)
        row_done = advance & last_cycle
        done = advance & last
        interval_bits = self.interval.bit_length() - 1
        m.d.comb += [
            self.valid.eq(draining & at_slot & self.credit),
            self.token.slot.eq(cycle >> interval_bits),
            self.shift.eq(advance & (cycle[:interval_bits] == self.interval - 1) if self.singly
                          else row_done & ~last_row),
            self.capture.eq(self.finished & (~self.renew | self.set_ready)
                            & (able | (able_by_credit & self.credit))),
        ]
        next_cycle = Mux(last_cycle, 0, cycle + 1)[:len(cycle)]
        next_row = Mux(last_row, 0, row + 1)[:len(row)]
        cycle_last, row_last = next_cycle == row_cycles - 1, next_row == self.rows - 1
        slot_next = (next_cycle[:interval_bits] == 0) & (next_cycle < self.slots * self.interval)
        at_slot_next, last_next, draining_next = Signal(), Signal(), Signal()
        m.d.comb += [
            at_slot_next.eq(Mux(advance, slot_next, at_slot)),
            last_next.eq(Mux(advance, cycle_last & Mux(last_cycle, row_last, last_row), last)),
            draining_next.eq(self.capture | (draining & ~done)),
        ]
        m.d.sync += [
            at_slot.eq(at_slot_next), last.eq(last_next), draining.eq(draining_next),
            able.eq(~draining_next | (last_next & ~at_slot_next)),
            able_by_credit.eq(last_next & at_slot_next),
        ]
        with m.If(advance):
            m.d.sync += [cycle.eq(next_cycle), last_cycle.eq(cycle_last)]
        with m.If(row_done):
            m.d.sync += [row.eq(next_row), last_row.eq(row_last)]
        m.d.sync += self.token.bank.eq(self.token.bank ^ self.swap ^ (self.capture & self.renew))
        return m
