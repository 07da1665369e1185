"""Packets in, words out: the engine's side of its AXI4-Streams."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .isa import ADDRESS_WIDTH, Destination, Instruction, Status
from .memories import FetchedWord

__all__ = ["Beat", "PacketReceiver", "WordSender"]


class Beat(data.StructLayout):
    """A transfer of an AXI4-Stream: TDATA and TLAST."""

    def __init__(self):
        super().__init__({"data": 32, "last": 1})


class PacketReceiver(wiring.Component):
    """Takes packets (:class:`hdl.isa.Destination`) and fills memories with them.

    A frame waits, without being accepted, until a RECEIVE says where it goes; the other packets
    are for the time when no program runs. A packet that is wrong stops the engine: the receiver
    then accepts nothing more until it is reset.

    Parameters
    ----------
    widths : dict of :class:`hdl.isa.Destination` to :class:`int`
        Bits of a word of each memory, those of a frame being those of activations.

    Members
    -------
    i : ``In(stream.Signature(Beat()))``
    layers : ``In(stream.Signature(Instruction()))``
        RECEIVE instructions.
    busy : ``In(1)``
        A program runs.
    word, address : ``Out``
        Word to write, and where to; an address has a bit more than it needs, lest it wrap.
    write : ``Out(5)``
        For each destination but START, whether the word is to be written there.
    write_ready : ``In(1)``
        An activation word is accepted in this cycle; the others always are.
    start, frames : ``Out``
        Run the program at ``address`` for so many frames.
    frame_done : ``Out(1)``
        The last word of a frame is written in this cycle.
    idle : ``Out(1)``
        No packet is under way and no frame is awaited.
    loading : ``Out(1)``
        A packet other than a frame begins or is under way.
    failed, status : ``Out``
        A packet is wrong in this cycle, and how (:class:`hdl.isa.Status`).
    """

    def __init__(self, *, widths):
        self.widths = dict(widths)
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "layers": In(stream.Signature(Instruction())),
            "busy": In(1),
            "word": Out(max(self.widths.values())),
            "address": Out(ADDRESS_WIDTH + 1),
            "write": Out(len(self.widths)),
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
        destination = Signal(4)
        words_left = Signal(32)
        beat = Signal(8)
        buffer = Signal(32 * -(-len(self.word) // 32), reset_less=True)
        full = Signal()         # The buffer holds a word to be written.
        awaiting = Signal()     # A RECEIVE has been accepted and its frame is not complete.
        frame_address = Signal(ADDRESS_WIDTH)
        frame_words = Signal.like(self.layers.p.pixels)
        is_frame = destination == Destination.FRAME
        to_activations = is_frame | (destination == Destination.ACTIVATIONS)
        last_beat = Signal(8)
        with m.Switch(destination):
            for index, width in self.widths.items():
                with m.Case(index):
                    m.d.comb += last_beat.eq(-(-width // 32) - 1)

        m.d.comb += self.layers.ready.eq(~awaiting)
        with m.If(self.layers.valid & self.layers.ready):
            m.d.sync += [awaiting.eq(1), frame_address.eq(self.layers.p.base),
                         frame_words.eq(self.layers.p.pixels)]

        # The word is written from where its beats were gathered, the topmost beat last.
        written = full & (self.write_ready | ~to_activations)
        with m.Switch(destination):
            for index, width in self.widths.items():
                with m.Case(index):
                    beats = -(-width // 32)
                    m.d.comb += [self.word.eq(buffer[len(buffer) - 32 * beats:]),
                                 self.write[index].eq(full)]
        with m.If(written):
            m.d.sync += [full.eq(0), self.address.eq(self.address + 1)]

        with m.FSM() as fsm:
            m.d.comb += [
                self.idle.eq(fsm.ongoing("DESTINATION") & ~awaiting),
                self.loading.eq(~is_frame & ~fsm.ongoing("FAILED")),
            ]
            with m.State("DESTINATION"):
                self._destination(m, destination, beat, full)
            with m.State("LENGTH"):
                self._length(m, is_frame, awaiting, frame_address, frame_words, words_left,
                             destination)
            with m.State("WORDS"):
                self._words(m, buffer, beat, last_beat, full, written, words_left)
            with m.State("DRAIN"), m.If(written):
                m.next = "DESTINATION"
                with m.If(is_frame):
                    m.d.comb += self.frame_done.eq(1)
                    m.d.sync += awaiting.eq(0)
            with m.State("FAILED"):
                pass
        return m

    def _destination(self, m, destination, beat, full):
        """First word of a packet."""
        header = self.i.payload
        m.d.comb += [
            self.i.ready.eq(~full),
            self.loading.eq(self.i.valid & (header.data[:4] != Destination.FRAME)),
        ]
        m.d.sync += [destination.eq(header.data[:4]), self.address.eq(header.data[16:]),
                     beat.eq(0)]
        with m.If(self.i.valid & ~full):
            m.next = "LENGTH"
            with m.If(header.last):
                self._fail(m, Status.SHORT_PACKET)
            with m.Elif((header.data[:4] > Destination.START)
                        | (self.busy & (header.data[:4] != Destination.FRAME))):
                self._fail(m, Status.ILLEGAL_PACKET)

    def _length(self, m, is_frame, awaiting, frame_address, frame_words, words_left, destination):
        """Second word of a packet; a frame waits here until it is wanted."""
        beat = self.i.payload
        m.d.comb += self.i.ready.eq(~is_frame | awaiting)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += words_left.eq(beat.data)
            m.next = "WORDS"
            with m.If(is_frame):
                m.d.sync += self.address.eq(frame_address)
            with m.If(destination == Destination.START):
                m.next = "DESTINATION"
                m.d.comb += [self.start.eq(beat.last & (beat.data != 0)),
                             self.frames.eq(beat.data)]
                with m.If(~beat.last):
                    self._fail(m, Status.LONG_PACKET)
                with m.Elif(beat.data == 0):
                    self._fail(m, Status.SHORT_PACKET)
            with m.Elif(beat.last | (beat.data == 0)
                        | (is_frame & (beat.data <= frame_words))):
                self._fail(m, Status.SHORT_PACKET)
            with m.Elif(is_frame & (beat.data != frame_words + 1)):
                self._fail(m, Status.LONG_PACKET)

    def _words(self, m, buffer, beat, last_beat, full, written, words_left):
        """The words that follow, gathered from their beats."""
        accept = self.i.valid & (~full | written)
        m.d.comb += self.i.ready.eq(~full | written)
        with m.If(accept):
            m.d.sync += [buffer.eq(Cat(buffer[32:], self.i.p.data)), beat.eq(beat + 1)]
            end = (beat == last_beat) & (words_left == 1)
            with m.If(beat == last_beat):
                m.d.sync += [beat.eq(0), full.eq(1), words_left.eq(words_left - 1)]
            with m.If(end & self.i.p.last):
                m.next = "DRAIN"
            with m.Elif(end):
                self._fail(m, Status.LONG_PACKET)
            with m.Elif(self.i.p.last):
                self._fail(m, Status.SHORT_PACKET)

    def _fail(self, m, status):
        m.d.comb += [self.failed.eq(1), self.status.eq(status)]
        m.next = "FAILED"


class WordSender(wiring.Component):
    """Turns activation words into beats of the output stream, the last one of a SEND marked.

    Parameters
    ----------
    channels : :class:`int`, 1 to 64
        Codes in a word, which takes ``ceil(channels / 4)`` beats, lowest bits first.

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

    def __init__(self, *, channels):
        check_range("Channels", channels, 1, 64)
        self.channels = channels
        super().__init__({
            "layers": In(stream.Signature(Instruction())),
            "words": In(stream.Signature(FetchedWord(channels=channels))),
            "o": Out(stream.Signature(Beat())),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        beats = -(-self.channels // 4)
        busy = Signal()
        words_left = Signal.like(self.layers.p.pixels)
        beat = Signal(range(beats + 1))     # Beats that the buffer still holds.
        buffer = Signal(32 * beats, reset_less=True)
        last = Signal()
        m.d.comb += [
            self.layers.ready.eq(~busy),
            self.idle.eq(~busy & ~self.o.valid),
            self.o.valid.eq(beat != 0),
            self.o.p.data.eq(buffer[:32]),
            self.o.p.last.eq(last & (beat == 1)),
            # The first word of a SEND may be here before its instruction.
            self.words.ready.eq(~self.words.p.live
                                | (busy & ((beat == 0) | ((beat == 1) & self.o.ready)))),
        ]
        with m.If(self.layers.valid & self.layers.ready):
            m.d.sync += [busy.eq(1), words_left.eq(self.layers.p.pixels)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [beat.eq(beat - 1), buffer.eq(buffer >> 32)]
        with m.If(self.words.valid & self.words.ready & self.words.p.live):
            m.d.sync += [
                buffer.eq(Value.cast(self.words.p.codes)), beat.eq(beats),
                words_left.eq(words_left - 1), last.eq(words_left == 0),
                busy.eq(words_left != 0),
            ]
        return m
