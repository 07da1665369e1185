"""Window unit: depthwise convolution 3x3 that reads each word of the input once."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_lanes, check_range
from .fifo import ReservedBuffer, StreamRegister, counted
from .isa import Instruction
from .layouts import OPERAND_WIDTH, SumGroups
from .memories import FetchedWord
from .windowlines import ZERO_CODE
from .windowslice import SliceStep, WindowSlice
from .windowwalker import WindowWalker
from .windowweights import WindowLoader

__all__ = ["WindowUnit"]


class WindowUnit(wiring.Component):
    """Depthwise convolution with a kernel of 3x3 and any strides from 1 to 15.

    ::

        words ─ register ─┬─ slice of lanes 0 and 1 ─ values[0], values[1]
        weights ─ loader ─┘   │ two cycles later
                              ├─ slice of lanes 2 and 3 ─ values[2], values[3]  …

    ``sum = Σ code · weight`` over the taps of each channel, codes being int8, or uint8 less 128.
    Tap (ky, kx) meets the word of row ``y - 2 + ky`` and column ``x - 2 + kx`` when the word of
    row y and column x comes. That gives sums if y and x are at least 2, and ``y - 2`` and
    ``x - 2`` multiples of the strides.

    Nothing reaches all channels at once: what is to be done goes from slice to slice by two
    registers, and from lane to lane the place of the sums that are due.

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
        See :class:`hdl.windowweights.WeightWord`.
    sums : ``Out(SumGroups(...))``
    loaded : ``Out(1)``
        The weights of the next block are there: before the first word of a layer, of its first.
    wrong : ``Out(1)``
        A layer's fields contradict each other, or it is too large (:class:`WindowWalker`).
    """

    #: Cycles from a word being taken to the first group of the pixel that it completes.
    LATENCY = 2 + WindowSlice.LATENCY + ReservedBuffer.latency("portable")
    #: Pixels whose sums can wait; what a LUT RAM of 16 words holds. A lane reads them a cycle after
    #: the lane before, which is no later than they would be overwritten: that too is late by then.
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
        m.submodules.loader = loader = WindowLoader(channels=self.channels, columns=self.columns)
        wiring.connect(m, wiring.flipped(self.weights), loader.words)
        step = Signal(SliceStep(channels=self.channels, columns=self.columns, width=self.width,
                                places=self.DEPTH))
        room_next, idle = self._sums(m, step, walker)

        # A layer is taken when the one before is done, and begins one cycle later.
        layer = Signal(Instruction(), reset_less=True)
        running, running_next = Signal(), Signal()
        free, accepted = Signal(init=1), Signal()
        m.d.comb += [
            self.layers.ready.eq(free), accepted.eq(self.layers.valid & free),
            self.wrong.eq(walker.wrong),
            self.loaded.eq(loader.loaded),
            loader.drop.eq(self.wrong),
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
        m.d.sync += able.eq(running_next & room_next & ~(walker.first_next & ~loader.loaded))
        m.d.comb += [
            word.o.ready.eq(able | ~word.o.p.live | self.wrong),
            walker.advance.eq(word.o.valid & word.o.p.live & able),
        ]
        # It does so from another register, as what the walker says of it. The loader is told
        # two cycles later; a word that it takes then finds the slices' weights changed.
        passed = Signal(codes.shape(), reset_less=True)
        first = Signal(2)
        sign = Mux(layer.unsigned, 0, ZERO_CODE)
        m.d.sync += [passed[channel].eq(code ^ sign) for channel, code in enumerate(codes)]
        m.d.sync += first.eq(Cat(walker.passed & walker.first, first))
        m.d.comb += [
            step.valid.eq(walker.passed),
            step.column.eq(walker.column),
            step.clear.eq(walker.first),
            step.codes.eq(passed),
            step.weights.eq(loader.o),
            loader.take.eq(first[1]),
        ]
        return m

    def _sums(self, m, step, walker):
        """From the steps to the groups; return whether there will be room for a pixel's in the
        next cycle, and whether all have left."""
        gives = Signal(WindowSlice.LATENCY)
        renew = Signal.like(gives)
        given = walker.passed & walker.gives
        place = Signal(range(self.DEPTH))
        m.d.sync += [gives.eq(Cat(given, gives[:-1])), renew.eq(Cat(walker.renew, renew[:-1])),
                     place.eq(place + gives[-1])]
        m.submodules.pixels = pixels = ReservedBuffer(1, depth=self.DEPTH)
        m.d.comb += [step.keep.eq(gives[-1]), step.place.eq(place),
                     pixels.i.valid.eq(gives[-1]), pixels.i.p.eq(renew[-1])]

        # One pixel after the other, in groups.
        read = Signal(data.StructLayout({"place": range(self.DEPTH),
                                         "slot": range(max(2, self.groups))}))
        last = read.slot == self.groups - 1
        taken, tag = Signal(), self.sums.tag
        m.d.comb += [
            tag.valid.eq(pixels.o.valid),
            tag.p.slot.eq(read.slot),
            tag.p.renew.eq(pixels.o.p & (read.slot == 0)),
            pixels.o.ready.eq(tag.ready & last),
            taken.eq(pixels.o.valid & pixels.o.ready),
        ]
        m.d.sync += read.place.eq(read.place + taken)
        if self.groups > 1:
            with m.If(tag.valid & tag.ready):
                m.d.sync += read.slot.eq(Mux(last, 0, read.slot + 1))
        self._slices(m, step, read)

        # A pixel is counted two cycles late, and the count is looked at one cycle late. To that, a
        # place that came back in the cycle before is still to be added.
        left, returned = Signal(range(self.DEPTH + 1), init=self.DEPTH), Signal()
        free = Signal.like(left)
        m.d.comb += free.eq(left + returned)
        m.d.sync += [returned.eq(taken), left.eq(counted(left, returned, gives[0]))]
        return free > 3, (free == self.DEPTH) & ~gives[0] & ~walker.passed

    def _slices(self, m, step, read):
        """Give the values of ``read`` lane by lane; no later slice is given bits in vain, since
        synthesis removes what nothing takes."""
        def later(value, name):
            register = Signal(value.shape(), name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        for start in range(0, self.lanes, 2):
            lanes = range(start, min(start + 2, self.lanes))
            if start:
                step = later(later(step, f"step{start - 1}"), f"step{start}")
            m.submodules[f"slice{start}"] = part = WindowSlice(
                channels=self.channels, columns=self.columns, width=self.width,
                own=tuple(tuple(range(lane, self.channels, self.lanes)) for lane in lanes),
                places=self.DEPTH, family=self.family)
            m.d.comb += part.i.eq(step)
            for lane, place, sums in zip(lanes, part.read, part.sums, strict=True):
                if lane:
                    read = later(read, f"read{lane}")
                m.d.comb += [place.eq(read.place), self.sums.values[lane].eq(sums[read.slot])]
