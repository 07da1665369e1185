"""Walk of the window unit over the padded input of a layer."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fabric import counted_on
from .isa import Instruction

__all__ = ["WindowWalker"]


class WindowWalker(wiring.Component):
    """Follows the raster of a layer's padded input, and tells which words complete a window.

    Members
    -------
    layer : ``In(Instruction())``
        Steady while the walk lasts.
    restart : ``In(1)``
        Go to the first word.
    advance : ``In(1)``
        Go to the next one.
    last : ``Out(1)``
        The word is the last of the layer.
    first_next : ``Out(1)``
        Whether in the next cycle the word will be the first of a block.
    passed : ``Out(1)``
        In the cycle before, ``advance`` passed a word. It is this one that the following tell of.
    column : ``Out(range(width))``
        Its column. If none was passed, that of the next one.
    first : ``Out(1)``
        It was the first of a block.
    gives : ``Out(1)``
        With it a window of an output pixel is complete.
    renew : ``Out(1)``
        No word of its block has done so before.
    wrong : ``Out(1)``
        The layer is longer or smaller than it may be, has a stride of zero, or gives fewer or
        more pixels than it says, and the surplus ones are not given. Stays high until a reset.
    """

    def __init__(self, *, width):
        check_range("Width", width, 3, 1024)
        self.width = width
        super().__init__({
            "layer": In(Instruction()),
            "restart": In(1),
            "advance": In(1),
            "last": Out(1),
            "first_next": Out(1),
            "passed": Out(1),
            "column": Out(range(width)),
            "first": Out(1),
            "gives": Out(1),
            "renew": Out(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        # What ends with this word. Lines have three words at least, so that it can be said a word
        # ahead, from what their last but one shows: nothing waits for a chain of counters.
        ends = [Signal(name=f"ends_{what}") for what in ("line", "frame", "block", "layer")]
        first = Signal()
        m.d.comb += [self.last.eq(ends[-1]),
                     self.first_next.eq(self.restart | (self.advance & ends[2])
                                        | (first & ~self.advance))]
        m.d.sync += first.eq(self.first_next)

        # All else follows a cycle later, in time for the last but one word of a line.
        restart, passed = Signal(), self.passed
        line, frame, block = (Signal(name=f"passed_{what}") for what in ("line", "frame", "block"))
        begins = new_line, new_frame, new_block = [
            Signal(name=f"new_{what}") for what in ("line", "frame", "block")]
        m.d.sync += [restart.eq(self.restart), passed.eq(self.advance), self.first.eq(first)]
        for each, new, end in zip((line, frame, block), begins, ends, strict=False):
            m.d.sync += [each.eq(self.advance & end), new.eq(self.restart | (self.advance & end))]
        last = self._before_last(m, layer.out_width, new_line, passed)
        with m.If(self.advance):
            m.d.sync += ends[0].eq(last)
        for name, start, reload, step, end in (
                ("rows", layer.out_height, new_frame, line, ends[1]),
                ("frames", layer.frames, new_block, frame, ends[2]),
                ("blocks", layer.blocks, restart, block, ends[3])):
            last &= self._countdown(m, name, start, reload, step)
            with m.If(self.advance):
                m.d.sync += end.eq(last)
        column = Signal.like(self.column, reset_less=True)
        m.d.comb += self.column.eq(column)
        m.d.sync += column.eq(Mux(new_line, 0, column + passed))
        self._pixels(m, restart, new_line, new_frame, new_block, line, block)
        return m

    def _pixels(self, m, restart, new_line, new_frame, new_block, line, block):
        """Tell which words give pixels, and what is wrong."""
        layer, passed = self.layer, self.passed
        # Pixels that are due by the strides, of which there should be as many as are announced.
        due, given, complete = Signal(), Signal(), Signal()
        last_pixel = self._countdown(m, "pixels", layer.out_pixels, new_block, given)
        m.d.comb += [
            due.eq(self._due(m, "column", layer.window_stride_x, new_line, passed)
                   & self._due(m, "row", layer.window_stride_y, new_frame, line)),
            self.gives.eq(due & ~complete),
            given.eq(passed & self.gives),
        ]
        m.d.sync += [
            complete.eq(~new_block & (complete | (given & last_pixel))),
            self.renew.eq(new_block | (self.renew & ~given)),
        ]
        surplus = passed & due & complete
        missing = block & ~complete & ~(due & last_pixel)
        unfit = Signal(reset_less=True)
        m.d.sync += unfit.eq(
            (layer.out_width >= self.width) | (layer.out_width < 2) | (layer.out_height < 2)
            | (layer.window_stride_x == 0) | (layer.window_stride_y == 0))
        found = Signal()
        m.d.sync += found.eq(surplus | missing | (restart & unfit))
        with m.If(found):
            m.d.sync += self.wrong.eq(1)

    def _before_last(self, m, start, reload, step):
        """Count down the columns from ``start``; return whether that gives one in this cycle."""
        left = Signal.like(start, name="columns_left", reset_less=True)
        one, two, one_at_first, two_at_first = (
            Signal(name=f"columns_{name}", reset_less=True)
            for name in ("one", "two", "one_at_first", "two_at_first"))
        m.d.sync += [one_at_first.eq(start == 1), two_at_first.eq(start == 2)]
        with m.If(reload):
            m.d.sync += [left.eq(start), one.eq(one_at_first), two.eq(two_at_first)]
        with m.Elif(step):
            m.d.sync += [left.eq(left - 1), one.eq(two), two.eq(left == 3)]
        return ~reload & Mux(step, two, one)

    def _countdown(self, m, name, start, reload, step):
        """Count down from ``start``; return whether nothing is left."""
        left = Signal.like(start, name=name + "_left", reset_less=True)
        last, none = (Signal(name=f"{name}_{what}", reset_less=True) for what in ("last", "none"))
        # The layer is there two cycles before its first count begins.
        m.d.sync += none.eq(start == 0)
        with m.If(reload | step):
            m.d.sync += [left.eq(counted_on(left, reload, start, -1)),
                         last.eq(Mux(reload, none, left == 1))]
        return last

    def _due(self, m, name, stride, reload, step):
        """Return whether the third row or column has come, and every ``stride``-th from there."""
        wait = Signal.like(stride, name=name + "_wait", reset_less=True)
        due = Signal(name=name + "_due", reset_less=True)
        with m.If(reload):
            m.d.sync += [wait.eq(2), due.eq(0)]
        with m.Elif(step):
            m.d.sync += [wait.eq(Mux(due, stride, wait) - 1), due.eq(Mux(due, stride, wait) == 1)]
        return due
