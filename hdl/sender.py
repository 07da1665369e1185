"""Words out: the engine's side of its AXI4-Stream for results."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .fabric import counted_down
from .fifo import StreamRegister
from .isa import Instruction
from .memories import FetchedWord
from .ports import Beat

__all__ = ["WordSender"]


class WordSender(wiring.Component):
    """Turns activation words into beats of the output stream, the last one of a SEND marked.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word, which takes ``ceil(channels / 4)`` beats, lowest bits first.
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields. With short ones, words of a beat go out as they come.

    Members
    -------
    layers : ``In(stream.Signature(Instruction()))``
        SEND instructions.
    words : ``In(stream.Signature(FetchedWord(...)))``
        Words to send; those that are not live are dropped.
    o : ``Out(stream.Signature(Beat()))``
    idle : ``Out(1)``
        Nothing is left to be sent.
    """

    def __init__(self, *, channels, instruction=None):
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        self.instruction = instruction or Instruction()
        super().__init__({
            "layers": In(stream.Signature(self.instruction)),
            "words": In(stream.Signature(FetchedWord(channels=channels))),
            "o": Out(stream.Signature(Beat())),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        beats = -(-self.channels // 4)
        if self.instruction.lean and beats == 1:
            self._pass(m)
            return m
        m.submodules.out = out = StreamRegister(Beat())
        wiring.connect(m, out.o, wiring.flipped(self.o))
        busy = Signal()
        # Words after this one, less one: the sign tells the last.
        words_left = Signal(signed(len(self.layers.p.pixels) + 1))
        beat = Signal(range(beats + 1))     # Beats that the buffer still holds.
        some, more = Signal(), Signal()     # Any, and more than one; the latter goes far,
        single = Signal(init=1)             # and its opposite does not.
        buffer = Signal(32 * beats, reset_less=True)
        last = Signal()
        free = ~some | (out.i.ready & single)
        m.d.comb += [
            self.layers.ready.eq(~busy),
            self.idle.eq(~busy & ~some & ~out.o.valid),
            out.i.valid.eq(some), out.i.p.data.eq(buffer[:32]), out.i.p.last.eq(last & single),
            # The first word of a SEND may be here before its instruction.
            self.words.ready.eq(~self.words.p.live | (busy & free)),
        ]
        taken = busy & self.words.valid & self.words.p.live
        codes = Value.cast(self.words.p.codes)
        with m.If(~some | out.i.ready):
            with m.If(more):
                # What comes in at the top will not be looked at.
                m.d.sync += [buffer.eq(Cat(buffer[32:], codes)), beat.eq(beat - 1),
                             more.eq(beat > 2), single.eq(beat <= 2)]
            with m.Else():
                # Whatever is there, but it only counts if it is a word to be sent.
                m.d.sync += [buffer.eq(codes), beat.eq(beats),
                             last.eq(words_left < 0), some.eq(taken),
                             more.eq(taken & (beats > 1)), single.eq(~taken | (beats == 1))]
        with m.If(~busy):
            m.d.sync += [busy.eq(self.layers.valid), words_left.eq(self.layers.p.pixels - 1)]
        with m.Elif(free & self.words.valid & self.words.p.live):
            m.d.sync += [words_left.eq(words_left - 1), busy.eq(words_left >= 0)]
        return m

    def _pass(self, m):
        """Let words that are wanted out as they are."""
        busy, last, taken = Signal(), Signal(), Signal()
        words_left = Signal.like(self.layers.p.pixels, reset_less=True)
        m.d.comb += [
            self.layers.ready.eq(~busy), self.idle.eq(~busy), last.eq(words_left == 0),
            self.o.valid.eq(busy & self.words.valid & self.words.p.live),
            self.o.p.data.eq(self.words.p.codes), self.o.p.last.eq(last),
            self.words.ready.eq(~self.words.p.live | (busy & self.o.ready)),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += busy.eq(Mux(busy, ~(taken & last), self.layers.valid))
        with m.If(~busy | taken):
            m.d.sync += words_left.eq(counted_down(words_left, ~busy, self.layers.p.pixels))
