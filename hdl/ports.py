"""Packets in: the engine's side of its AXI4-Stream for them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .fabric import counted_on
from .fifo import StreamRegister
from .isa import ADDRESS_WIDTH, Destination, Instruction, Status

__all__ = ["Beat", "PacketReceiver"]


#: Where in a packet the receiver is.
_STATES = ("header", "begun", "waiting", "length", "counted", "compared", "judged", "checked",
           "words", "drain")


class Beat(data.StructLayout):
    """A transfer of an AXI4-Stream: TDATA and TLAST."""

    def __init__(self):
        super().__init__({"data": 32, "last": 1})


class PacketReceiver(wiring.Component):
    """Takes packets (:class:`hdl.isa.Destination`) and fills memories with them.

    A frame waits, without being accepted, until a RECEIVE says where it goes; the other packets
    are for the time when no program runs. A packet that is wrong stops the engine: the receiver
    then takes nothing more until it is reset, though two beats may still go into the register in
    front of it.

    Destination and length are compared with what they may be over some cycles, :attr:`HEAD` in
    all. Then a beat a cycle is accepted, and a word written in the cycle after its last beat, or
    later if ``write_ready`` is low.

    Parameters
    ----------
    widths : dict of :class:`hdl.isa.Destination` to :class:`int`
        Bits of a word of each memory, those of a frame being those of activations.
    instruction : :class:`hdl.isa.Instruction`, optional
        Widths of the fields. With short ones nothing is registered in front.
    counter_width : :class:`int`, 1 to 32
        Bits of a number of frames; a START of more announces too many.
    by_beats : set of :class:`hdl.isa.Destination`
        Memories that take a word beat by beat, each written alone.

    Members
    -------
    i : ``In(stream.Signature(Beat()))``
    layers : ``In(stream.Signature(Instruction()))``
        RECEIVE instructions.
    busy : ``In(1)``
        A program runs.
    word, address : ``Out``
        Word to write, and where to; an address has a bit more than it needs, lest it wrap.
    part : ``Out``
        Of a word that is written beat by beat, a bit for each beat: that which the lowest bits of
        ``word`` hold.
    write : ``Out(5)``
        For each destination but START, whether the word is to be written there.
    offers, offers_next : ``Out(1)``
        Whether one of those is of activations: a register, since their memory hangs on it; and what
        it will be in the next cycle.
    write_ready : ``In(1)``
        An activation word is accepted in this cycle; the others always are.
    start, frames : ``Out``
        Run the program at ``address`` for so many frames.
    frame_done : ``Out(1)``
        The last word of a frame was written in the cycle before.
    idle : ``Out(1)``
        No packet is under way and no frame is awaited.
    loading : ``Out(1)``
        A packet other than a frame begins or is under way.
    failed, status : ``Out``
        A packet is found to be wrong, and how (:class:`hdl.isa.Status`).
    """

    HEAD = 8

    def __init__(self, *, widths, instruction=None, counter_width=32, by_beats=frozenset()):
        self.widths = dict(widths)
        self.instruction = instruction or Instruction()
        self.counter_width = counter_width
        self.by_beats = by_beats
        self.sizes = [-(-width // 32) for _, width in sorted(self.widths.items())]
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "layers": In(stream.Signature(self.instruction)),
            "busy": In(1),
            "word": Out(max(32 if index in by_beats else width
                            for index, width in self.widths.items())),
            "part": Out(max(self.sizes)),
            "address": Out(ADDRESS_WIDTH + 1),
            "write": Out(len(self.widths)),
            "offers": Out(1),
            "offers_next": Out(1),
            "write_ready": In(1),
            "start": Out(1),
            "frames": Out(32),
            "frame_done": Out(1),
            "idle": Out(1),
            "loading": Out(1),
            "failed": Out(1),
            "status": Out(4),
        })

    def elaborate(self, platform):
        m = Module()
        beat = self.i
        if not self.instruction.lean:
            m.submodules.front = front = StreamRegister(Beat())
            wiring.connect(m, wiring.flipped(self.i), front.i)
            beat = front.o
        # None of these once it has failed.
        state = Signal(data.StructLayout(dict.fromkeys(_STATES, 1)), init={"header": 1})
        chosen = Signal(len(self.widths))       # Memory, by its destination.
        is_frame, is_start, illegal, header_last = Signal(), Signal(), Signal(), Signal()
        to_activations = Signal()
        address = Signal(ADDRESS_WIDTH, reset_less=True)
        code = beat.p.data[:4]
        with m.If(state.header):
            m.d.sync += [
                chosen.eq(Cat(code == index for index in range(len(self.widths)))),
                is_frame.eq(code == Destination.FRAME), is_start.eq(code == Destination.START),
                to_activations.eq((code == Destination.FRAME) | (code == Destination.ACTIVATIONS)),
                illegal.eq(code > Destination.START), header_last.eq(beat.p.last),
                address.eq(beat.p.data[16:]),
            ]

        awaiting, frame_address, frame_words = self._await(m)
        first_address = Signal(ADDRESS_WIDTH, reset_less=True)
        if self.instruction.lean:
            self._place_lean(m, state, beat)
        else:
            m.d.sync += first_address.eq(Mux(is_frame, frame_address, address))
        wanted = ~is_frame | awaiting
        moves, last_beat, written = self._words(m, state, beat, chosen=chosen, first=first_address,
                                                to_activations=to_activations)
        short, long, last_word = self._length(
            m, state, beat, is_start=is_start, is_frame=is_frame, frame_words=frame_words,
            whole=moves & last_beat)
        end, accept = last_beat & last_word, state.words & moves

        ended, dead = state.drain & written, Signal()
        bad_header = header_last | illegal | (self.busy & ~is_frame)
        bad = Signal(3)
        m.d.comb += [
            beat.ready.eq(state.header | state.length | (state.words & written)),
            self.failed.eq(bad.any()),
            self.idle.eq(state.header & ~beat.valid & ~awaiting),
            self.loading.eq(Mux(state.header, beat.valid & (code != Destination.FRAME),
                                ~is_frame & ~dead)),
        ]
        self._advance(m, state, beat, wanted=wanted, bad_header=bad_header, is_start=is_start,
                      good=~short & ~long, accept=accept, end=end, written=written,
                      last=state.words & beat.valid & end & beat.p.last)
        m.d.sync += [
            self.frame_done.eq(ended & is_frame),
            self.start.eq(state.checked & is_start & ~short & ~long),
            bad.eq(Cat(state.begun & bad_header, state.checked & (short | long),
                       accept & (end != beat.p.last))),
            dead.eq(dead | bad.any()),
            self.status.eq(_fault(state, header_last, Mux(state.checked, short, beat.p.last))),
        ]
        return m

    def _place_lean(self, m, state, beat):
        """Set the address at once: while a program runs there are no packets but of frames, which
        need a RECEIVE first."""
        with m.If(state.header & beat.valid & (beat.p.data[:4] != Destination.FRAME)):
            m.d.sync += self.address.eq(beat.p.data[16:])
        with m.If(self.layers.ready & self.layers.valid):
            m.d.sync += self.address.eq(self.layers.p.base)

    def _await(self, m):
        """Return whether a RECEIVE is accepted whose frame is not complete, where the frame goes,
        and its words less one, each bit inverted."""
        awaiting = Signal()
        # The complement, which is what will be added.
        address, wanted = Signal(ADDRESS_WIDTH), Signal.like(self.layers.p.pixels)
        m.d.comb += self.layers.ready.eq(~awaiting)
        with m.If(~awaiting):
            m.d.sync += [awaiting.eq(self.layers.valid), address.eq(self.layers.p.base),
                         wanted.eq(~self.layers.p.pixels)]
        with m.If(self.frame_done):
            m.d.sync += awaiting.eq(0)
        return awaiting, address, wanted

    def _advance(self, m, state, beat, *, wanted, bad_header, is_start, good, accept, end, written,
                 last):
        """From one state to the next, or to none after a fault. A word that is ``last`` is accepted
        if it is written: that comes late."""
        m.d.sync += [
            state.header.eq(Mux(state.header, ~beat.valid, (state.drain & written) | (
                state.checked & is_start & good))),
            state.begun.eq(state.header & beat.valid),
            state.waiting.eq(Mux(state.waiting, ~wanted, state.begun & ~bad_header)),
            state.length.eq(Mux(state.length, ~beat.valid, state.waiting & wanted)),
            state.counted.eq(state.length & beat.valid), state.compared.eq(state.counted),
            state.judged.eq(state.compared), state.checked.eq(state.judged),
            state.words.eq(Mux(state.words, ~(accept & (end | beat.p.last)),
                               state.checked & ~is_start & good)),
            state.drain.eq(Mux(state.drain, ~written, written & last)),
        ]

    def _length(self, m, state, beat, *, is_start, is_frame, frame_words, whole):
        """Second word of a packet, compared step by step with what it may be: return whether it
        says too few words or too many, and, of the words that follow, whether this is the last.

        ``whole`` counts the words, while there are any.
        """
        # Words left after this one, less one, so that the sign tells the last; no memory has so
        # many words that they would not have gone beyond it before this is wrong.
        left = Signal(signed(ADDRESS_WIDTH + 2), reset_less=True)
        # Of what is announced, a lean engine keeps so many bits, and whether there are more.
        kept = ADDRESS_WIDTH + 1 if self.instruction.lean else len(self.frames)
        beyond = Signal() if self.instruction.lean else C(0, 1)
        frames = self.frames[:kept]
        more = Signal(kept + 1, reset_less=True)    # Than the frame has.
        some, different = (Signal(2, name=name, reset_less=True) for name in ("some", "different"))
        adjusting, none, fewer, huge, last, short, long = (
            Signal(name=name, reset_less=True)
            for name in ("adjusting", "none", "fewer", "huge", "last", "short", "long"))
        with m.If(state.length):
            m.d.sync += [frames.eq(beat.p.data), last.eq(beat.p.last)]
            if self.instruction.lean:
                m.d.sync += beyond.eq(beat.p.data[kept:].any())
        with m.If(~state.words | whole):
            m.d.sync += left.eq(Mux(adjusting, self.frames[:ADDRESS_WIDTH + 1], left)
                                + Cat(~adjusting, Const(-1, ADDRESS_WIDTH + 1)))
        m.d.sync += [
            # While it is counted.
            some.eq(Cat(frames[:16].any(), frames[16:].any() | beyond)),
            more.eq(frames + Cat(frame_words, Const(-1, len(more) - len(frame_words)))),
            huge.eq(frames[ADDRESS_WIDTH + 1:].any() | beyond),
            # Compared.
            none.eq(~some.any()), fewer.eq(more[-1] & ~beyond),
            different.eq(Cat(more[:16].any(), more[16:].any() | beyond)),
            # Judged.
            adjusting.eq(state.judged),
            short.eq(Mux(is_start, last & none, last | none | (is_frame & fewer))),
            long.eq(Mux(is_start, ~last | frames[self.counter_width:].any() | beyond,
                        is_frame & different.any())),
        ]
        return short, long, (left < 0) & ~huge

    def _words(self, m, state, beat, *, chosen, first, to_activations):
        """The words that follow, gathered from their beats. Return whether a beat moves on, if it
        is one of these, whether it is the last one of its word, and whether a word is written."""
        sizes = self.sizes
        buffer = Signal(32 * -(-len(self.word) // 32), reset_less=True)
        # The buffer holds a word to be written: an activation word, or another, or part of one.
        holding, direct, ends = self.offers, Signal(), Signal()
        alone = Cat(chosen[index] for index in sorted(self.by_beats)).any()
        # Of the beat in its word, and those left after it, less one.
        place = Signal(max(sizes), init=1, reset_less=True)
        beats = Signal(range(-1, max(2, max(sizes))), reset_less=True)
        beats_left = Signal.like(beats)
        stalled = holding & ~self.write_ready
        written = ~holding | self.write_ready
        moves = beat.valid & written
        last_beat = beats_left < 0
        for index, size in enumerate(sizes):
            with m.If(chosen[index]):
                m.d.sync += beats.eq(size - 2)
        with m.If(~state.words):
            m.d.sync += [place.eq(1), beats_left.eq(beats)]
        with m.Elif(moves):
            m.d.sync += [place.eq(Mux(last_beat, 1, place << 1)),
                         beats_left.eq(Mux(last_beat, beats, beats_left - 1))]
        # A place takes whatever comes until it is the next one's turn.
        for index in range(len(buffer) // 32):
            with m.If((place[index] | (alone if index == 0 else 0)) & ~stalled):
                m.d.sync += buffer[32 * index:32 * index + 32].eq(beat.p.data)
        whole = state.words & moves & last_beat
        m.d.sync += [direct.eq(state.words & moves & (last_beat | alone) & ~to_activations),
                     holding.eq(self.offers_next)]
        m.d.comb += [self.offers_next.eq(stalled | (whole & to_activations)),
                     self.word.eq(buffer), self.write.eq(Mux(holding | direct, chosen, 0))]
        if self.by_beats:
            m.d.sync += [self.part.eq(place), ends.eq(last_beat)]
        else:
            m.d.comb += ends.eq(1)
        step = (direct & ends) | (holding & self.write_ready)
        if self.instruction.lean:
            with m.If(step):
                m.d.sync += self.address.eq(self.address + 1)
        else:
            with m.If(state.compared | step):
                m.d.sync += self.address.eq(counted_on(self.address, state.compared, first, 1))
        return moves, last_beat, written


def _fault(state, header_last, short):
    """Return the status of a packet that is wrong, whose header was its last beat, or which is
    too ``short``."""
    return Mux(state.begun, Mux(header_last, Status.SHORT_PACKET, Status.ILLEGAL_PACKET),
               Mux(short, Status.SHORT_PACKET, Status.LONG_PACKET))
