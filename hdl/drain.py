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
    interval : :class:`int`, 1 to 32
        Cycles that a lane spends on a result.

    Members
    -------
    finished, renew : ``In(1)``
        A tile waits to be captured, and whether it takes a new set of coefficients.
    set_ready : ``In(1)``
        Whether a new set of coefficients is there.
    credit : ``In(1)``
        Whether there is room for one more group of results.
    capture, shift : ``Out(1)``
        Tags for the array.
    valid, token : ``Out``
        A group of results leaves the top row, and its :class:`SlotToken`.
    """

    def __init__(self, *, rows, slots, interval):
        check_range("Rows", rows, 1, 64)
        check_range("Slots", slots, 1, 64)
        check_range("Interval", interval, 1, 32)
        self.rows = rows
        self.slots = slots
        self.interval = interval
        super().__init__({
            "finished": In(1),
            "renew": In(1),
            "set_ready": In(1),
            "credit": In(1),
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
        slot = Signal(range(self.slots + 1))    # `slots` while a short row waits for its end.
        wait = Signal(range(max(2, self.interval)))
        cycle = Signal(range(max(2, row_cycles)))

        at_slot = Signal()
        advance = Signal()
        row_done = Signal()
        done = Signal()
        m.d.comb += [
            at_slot.eq((wait == 0) & (slot != self.slots)),
            advance.eq(draining & (~at_slot | self.credit)),
            row_done.eq(advance & (cycle == row_cycles - 1)),
            done.eq(row_done & (row == self.rows - 1)),
            self.valid.eq(draining & at_slot & self.credit),
            self.token.slot.eq(slot),
            self.shift.eq(row_done & ~done),
            self.capture.eq(self.finished & (~draining | done) & (~self.renew | self.set_ready)),
        ]
        with m.If(advance):
            m.d.sync += [
                cycle.eq(cycle + 1),
                wait.eq(Mux(wait == self.interval - 1, 0, wait + 1)),
            ]
            with m.If(wait == self.interval - 1):
                m.d.sync += slot.eq(Mux(slot == self.slots, slot, slot + 1))
        with m.If(row_done):
            m.d.sync += [cycle.eq(0), wait.eq(0), slot.eq(0), row.eq(row + 1)]
        with m.If(done):
            m.d.sync += [row.eq(0), draining.eq(0)]
        with m.If(self.capture):
            m.d.sync += [draining.eq(1), self.token.bank.eq(self.token.bank ^ self.renew)]
        return m
