"""Wide products for the scale-shift lanes."""

from types import MappingProxyType

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .delay import DelayLine
from .fabric import fabric_product
from .layouts import MULTIPLIER_WIDTH
from .repeated import repeated
from .vendor import registered_product

__all__ = ["DigitSerialProduct", "HalvesProduct", "PipelinedProduct", "product_for",
           "product_latency"]


class WideProduct(wiring.Component):
    """Signed 32 × 32 bit product, with other values of the token carried beside it.

    Accepts a token every :attr:`interval` cycles at most; it never waits. ``valid`` comes out
    :attr:`latency` cycles after it went in.

    Parameters
    ----------
    side : shape-castable
        What is carried along.

    Members
    -------
    valid, a, b, side : ``In``
        A token.
    o_valid, p, o_side : ``Out``
        The token ``latency`` cycles later, ``p = a * b`` having 64 bits.
    """

    interval: int
    latency: int

    def __init__(self, *, side, members=MappingProxyType({})):
        self.side_shape = side
        super().__init__({
            "valid": In(1),
            "a": In(signed(MULTIPLIER_WIDTH)),
            "b": In(signed(MULTIPLIER_WIDTH)),
            "side": In(side),
            "o_valid": Out(1),
            "p": Out(signed(2 * MULTIPLIER_WIDTH)),
            "o_side": Out(side),
            **members,
        })


class HalvesProduct(wiring.Component):
    """Three products of halves (Karatsuba), in three DSP blocks, or two and the fabric.

    With ``a = ah · 2^16 + al`` and likewise ``b``, the halves ``al`` and ``bl`` being unsigned:
    ``p = ah·bh · 2^32 + ((ah + al)·(bh + bl) - ah·bh - al·bl) · 2^16 + al·bl``.
    The sums of halves have 18 signed bits, as many as a DSP block of most devices takes. If one
    is in the fabric, it is ``al·bl``, which has no sign to care for. Free-running.

    Parameters
    ----------
    blocks : int, 2 or 3
        DSP blocks.
    family : str
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    a, b : ``In(signed(32))``
    p : ``Out(signed(64))``
        Their product, 9 cycles later.
    """

    LATENCY = 9

    def __init__(self, *, blocks=2, family="portable"):
        check_range("Blocks", blocks, 2, 3)
        self.blocks = blocks
        self.family = family
        super().__init__({
            "a": In(signed(MULTIPLIER_WIDTH)),
            "b": In(signed(MULTIPLIER_WIDTH)),
            "p": Out(signed(2 * MULTIPLIER_WIDTH)),
        })

    @repeated
    def elaborate(self, platform):
        m = Module()

        def registered(value):
            register = Signal.like(value, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        def product(a, b, name):
            return registered_product(m, platform, self.family, registered(a), registered(b),
                                      name=name)

        # Stages 1 to 4: the products of halves. The fabric takes all of these cycles for its own.
        half = MULTIPLIER_WIDTH // 2
        a_low, a_high = self.a[:half], self.a[half:].as_signed()
        b_low, b_high = self.b[:half], self.b[half:].as_signed()
        low = (product(a_low, b_low, "low") if self.blocks == 3
               else fabric_product(m, platform, self.family, a_low, b_low, name="low"))
        high = product(a_high, b_high, "high")
        both = product(a_high + a_low, b_high + b_low, "both")
        # Stage 5 is for the way from the DSP blocks.
        low, high, both = registered(low), registered(high), registered(both)
        # Stages 6 and 7: ah·bl + al·bh, which fits 33 bits whatever leaves them on the way.
        width = MULTIPLIER_WIDTH + 1
        without_high = registered((both - high)[:width])
        cross = registered((without_high - registered(low))[:width])
        outer = registered(registered(Cat(low, high)))
        # Stages 8 and 9: the sum of all, one half of the carry chain after the other.
        split = half + width // 2
        begin = registered(outer[half:split] + cross[:split - half])
        outer_rest, cross_rest = registered(outer[split:]), registered(cross[split - half:])
        end = (Cat(1, outer_rest).as_signed()
               + Cat(begin[-1], cross_rest).as_signed())[1:len(outer_rest) + 1]
        m.d.comb += self.p.eq(Cat(registered(registered(outer[:half])), registered(begin[:-1]),
                                  registered(end)))
        return m


class PipelinedProduct(WideProduct):
    """A :class:`HalvesProduct`, and what goes beside it.

    Parameters
    ----------
    side : shape-castable
        What is carried along.
    blocks, family
        As there.
    """

    interval = 1
    latency = HalvesProduct.LATENCY

    def __init__(self, *, side, blocks=2, family="portable"):
        self.blocks = blocks
        self.family = family
        super().__init__(side=side)

    def elaborate(self, platform):
        m = Module()
        m.submodules.halves = halves = HalvesProduct(blocks=self.blocks, family=self.family)
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.valid, valid[:-1]))
        m.submodules.side = side = DelayLine(self.side_shape, cycles=self.latency,
                                             family=self.family)
        m.d.comb += [halves.a.eq(self.a), halves.b.eq(self.b), self.p.eq(halves.p),
                     side.i.eq(self.side), self.o_side.eq(side.o), self.o_valid.eq(valid[-1])]
        return m


