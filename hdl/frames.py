"""Frames of the host link: words out of the line's bytes, and bytes out of words."""

from amaranth import *
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .linkformat import ESCAPE, ESCAPED, FLAG, MAX_WORDS
from .uart import ReceivedByte

__all__ = ["FrameReceiver", "FrameSender", "FrameWord"]


def _checksum():
    return crc.Processor(CRC32_ISO_HDLC(data_width=8))


class FrameReceiver(wiring.Component):
    """Takes frames (:mod:`hdl.linkformat`) out of bytes, whatever lies between them.

    Nothing of a frame counts before ``end`` has said that it is good. An empty frame, as between
    two flags in succession, is none. Outputs are registers: they are one cycle late.

    Members
    -------
    i : ``In(stream.Signature(ReceivedByte(), always_ready=True))``
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
        m.submodules.checksum = checksum = _checksum()
        shift = Signal(24)
        position = Signal(2)        # Of the next byte in its word.
        hunting = Signal(init=1)    # No flag has come yet.
        empty = Signal()
        escaping = Signal()
        bad = Signal()
        index = Signal.like(self.index)
        byte = self.i.p.data ^ Mux(escaping, ESCAPED, 0)
        flag = self.i.valid & (self.i.p.data == FLAG) & ~self.i.p.error
        taken, complete = Signal(), Signal()    # A byte of a word, and the last one of it.
        m.d.sync += [
            self.word.eq(Cat(shift, byte)), self.word_valid.eq(complete), self.index.eq(index),
            self.end.eq(flag & ~hunting & ~empty & ~self.clear),
            self.good.eq(checksum.match_detected & (position == 0) & ~escaping & ~bad),
        ]
        m.d.comb += [
            taken.eq(self.i.valid & ~flag & ~hunting & ~self.clear
                     & (escaping | (self.i.p.data != ESCAPE))),
            complete.eq(taken & (position == 3) & ~bad),
            checksum.start.eq(flag), checksum.valid.eq(taken), checksum.data.eq(byte),
        ]
        with m.If(self.i.valid):
            m.d.sync += [escaping.eq((self.i.p.data == ESCAPE) & ~escaping), empty.eq(0)]
            with m.If(self.i.p.error):
                m.d.sync += bad.eq(1)
        with m.If(taken):
            m.d.sync += [shift.eq(Cat(shift[8:], byte)), position.eq(position + 1)]
        with m.If(complete):
            m.d.sync += index.eq(index + 1)
            with m.If(index == MAX_WORDS + 2):
                m.d.sync += [bad.eq(1), index.eq(index)]
        with m.If(flag):
            m.d.sync += [hunting.eq(0), empty.eq(1), escaping.eq(0), bad.eq(0), position.eq(0),
                         index.eq(0)]
        with m.If(self.clear):
            m.d.sync += hunting.eq(1)
        return m


class FrameWord(data.StructLayout):
    """A word of a frame without its CRC, and whether it is the last one."""

    def __init__(self):
        super().__init__({"data": 32, "last": 1})


class FrameSender(wiring.Component):
    """Makes frames (:mod:`hdl.linkformat`) of words, and adds their CRC.

    A byte takes two cycles, or three if it is escaped, and a word one more.

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
        m.submodules.checksum = checksum = _checksum()
        shift = Signal(32)          # What is left of the word, or of the CRC, lowest byte first.
        position = Signal(2)        # Of that byte.
        in_crc, last = Signal(), Signal()
        byte = shift[:8]
        m.d.comb += checksum.data.eq(byte)
        m.d.sync += self.o.valid.eq(self.o.valid & ~self.o.ready)
        free = ~self.o.valid | self.o.ready
        with m.FSM():
            with m.State("FLAG"), m.If(self.i.valid & free):
                m.d.comb += checksum.start.eq(1)
                m.d.sync += [self.o.payload.eq(FLAG), self.o.valid.eq(1), in_crc.eq(0)]
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [shift.eq(self.i.p.data), last.eq(self.i.p.last)]
                with m.If(self.i.valid):
                    m.next = "BYTE"
            with m.State("BYTE"), m.If(free):
                m.d.sync += [self.o.payload.eq(byte), self.o.valid.eq(1)]
                m.next = "NEXT"
                with m.If((byte == FLAG) | (byte == ESCAPE)):
                    m.d.sync += self.o.payload.eq(ESCAPE)
                    m.next = "ESCAPED"
            with m.State("ESCAPED"), m.If(free):
                m.d.sync += [self.o.payload.eq(byte ^ ESCAPED), self.o.valid.eq(1)]
                m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += checksum.valid.eq(~in_crc)
                m.d.sync += [shift.eq(shift >> 8), position.eq(position + 1)]
                m.next = "BYTE"
                with m.If(position == 3):
                    m.next = "WORD"
                    with m.If(in_crc):
                        m.next = "END"
                    with m.Elif(last):
                        m.next = "CRC"
            with m.State("CRC"):
                m.d.sync += [shift.eq(checksum.crc), in_crc.eq(1)]
                m.next = "BYTE"
            with m.State("END"), m.If(free):
                m.d.sync += [self.o.payload.eq(FLAG), self.o.valid.eq(1)]
                m.next = "FLAG"
        return m
