"""Scale-shift lane: BatchNorm and requantisation in fixed point, ReLU and clips."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .layouts import MULTIPLIER_WIDTH, OPERAND_WIDTH, Coefficients, Rounding
from .product import product_for, product_latency

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

    Golden function: :func:`golden.requant.requantise`. It accepts a token a cycle.

    Members
    -------
    valid, p, fraction : ``In``
        A token: product (signed, 64 bits), and the coefficients that remain.
    o_valid, q : ``Out``
        The result 6 cycles later, 8 bits of an int8 or uint8 code.
    """

    LATENCY = 6
    #: Shift bits that each of the middle stages handles.
    STAGES = ((5, 4), (3, 2), (1, 0))
    #: Integer bits that are left, enough for every ``low - zero`` and ``high - zero``.
    RESULT_WIDTH = 10

    def __init__(self):
        super().__init__({
            "valid": In(1),
            "p": In(signed(2 * MULTIPLIER_WIDTH)),
            "fraction": In(Fraction()),
            "o_valid": Out(1),
            "q": Out(OPERAND_WIDTH),
        })

    def elaborate(self, platform):
        m = Module()
        valid = Signal(self.LATENCY)
        m.d.sync += valid.eq(Cat(self.valid, valid[:-1]))
        m.d.comb += self.o_valid.eq(valid[-1])

        def registered(value):
            register = Signal.like(value, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        # Stage 1: TFLite's first rounding.
        twice = self.fraction.rounding == Rounding.TFLITE
        rounded = (self.p[31:].as_signed() + (twice & self.p[30]))[:33]
        nudged = Cat(Mux(twice, 0, self.p[:31]), rounded)
        fraction = registered(self.fraction)
        # A zero below the point, so that the last bit is the one below the point at last.
        value = registered(Cat(C(0, 1), nudged).as_signed())
        negative = value[-1]
        saturated = sticky = C(0, 1)

        # Stages 2 to 4: shift.
        for bits in self.STAGES:
            for bit in bits:
                value, dropped_top, dropped_bottom = self._shifted(value, fraction.shift[bit], bit)
                saturated |= dropped_top
                sticky |= dropped_bottom
            value, saturated, sticky, negative, fraction = (
                registered(each) for each in (value, saturated, sticky, negative, fraction))

        # Stage 5: round, and add the zero point.
        mode = fraction.rounding
        up = value[0] & ((mode == Rounding.HALF_UP)
                         | ((mode == Rounding.HALF_EVEN) & (sticky | value[1]))
                         | ((mode == Rounding.TFLITE) & (sticky | ~negative)))
        code = registered((value >> 1) + fraction.zero + up)
        saturated, negative, fraction = (
            registered(each) for each in (saturated, negative, fraction))

        # Stage 6: saturate.
        below = Mux(saturated, negative, code < fraction.low)
        above = Mux(saturated, ~negative, code > fraction.high)
        bounded = Mux(below, fraction.low, Mux(above, fraction.high, code))
        m.d.comb += self.q.eq(registered(bounded[:OPERAND_WIDTH]))
        return m

    def _shifted(self, value, enable, bit):
        """Shift right by ``2^bit`` if enabled; tell of significant bits lost at either end."""
        amount = 1 << bit
        # The rounding bit, and what the steps below this one can still shift away.
        width = self.RESULT_WIDTH + amount
        shifted = (value >> amount)[:width]
        kept = value[:width]
        top = value[width - 1:]
        lost_top = ~enable & ~(top.all() | ~top.any())
        lost_bottom = enable & value[:amount].any()
        return Mux(enable, shifted, kept).as_signed(), lost_top, lost_bottom


def lane_latency(interval):
    """Return the latency of a :class:`ScaleShift` for a token every ``interval`` cycles."""
    return 1 + product_latency(interval) + RoundingShift.LATENCY


class ScaleShift(wiring.Component):
    """One lane: ``q = clamp(round((acc + bias) · multiplier / 2^shift) + zero, low, high)``.

    Golden function: :func:`golden.requant.requantise` of ``acc + bias``, which wraps at 32 bits.
    Free-running: it accepts a token every ``interval`` cycles and never waits.

    Parameters
    ----------
    accumulator_width : :class:`int`, 18 to 32
        Bits of ``acc``.
    interval : :class:`int`, a divisor of 32
        Cycles between tokens; see :mod:`hdl.product`.

    Members
    -------
    valid, acc, coefficients : ``In``
        A token.
    o_valid, q : ``Out``
        Its result, :attr:`latency` cycles later.
    """

    def __init__(self, *, accumulator_width=32, interval=1):
        check_range("Accumulator width", accumulator_width, 18, 32)
        check_range("Interval", interval, 1, 32)
        if 32 % interval:
            raise ValueError(f"Interval must divide 32, not {interval}")
        self.accumulator_width = accumulator_width
        self.interval = interval
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
        m.submodules.product = product = product_for(self.interval, side=Fraction())
        m.submodules.rounding = rounding = RoundingShift()

        # The bias has a stage of its own; the multiplier takes the sum from a register.
        coefficients = self.coefficients
        fraction = Signal(Fraction(), reset_less=True)
        total = Signal.like(product.a, reset_less=True)
        factor = Signal.like(product.b, reset_less=True)
        m.d.sync += [
            product.valid.eq(self.valid),
            total.eq(self.acc + coefficients.bias),
            factor.eq(coefficients.multiplier),
        ] + [fraction[name].eq(coefficients[name]) for name in Fraction().members]
        m.d.comb += [
            product.a.eq(total),
            product.b.eq(factor),
            product.side.eq(fraction),
            rounding.valid.eq(product.o_valid),
            rounding.p.eq(product.p),
            rounding.fraction.eq(product.o_side),
            self.o_valid.eq(rounding.o_valid),
            self.q.eq(rounding.q),
        ]
        return m
