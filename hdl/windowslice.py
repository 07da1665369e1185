"""A slice of the window unit: all that a few of its channels need."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .layouts import OPERAND_WIDTH
from .windowlines import WindowLines
from .windowsum import SUM_WIDTH, WindowSum
from .windowweights import WeightWord, WindowWeights

__all__ = ["SliceStep", "WindowSlice"]


class SliceStep(data.StructLayout):
    """What a slice is told in a cycle.

    Members
    -------
    valid, column, clear, codes
        A word of all channels, as :class:`hdl.windowlines.WindowLines` takes it.
    weights : :class:`hdl.windowweights.WeightWord`
    keep : 1 bit
        The sums of the word that came :attr:`WindowSlice.LATENCY` cycles before are wanted.
    place : ``range(places)``
        Where they go.
    """

    def __init__(self, *, channels, columns, width, places):
        super().__init__({
            "valid": 1,
            "column": range(width),
            "clear": 1,
            "codes": data.ArrayLayout(OPERAND_WIDTH, channels),
            "weights": WeightWord(channels=channels, columns=columns),
            "keep": 1,
            "place": range(places),
        })


class WindowSlice(wiring.Component):
    """Makes the sums of a few channels, and keeps them until they are asked for.

    ::

        codes ─ lines ─ window ─ sums ─ places
        weights ─ ahead ─ in use ──┘

    It has no reset: whatever is in it is overwritten before it is read.

    Parameters
    ----------
    channels, columns, width : :class:`int`
        Those of :class:`hdl.window.WindowUnit`.
    own : sequence of sequences of :class:`int`
        For each lane that the slice feeds its channels, in the order of groups.
    places : :class:`int`
        Pixels whose sums are kept.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    i : ``In(SliceStep(...))``
    read : ``In(range(places))``, one for each lane
        Place to read, written before.
    sums : ``Out(ArrayLayout(signed(19), len(own[lane])))``, one for each lane
        What is there, of each of the lane's channels.
    """

    #: Cycles from a word to the sums of the windows that it completes.
    LATENCY = WindowLines.LATENCY + WindowSum.LATENCY

    def __init__(self, *, channels, columns, width, own, places, family="portable"):
        self.channels = channels
        self.columns = columns
        self.width = width
        self.own = own
        self.places = places
        self.family = family
        super().__init__({
            "i": In(SliceStep(channels=channels, columns=columns, width=width, places=places)),
            "read": In(range(places)).array(len(own)),
            "sums": Out(data.ArrayLayout(signed(SUM_WIDTH), len(own[0]))).array(len(own)),
        })

    def elaborate(self, platform):
        m = Module()
        own = sum(self.own, ())
        m.submodules.lines = lines = WindowLines(channels=len(own), width=self.width,
                                                 family=self.family)
        m.submodules.kernel = kernel = WindowWeights(channels=self.channels, columns=self.columns,
                                                     own=own)
        # The weights change with the first window of a block, which is of zeros.
        origin = Signal(reset_less=True)
        m.d.sync += origin.eq(lines.cleared)
        m.d.comb += [
            lines.valid.eq(self.i.valid), lines.column.eq(self.i.column),
            lines.clear.eq(self.i.clear),
            kernel.word.eq(self.i.weights), kernel.take.eq(lines.cleared),
        ]
        sums = []
        for index, channel in enumerate(own):
            m.submodules[f"sum{index}"] = each = WindowSum()
            m.d.comb += [
                lines.codes[index].eq(self.i.codes[channel]),
                each.codes.eq(lines.windows[index]), each.weights.eq(kernel.weights[index]),
                each.origin.eq(origin),
            ]
            sums.append(each.o)

        parts = len(self.own[0])
        for lane, (place, kept) in enumerate(zip(self.read, self.sums, strict=True)):
            m.submodules[f"places{lane}"] = ring = memory.Memory(
                shape=parts * SUM_WIDTH, depth=self.places, init=[])
            write, read = ring.write_port(), ring.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.i.keep), write.addr.eq(self.i.place),
                write.data.eq(Cat(sums[lane * parts:(lane + 1) * parts])),
                read.addr.eq(place), Value.cast(kept).eq(read.data),
            ]
        return m
