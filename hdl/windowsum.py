"""Sum of the nine products under a 3x3 window, in the fabric, for weights that change rarely."""

from typing import NamedTuple

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .layouts import OPERAND_WIDTH
from .operands import WINDOW_TAPS
from .repeated import repeated

__all__ = ["SUM_WIDTH", "WindowSum"]


#: Bits of a sum of nine products of int8.
SUM_WIDTH = 2 * OPERAND_WIDTH + 3


class _Term(NamedTuple):
    """What is to be added: a signed number, and one more if ``carry``."""

    value: Value
    carry: Value


class WindowSum(wiring.Component):
    """``o = Σ (code - 128) · weight`` over the taps of one channel, codes being 0 to 255.

    ``85 - code`` is ``Σ 4^j · d`` with four digits ``d`` from 1 to -2: one less each pair of the
    code's bits. So its product with a weight is a sum of four multiples 1, 0, -1, -2 of the
    weight, and each takes one gate a bit: the two bits of the digit choose between the weight,
    zero, the weight's complement, and the complement of its double. A complement is one short of
    the negative; that one is the carry into an adder. The sum over the taps is taken for each
    digit first, while the numbers are short.

    What this gives for a window of 128s, ``-43 · Σ weight``, is kept when ``origin`` comes with
    such a window, and what it gives for the windows that follow is subtracted from it.

    Free-running: a window in each cycle.

    Members
    -------
    codes : ``In(ArrayLayout(8, 9))``
    weights : ``In(ArrayLayout(signed(8), 9))``
        In the order of the codes. They may change whenever ``origin`` comes.
    origin : ``In(1)``
        All codes are 128, and the weights are new; ``o`` is of no use for them.
    o : ``Out(signed(19))``
        Sum, 7 cycles after its codes.
    """

    LATENCY = 7

    def __init__(self):
        super().__init__({
            "codes": In(data.ArrayLayout(OPERAND_WIDTH, WINDOW_TAPS)),
            "weights": In(data.ArrayLayout(signed(OPERAND_WIDTH), WINDOW_TAPS)),
            "origin": In(1),
            "o": Out(signed(SUM_WIDTH)),
        })

    @repeated
    def elaborate(self, platform):
        m = Module()

        # Stages 1 to 4: for each digit, the sum over the taps.
        digits = []
        for place in range(0, OPERAND_WIDTH, 2):
            terms = [self._multiple(self.codes[tap][place:place + 2], self.weights[tap])
                     for tap in range(WINDOW_TAPS)]
            while len(terms) > 1:
                left_over = terms[len(terms) & ~1:]
                terms = [self._add(m, *pair) for pair in zip(terms[::2], terms[1::2], strict=False)]
                terms += [_Term(*(self._registered(m, each) for each in term))
                          for term in left_over]
            digits += terms
        # Stages 5 and 6: the sum over the digits.
        low, high = (self._add(m, *pair, place=2) for pair in (digits[:2], digits[2:]))
        total = self._add(m, low, high, place=4)

        # Stage 7: subtract from the origin, which has no carry: the lowest digit of 128 is 0.
        origins = Signal(self.LATENCY - 1, reset_less=True)
        origin = Signal(signed(SUM_WIDTH), reset_less=True)
        m.d.sync += origins.eq(Cat(self.origin, origins[:-1]))
        with m.If(origins[-1]):
            m.d.sync += origin.eq(total.value)
        result = Cat(0, origin) - Cat(total.carry, total.value)
        m.d.comb += self.o.eq(self._registered(m, result[1:1 + SUM_WIDTH].as_signed()))
        return m

    def _multiple(self, pair, weight):
        """Return ``(1 - pair) * weight``."""
        value = Mux(pair[1], Mux(pair[0], ~(weight << 1), ~weight), Mux(pair[0], 0, weight))
        return _Term(value, pair[1])

    def _add(self, m, a, b, *, place=0):
        """Return ``a + (b << place)`` from a register, with the carry of ``a`` still to be added.

        The bits of ``a`` below ``place`` pass by; the carry of ``b`` enters the adder.
        """
        upper = a.value[place:].as_signed()
        width = max(len(upper), len(b.value)) + 1
        value = Cat(a.value[:place], (upper + b.value + b.carry)[:width])[:SUM_WIDTH].as_signed()
        return _Term(self._registered(m, value), self._registered(m, a.carry))

    def _registered(self, m, value):
        register = Signal(value.shape(), reset_less=True)
        m.d.sync += register.eq(value)
        return register
