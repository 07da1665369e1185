"""Scale-shift lane: BatchNorm and requantisation in fixed point, ReLU and clips."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .delay import DelayLine
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, Coefficients, Rounding
from .product import product_for, product_latency
from .repeated import repeated

__all__ = ["RoundingShift", "ScaleShift", "lane_latency"]


class Fraction(data.StructLayout):
    """What :class:`RoundingShift` needs beside the product."""

    def __init__(self):
        layout = Coefficients()
        super().__init__({name: layout[name].shape
                          for name in ("shift", "rounding", "zero", "low", "high")})


class RoundingShift(wiring.Component):
    """``q = clamp(round(p / 2^shift) + zero, low, high)``.

    The product is shifted in steps of 32, 16, … 1. Each step keeps only as many bits as the
    following ones can still bring into the result, and notes whether it drops a significant bit
    at the top (the result then saturates) or a one at the bottom (there is no tie). So 64 bits
    need no 64 bit shifter, and the last bit out of it decides the rounding:

    ``HALF_UP``
        up when the last bit is one.
    ``HALF_EVEN``
        the same, but on a tie only if that makes the result even.
    ``TFLITE``
        half up at bit 31 first, whose fraction is then forgotten; then half away from zero.

    Golden function: :func:`golden.requant.requantise`. Free-running: it accepts a token a cycle.

    Parameters
    ----------
    held : :class:`int`
        Cycles, the first one that of ``p``, for which each token's ``fraction`` stays. From
        :attr:`HOLDING` on no registers carry it along, but for the end of the way, if it goes on
        for longer.
    nudged : :class:`bool`
        Whether half of bit 31 has been added to the products to be rounded twice. This saves a
        cycle, and the registers of all the product.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    p, fraction : ``In``
        A token: product (signed, 64 bits), and the coefficients that remain.
    held_last : ``In(1)``
        A token came ``HOLDING - 1`` cycles ago, or one less with nudged products. Of use only if
        fractions are held that long.
    q : ``Out(8)``
        The result :attr:`latency` cycles later: an int8 or uint8 code.
    """

    #: Cycles that it takes, or one less with nudged products.
    LATENCY = 10
    #: Shift bits that each of the stages from the second handles.
    STAGES = ((5,), (4,), (3,), (2,), (1, 0))
    #: Integer bits that are left, enough for every ``low - zero`` and ``high - zero``.
    RESULT_WIDTH = 10
    #: Cycles for which a fraction has to stay, or else be carried along.
    HOLDING = 6

    def __init__(self, *, held=0, nudged=False, family="portable"):
        self.held = held
        self.family = family
        self.nudged = nudged
        self.latency = self.LATENCY - nudged
        super().__init__({
            "p": In(signed(2 * MULTIPLIER_WIDTH)),
            "fraction": In(Fraction()),
            "held_last": In(1),
            "q": Out(OPERAND_WIDTH),
        })

    @repeated
    def elaborate(self, platform):
        m = Module()

        def registered(*values):
            registers = [Signal.like(value, reset_less=True) for value in values]
            m.d.sync += [register.eq(value)
                         for register, value in zip(registers, values, strict=True)]
            return registers

        def carried(value):
            """What belongs to a token, a stage later; if it is held, it is still there."""
            return value if self.held >= self.HOLDING else registered(value)[0]

        # Stage 1: TFLite's first rounding; and a zero below the point, so that the last bit is
        # the one below the point at last.
        twice = self.fraction.rounding[1]       # The only mode with this bit.
        rounded = (self.p[31:] if self.nudged
                   else (Cat(twice, self.p[31:]) + Cat(self.p[30], C(0, 33)))[1:34])
        value = Cat(C(0, 1), Mux(twice, 0, self.p[:31]), rounded).as_signed()
        shift = self.fraction.shift
        if not self.nudged:
            value, shift = *registered(value), carried(shift)
        negative = value[-1]
        saturated = sticky = tops = bottoms = C(0, 1)

        # Stages 2 to 6: shift. What a stage drops counts from the next stage on.
        for bits in self.STAGES:
            saturated |= tops.any()
            sticky |= bottoms.any()
            value, tops, bottoms = self._shifted(value, shift, bits)
            value, tops, bottoms, saturated, sticky, negative = registered(
                value, tops, bottoms, saturated, sticky, negative)
            shift = carried(shift)

        # Stage 7: whether the last bit counts. A number too great for its bits leaves all bounds.
        fraction = self._delayed_fraction(m)
        mode = fraction.rounding
        counts = (sticky | bottoms.any() | (mode == Rounding.HALF_UP)
                  | ((mode == Rounding.HALF_EVEN) & value[1])
                  | ((mode == Rounding.TFLITE) & ~negative))
        extreme = Cat((~negative).replicate(self.RESULT_WIDTH - 1), negative)
        whole = Mux(saturated | tops.any(), extreme, value[1:])
        half, counts, whole = registered(value[0], counts, whole)
        fraction = carried(fraction)
        # Stage 8: round, and add the zero point. The last bit is one if its sum carries.
        code = (Cat(half, whole).as_signed() + Cat(counts, fraction.zero).as_signed()) >> 1
        code, fraction = *registered(code), carried(fraction)
        # Stages 9 and 10: saturate. A sign comes straight out of the carry chain.
        below, above, code = registered(
            (code - fraction.low)[-1], (fraction.high - code)[-1], code)
        fraction = carried(fraction)
        bounded, = registered(Mux(below, fraction.low, Mux(above, fraction.high, code)))
        m.d.comb += self.q.eq(bounded[:OPERAND_WIDTH])
        return m

    def _delayed_fraction(self, m):
        """Return the fraction of the token whose product came ``HOLDING`` stages ago."""
        if self.held >= self.latency:
            return self.fraction
        if self.held >= self.HOLDING:
            fraction = Signal(Fraction(), reset_less=True)
            with m.If(self.held_last):
                m.d.sync += fraction.eq(self.fraction)
            return fraction
        m.submodules.fraction = line = DelayLine(Fraction(), cycles=self.HOLDING - self.nudged,
                                                 family=self.family)
        m.d.comb += line.i.eq(self.fraction)
        return line.o

    def _shifted(self, value, shift, bits):
        """Shift right by ``2^bit`` for each of ``bits`` that is set in ``shift``.

        Returns the value, and bits any of which tells of significant bits lost at its top or of
        ones lost at its bottom: each says so of a few, as many as one table can see.
        """
        tops, bottoms = [], []
        for bit in bits:
            enable, amount = shift[bit], 1 << bit
            # The rounding bit, and what the steps below this one can still shift away.
            width = self.RESULT_WIDTH + amount
            sign, above, below = value[-1], value[width - 1:-1], value[:amount]
            tops += [~enable & (above[i:i + 2] != sign.replicate(len(above[i:i + 2])))
                     for i in range(0, len(above), 2)]
            bottoms += [enable & below[i:i + 3].any() for i in range(0, len(below), 3)]
            value = Mux(enable, (value >> amount)[:width], value[:width]).as_signed()
        return value, Cat(tops), Cat(bottoms)


#: Cycles between tokens from which on a lane can do with few registers.
HELD_INTERVAL = 8


def lane_latency(interval):
    """Return the latency of a :class:`ScaleShift` for a token every ``interval`` cycles."""
    # Where coefficients are held, nothing has to be registered before the product, nor behind it.
    outer = 1 if interval < HELD_INTERVAL else -1
    return outer + product_latency(interval) + RoundingShift.LATENCY


class ScaleShift(wiring.Component):
    """One lane: ``q = clamp(round((acc + bias) · multiplier / 2^shift) + zero, low, high)``.

    Golden function: :func:`golden.requant.requantise` of ``acc + bias``, which wraps at 32 bits.
    Free-running: it accepts a token every ``interval`` cycles and never waits.

    Parameters
    ----------
    accumulator_width : :class:`int`, 18 to 32
        Bits of ``acc``.
    interval : :class:`int`, a divisor of 32
        Cycles between tokens; see :mod:`hdl.product`. From :data:`HELD_INTERVAL` on, the
        coefficients of a token are to stay for as many.
    blocks : :class:`int`, 2 or 3
        DSP blocks, if it accepts a token a cycle.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    valid, acc, coefficients : ``In``
        A token.
    o_valid, q : ``Out``
        Its result, :attr:`latency` cycles later.
    """

    def __init__(self, *, accumulator_width=32, interval=1, blocks=2, family="portable"):
        check_range("Accumulator width", accumulator_width, 18, 32)
        check_range("Interval", interval, 1, 32)
        if 32 % interval:
            raise ValueError(f"Interval must divide 32, not {interval}")
        self.accumulator_width = accumulator_width
        self.interval = interval
        self.blocks = blocks
        self.family = family
        self.holds = interval >= HELD_INTERVAL
        self.latency = lane_latency(interval)
        super().__init__({
            "valid": In(1),
            "acc": In(signed(accumulator_width)),
            "coefficients": In(Coefficients()),
            "o_valid": Out(1),
            "q": Out(OPERAND_WIDTH),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.product = product = product_for(
            self.interval, side=1 if self.holds else Fraction(), blocks=self.blocks,
            family=self.family)
        # A token's coefficients come with it, and their copy goes with the next one's.
        m.submodules.rounding = rounding = RoundingShift(
            held=2 * self.interval - product.latency if self.holds else 0, nudged=self.holds,
            family=self.family)
        coefficients = self.coefficients
        fraction = Signal(Fraction(), reset_less=True)
        taken = [fraction[name].eq(coefficients[name]) for name in Fraction().members]
        valid = Signal(rounding.latency)
        m.d.sync += valid.eq(Cat(product.o_valid, valid[:-1]))
        m.d.comb += [
            rounding.held_last.eq(valid[rounding.HOLDING - 2 - self.holds]),
            rounding.p.eq(product.p),
            self.o_valid.eq(valid[-1]),
            self.q.eq(rounding.q),
        ]
        if self.holds:
            # The multiplier has registers for its operands, and the coefficients that it does not
            # need stay for as long as it takes.
            age = Signal(self.interval - 1)
            m.d.sync += age.eq(Cat(self.valid, age[:-1]))
            with m.If(age[-1]):
                m.d.sync += taken
            m.d.comb += [
                product.valid.eq(self.valid), product.a.eq(self.acc + coefficients.bias),
                product.b.eq(coefficients.multiplier), rounding.fraction.eq(fraction),
                product.nudge.eq(coefficients.rounding[1]),
            ]
            return m

        # The bias has a stage of its own; the multiplier takes the sum from a register.
        total = Signal.like(product.a, reset_less=True)
        factor = Signal.like(product.b, reset_less=True)
        m.d.sync += [
            product.valid.eq(self.valid),
            total.eq(self.acc + coefficients.bias),
            factor.eq(coefficients.multiplier),
            *taken,
        ]
        m.d.comb += [
            product.a.eq(total),
            product.b.eq(factor),
            product.side.eq(fraction),
            rounding.fraction.eq(product.o_side),
        ]
        return m
