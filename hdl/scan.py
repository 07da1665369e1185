"""A wrapper that lets a block of any number of ports be placed on a device of few pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ScanWrapper"]


class ScanWrapper(wiring.Component):
    """Feeds a block's inputs from a shift register and folds its outputs into one pin.

    Every input bit is one stage of a shift register, and every output bit has a register of its
    own, so each path into, through and out of the block goes from register to register. Registers
    fold the captured outputs by exclusive or, :attr:`FOLD` at a time, until one bit is left;
    every output bit therefore reaches the pin, and synthesis can remove nothing.

    For area and timing only: what comes out of the pin has no use.

    Parameters
    ----------
    block : wiring.Component
        Block to wrap, with ports of one direction each (streams are fine) and at least one
        output bit.

    Attributes
    ----------
    inputs, outputs : int
        Bits of the block's ports.
    registers : int
        Flip-flops of the wrapper itself.
    gates : int
        Exclusive ors of the wrapper itself, each one look-up table of :attr:`FOLD` inputs.

    Members
    -------
    i : In(1)
        Into the shift register.
    o : Out(1)
        Exclusive or of all output bits, of one or more cycles ago.
    """

    FOLD = 4

    def __init__(self, *, block):
        if not isinstance(block, wiring.Component):
            raise TypeError(f"Block must be a component, not {block!r}")
        self.block = block
        ports = [(member.flow, Value.cast(value))
                 for _, member, value in block.signature.flatten(block)
                 if not isinstance(value, Const)]
        self._sinks = [value for flow, value in ports if flow is In]
        self._sources = [value for flow, value in ports if flow is Out]
        self.inputs = sum(map(len, self._sinks))
        self.outputs = sum(map(len, self._sources))
        if self.outputs == 0:
            raise ValueError("Block must have an output")
        levels = self._levels()
        self.registers = self.inputs + self.outputs + sum(levels)
        self.gates = sum(levels)
        super().__init__({"i": In(1), "o": Out(1)})

    def _levels(self):
        """Return the widths of the registers that fold the outputs, widest first."""
        levels, width = [], self.outputs
        while width > 1:
            width = -(-width // self.FOLD)
            levels.append(width)
        return levels

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = self.block

        # No register is reset: a reset would only add load to the net that the block is timed with.
        chain = Signal(self.inputs, reset_less=True)
        m.d.sync += chain.eq(Cat(self.i, chain))
        start = 0
        for sink in self._sinks:
            m.d.comb += sink.eq(chain[start:start + len(sink)])
            start += len(sink)

        folded = Signal(self.outputs, name="capture", reset_less=True)
        m.d.sync += folded.eq(Cat(self._sources))
        for number, width in enumerate(self._levels()):
            level = Signal(width, name=f"fold{number}", reset_less=True)
            m.d.sync += [level[k].eq(folded[k * self.FOLD:(k + 1) * self.FOLD].xor())
                         for k in range(width)]
            folded = level
        m.d.comb += self.o.eq(folded)

        return m
