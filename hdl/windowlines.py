"""What the window unit keeps: the lines above, the window itself, and its weights."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import BlockMemory
from .checks import check_range
from .layouts import OPERAND_WIDTH
from .operands import WINDOW_TAPS, window_steps

__all__ = ["ZERO_CODE", "WindowLines", "WindowWeights"]


#: What stands for zero in the window: its codes are 128 more than int8 ones.
ZERO_CODE = 1 << (OPERAND_WIDTH - 1)


class WindowLines(wiring.Component):
    """Keeps two lines of words, and makes windows of 3x3 words of what comes in raster order.

    ::

        word ──────┬─────────────── right ─ middle ─ left      row 2
                   └─ line buffer ┬ right ─ middle ─ left      row 1
                   ┌──────────────┘
                   └─ line buffer ─ right ─ middle ─ left      row 0

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
        For each channel its window, row by row, 3 cycles after the word at its lower right.
    """

    LATENCY = 3

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
        valid1, clear1 = Signal(), Signal()
        column1 = Signal.like(self.column, reset_less=True)
        codes1 = Signal(word, reset_less=True)
        m.d.sync += [valid1.eq(self.valid), clear1.eq(self.valid & self.clear),
                     column1.eq(self.column), codes1.eq(self.codes)]

        valid2 = Signal()
        column2 = Signal.like(self.column, reset_less=True)
        codes2 = Signal(word, reset_less=True)
        words2 = [*(storage.read_data.word_select(row, word.width) for row in range(2)), codes2]
        m.d.sync += [valid2.eq(valid1), self.cleared.eq(clear1), column2.eq(column1),
                     codes2.eq(codes1)]
        m.d.comb += [
            storage.write_address.eq(column2), storage.write_en.eq(valid2),
            storage.write_data.eq(Cat(words2[1], words2[2])),
        ]

        # Stage 3: the window, whose right column is a word's only in the cycle after that came.
        valid3 = Signal()
        m.d.sync += valid3.eq(valid2)
        zeros = Const(ZERO_CODE, OPERAND_WIDTH).replicate(self.channels)
        for row, new in enumerate(words2):
            left, middle, right = (Signal(word, name=f"{name}{row}", reset_less=True)
                                   for name in ("left", "middle", "right"))
            m.d.sync += right.eq(new)
            with m.If(valid3):
                m.d.sync += [middle.eq(right), left.eq(middle)]
            with m.If(self.cleared):
                m.d.sync += [each.eq(zeros) for each in (left, middle, right)]
            for channel, window in enumerate(self.windows):
                m.d.comb += [window[3 * row + column].eq(each.word_select(channel, OPERAND_WIDTH))
                             for column, each in enumerate((left, middle, right))]
        return m


class WindowWeights(wiring.Component):
    """Holds the weights of a block of channels, and takes those of the next one ahead.

    A block's weights are ``ceil(9 / columns) * channels`` words of ``columns`` bytes, of which the
    first ``9 * channels`` count: tap by tap, and channel by channel in a tap.

    Parameters
    ----------
    channels, columns : :class:`int`, 1 to 64

    Members
    -------
    words : ``In(stream.Signature(ArrayLayout(unsigned(8), columns)))``
    drop : ``In(1)``
        Take all words, for nothing.
    loaded, loaded_next : ``Out(1)``
        The next block's weights have all been taken; and whether that will be so in the next cycle.
    take : ``In(1)``
        They come into use in the next cycle; only from the second cycle of ``loaded`` on.
    weights : ``Out(ArrayLayout(ArrayLayout(signed(8), 9), channels))``
        For each channel those in use, tap by tap.
    """

    def __init__(self, *, channels, columns):
        check_range("Channels", channels, 1, 64)
        check_range("Columns", columns, 1, 64)
        self.channels = channels
        self.columns = columns
        super().__init__({
            "words": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, columns))),
            "drop": In(1),
            "loaded": Out(1),
            "loaded_next": Out(1),
            "take": In(1),
            "weights": Out(data.ArrayLayout(
                data.ArrayLayout(signed(OPERAND_WIDTH), WINDOW_TAPS), channels)),
        })

    def elaborate(self, platform):
        m = Module()
        # Which word comes next, one bit for each.
        number = window_steps(self.columns) * self.channels
        expected = Signal(number, init=1)
        transfer = Signal()
        m.d.comb += [
            self.words.ready.eq(~self.loaded | self.drop),
            transfer.eq(self.words.valid & ~self.loaded),
            self.loaded_next.eq(Mux(transfer, expected[-1], self.loaded) & ~self.take),
        ]
        with m.If(transfer):
            m.d.sync += expected.eq(expected.rotate_left(1))
        m.d.sync += self.loaded.eq(self.loaded_next)

        # A word is written from a register. The last one is there before it can come into use,
        # which is two cycles or more after it was taken.
        size = WINDOW_TAPS * self.channels
        count = -(-size // self.columns)
        ahead = Signal(data.ArrayLayout(OPERAND_WIDTH, size), reset_less=True)
        new = Signal(self.words.payload.shape(), reset_less=True)
        writes = Signal(count)
        m.d.sync += [new.eq(self.words.payload),
                     writes.eq(expected[:count] & transfer.replicate(count))]
        for word in range(count):
            start = word * self.columns
            stop = min(start + self.columns, size)
            with m.If(writes[word]):
                m.d.sync += [ahead[byte].eq(new[byte - start]) for byte in range(start, stop)]
        for channel, weights in enumerate(self.weights):
            for tap in range(WINDOW_TAPS):
                weight = Signal(OPERAND_WIDTH, name=f"weight{channel}_{tap}", reset_less=True)
                with m.If(self.take):
                    m.d.sync += weight.eq(ahead[tap * self.channels + channel])
                m.d.comb += weights[tap].eq(weight)
        return m
