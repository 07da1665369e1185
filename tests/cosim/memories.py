"""Memories side by side, so that one build of the simulator serves them all."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.blockmemory import BlockMemory

__all__ = ["SHAPES", "Memories"]


#: Width, depth, and whether a register comes first: block RAMs of every width, banks of several,
#: and more of them than share a register.
SHAPES = ((70, 500, False), (40, 1100, True), (19, 2560, False), (6, 4700, True), (5, 8192, False),
          (26, 16500, True))


class Memories(wiring.Component):
    """A :class:`hdl.blockmemory.BlockMemory` of each of :data:`SHAPES`; the members of number n
    begin with ``m{n}_``."""

    def __init__(self, *, family):
        self.memories = [
            BlockMemory(width=width, depth=depth, registered=registered, family=family)
            for width, depth, registered in SHAPES]
        super().__init__({f"m{index}_{name}": member
                          for index, memory in enumerate(self.memories)
                          for name, member in memory.signature.members.items()})

    def elaborate(self, _platform):
        m = Module()
        for index, memory in enumerate(self.memories):
            m.submodules[f"m{index}"] = memory
            for name, member in memory.signature.members.items():
                outside, inside = getattr(self, f"m{index}_{name}"), getattr(memory, name)
                m.d.comb += (outside.eq(inside) if member.flow is wiring.Out
                             else inside.eq(outside))
        return m
