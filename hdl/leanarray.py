"""The array of a lean engine: DSP blocks accumulate, and results leave one by one."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .layouts import OPERAND_WIDTH
from .vendor import accumulated_products

__all__ = ["LeanArray", "LeanTags"]


#: Bits of a sum that a DSP block keeps, and elements that it serves.
_LOW, _ELEMENTS = 16, 2


class LeanTags(data.StructLayout):
    """What a row of a :class:`LeanArray` is told beside its operands.

    Members
    -------
    clear : 1 bit
        Sums begin anew, behind this cycle's operands.
    capture : 1 bit
        The sums so far, without this cycle's operands, are results.
    shift : 1 bit
        Results move on by one element.
    """

    def __init__(self):
        super().__init__({"clear": 1, "capture": 1, "shift": 1})


class LeanArray(wiring.Component):
    """``rows × columns`` elements, which add up products, and one way out for their results.

    A code is given to all columns of its row at once, and weights move down a row a cycle. A
    cycle's operands of row ``r`` belong to those of row 0 of ``r`` cycles before. A product in the
    cycle of ``clear`` is lost, so a cycle without operands lies between two tiles.

    The lower 16 bits of a sum are in a DSP block. A product is no greater than a quarter of what
    they hold; so of the four quarters a sum that goes from the last to the first has carried,
    and the other way round it has borrowed. The bits above count that, one cycle later.

    Results move against the wave of tags, from element to element of a row and on to the end of the
    row above. Captures and shifts are at least two cycles apart.

    Parameters
    ----------
    rows, columns : :class:`int`, 1 to 64
        Size.
    accumulator_width : :class:`int`, 18 to 32
        Bits of a sum, which wraps.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`. On iCE40 a DSP block serves two elements of a row.

    Members
    -------
    x : ``In(ArrayLayout(signed(8), rows))``
        Activation codes, row ``r`` being ``r`` cycles late.
    w : ``In(ArrayLayout(signed(8), columns))``
        Weights of row 0.
    tags : ``In(LeanTags())``
        Tags of row 0.
    result : ``Out(signed(accumulator_width))``
        That of row 0 and column 0 at first, then those of its other columns and of the other rows.
        What ``tags`` do in cycle ``t`` is seen in cycle ``t + LATENCY``, from bit 16 up one later.
    """

    LATENCY = 3

    def __init__(self, *, rows, columns, accumulator_width=32, family="portable"):
        check_range("Rows", rows, 1, 64)
        check_range("Columns", columns, 1, 64)
        check_range("Accumulator width", accumulator_width, 18, 32)
        self.rows = rows
        self.columns = columns
        self.accumulator_width = accumulator_width
        self.family = family
        super().__init__({
            "x": In(data.ArrayLayout(signed(OPERAND_WIDTH), rows)),
            "w": In(data.ArrayLayout(signed(OPERAND_WIDTH), columns)),
            "tags": In(LeanTags()),
            "result": Out(signed(accumulator_width)),
        })

    def elaborate(self, platform):
        m = Module()
        # Row r's lower halves act on stage r, and its upper halves on the stage behind it.
        stages, tags = [], self.tags
        for stage in range(self.LATENCY - 1 + self.rows):
            following = Signal(LeanTags(), name=f"tags{stage}")
            m.d.sync += following.eq(tags)
            stages.append(tags := following)
        stages = stages[self.LATENCY - 2:]

        sums, weights = [], self.w
        for row in range(self.rows):
            if row:
                following = Signal.like(self.w, name=f"w{row}", reset_less=True)
                m.d.sync += following.eq(weights)
                weights = following
            sums += self._sums(m, platform, row, weights, stages[row:row + 2])
        # What comes behind the last result is never looked at: it may be anything.
        results = [Signal(self.accumulator_width, name=f"result{index}", reset_less=True)
                   for index in range(len(sums))]
        for index, (total, result) in enumerate(zip(sums, results, strict=True)):
            following = results[index + 1] if index + 1 < len(results) else total
            row = index // self.columns
            for half, tags in zip((slice(_LOW), slice(_LOW, None)), stages[row:row + 2],
                                  strict=True):
                with m.If(tags.capture | tags.shift):
                    m.d.sync += result[half].eq(Mux(tags.capture, total[half], following[half]))
        m.d.comb += self.result.eq(results[0])
        return m

    def _sums(self, m, platform, row, weights, tags):
        """Return the sums of a row's elements, whose upper halves are a cycle late."""
        sums = []
        for column in range(0, self.columns, _ELEMENTS):
            factors = [(self.x[row], weights[column + index])
                       for index in range(min(_ELEMENTS, self.columns - column))]
            lows = accumulated_products(m, platform, self.family, factors, tags[0].clear,
                                        name=f"sums_{row}_{column}")
            for low in lows:
                name = f"{row}_{len(sums) % self.columns}"
                negative = Signal(name=f"negative_{name}", reset_less=True)
                high = Signal(self.accumulator_width - _LOW, name=f"high_{name}", reset_less=True)
                crossed, borrowed = Signal(name=f"crossed_{name}"), Signal(name=f"borrowed_{name}")
                m.d.comb += [
                    crossed.eq((low[-1] != negative) & (low[-1] == low[-2])),
                    borrowed.eq(crossed & low[-1]),
                ]
                m.d.sync += [
                    negative.eq(low[-1]),
                    high.eq(Mux(tags[1].clear, 0, high + Cat(crossed, borrowed).as_signed())),
                ]
                sums.append(Cat(low, high))
        return sums
