"""What lets results out of the scale-shift lanes."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import Places
from .checks import check_range
from .fifo import ReservedBuffer, counted
from .layouts import OPERAND_WIDTH

__all__ = ["ResultQueue"]


class ResultQueue(wiring.Component):
    """Keeps the codes of each lane until there is room for them, lines them up, and offers them.

    ::

        codes of lane 0 ─ ring ─ registers ──┐
        codes of lane 1 ─ ring ─ registers ─ buffer ─ o
                                     …       │

    Lane ``l`` is ``l`` cycles late, so nothing has to reach all lanes at once: what is written and
    what is read goes from one ring to the next by registers. Nothing waits on its way from the
    rings into the buffer, where a place is claimed before.

    Every group of codes has its place before it is made: a lane cannot wait. There are more than
    are on their way at full rate, so that a group a cycle goes through.

    On iCE40, which has no LUT RAM and where nothing is far away, there are no rings: codes go
    through the registers into the buffer, which is in block RAM and has all the places.

    Parameters
    ----------
    lanes : :class:`int`, 1 to 64
        Codes of a group.
    flight : :class:`int`, 1 to 128
        Cycles from a claim to the code of lane 0.
    interval : :class:`int`, 1 to 32
        A group comes in so many cycles at the most.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    claim : ``In(1)``
        A place is claimed, which ``credit`` has allowed.
    credit : ``Out(1)``
        A place may be claimed in this cycle.
    valid : ``In(1)``
        Lane 0 gives a code.
    codes : ``In(8)``, one for each lane
        Code of a lane, that of lane ``l`` ``l`` cycles later.
    o : ``Out(stream.Signature(ArrayLayout(unsigned(8), lanes)))``
        A group, :meth:`latency` cycles after ``valid``, if none waits.
    """

    #: Cycles from a code to its place being free for another claim, at the least.
    _RETURN = 2

    def __init__(self, *, lanes, flight, interval, family="portable"):
        check_range("Lanes", lanes, 1, 64)
        check_range("Flight", flight, 1, 128)
        check_range("Interval", interval, 1, 32)
        self.lanes = lanes
        self.family = family
        # Claims may be made before the last ones are counted.
        self.margin = 3 if interval == 1 else 2
        aligned = lanes - 1 if family == "ice40" else 0
        self.depth = self.margin + max(4, -(-(flight + aligned + self._RETURN) // interval))
        super().__init__({
            "claim": In(1),
            "credit": Out(1),
            "valid": In(1),
            "codes": In(OPERAND_WIDTH).array(lanes),
            "o": Out(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, lanes))),
        })

    @staticmethod
    def latency(lanes, family):
        """Return the cycles from ``valid`` to the group being offered."""
        return ReservedBuffer.latency(family) + lanes + (-1 if family == "ice40" else 1)

    def elaborate(self, platform):
        m = Module()
        room = Signal(range(self.depth + 1), init=self.depth)
        returned, claimed, left = Signal(), Signal(), Signal()
        # The count is a cycle late, and so is what is said of it.
        m.d.sync += [
            returned.eq(left), claimed.eq(self.claim),
            room.eq(counted(room, returned, claimed)), self.credit.eq(room >= self.margin),
        ]
        rings = self.family != "ice40"
        # Of the buffer behind rings: as many as come until a place that was left is free again.
        depth = self.lanes + 6 if rings else self.depth
        m.submodules.buffer = buffer = ReservedBuffer(
            self.o.payload.shape(), depth=depth, family=self.family)
        taken = buffer.o.valid & buffer.o.ready
        if rings:
            m.submodules.places = places = Places(depth)
            codes = self._keep(m, left, places.free, buffer.i.valid)
            m.d.comb += [places.claim.eq(left), places.left.eq(taken)]
        else:
            codes, valid = self.codes, self.valid
            for _ in range(1, self.lanes):
                valid = _delayed(m, valid)
            m.d.comb += [buffer.i.valid.eq(valid), left.eq(taken)]
        for lane in range(self.lanes):
            code = codes[lane]
            for _ in range(lane + 1, self.lanes):
                code = _delayed(m, code)
            m.d.comb += buffer.i.payload[lane].eq(code)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        return m

    def _keep(self, m, left, free, valid):
        """Keep codes in rings; return those of each lane that leave them, lane ``l`` ``l`` cycles
        late. A group has ``left`` if there is a ``free`` place; ``valid`` is set with the last
        lane's code of it."""
        # Places wrap by themselves.
        size = 1 << (self.depth - 1).bit_length()
        count, some = Signal(range(self.depth + 1)), Signal()
        going = Signal(data.StructLayout({
            "en": 1, "write": range(size), "read": range(size)}))
        m.d.comb += [left.eq(some & free), going.en.eq(self.valid)]
        m.d.sync += [
            count.eq(counted(count, self.valid, left)),
            some.eq(self.valid | (some & ~(left & (count == 1)))),
            going.write.eq(going.write + self.valid),
        ]
        with m.If(left):
            m.d.sync += going.read.eq(going.read + 1)
        codes, leaving = [], left
        for lane in range(self.lanes):
            m.submodules[f"ring{lane}"] = ring = memory.Memory(
                shape=OPERAND_WIDTH, depth=size, init=[])
            write, read = ring.write_port(), ring.read_port(domain="comb")
            m.d.comb += [write.en.eq(going.en), write.addr.eq(going.write),
                         write.data.eq(self.codes[lane]), read.addr.eq(going.read)]
            codes.append(_delayed(m, read.data))
            late = Signal.like(going, name=f"going{lane}", reset_less=True)
            m.d.sync += late.eq(going)
            going, leaving = late, _delayed(m, leaving)
        m.d.comb += valid.eq(leaving)
        return codes


def _delayed(m, value):
    """Return ``value`` of the cycle before."""
    register = Signal.like(value, name="late", reset_less=len(value) > 1)
    m.d.sync += register.eq(value)
    return register
