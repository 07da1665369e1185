"""Multipliers of the processing element: one interface, several ways to build them."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .layouts import OPERAND_WIDTH

__all__ = ["LutMultiplier", "Multiplier", "PortableMultiplier", "multiplier_class"]


class Multiplier(wiring.Component):
    """Signed product ``p = x * w``.

    Free-running: the product of a cycle's operands appears :attr:`LATENCY` cycles later, the same
    for all kinds, so that one array may mix them. The first of these registers holds the
    operands, as the element around it does when it hands them on; synthesis makes one of the two.

    Members
    -------
    x, w : ``In(signed(8))``
        Activation code and weight.
    p : ``Out(signed(16))``
        Product; it fits also for -128 · -128.
    """

    LATENCY = 3

    def __init__(self):
        super().__init__({
            "x": In(signed(OPERAND_WIDTH)),
            "w": In(signed(OPERAND_WIDTH)),
            "p": Out(signed(2 * OPERAND_WIDTH)),
        })

    def _registered(self, m, value):
        register = Signal.like(value, reset_less=True)
        m.d.sync += register.eq(value)
        return register


class PortableMultiplier(Multiplier):
    """A ``*`` between registers, for synthesis to map as the device allows.

    Two registers follow the product: one for the DSP block to absorb or sit beside, and one on
    the way to the accumulator, which frees the placer to keep that beside its carry chain.
    """

    def elaborate(self, platform):
        m = Module()
        product = self._registered(m, self.x) * self._registered(m, self.w)
        m.d.comb += self.p.eq(self._registered(m, self._registered(m, product)))
        return m


class LutMultiplier(Multiplier):
    """Adders over pairs of weight bits, which stay in the fabric of any device."""

    def elaborate(self, platform):
        m = Module()
        x = self._registered(m, self.x)
        w = self._registered(m, self.w)

        # Stage 2: the multiple of x that each pair of weight bits asks for; the topmost bit
        # counts negative.
        partials = []
        for pair in range(0, OPERAND_WIDTH, 2):
            low = Mux(w[pair], x, 0)
            high = Mux(w[pair + 1], x, 0) << 1
            top = pair + 2 == OPERAND_WIDTH
            partial = Signal(signed(OPERAND_WIDTH + 2), reset_less=True)
            m.d.sync += partial.eq(low - high if top else low + high)
            partials.append(partial << pair)

        # Stage 3: their sum.
        product = Signal.like(self.p, reset_less=True)
        m.d.sync += product.eq((partials[0] + partials[1]) + (partials[2] + partials[3]))
        m.d.comb += self.p.eq(product)
        return m


def multiplier_class(name):
    """Return the multiplier that :attr:`hdl.config.Configuration.multiplier` calls ``name``."""
    return {"portable": PortableMultiplier, "lut": LutMultiplier}[name]
