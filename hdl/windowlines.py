"""What the window unit keeps of its words: the lines above, and the window itself."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import BlockMemory
from .checks import check_range
from .layouts import OPERAND_WIDTH
from .operands import WINDOW_TAPS

__all__ = ["ZERO_CODE", "WindowLines"]


#: What stands for zero in the window: its codes are 128 more than int8 ones.
ZERO_CODE = 1 << (OPERAND_WIDTH - 1)


class WindowLines(wiring.Component):
    """Keeps two lines of words, and makes windows of 3x3 words of what comes in raster order.

    ::

        word ──────┬──────── new ── right ─ middle ─ left      row 2
                   └─ line buffer ┬ new ── right ─ middle ─ left      row 1
                   ┌──────────────┘
                   └─ line buffer ─ new ── right ─ middle ─ left      row 0

    Both line buffers are halves of one memory. Its word of a column is read when a word of that
    column comes, and written two cycles later with that word and the upper half of what was read;
    so the two never meet, as a line has at least three words. Words may come with pauses.

    The window of a raster's first two rows and columns holds words of the raster before, or what
    the memory happened to hold.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word.
    width : :class:`int`, 3 to 1024
        Words of the longest line.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    valid : ``In(1)``
        A word comes.
    column : ``In(range(width))``
        Its column; without a word, that of the next one.
    codes : ``In(ArrayLayout(8, channels))``
    clear : ``In(1)``
        It is the first of a raster: the window is to be of :data:`ZERO_CODE`.
    cleared : ``Out(1)``
        That window comes in the next cycle.
    windows : ``Out(ArrayLayout(ArrayLayout(8, 9), channels))``
        For each channel its window, row by row, 4 cycles after the word at its lower right.
    """

    LATENCY = 4

    def __init__(self, *, channels, width, family="portable"):
        check_range("Channels", channels, 1, 64)
        check_range("Width", width, 3, 1024)
        self.channels = channels
        self.width = width
        self.family = family
        super().__init__({
            "valid": In(1),
            "column": In(range(width)),
            "codes": In(data.ArrayLayout(OPERAND_WIDTH, channels)),
            "clear": In(1),
            "cleared": Out(1),
            "windows": Out(data.ArrayLayout(data.ArrayLayout(OPERAND_WIDTH, WINDOW_TAPS),
                                            channels)),
        })

    def elaborate(self, platform):
        m = Module()
        word = unsigned(self.channels * OPERAND_WIDTH)
        m.submodules.storage = storage = BlockMemory(width=2 * word.width, depth=self.width,
                                                     family=self.family)
        m.d.comb += [storage.read_en.eq(1), storage.read_address.eq(self.column)]

        # Stages 1 and 2: the memory gives the words above, which make a column of the window.
        valid1, clear1 = Signal(reset_less=True), Signal(reset_less=True)
        column1 = Signal.like(self.column, reset_less=True)
        codes1 = Signal(word, reset_less=True)
        m.d.sync += [valid1.eq(self.valid), clear1.eq(self.valid & self.clear),
                     column1.eq(self.column), codes1.eq(self.codes)]

        valid2, clear2 = Signal(reset_less=True), Signal(reset_less=True)
        column2 = Signal.like(self.column, reset_less=True)
        codes2 = Signal(word, reset_less=True)
        words2 = [*(storage.read_data.word_select(row, word.width) for row in range(2)), codes2]
        m.d.sync += [valid2.eq(valid1), clear2.eq(clear1), column2.eq(column1),
                     codes2.eq(codes1)]
        m.d.comb += [
            storage.write_address.eq(column2), storage.write_en.eq(valid2),
            storage.write_data.eq(Cat(words2[1], words2[2])),
        ]

        # Stage 3 is for the way from there. Stage 4: the window, whose right column is a word's
        # only in the cycle after that came.
        valid3, valid4, cleared = (Signal(name=name, reset_less=True)
                                   for name in ("valid3", "valid4", "clear3"))
        m.d.sync += [valid3.eq(valid2), valid4.eq(valid3), cleared.eq(clear2)]
        m.d.comb += self.cleared.eq(cleared)
        zeros = Const(ZERO_CODE, OPERAND_WIDTH).replicate(self.channels)
        for row, word2 in enumerate(words2):
            left, middle, right, new = (Signal(word, name=f"{name}{row}", reset_less=True)
                                        for name in ("left", "middle", "right", "new"))
            m.d.sync += [new.eq(word2), right.eq(new)]
            with m.If(valid4):
                m.d.sync += [middle.eq(right), left.eq(middle)]
            with m.If(cleared):
                m.d.sync += [each.eq(zeros) for each in (left, middle, right)]
            for channel, window in enumerate(self.windows):
                m.d.comb += [window[3 * row + column].eq(each.word_select(channel, OPERAND_WIDTH))
                             for column, each in enumerate((left, middle, right))]
        return m
