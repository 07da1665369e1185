"""A delay of many cycles in few flip-flops."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range

__all__ = ["DelayLine"]


class DelayLine(wiring.Component):
    """Gives what came some cycles ago, from a ring in LUT RAM.

    Free-running, and without a reset: what it gives first is of no use. On iCE40, which has no
    LUT RAM, it is a chain of registers.

    Parameters
    ----------
    shape : shape-castable
        Of a value.
    cycles : :class:`int`, 3 to 64
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    i : ``In(shape)``
    o : ``Out(shape)``
        ``i`` of ``cycles`` cycles ago.
    """

    def __init__(self, shape, *, cycles, family="portable"):
        check_range("Cycles", cycles, 3, 64)
        self.shape = shape
        self.cycles = cycles
        self.family = family
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        value = Value.cast(self.i)
        stages = self.cycles
        if self.family != "ice40":
            # A place is read before it is written again, and into a register.
            distance, stages = self.cycles - 1, 1
            places = 1 << (distance - 1).bit_length()
            m.submodules.ring = ring = memory.Memory(shape=len(value), depth=places, init=[])
            write, read = ring.write_port(), ring.read_port(domain="comb")
            place, behind = (Signal(range(places), name=name, reset_less=True)
                             for name in ("place", "behind"))
            m.d.sync += [place.eq(place + 1), behind.eq(place + 1 - distance)]
            m.d.comb += [write.en.eq(1), write.addr.eq(place), write.data.eq(value),
                         read.addr.eq(behind)]
            value = read.data
        for stage in range(stages):
            late = Signal(len(value), name=f"late{stage}", reset_less=True)
            m.d.sync += late.eq(value)
            value = late
        m.d.comb += Value.cast(self.o).eq(value)
        return m
