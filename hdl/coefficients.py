"""Coefficient sets: one in use, the next one loading."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
from .layouts import Coefficients

__all__ = ["CoefficientBank"]


class CoefficientBank(wiring.Component):
    """Holds two sets of coefficients, each for the channels of a block.

    A set arrives as one channel after the other, that of column 0 first, the last one marked.
    The first set goes to bank 1, then banks alternate. A bank is loaded again ``read_delay``
    cycles after the other came into use.

    Parameters
    ----------
    columns : :class:`int`, 1 to 64
        Channels in a set, at most.
    lanes : :class:`int`, a divisor of ``columns``
        Lanes, each with a read port of its own to columns ``slot * lanes + lane``.
    read_delay : :class:`int`, 1 to 255
        Cycles after ``take`` in which the set before may still be read by lane 0. Lane ``l`` reads
        ``l`` cycles late.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`. On iCE40, which has no LUT RAM, sets are in block RAM.

    Members
    -------
    channels : ``In(stream.Signature(Coefficients()))``
        Coefficients of one channel after the other.
    set_ready : ``Out(1)``
        A set is complete and not yet in use.
    take : ``In(1)``
        The next set comes into use; only while ``set_ready``.
    slot, bank : ``In``, one for each lane
        What to read.
    read : ``In(1)``, one for each lane
        Whether to; by default in every cycle.
    coefficients : ``Out(Coefficients())``, one for each lane
        What was read, from one cycle later on.
    """

    LATENCY = 1

    def __init__(self, *, columns, lanes, read_delay, family="portable"):
        check_range("Columns", columns, 1, 64)
        check_lanes(lanes, columns)
        check_range("Read delay", read_delay, 1, 255)
        self.columns = columns
        self.lanes = lanes
        self.read_delay = read_delay
        self.family = family
        self.slots = columns // lanes
        super().__init__({
            "channels": In(stream.Signature(Coefficients())),
            "set_ready": Out(1),
            "take": In(1),
            "slot": In(range(max(2, self.slots))).array(lanes),
            "bank": In(1).array(lanes),
            "read": In(1, init=1).array(lanes),
            "coefficients": Out(Coefficients()).array(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        # Of what comes next.
        lane = Signal(range(max(2, self.lanes)), reset_less=True)
        slot = Signal(range(max(2, self.slots)), reset_less=True)
        bank = Signal(init=1)
        occupied = Signal(range(3))     # Banks that are loading, waiting or in use.
        both = Signal()         # Both are complete and not in use.
        loading = Signal()

        write = Signal()
        complete = Signal()
        last_lane = lane == self.lanes - 1
        m.d.comb += [
            self.channels.ready.eq(loading),
            write.eq(self.channels.valid & loading),
            complete.eq(write & self.channels.p.last),
        ]
        with m.If(~loading):
            m.d.sync += [lane.eq(0), slot.eq(0)]
        with m.Elif(write):
            m.d.sync += [lane.eq(Mux(last_lane, 0, lane + 1)), slot.eq(slot + last_lane)]
        with m.If(complete):
            m.d.sync += bank.eq(~bank)

        # A bank is claimed one cycle before its first write and left in the cycle of its last.
        claim = Signal()
        in_use = Signal()
        releasing = Signal(self.read_delay)
        m.d.comb += claim.eq(~loading & (occupied != 2))
        m.d.sync += [
            in_use.eq(in_use | self.take),
            releasing.eq(Cat(self.take & in_use, releasing[:-1])),
            loading.eq((loading & ~complete) | claim),
            occupied.eq(occupied + claim - releasing[-1]),
            # With both complete, nothing is loading.
            self.set_ready.eq(complete | Mux(self.take, both, self.set_ready)),
            both.eq(~self.take & (both | (complete & self.set_ready))),
        ]

        self._store(m, write, lane, bank * self.slots + slot)
        return m

    def _store(self, m, write, lane, address):
        """Write what comes to the memory of ``lane``, and read all memories.

        A write goes from lane to lane by registers, but in a small device: as lane l reads l
        cycles after lane 0, it is done before the set can be read. What is read of a bank that
        is being loaded is of no use to anybody.
        """
        small = self.family == "ice40"
        in_block = {"ram_style": "block", "no_rw_check": 1} if small else {}
        going = Signal(data.StructLayout({
            "enables": self.lanes, "address": range(2 * self.slots), "record": Coefficients()}))
        m.d.comb += [
            going.enables.eq(Cat(write & (lane == index) for index in range(self.lanes))),
            going.address.eq(address), going.record.eq(self.channels.payload),
        ]
        for index in range(self.lanes):
            if not small:
                here = Signal(going.shape(), name=f"write{index}", reset_less=True)
                m.d.sync += here.eq(going)
                going = here
            m.submodules[f"memory{index}"] = storage = memory.Memory(
                shape=Coefficients(), depth=2 * self.slots, init=[], attrs=in_block)
            port = storage.write_port()
            read = storage.read_port()
            m.d.comb += [
                port.addr.eq(going.address), port.data.eq(going.record),
                port.en.eq(going.enables[index]), read.en.eq(self.read[index]),
                read.addr.eq(self.bank[index] * self.slots + self.slot[index]),
                self.coefficients[index].eq(read.data),
            ]
