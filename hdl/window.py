"""Window unit: depthwise convolution 3x3 that reads each word of the input once."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
from .fifo import StreamBuffer, StreamRegister, counted
from .isa import Instruction
from .layouts import OPERAND_WIDTH, SumGroups
from .memories import FetchedWord
from .windowlines import ZERO_CODE, WindowLines, WindowWeights
from .windowsum import SUM_WIDTH, WindowSum
from .windowwalker import WindowWalker

__all__ = ["WindowUnit"]


class WindowUnit(wiring.Component):
    """Depthwise convolution with a kernel of 3x3 and any strides from 1 to 15.

    ::

        words ─ register ─ lines ─ window ─ sums ─ buffer ─ groups
        weights ────── ahead ─── in use ──┘

    ``sum = Σ code · weight`` over the taps of each channel, codes being int8, or uint8 less 128.
    Tap (ky, kx) meets the word of row ``y - 2 + ky`` and column ``x - 2 + kx`` when the word of
    row y and column x comes. That gives sums if y and x are at least 2, and ``y - 2`` and
    ``x - 2`` multiples of the strides.

    The words come in raster order: for each block of ``channels`` channels, frame by frame, the
    whole padded input. Golden function: :class:`golden.layer.ConvLayer`, the accumulator of a
    depthwise layer.

    Timing, exactly, so that a model can count cycles:

    - A live word that is taken waits in a register and *goes on* in the next cycle, or later; one
      that is not live is gone in the next cycle. While a word waits another one can be taken, and
      from the cycle after it has gone on a third.
    - A word of a layer goes on 2 cycles after the layer was accepted at the earliest, one a cycle.
    - The first word of a block goes on a cycle after all words of the block's weights have been
      taken. Those of the next block are taken from 4 cycles after that on, one a cycle. So blocks
      of at least ``ceil(9 / columns) * channels + 5`` words follow each other at one word a cycle.
    - A word goes on in cycle c if there is room for 4 pixels: :attr:`DEPTH`, less those whose words
      went on up to cycle c - 4, plus those whose last group was taken up to cycle c - 2. If groups
      are taken when they are offered, and a pixel has only one, that is always so.
    - The first group of a pixel is offered ``LATENCY - 1`` cycles after its word went on, so
      :attr:`LATENCY` after it was taken if it did not have to wait; or in the cycle after the last
      group of the pixel before was taken, if that is later. The others follow one a cycle.
    - A layer is accepted from the second cycle on after the last group of the layer before was
      taken, and the third one after its last word went on.

    After ``wrong`` whatever comes is taken for nothing.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word.
    columns : :class:`int`, 1 to 64
        Weights in a word.
    lanes : :class:`int`, a divisor of ``channels``, the quotient a power of two
        Sums in a group.
    slots : :class:`int`, at least ``channels / lanes``
        Of a group's layout.
    width : :class:`int`, 3 to 1024
        Words of the longest line, padding included. Two lines of that length are stored.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        Layers, all of them DEPTHWISE.
    words : ``In(stream.Signature(FetchedWord(...)))``
        Words, those that are not ``live`` for nothing.
    weights : ``In(stream.Signature(ArrayLayout(unsigned(8), columns)))``
        See :class:`hdl.windowlines.WindowWeights`.
    sums : ``Out(SumGroups(...))``
    loaded : ``Out(1)``
        The weights of the next block are there: before the first word of a layer, of its first.
    wrong : ``Out(1)``
        A layer's fields contradict each other, or it is too large (:class:`WindowWalker`).
    """

    #: Cycles from a word being taken to the first group of the pixel that it completes.
    LATENCY = 2 + WindowLines.LATENCY + WindowSum.LATENCY + 2
    #: Pixels that the buffer behind the sums holds; what a LUT RAM of 16 words and a register can.
    DEPTH = 16

    def __init__(self, *, channels, columns, lanes, slots, width, family="portable"):
        check_range("Channels", channels, 1, 64)
        check_range("Columns", columns, 1, 64)
        check_lanes(lanes, channels)
        check_range("Width", width, 3, 1024)
        groups = channels // lanes
        if groups & (groups - 1):
            raise ValueError("Channels divided by lanes must be a power of two, "
                             f"not {channels} / {lanes}")
        check_range("Slots", slots, groups, 64)
        self.channels = channels
        self.columns = columns
        self.lanes = lanes
        self.slots = slots
        self.groups = groups
        self.width = width
        self.family = family
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "words": In(stream.Signature(FetchedWord(channels=channels))),
            "weights": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, columns))),
            "sums": Out(SumGroups(lanes=lanes, slots=slots)),
            "loaded": Out(1),
            "wrong": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = WindowWalker(width=self.width)
        m.submodules.lines = lines = WindowLines(channels=self.channels, width=self.width,
                                               family=self.family)
        m.submodules.kernel = kernel = WindowWeights(channels=self.channels, columns=self.columns)
        wiring.connect(m, wiring.flipped(self.weights), kernel.words)
        room_next, idle = self._sums(m, walker, lines, kernel)

        # A layer is taken when the one before is done, and begins one cycle later.
        layer = Signal(Instruction(), reset_less=True)
        running, running_next = Signal(), Signal()
        free, accepted = Signal(init=1), Signal()
        m.d.comb += [
            self.layers.ready.eq(free), accepted.eq(self.layers.valid & free),
            self.wrong.eq(walker.wrong),
            self.loaded.eq(kernel.loaded),
            kernel.drop.eq(self.wrong),
            walker.layer.eq(layer),
        ]
        m.d.comb += running_next.eq(
            ~self.wrong & (walker.restart | (running & ~(walker.advance & walker.last))))
        m.d.sync += [
            walker.restart.eq(accepted), running.eq(running_next),
            free.eq((~accepted & ~walker.restart & ~running & idle) | self.wrong),
        ]
        with m.If(accepted):
            m.d.sync += layer.eq(self.layers.payload)

        # A word waits in a register of its own, so that nothing hangs on where it comes from.
        # It goes on only if there is room for what it may give; and a block's first word only with
        # the weights. Whether that is so is known from the cycle before.
        m.submodules.word = word = StreamRegister(
            self.words.payload.shape(), wide=("codes",))
        wiring.connect(m, wiring.flipped(self.words), word.i)
        able, codes = Signal(), word.o.p.codes
        m.d.sync += able.eq(running_next & room_next & ~(walker.first_next & ~kernel.loaded))
        m.d.comb += [
            word.o.ready.eq(able | ~word.o.p.live | self.wrong),
            walker.advance.eq(word.o.valid & word.o.p.live & able),
        ]
        # It does so from another register, as what the walker says of it.
        passed = Signal(codes.shape(), reset_less=True)
        sign = Mux(layer.unsigned, 0, ZERO_CODE)
        m.d.sync += [passed[channel].eq(code ^ sign) for channel, code in enumerate(codes)]
        m.d.comb += [
            lines.valid.eq(walker.passed),
            lines.column.eq(walker.column),
            lines.clear.eq(walker.first),
            lines.codes.eq(passed),
        ]
        return m

    def _sums(self, m, walker, lines, kernel):
        """From the windows to the groups; return whether there will be room for a pixel's in the
        next cycle, and whether all have left."""
        word = data.StructLayout({
            "sums": data.ArrayLayout(signed(SUM_WIDTH), self.channels), "renew": 1})
        m.submodules.buffer = buffer = StreamBuffer(word, depth=self.DEPTH)
        # The weights change with the first window of a block, which is of zeros.
        origin = Signal()
        m.d.comb += kernel.take.eq(lines.cleared)
        m.d.sync += origin.eq(lines.cleared)
        for channel in range(self.channels):
            m.submodules[f"sum{channel}"] = channel_sum = WindowSum()
            m.d.comb += [
                channel_sum.codes.eq(lines.windows[channel]),
                channel_sum.weights.eq(kernel.weights[channel]),
                channel_sum.origin.eq(origin),
                buffer.i.p.sums[channel].eq(channel_sum.o),
            ]
        gives = Signal(WindowLines.LATENCY + WindowSum.LATENCY)
        renew = Signal.like(gives)
        given = walker.passed & walker.gives
        m.d.sync += [gives.eq(Cat(given, gives[:-1])), renew.eq(Cat(walker.renew, renew[:-1]))]
        m.d.comb += [buffer.i.valid.eq(gives[-1]), buffer.i.p.renew.eq(renew[-1])]

        # One pixel after the other, in groups.
        slot = Signal(range(max(2, self.groups)))
        last = slot == self.groups - 1
        groups = Value.cast(buffer.o.p.sums)
        group = data.View(data.ArrayLayout(signed(SUM_WIDTH), self.lanes),
                          groups.word_select(slot, self.lanes * SUM_WIDTH))
        tag = self.sums.tag
        m.d.comb += [
            tag.valid.eq(buffer.o.valid),
            tag.p.slot.eq(slot),
            tag.p.renew.eq(buffer.o.p.renew & (slot == 0)),
            buffer.o.ready.eq(tag.ready & last),
        ]
        for lane in range(self.lanes):
            value = group[lane]
            for stage in range(lane):
                late = Signal(signed(SUM_WIDTH), name=f"value{lane}_{stage}", reset_less=True)
                m.d.sync += late.eq(value)
                value = late
            m.d.comb += self.sums.values[lane].eq(value)
        if self.groups > 1:
            with m.If(tag.valid & tag.ready):
                m.d.sync += slot.eq(Mux(last, 0, slot + 1))
        # A pixel is counted two cycles late, and the count is looked at one cycle late.
        left = Signal(range(self.DEPTH + 1), init=self.DEPTH)
        m.d.sync += left.eq(counted(left, buffer.o.valid & buffer.o.ready, gives[0]))
        return left > 3, (left == self.DEPTH) & ~gives[0] & ~walker.passed
