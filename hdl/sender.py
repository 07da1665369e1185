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
        m.submodules.word = word = StreamRegister(self.words.payload.shape())
        wiring.connect(m, wiring.flipped(self.words), word.i)
        busy = Signal()
        # Words after this one, less one: the sign tells the last.
        words_left = Signal(signed(len(self.layers.p.pixels) + 1))
        beat, last_beat = Signal(range(max(2, beats))), Signal(init=beats == 1)
        live, done = word.o.p.live, Signal()
        m.d.comb += [
            self.layers.ready.eq(~busy),
            self.idle.eq(~busy & ~out.o.valid),
            # The first word of a SEND may be here before its instruction.
            out.i.valid.eq(word.o.valid & live & busy),
            out.i.p.data.eq(Value.cast(word.o.p.codes).word_select(beat, 32)),
            out.i.p.last.eq(last_beat & (words_left < 0)),
            word.o.ready.eq(~live | (busy & last_beat & out.i.ready)),
            done.eq(out.i.valid & out.i.ready & last_beat),
        ]
        if beats > 1:
            with m.If(out.i.valid & out.i.ready):
                m.d.sync += [beat.eq(Mux(last_beat, 0, beat + 1)),
                             last_beat.eq(beat == beats - 2)]
        with m.If(~busy | done):
            m.d.sync += [busy.eq(Mux(busy, words_left >= 0, self.layers.valid)),
                         words_left.eq(Mux(busy, words_left, self.layers.p.pixels) - 1)]
        return m

    def _pass(self, m):
        """Let words that are wanted out as they are."""
        busy, sending, last, taken = Signal(), Signal(), Signal(), Signal()
        words_left = Signal.like(self.layers.p.pixels, reset_less=True)
        m.d.comb += [
            self.layers.ready.eq(~busy), self.idle.eq(~busy),
            self.o.valid.eq(sending & self.words.valid & self.words.p.live),
            self.o.p.data.eq(self.words.p.codes), self.o.p.last.eq(last),
            self.words.ready.eq(~self.words.p.live | (sending & self.o.ready)),
            taken.eq(self.o.valid & self.o.ready),
        ]
        # Words are sent a cycle after their instruction came, so that their last one is known.
        m.d.sync += [
            busy.eq(Mux(busy, ~(taken & last), self.layers.valid)),
            sending.eq(busy & ~(taken & last)),
            last.eq((words_left[1:] == 0) & (words_left[0] == taken)),
        ]
        with m.If(~busy | taken):
            m.d.sync += words_left.eq(counted_down(words_left, ~busy, self.layers.p.pixels))
