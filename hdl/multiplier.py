"""Multipliers of the array: one interface, several ways to build them."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fabric import fabric_product
from .layouts import OPERAND_WIDTH
from .repeated import repeated
from .vendor import registered_products

__all__ = ["Ecp5Multiplier", "Ice40Multiplier", "LutMultiplier", "Multiplier",
           "PortableMultiplier", "multiplier_class"]


class Multiplier(wiring.Component):
    """Signed products ``p = x * w`` of one or two elements, side by side in a row of the array.

    Free-running: the product of a cycle's operands appears :attr:`LATENCY` cycles later, the same
    for all kinds, so that one array may mix them. The first of these registers holds the
    operands, as the element does when it hands them on; outside a DSP block synthesis makes one
    of the two.

    Parameters
    ----------
    elements : :class:`int`, 1 to :attr:`ELEMENTS`
        Products to make.
    family : :class:`str`, optional
        Whose cells it may be made of, one of :data:`hdl.vendor.FAMILIES`; by default its own.

    Attributes
    ----------
    ELEMENTS : int
        Products that one of its DSP blocks makes.

    Members
    -------
    x, w : ``In(ArrayLayout(signed(8), elements))``
        Activation codes and weights.
    p : ``Out(ArrayLayout(signed(16), elements))``
        Products; 16 bits fit also -128 · -128.
    """

    LATENCY = 4
    ELEMENTS = 1
    family = "portable"

    def __init__(self, *, elements=1, family=None):
        check_range("Elements", elements, 1, self.ELEMENTS)
        self.elements = elements
        self.family = family or self.family
        super().__init__({
            "x": In(data.ArrayLayout(signed(OPERAND_WIDTH), elements)),
            "w": In(data.ArrayLayout(signed(OPERAND_WIDTH), elements)),
            "p": Out(data.ArrayLayout(signed(2 * OPERAND_WIDTH), elements)),
        })

    def _registered(self, m, value):
        register = Signal.like(value, reset_less=True)
        m.d.sync += register.eq(value)
        return register


class PortableMultiplier(Multiplier):
    """A ``*`` between registers, for synthesis to map as the device allows.

    A register follows the DSP block on the way to the accumulator, which frees the placer to
    keep that beside its carry chain.
    """

    @repeated
    def elaborate(self, platform):
        m = Module()
        products = registered_products(m, platform, self.family,
                                       list(zip(self.x, self.w, strict=True)), name="product")
        m.d.comb += [p.eq(self._registered(m, product))
                     for p, product in zip(self.p, products, strict=True)]
        return m


class Ecp5Multiplier(PortableMultiplier):
    """The same, with registers inside the DSP block of ECP5, MULT18X18D."""

    family = "ecp5"


class Ice40Multiplier(Multiplier):
    """Half a DSP block of iCE40, SB_MAC16, with registers inside.

    The element's own operand registers come before those of the block, whose products go straight
    to the accumulators: logic cells are scarce on iCE40, and its accumulators slower than its DSP
    blocks.
    """

    ELEMENTS = 2
    family = "ice40"

    @repeated
    def elaborate(self, platform):
        m = Module()
        factors = [(self._registered(m, x), self._registered(m, w))
                   for x, w in zip(self.x, self.w, strict=True)]
        products = registered_products(m, platform, self.family, factors, name="product")
        m.d.comb += [p.eq(product) for p, product in zip(self.p, products, strict=True)]
        return m


class LutMultiplier(Multiplier):
    """Adders over pairs of weight bits, which stay in the fabric of any device.

    There is a cycle to spare, which goes to the operands: in the array the second of their
    registers is that of the next element, which is the same, and synthesis makes one of the two.
    """

    @repeated
    def elaborate(self, platform):
        m = Module()
        for index, (x, w, p) in enumerate(zip(self.x, self.w, self.p, strict=True)):
            x, w = (self._registered(m, self._registered(m, value)) for value in (x, w))
            m.d.comb += p.eq(fabric_product(m, platform, self.family, x, w, paired=True,
                                            name=f"product{index}"))
        return m


def multiplier_class(name):
    """Return the multiplier that :attr:`hdl.config.Configuration.multiplier` calls ``name``."""
    return {"portable": PortableMultiplier, "lut": LutMultiplier, "ecp5": Ecp5Multiplier,
            "ice40": Ice40Multiplier}[name]
