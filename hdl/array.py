"""Output-stationary systolic array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
from .layouts import OPERAND_WIDTH, Tags
from .multiplier import LutMultiplier, PortableMultiplier
from .repeated import repeated
from .vendor import accumulator_sum

__all__ = ["ProcessingElement", "SystolicArray", "array_latency"]


class ProcessingElement(wiring.Component):
    """Accumulates products, and hands operands and results on.

    ``sum = (0 if first else sum) + product``; ``capture`` copies the sum, and ``shift`` the result
    of the element below, into the result register. Operands and tags go on to the next element
    after one cycle. A product is accumulated under the tags of the cycle before it.

    An idle element is fed zeros, so nothing here has an enable and nothing needs a reset: the
    first sum after one begins with ``first``.

    Parameters
    ----------
    accumulator_width : :class:`int`, 18 to 32
        Bits of the sum, which wraps.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    x, w, tags : ``In``
        Activation code, weight, and :class:`hdl.layouts.Tags`.
    product : ``In(signed(16))``
        Product of earlier operands.
    x_next, w_next, tags_next : ``Out``
        The same, one cycle later.
    below : ``In(signed(accumulator_width))``
        Result of the element below.
    result : ``Out(signed(accumulator_width))``
        Result register.
    """

    def __init__(self, *, accumulator_width=32, family="portable"):
        check_range("Accumulator width", accumulator_width, 18, 32)
        self.accumulator_width = accumulator_width
        self.family = family
        super().__init__({
            "x": In(signed(OPERAND_WIDTH)),
            "w": In(signed(OPERAND_WIDTH)),
            "tags": In(Tags()),
            "product": In(signed(2 * OPERAND_WIDTH)),
            "x_next": Out(signed(OPERAND_WIDTH)),
            "w_next": Out(signed(OPERAND_WIDTH)),
            "tags_next": Out(Tags()),
            "below": In(signed(accumulator_width)),
            "result": Out(signed(accumulator_width)),
        })

    @repeated
    def elaborate(self, platform):
        m = Module()
        x = Signal.like(self.x, reset_less=True)
        w = Signal.like(self.w, reset_less=True)
        tags = Signal.like(self.tags, reset_less=True)
        total = Signal.like(self.result, reset_less=True)
        result = Signal.like(self.result, reset_less=True)
        m.d.comb += [
            self.x_next.eq(x),
            self.w_next.eq(w),
            self.tags_next.eq(tags),
            self.result.eq(result),
        ]
        m.d.sync += [
            x.eq(self.x),
            w.eq(self.w),
            tags.eq(self.tags),
            total.eq(accumulator_sum(m, platform, self.family, total, self.product, tags.first,
                                     name="accumulator")),
        ]
        with m.If(tags.capture):
            m.d.sync += result.eq(total)
        with m.Elif(tags.shift):
            m.d.sync += result.eq(self.below)
        return m


def array_latency(multiplier):
    """Return the latency of a :class:`SystolicArray` with that class of multipliers."""
    return multiplier.LATENCY + 1


class SystolicArray(wiring.Component):
    """``rows × columns`` processing elements.

    Activations and tags enter from the left and move right, weights enter at the top and move
    down, results leave at the top. A cycle's operands of row ``r`` and column ``c`` belong to
    each other when row ``r`` is ``r`` cycles late and column ``c`` is ``c % lanes`` cycles late:
    columns ``lanes`` apart are at the same point of time, so that a scale-shift lane can serve
    them in turn. Activations therefore enter at every ``lanes``-th column at once.

    Results move up against the wave of tags, which meets each row one cycle after the row above.
    A row that shifts in the cycle after the row below it did would lose a result, so captures
    and shifts are at least two cycles apart. Then what leaves at the top is row 0, 1, 2, …

    Parameters
    ----------
    rows, columns : :class:`int`, 1 to 64
        Size.
    lanes : :class:`int`, a divisor of ``columns``
        Columns from one entry of the activations to the next.
    accumulator_width : :class:`int`, 18 to 32
        Bits of an element's sum.
    multiplier : subclass of :class:`hdl.multiplier.Multiplier`
        How products are made. Its family is that of the elements, too.
    lut_rows : :class:`int`, 0 to ``rows``
        The last rows, where a device is short of DSP blocks: these multiply in the fabric.

    Members
    -------
    x : ``In(ArrayLayout(signed(8), rows))``
        Activation codes, row ``r`` being ``r`` cycles late.
    w : ``In(ArrayLayout(signed(8), columns))``
        Weights, column ``c`` being ``c % lanes`` cycles late.
    tags : ``In(Tags)``
        Tags of the operands, in the same cycle as row 0 and column 0 of them.
    results : ``Out(ArrayLayout(signed(accumulator_width), columns))``
        Top row. What ``tags`` do in cycle ``t`` is seen at column ``c`` in cycle
        ``t + LATENCY + c % lanes``.
    """

    def __init__(self, *, rows, columns, lanes, accumulator_width=32,
                 multiplier=PortableMultiplier, lut_rows=0):
        check_range("Rows", rows, 1, 64)
        check_range("Columns", columns, 1, 64)
        check_lanes(lanes, columns)
        check_range("Accumulator width", accumulator_width, 18, 32)
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.accumulator_width = accumulator_width
        check_range("LUT rows", lut_rows, 0, rows)
        self.multiplier = multiplier
        self.lut_rows = lut_rows
        self.LATENCY = array_latency(multiplier)
        super().__init__({
            "x": In(data.ArrayLayout(signed(OPERAND_WIDTH), rows)),
            "w": In(data.ArrayLayout(signed(OPERAND_WIDTH), columns)),
            "tags": In(Tags()),
            "results": Out(data.ArrayLayout(signed(accumulator_width), columns)),
        })

    def elaborate(self, platform):
        m = Module()
        row_tags = self._skewed_tags(m)
        grid = [[self._element(m, row, column) for column in range(self.columns)]
                for row in range(self.rows)]
        for row, elements in enumerate(grid):
            for column, element in enumerate(elements):
                if column % self.lanes == 0:
                    m.d.comb += [element.x.eq(self.x[row]), element.tags.eq(row_tags[row])]
                else:
                    left = elements[column - 1]
                    m.d.comb += [element.x.eq(left.x_next), element.tags.eq(left.tags_next)]
                above = grid[row - 1][column].w_next if row else self.w[column]
                m.d.comb += element.w.eq(above)
                if row + 1 < self.rows:
                    m.d.comb += element.below.eq(grid[row + 1][column].result)
            self._multiply(m, row, elements)
        for column in range(self.columns):
            m.d.comb += self.results[column].eq(grid[0][column].result)
        return m

    def _element(self, m, row, column):
        element = ProcessingElement(accumulator_width=self.accumulator_width,
                                    family=self.multiplier.family)
        m.submodules[f"pe_{row}_{column}"] = element
        return element

    def _multiply(self, m, row, elements):
        """Give each of a row's ``elements`` its product, by as many blocks as that takes."""
        in_fabric = row >= self.rows - self.lut_rows
        kind = LutMultiplier if in_fabric else self.multiplier
        for column in range(0, self.columns, kind.ELEMENTS):
            served = elements[column:column + kind.ELEMENTS]
            multiplier = kind(elements=len(served), family=self.multiplier.family)
            m.submodules[f"multiplier_{row}_{column}"] = multiplier
            for index, element in enumerate(served):
                m.d.comb += [
                    multiplier.x[index].eq(element.x),
                    multiplier.w[index].eq(element.w),
                    element.product.eq(multiplier.p[index]),
                ]

    def _skewed_tags(self, m):
        """Return each row's tags, delayed to meet its products.

        The chain down the left edge is reset and each row's own register is not. Were they
        alike, synthesis would merge all registers at the same distance from the corner, along
        the anti-diagonals of the array, into nets that fan out to every row.
        """
        chain = [self.tags]
        for stage in range(1, self.multiplier.LATENCY + self.rows - 2):
            chain.append(Signal(Tags(), name=f"chain{stage}"))
            m.d.sync += chain[-1].eq(chain[-2])
        row_tags = []
        for row in range(self.rows):
            row_tags.append(Signal(Tags(), name=f"tags{row}", reset_less=True))
            m.d.sync += row_tags[-1].eq(chain[self.multiplier.LATENCY - 2 + row])
        return row_tags
