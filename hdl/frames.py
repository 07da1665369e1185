"""Frames of the host link: words out of the line's bytes, and bytes out of words."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .linkformat import ESCAPE, ESCAPED, FLAG, MAX_WORDS
from .uart import ReceivedByte

__all__ = ["BYTE_CYCLES", "Checksum", "FrameReceiver", "FrameSender", "FrameWord"]


#: Cycles from a byte to the next one that a receiver needs. A line takes 40 or more.
BYTE_CYCLES = 10


class Checksum(wiring.Component):
    """CRC-32 of a row of bits, one a cycle: of bytes, each from its lowest bit.

    Members
    -------
    start : ``In(1)``
        Nothing has come yet. This wins over a bit in the same cycle.
    valid, bit : ``In(1)``
        A bit comes.
    leave : ``In(1)``
        The CRC's own lowest bit leaves it, in the place of one that comes.
    crc : ``Out(32)``
        Of the bits before, as it is sent; from its lowest bit.
    match : ``Out(1)``
        The bits before were some and their CRC.
    """

    #: By falling powers, the highest one left out; and what a row with its CRC leaves.
    POLYNOMIAL, RESIDUE = 0xEDB8_8320, 0xDEBB_20E3

    def __init__(self):
        super().__init__({"start": In(1), "valid": In(1), "bit": In(1), "leave": In(1),
                          "crc": Out(32), "match": Out(1)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(32)
        turn = (state[0] ^ self.bit) & ~self.leave
        m.d.comb += [self.crc.eq(~state), self.match.eq(state == self.RESIDUE)]
        with m.If(self.start):
            m.d.sync += state.eq(~0)
        with m.Elif(self.valid | self.leave):
            m.d.sync += state.eq((state >> 1) ^ Mux(turn, self.POLYNOMIAL, 0))
        return m


class FrameReceiver(wiring.Component):
    """Takes frames (:mod:`hdl.linkformat`) out of bytes, whatever lies between them.

    Nothing of a frame counts before ``end`` has said that it is good. An empty frame, as between
    two flags in succession, is none. Outputs are registers: they are one cycle late.

    Members
    -------
    i : ``In(stream.Signature(ReceivedByte(), always_ready=True))``
        Bytes, at least :data:`BYTE_CYCLES` cycles apart.
    clear : ``In(1)``
        Drop this cycle's byte, and all that come behind it, up to a flag.
    word, word_valid : ``Out(32)``, ``Out(1)``
        A word of the frame is complete: the header, the body, or the CRC.
    index : ``Out(range(MAX_WORDS + 3))``
        Words before it; at ``end``, all of the frame.
    end, good : ``Out(1)``
        A frame has ended, and it is as it was sent: of whole words, no more than there
        may be, with the right CRC.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(ReceivedByte(), always_ready=True)),
            "clear": In(1),
            "word": Out(32),
            "word_valid": Out(1),
            "index": Out(range(MAX_WORDS + 3)),
            "end": Out(1),
            "good": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = checksum = Checksum()
        word = Signal(32, reset_less=True)      # Its latest byte is on top.
        position = Signal(2)        # Of the next byte in its word.
        bit = Signal(4, init=8)     # Of the latest byte, which goes into the CRC; from 8 on, none.
        hunting = Signal(init=1)    # No flag has come yet.
        empty = Signal()
        escaping = Signal()
        bad = Signal()
        byte = self.i.p.data ^ Mux(escaping, ESCAPED, 0)
        flag = self.i.valid & (self.i.p.data == FLAG) & ~self.i.p.error
        taken, complete = Signal(), Signal()    # A byte of a word, and the last one of it.
        full = self.index == MAX_WORDS + 2
        m.d.sync += [
            self.word_valid.eq(complete),
            self.end.eq(flag & ~hunting & ~empty & ~self.clear),
            self.good.eq(checksum.match & (position == 0) & ~escaping & ~bad),
        ]
        m.d.comb += [
            self.word.eq(word),
            taken.eq(self.i.valid & ~flag & ~hunting & ~self.clear
                     & (escaping | (self.i.p.data != ESCAPE))),
            complete.eq(taken & (position == 3) & ~bad),
            checksum.start.eq(flag), checksum.valid.eq(~bit[3]),
            checksum.bit.eq(word[24:].bit_select(bit[:3], 1)),
        ]
        with m.If(self.i.valid):
            m.d.sync += [escaping.eq((self.i.p.data == ESCAPE) & ~escaping), empty.eq(0)]
            with m.If(self.i.p.error):
                m.d.sync += bad.eq(1)
        with m.If(~bit[3]):
            m.d.sync += bit.eq(bit + 1)
        with m.If(taken):
            m.d.sync += [word.eq(Cat(word[8:], byte)), position.eq(position + 1), bit.eq(0)]
        with m.If(complete & full):
            m.d.sync += bad.eq(1)
        # Whoever takes the word and this number looks at both in the same cycle.
        with m.If(self.word_valid & ~full):
            m.d.sync += self.index.eq(self.index + 1)
        # Its number of words is looked at in the cycle behind the flag that ends it.
        with m.If(self.i.valid & empty):
            m.d.sync += self.index.eq(0)
        with m.If(flag):
            m.d.sync += [hunting.eq(0), empty.eq(1), escaping.eq(0), bad.eq(0), position.eq(0)]
        with m.If(self.clear):
            m.d.sync += hunting.eq(1)
        return m


class FrameWord(data.StructLayout):
    """A word of a frame without its CRC, and whether it is the last one."""

    def __init__(self):
        super().__init__({"data": 32, "last": 1})


class FrameSender(wiring.Component):
    """Makes frames (:mod:`hdl.linkformat`) of words, and adds their CRC.

    Behind a byte there are eight cycles until the next one, and behind a word one more.

    Members
    -------
    i : ``In(stream.Signature(FrameWord()))``
    o : ``Out(stream.Signature(8))``
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(FrameWord())),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.checksum = checksum = Checksum()
        shift = Signal(32, reset_less=True)     # What is left of the word, lowest bit first.
        bit = Signal(5)                         # Of the word, or of the CRC.
        in_crc, last = Signal(), Signal()
        byte = Mux(in_crc, checksum.crc[:8], shift[:8])
        m.d.comb += checksum.bit.eq(shift[0])
        with m.FSM():
            with m.State("FLAG"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(FLAG),
                             checksum.start.eq(1)]
                m.d.sync += in_crc.eq(0)
                with m.If(self.i.valid & self.o.ready):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [shift.eq(self.i.p.data), last.eq(self.i.p.last)]
                with m.If(self.i.valid):
                    m.next = "BYTE"
            with m.State("BYTE"):
                special = (byte == FLAG) | (byte == ESCAPE)
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(Mux(special, ESCAPE, byte))]
                with m.If(self.o.ready):
                    m.next = "NEXT"
                    with m.If(special):
                        m.next = "ESCAPED"
            with m.State("ESCAPED"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte ^ ESCAPED)]
                with m.If(self.o.ready):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += [checksum.valid.eq(~in_crc), checksum.leave.eq(in_crc)]
                m.d.sync += [shift.eq(shift >> 1), bit.eq(bit + 1)]
                with m.If(bit[:3] == 7):
                    m.next = "BYTE"
                with m.If(bit == 31):
                    m.d.sync += in_crc.eq(last)
                    m.next = "WORD"
                    with m.If(in_crc):
                        m.next = "END"
                    with m.Elif(last):
                        m.next = "BYTE"
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "FLAG"
        return m
