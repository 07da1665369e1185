"""What lets sums of other units into the scale-shift lanes."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fifo import StreamRegister
from .layouts import MULTIPLIER_WIDTH, SumGroups, SumTag

__all__ = ["SumQueue"]


class SumQueue(wiring.Component):
    """Takes groups of sums from units, and keeps each lane's until that lane asks for them.

    ::

        tags ─── register ─────── o
        values ─ places of lane 0 ─ sums[0]
               ─ places of lane 1 ─ sums[1]  …

    Lane ``l`` is ``l`` cycles late from end to end, so nothing that decides whether a group goes
    on has to reach all lanes at once: tags alone wait in a register, and the values lie beside
    each lane in a ring of :attr:`PLACES`.

    A group is offered at ``o`` one cycle after it was taken, and one a cycle goes through. If two
    units offer groups, those of the first go first.

    Parameters
    ----------
    lanes : :class:`int`, 1 to 64
        Sums of a group.
    slots : :class:`int`, at least 1
        Of a group's tag.
    units : :class:`int`, 1 or 2

    Members
    -------
    groups : ``In(SumGroups(...))``, one for each unit
    o : ``Out(stream.Signature(SumTag(...)))``
    place : ``Out(range(PLACES))``
        Where the sums of the group at ``o`` are.
    read : ``In(range(PLACES))``, one for each lane
        Place to read. That of the group which left ``o`` in cycle ``t`` may be read by lane ``l``
        in cycle ``t + l + 1``.
    sums : ``Out(signed(32))``, one for each lane
        What is there.
    """

    #: As many as the register holds: it takes a third group only after the first has left, and
    #: then so does each lane, in its own time.
    PLACES = 2

    def __init__(self, *, lanes, slots, units):
        check_range("Lanes", lanes, 1, 64)
        check_range("Units", units, 1, 2)
        self.lanes = lanes
        self.slots = slots
        super().__init__({
            "groups": In(SumGroups(lanes=lanes, slots=slots)).array(units),
            "o": Out(stream.Signature(SumTag(slots=slots))),
            "place": Out(range(self.PLACES)),
            "read": In(range(self.PLACES)).array(lanes),
            "sums": Out(signed(MULTIPLIER_WIDTH)).array(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        tags = [unit.tag for unit in self.groups]
        m.submodules.register = register = StreamRegister(SumTag(slots=self.slots))
        wiring.connect(m, register.o, wiring.flipped(self.o))
        m.d.comb += [
            register.i.valid.eq(Cat(tag.valid for tag in tags).any()),
            register.i.payload.eq(Mux(tags[0].valid, tags[0].payload, tags[-1].payload)),
            tags[-1].ready.eq(register.i.ready & ~(tags[0].valid if len(tags) > 1 else 0)),
        ]
        if len(tags) > 1:
            m.d.comb += tags[0].ready.eq(register.i.ready)

        # What is taken in this cycle, and where it goes; each lane knows a cycle after the lane
        # before, as its value comes.
        write = Signal(data.StructLayout({"en": 1, "first": 1, "place": self.place.shape()}))
        m.d.comb += [write.en.eq(register.i.valid & register.i.ready),
                     write.first.eq(tags[0].valid)]
        m.d.sync += [write.place.eq(write.place + write.en),
                     self.place.eq(self.place + (self.o.valid & self.o.ready))]
        for lane in range(self.lanes):
            values = []
            for index, unit in enumerate(self.groups):
                values.append(Signal.like(unit.values[lane], name=f"value{index}_{lane}",
                                          reset_less=True))
                m.d.sync += values[-1].eq(unit.values[lane])
            late = Signal(write.shape(), name=f"write{lane}", reset_less=lane > 0)
            m.d.sync += late.eq(write)
            write = late
            m.submodules[f"places{lane}"] = places = memory.Memory(
                shape=signed(MULTIPLIER_WIDTH), depth=self.PLACES, init=[])
            port, read = places.write_port(), places.read_port(domain="comb")
            m.d.comb += [
                port.en.eq(write.en), port.addr.eq(write.place),
                port.data.eq(Mux(write.first, values[0], values[-1])),
                read.addr.eq(self.read[lane]), self.sums[lane].eq(read.data),
            ]
        return m
