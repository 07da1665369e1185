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
    two flags in succession, is none.

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
        A frame ends in this cycle, and it is as it was sent: of whole words, no more than there
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
        byte = self.i.p.data ^ Mux(escaping, ESCAPED, 0)
        flag = self.i.valid & (self.i.p.data == FLAG) & ~self.i.p.error
        taken = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & ~flag & ~hunting & ~self.clear
                     & (escaping | (self.i.p.data != ESCAPE))),
            self.word.eq(Cat(shift, byte)),
            self.word_valid.eq(taken & (position == 3) & ~bad),
            self.end.eq(flag & ~hunting & ~empty & ~self.clear),
            self.good.eq(checksum.match_detected & (position == 0) & ~escaping & ~bad),
            checksum.start.eq(flag), checksum.valid.eq(taken), checksum.data.eq(byte),
        ]
        with m.If(self.i.valid):
            m.d.sync += [escaping.eq((self.i.p.data == ESCAPE) & ~escaping), empty.eq(0)]
            with m.If(self.i.p.error):
                m.d.sync += bad.eq(1)
        with m.If(taken):
            m.d.sync += [shift.eq(Cat(shift[8:], byte)), position.eq(position + 1)]
        with m.If(self.word_valid):
            m.d.sync += self.index.eq(self.index + 1)
            with m.If(self.index == MAX_WORDS + 2):
                m.d.sync += [bad.eq(1), self.index.eq(self.index)]
        with m.If(flag):
            m.d.sync += [hunting.eq(0), empty.eq(1), escaping.eq(0), bad.eq(0), position.eq(0),
                         self.index.eq(0)]
        with m.If(self.clear):
            m.d.sync += hunting.eq(1)
        return m


class FrameWord(data.StructLayout):
    """A word of a frame without its CRC, and whether it is the last one."""

    def __init__(self):
        super().__init__({"data": 32, "last": 1})


class FrameSender(wiring.Component):
    """Makes frames (:mod:`hdl.linkformat`) of words, and adds their CRC.

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
        position = Signal(2)
        escaping = Signal()         # The escape has been sent, and its byte is next.
        in_crc = Signal()
        byte = Mux(in_crc, checksum.crc, self.i.p.data).word_select(position, 8)
        special = (byte == FLAG) | (byte == ESCAPE)
        sent = self.o.valid & self.o.ready
        done = Signal()             # A byte of the words is sent in this cycle.
        m.d.comb += [checksum.data.eq(byte), checksum.valid.eq(done & ~in_crc)]
        with m.FSM():
            with m.State("FLAG"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(self.i.valid)]
                m.d.sync += in_crc.eq(0)
                with m.If(sent):
                    m.d.comb += checksum.start.eq(1)
                    m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += [
                    self.o.payload.eq(Mux(escaping, byte ^ ESCAPED, Mux(special, ESCAPE, byte))),
                    self.o.valid.eq(self.i.valid | in_crc),
                    done.eq(sent & (escaping | ~special)),
                    self.i.ready.eq(done & ~in_crc & (position == 3)),
                ]
                with m.If(sent):
                    m.d.sync += escaping.eq(special & ~escaping)
                with m.If(done):
                    m.d.sync += position.eq(position + 1)
                    with m.If((position == 3) & in_crc):
                        m.next = "END"
                    with m.Elif((position == 3) & self.i.p.last):
                        m.d.sync += in_crc.eq(1)
            with m.State("END"):
                m.d.comb += [self.o.payload.eq(FLAG), self.o.valid.eq(1)]
                with m.If(sent):
                    m.next = "FLAG"
        return m