class DigitSerialProduct(WideProduct):
    """Adds the multiple of ``a`` for one digit of ``b`` a cycle, lowest digit first.

    Parameters
    ----------
    digit : :class:`int`, a divisor of 32, less than 32
        Bits of ``b`` that a cycle takes.

    Members
    -------
    nudge : ``In(1)``
        Two cycles after ``valid``: add ``2**30`` to the product, so that it is rounded half up once
        the lowest 31 bits are dropped.
    """

    #: Power of two of that addend.
    NUDGE = 30

    def __init__(self, *, side, digit):
        check_range("Digit", digit, 1, MULTIPLIER_WIDTH - 1)
        if MULTIPLIER_WIDTH % digit:
            raise ValueError(f"Digit must divide {MULTIPLIER_WIDTH}, not {digit}")
        self.digit = digit
        self.interval = MULTIPLIER_WIDTH // digit
        self.latency = product_latency(self.interval)
        super().__init__(side=side, members={"nudge": In(1)})

    def elaborate(self, platform):
        m = Module()
        width = MULTIPLIER_WIDTH
        a = Signal.like(self.a, reset_less=True)
        b = Signal.like(self.b, reset_less=True)
        side = Signal(self.side_shape, reset_less=True)
        # One bit for each cycle of the token, so that the next may begin as its last sum is made.
        step = Signal(self.latency)
        m.d.sync += step.eq(Cat(self.valid, step[:-1]))

        # Stage 1: hold the operands; `b` moves on to its next digit.
        m.d.sync += b.eq(Mux(self.valid, self.b, b >> self.digit))
        with m.If(self.valid):
            m.d.sync += a.eq(self.a)

        # Stage 2: the multiple of `a` for the digit; the topmost bit of `b` counts negative.
        top = step[self.interval - 1]
        term = Signal(signed(width + self.digit), reset_less=True)
        carry = Signal(reset_less=True)     # To be added to it.
        if self.digit > 2:
            m.d.sync += term.eq(self._multiple(a, b, top))
        else:
            negative, zero, multiple = self._recoded(m, a, b, top)
            m.d.sync += [term.eq(Mux(zero, 0, Mux(negative, ~multiple, multiple))),
                         carry.eq(negative & ~zero)]

        # Stage 3: add it to the upper half, and move a finished digit into the lower half.
        upper = Signal(signed(width), reset_less=True)
        lower = Signal(width, reset_less=True)
        running = Signal(signed(width + self.digit + 1))
        m.d.comb += [
            running.eq(Mux(step[1], self.nudge << self.NUDGE, upper) + term
                       + (carry if self.digit <= 2 else 0)),
            self.o_valid.eq(step[-1]),
            self.p.eq(Cat(lower, upper).as_signed()),
            self.o_side.eq(side),
        ]
        m.d.sync += [
            upper.eq(running >> self.digit),
            lower.eq(Cat(lower[self.digit:], running[:self.digit])),
        ]
        # The next token's side may enter while this one's is still to come out.
        held = Signal(self.side_shape, reset_less=True)
        with m.If(self.valid):
            m.d.sync += held.eq(self.side)
        with m.If(step[self.interval - 1]):
            m.d.sync += side.eq(held)
        return m

    def _multiple(self, a, b, top):
        """Return the multiple of ``a`` for the digit: each bit's, added up."""
        multiple = sum((Mux(b[bit], a, 0) << bit for bit in range(self.digit - 1)),
                       C(0, signed(1)))
        last = Mux(b[self.digit - 1], a, 0) << (self.digit - 1)
        return multiple + Mux(top, -last, last)

    def _recoded(self, m, a, b, top):
        """Return, for a digit of one or two bits, whether its multiple is negative, whether it is
        zero, and the multiple if it is neither.

        Two bits count -2 to 2, with the one below them (Booth), so nothing has to be added here.
        """
        if self.digit == 1:
            return top, ~b[0], a
        below = Signal(reset_less=True)
        m.d.sync += below.eq(~self.valid & b[1])
        same = b[0] == below
        return b[1], same & (b[1] == b[0]), Mux(same, a << 1, a).as_signed()


def product_latency(interval):
    """Return the latency of the product that accepts a token every ``interval`` cycles."""
    # Digit by digit: a cycle to hold the operands, one for the first multiple, one for each sum.
    return PipelinedProduct.latency if interval == 1 else interval + 2


def product_for(interval, *, side, blocks=2, family="portable"):
    """Return the product that accepts a token every ``interval`` cycles.

    Only one that accepts a token a cycle has any use for DSP ``blocks``, and for their ``family``.
    """
    if interval == 1:
        return PipelinedProduct(side=side, blocks=blocks, family=family)
    return DigitSerialProduct(side=side, digit=MULTIPLIER_WIDTH // interval)
